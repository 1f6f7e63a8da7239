package sqlstore_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
	"github.com/narrowcast/narrowcast/services/profile/storetest"
)

// told is what a store tells of itself.
type told struct {
	Store    string
	Revision int64
	Changes  []profile.Change
	Keys     profile.KeyUse
	Holders  map[profile.Identifier][]audience.UID
}

// tell reads everything that a store has.
func tell(t testing.TB, cfg sqlstore.Config) (told, profile.Head) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // in a clean-up too
	s, err := sqlstore.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	head, err := s.Head(ctx)
	fail(err)
	out := told{Store: head.Store, Revision: head.Revision, Holders: make(map[profile.Identifier][]audience.UID)}
	var after int64
	for more := true; more; {
		page, err := s.Changes(ctx, after, profile.PageOptions{Limit: 500, Bytes: 1 << 20})
		fail(err)
		out.Changes = append(out.Changes, page.Changes...)
		if more = page.More; more {
			after = page.Changes[len(page.Changes)-1].Revision
		}
	}
	asked := make(map[profile.Identifier]bool)
	for _, c := range out.Changes {
		if c.Profile == nil {
			continue
		}
		for _, id := range c.Profile.Identifiers {
			asked[id] = true
		}
	}
	ids := slices.Collect(maps.Keys(asked))
	uids, err := s.Resolve(ctx, ids)
	fail(err)
	for i, id := range ids {
		out.Holders[id] = uids[i]
	}
	out.Keys, err = s.KeyUse(ctx)
	fail(err)
	return out, head
}

func backup(t testing.TB, cfg sqlstore.Config) []byte {
	t.Helper()
	cfg.Keys = nil // none is needed
	var b bytes.Buffer
	if _, err := sqlstore.Backup(context.WithoutCancel(t.Context()), cfg, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func restore(t testing.TB, cfg sqlstore.Config, text []byte) {
	t.Helper()
	if _, err := sqlstore.Restore(context.WithoutCancel(t.Context()), cfg, bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
}

// Whatever the suite leaves in a store is sound, and is what is read after a backup and a restore, on the other engine and back.
func TestWhatTheSuiteLeavesComesBackFromABackup(t *testing.T) {
	storetest.Run(t, func(t testing.TB, now func() time.Time) profile.Store {
		cfg := config(t, sqlstore.Config{Now: now, Behaviour: storetest.Settings})
		s := open(t, cfg)
		t.Cleanup(func() { // before the store is closed: it may be in use
			if t.Failed() {
				return
			}
			_, err := sqlstore.Examine(context.WithoutCancel(t.Context()), cfg, func(p profile.Problem) { t.Errorf("the examination finds %+v", p) })
			if err != nil {
				t.Error(err)
			}
			want, before := tell(t, cfg)
			text := backup(t, cfg)
			hops := []string{"postgres", "sqlite"}
			if testkit.Race { // the way back is only long
				hops = hops[:1]
			}
			for _, engine := range hops {
				to := cfg
				to.SQL = engines[engine](t)
				restore(t, to, text)
				got, head := tell(t, to)
				if !reflect.DeepEqual(got, want) {
					t.Errorf("restored on %s the store tells %+v, want %+v", engine, got, want)
				}
				if head.Incarnation == before.Incarnation {
					t.Errorf("restored on %s the store goes on with its former life", engine)
				}
				text = backup(t, to) // the next one is restored from this engine
			}
		})
		return s
	})
}

func TestARestoredStoreBeginsANewLife(t *testing.T) {
	for engine, where := range engines {
		t.Run(engine, func(t *testing.T) {
			ctx := t.Context()
			cfg := config(t, sqlstore.Config{})
			s := open(t, cfg)
			made, at, err := s.Create(ctx, person(1), "request")
			if err != nil {
				t.Fatal(err)
			}
			if _, _, _, err := s.Import(ctx, "import", 0, []profile.Row{{Profile: person(2)}, {}}); err != nil {
				t.Fatal(err)
			}
			old, err := s.Head(ctx)
			if err != nil {
				t.Fatal(err)
			}
			text := backup(t, cfg)
			if bytes.Contains(text, []byte("000001")) {
				t.Error("an identifier is in the backup in clear")
			}
			if _, _, err := s.Create(ctx, person(3), ""); err != nil { // the life before goes on
				t.Fatal(err)
			}

			to := cfg
			to.SQL, to.Keys = where(t), newKeys(t)
			if _, err := sqlstore.Restore(ctx, to, bytes.NewReader(text)); fault.ReasonOf(err) != keyring.ReasonKeyUnknown {
				t.Errorf("a restore with other keys: %v", err)
			}
			to.Keys = cfg.Keys
			if err := sqlstore.CanRestore(ctx, to); err != nil { // nothing was restored
				t.Error(err)
			}
			restore(t, to, text)
			r := open(t, to)
			if err := r.Check(ctx, old.Store, old.Incarnation, at); fault.ReasonOf(err) != profile.ReasonCursorOfAnotherStore {
				t.Errorf("a cursor of the life before: %v", err)
			}
			if again, _, err := r.Create(ctx, person(1), "request"); err != nil || again.UID != made.UID {
				t.Errorf("the request id gives %v (%v)", again, err)
			}
			if p, _, err := r.ImportProgress(ctx, "import"); err != nil || p.Through != 2 || p.Created != 1 || p.Rejected != 1 {
				t.Errorf("the import has come to %+v (%v)", p, err)
			}
			if _, _, err := r.Create(ctx, person(2), ""); fault.ReasonOf(err) != profile.ReasonExternalIDTaken {
				t.Errorf("an external id that is taken: %v", err)
			}
			next, pos, err := r.Create(ctx, person(4), "")
			if err != nil || next.Revision != old.Revision+1 {
				t.Fatalf("the next change is %+v (%v), want revision %d", next, err, old.Revision+1)
			}
			head, err := r.Head(ctx)
			if err != nil || r.Check(ctx, head.Store, head.Incarnation, pos) != nil {
				t.Errorf("a position of the new life is not recognised (%v)", err)
			}
			if err := sqlstore.CanRestore(ctx, to); err == nil {
				t.Error("a store in use can be restored into")
			}
		})
	}
}

// Profiles without names and identifiers need no key; what is kept of their merge and a first answer do, as long as they can be asked for.
func TestARestoreNeedsTheKeysOfMergesAndFirstAnswers(t *testing.T) {
	for engine, where := range engines {
		for what, fill := range map[string]func(*sqlstore.Store) error{
			"a merge": func(s *sqlstore.Store) error {
				var uids [2]audience.UID
				for i := range uids {
					p, _, err := s.Create(t.Context(), &profile.Profile{}, "")
					if err != nil {
						return err
					}
					uids[i] = p.UID
				}
				_, _, _, err := s.Merge(t.Context(), uids[0], uids[1], profile.MergeOptions{})
				return err
			},
			"a first answer": func(s *sqlstore.Store) error {
				p, _, err := s.Create(t.Context(), person(1), "request")
				if err == nil {
					_, err = s.Delete(t.Context(), p.UID, "")
				}
				return err
			},
		} {
			t.Run(engine+"/"+what, func(t *testing.T) {
				now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
				cfg := config(t, sqlstore.Config{SQL: where(t), Now: func() time.Time { return now }})
				if err := fill(open(t, cfg)); err != nil {
					t.Fatal(err)
				}
				text := backup(t, cfg)
				to := cfg
				to.SQL, to.Keys = where(t), newKeys(t)
				if _, err := sqlstore.Restore(t.Context(), to, bytes.NewReader(text)); fault.ReasonOf(err) != keyring.ReasonKeyUnknown {
					t.Errorf("a restore with other keys: %v", err)
				}
				now = now.AddDate(1, 0, 0) // nobody can ask for them any more
				restore(t, to, text)
			})
		}
	}
}

func TestABackupOfNothingIsRefused(t *testing.T) {
	cfg := config(t, sqlstore.Config{})
	if _, err := sqlstore.Backup(t.Context(), cfg, io.Discard); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a backup of a file that is not there: %v", err)
	}
	if err := sqlstore.CanRestore(t.Context(), cfg); err != nil {
		t.Error(err)
	}
}

func TestImportsThatAreOldGo(t *testing.T) {
	for engine, where := range engines {
		t.Run(engine, func(t *testing.T) {
			now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			s := open(t, sqlstore.Config{SQL: where(t), Now: func() time.Time { return now }})
			for i, id := range []string{"a", "b", "c", "new"} {
				if id == "new" {
					now = now.Add(time.Hour)
				}
				if _, _, _, err := s.Import(t.Context(), id, 0, []profile.Row{{Profile: person(i)}}); err != nil {
					t.Fatal(err)
				}
			}
			for _, want := range []int{2, 1, 0} {
				if n, err := s.PurgeImports(t.Context(), now, 2); err != nil || n != want {
					t.Errorf("%d went (%v), want %d", n, err, want)
				}
			}
			for id, want := range map[string]int64{"a": 0, "new": 1} {
				if p, _, err := s.ImportProgress(t.Context(), id); err != nil || p.Through != want {
					t.Errorf("import %s has come to %d (%v), want %d", id, p.Through, err, want)
				}
			}
		})
	}
}
