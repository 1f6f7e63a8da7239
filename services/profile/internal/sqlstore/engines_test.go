package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	secret "github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
	"github.com/narrowcast/narrowcast/services/profile/storetest"
)

// TestTheEnginesAnswerAlike runs the same operations on each engine and compares every answer.
func TestTheEnginesAnswerAlike(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			var first []string
			for name, where := range engines {
				lines := storetest.Transcript(t, seed, 240, func(t testing.TB, now func() time.Time) profile.Store {
					return open(t, sqlstore.Config{SQL: where(t), Now: now})
				})
				if first == nil {
					first = lines
					continue
				}
				for i := range max(len(first), len(lines)) {
					if i >= len(first) || i >= len(lines) || first[i] != lines[i] {
						t.Fatalf("answer %d of %d and %d differs:\n%s\n%s has\n%s", i, len(first), len(lines), at(first, i), name, at(lines, i))
					}
				}
			}
			if len(first) < 1000 {
				t.Errorf("%d answers were compared", len(first))
			}
		})
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "nothing"
}

// two opens a database twice, as two processes would.
func two(t *testing.T) (a, b *sqlstore.Store, where sqldb.Config) {
	t.Helper()
	return twoWith(t, newKeys(t))
}

func twoWith(t *testing.T, keys sqlstore.Keys) (a, b *sqlstore.Store, where sqldb.Config) {
	t.Helper()
	where = sqldb.Config{URL: secret.NewSecret(testkit.Postgres(t)), Schema: "profile"}
	opened := make([]*sqlstore.Store, 2)
	var wg sync.WaitGroup
	for i := range opened { // at once: both may want to make the schema
		wg.Go(func() { opened[i] = open(t, sqlstore.Config{SQL: where, Keys: keys}) })
	}
	wg.Wait()
	if opened[0] == nil || opened[1] == nil {
		t.FailNow()
	}
	return opened[0], opened[1], where
}

// folded is what a watcher knows.
type folded struct {
	people map[audience.UID]*profile.Profile
	at     int64
}

// follow reads changes into f until the head is at least as far as through says.
func (f *folded) follow(ctx context.Context, s *sqlstore.Store, through func() int64) error {
	for {
		changed := s.Changed()
		page, err := s.Changes(ctx, f.at, profile.PageOptions{Limit: 40, Bytes: 1 << 20})
		if err != nil {
			return err
		}
		for _, c := range page.Changes {
			if c.Revision <= f.at {
				return fmt.Errorf("revision %d came after %d", c.Revision, f.at)
			}
			f.at = c.Revision
			if c.Deleted != nil {
				delete(f.people, *c.Deleted)
			} else if c.Profile != nil {
				f.people[c.Profile.UID] = c.Profile
			}
		}
		if page.More {
			continue
		}
		f.at = page.Head.Revision
		if f.at >= through() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TestTwoProcessesWriteOneDatabase lets two stores write the same profiles, external ids and import: every write counts once, no external id
// is given twice, and watchers on both sides end up with what is there.
func TestTwoProcessesWriteOneDatabase(t *testing.T) {
	a, b, _ := two(t)
	stores := []*sqlstore.Store{a, b}
	const writers, writes, people = 3, 40, 5
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var shared []audience.UID
	for range people {
		p, _, err := a.Create(ctx, &profile.Profile{Occupation: "0"}, "")
		if err != nil {
			t.Fatal(err)
		}
		shared = append(shared, p.UID)
	}
	var mu sync.Mutex
	revisions := map[int64]string{}
	note := func(what string, p *profile.Profile, at profile.Position) {
		mu.Lock()
		defer mu.Unlock()
		if before, given := revisions[p.Revision]; given || p.Revision > at.Revision {
			t.Errorf("revision %d of %s was given to %s, or lies behind the position %d", p.Revision, what, before, at.Revision)
		}
		revisions[p.Revision] = what
	}
	if _, _, err := b.CreateAttribute(ctx, &profile.Attribute{ID: "count", Type: profile.TypeBool, Description: "0"}); err != nil {
		t.Fatal(err)
	}
	var updates, declared, taken, imported, deleted atomic.Int64
	var wg sync.WaitGroup
	for s, store := range stores {
		for w := range writers {
			wg.Go(func() {
				for n := range writes {
					p, at, err := store.Update(ctx, shared[n%people], "", func(p *profile.Profile) error { // a lost update would lose a count
						count, err := strconv.Atoi(p.Occupation)
						p.Occupation = fmt.Sprint(count + 1)
						return err
					})
					if err != nil {
						t.Errorf("update by %d/%d: %v", s, w, err)
						return
					}
					updates.Add(1)
					note("update", p, at)
					if n%4 == 0 { // a declaration loses nothing either
						_, _, err := store.UpdateAttribute(ctx, "count", "", func(a *profile.Attribute) error {
							count, err := strconv.Atoi(a.Description)
							a.Description = fmt.Sprint(count + 1)
							return err
						})
						if err != nil {
							t.Errorf("declare by %d/%d: %v", s, w, err)
							return
						}
						declared.Add(1)
					}
					// Everybody wants the same external ids.
					id := profile.Identifier{Kind: profile.KindExternalID, Source: "crm", Value: fmt.Sprint(n)}
					made, at, err := store.Create(ctx, &profile.Profile{Identifiers: []profile.Identifier{id}}, "")
					switch {
					case fault.ReasonOf(err) == profile.ReasonExternalIDTaken:
						taken.Add(1)
					case err != nil:
						t.Errorf("create by %d/%d: %v", s, w, err)
						return
					default:
						note("create", made, at)
						if n%8 == 7 {
							if _, err := store.Delete(ctx, made.UID, ""); err != nil {
								t.Errorf("delete by %d/%d: %v", s, w, err)
							}
							deleted.Add(1)
						}
					}
				}
			})
		}
		// One import, two streams: each goes on where the import is.
		wg.Go(func() {
			for ctx.Err() == nil {
				progress, _, err := store.ImportProgress(ctx, "both")
				if err != nil {
					t.Errorf("progress: %v", err)
					return
				}
				if progress.Through >= 100 {
					return
				}
				rows := make([]profile.Row, 5)
				for i := range rows {
					rows[i].Profile = &profile.Profile{Identifiers: []profile.Identifier{{Kind: profile.KindExternalID, Source: "import", Value: fmt.Sprint(progress.Through + int64(i))}}}
				}
				_, _, _, err = store.Import(ctx, "both", progress.Through, rows)
				switch {
				case fault.ReasonOf(err) == profile.ReasonImportProtocol: // the other one was quicker
				case err != nil:
					t.Errorf("import: %v", err)
					return
				default:
					imported.Add(5)
				}
			}
		})
	}
	// Watchers who follow all the time, and at last to the end.
	watching, enough := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watched := make([]folded, 2)
	for i, store := range stores {
		watched[i].people = make(map[audience.UID]*profile.Profile)
		watchers.Go(func() {
			if err := watched[i].follow(watching, store, func() int64 { return 1 << 62 }); !errors.Is(err, context.Canceled) {
				t.Errorf("watcher %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	last, at, err := a.Create(ctx, &profile.Profile{Occupation: "last"}, "")
	if err != nil {
		t.Fatal(err)
	}
	note("last", last, at)
	enough()
	watchers.Wait()
	for i, store := range stores {
		if watched[i].at == 0 {
			t.Errorf("watcher %d saw nothing while others wrote", i)
		}
		if err := watched[i].follow(ctx, store, func() int64 { return at.Revision }); err != nil {
			t.Errorf("watcher %d: %v", i, err)
		}
	}
	sum := 0
	for _, uid := range shared {
		p, err := b.Get(ctx, uid)
		if err != nil {
			t.Fatal(err)
		}
		count, err := strconv.Atoi(p.Occupation)
		if err != nil {
			t.Fatal(err)
		}
		sum += count
	}
	if int64(sum) != updates.Load() || sum != 2*writers*writes {
		t.Errorf("%d updates left a count of %d", updates.Load(), sum)
	}
	schema, err := a.Schema(ctx)
	if err != nil || schema["count"].Description != fmt.Sprint(declared.Load()) || declared.Load() == 0 {
		t.Errorf("%d changes of a declaration left %+v (%v)", declared.Load(), schema["count"], err)
	}
	if imported.Load() != 100 {
		t.Errorf("%d rows of 100 were imported", imported.Load())
	}
	if taken.Load() == 0 {
		t.Error("nobody wanted what another one had: nothing was tried")
	}
	// Dense: as many revisions as changes.
	if want := int64(people+1+len(revisions)) + declared.Load() + imported.Load() + deleted.Load(); at.Revision != want {
		t.Errorf("%d changes brought the head to %d", want, at.Revision)
	}
	list, err := b.List(ctx, audience.UID{}, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	holders := map[profile.ExternalID]audience.UID{}
	for _, p := range list {
		for _, id := range p.ExternalIDs() {
			if _, held := holders[id]; held {
				t.Errorf("the external id %v is held twice", id)
			}
			holders[id] = p.UID
		}
		for i := range watched {
			if !reflect.DeepEqual(watched[i].people[p.UID], p) {
				t.Errorf("watcher %d has %+v, the store %+v", i, watched[i].people[p.UID], p)
			}
		}
	}
	for i := range watched {
		if len(watched[i].people) != len(list) {
			t.Errorf("watcher %d has %d profiles of %d", i, len(watched[i].people), len(list))
		}
	}
}

// TestAForeignTransactionStallsNobody keeps a transaction open that has written to the same database, and goes on writing and watching: who
// reads changes by what is visible rather than by what is committed in order would wait for it, or miss something.
func TestAForeignTransactionStallsNobody(t *testing.T) {
	a, b, where := two(t)
	seconds, err := strconv.Atoi(os.Getenv("NARROWCAST_FOREIGN_TRANSACTION_SECONDS"))
	if err != nil {
		seconds = 2
	}
	where.IdleInTxTimeout = time.Hour
	db, err := sqldb.Open(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	tx, err := db.Write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// A row of the service's own tables too, such as an operator's correction that waits for a second look.
	for _, statement := range []string{"create table foreign_notes (note text)", "insert into foreign_notes values ('open')", "insert into imports values ('foreign', 0, 0, 0, 0, 0, 0)"} {
		if _, err := tx.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	f := folded{people: make(map[audience.UID]*profile.Profile)}
	until := time.After(time.Duration(seconds) * time.Second)
	slowest, writes := time.Duration(0), 0
	for open := true; open; writes++ {
		select {
		case <-until:
			open = false
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		began := time.Now()
		made, at, err := a.Create(ctx, customer(writes), "")
		if err == nil {
			err = f.follow(ctx, b, func() int64 { return at.Revision })
		}
		cancel()
		if err != nil {
			t.Fatalf("write %d, while a foreign transaction is open: %v", writes, err)
		}
		if f.people[made.UID] == nil {
			t.Fatalf("the watcher came to %d without the write of %d", f.at, made.Revision)
		}
		slowest = max(slowest, time.Since(began))
	}
	if err := tx.Commit(); err != nil {
		t.Errorf("the foreign transaction did not last: %v", err)
	}
	t.Logf("%d writes while a foreign transaction was open for %d s; the slowest was watched after %v", writes, seconds, slowest)
}

// TestNoStatementReadsAWholeTable does everything often enough for plans to be kept, and asks the server how tables were read.
func TestNoStatementReadsAWholeTable(t *testing.T) {
	keys := newKeys(t)
	where := sqldb.Config{URL: secret.NewSecret(testkit.Postgres(t)), Schema: "profile"}
	s := open(t, sqlstore.Config{SQL: where, Keys: keys})
	ctx := t.Context()
	var through int64
	var uids []audience.UID
	for unit := range 12 {
		rows := make([]profile.Row, 300)
		for i := range rows {
			rows[i].Profile = customer(unit*200 + i) // some are known
			rows[i].Profile.Occupation = fmt.Sprint(unit)
		}
		results, p, at, err := s.Import(ctx, "import", through, rows)
		if err != nil {
			t.Fatal(err)
		}
		through = p.Through
		uids = append(uids, results[0].UID)
		made, _, err := s.Create(ctx, customer(100_000+unit), fmt.Sprint("request ", unit))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = s.Update(ctx, made.UID, "", func(p *profile.Profile) error { p.Identifiers = p.Identifiers[:1]; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Delete(ctx, made.UID, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := s.BatchGet(ctx, uids); err != nil {
			t.Fatal(err)
		}
		if _, err := s.List(ctx, uids[0], 50); err != nil {
			t.Fatal(err)
		}
		if found, err := s.Resolve(ctx, customer(unit).Identifiers); err != nil || len(found[0]) != 1 {
			t.Fatalf("resolved %x (%v)", found, err)
		}
		if _, err := s.Changes(ctx, at.Revision-100, profile.PageOptions{Limit: 50, Bytes: 1 << 20, WithoutContact: unit%2 == 0}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Mark(ctx, at.Revision/2); err != nil {
			t.Fatal(err)
		}
		if unit == 5 {
			keys.begin(t, keyring.Contact)
			keys.begin(t, keyring.Index)
		}
		if _, err := s.Rekey(ctx, 100); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil { // its sessions hand in what they counted
		t.Fatal(err)
	}
	db, err := sqldb.Open(ctx, where)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var whole, looked int64
	query := `select sum(seq_tup_read), sum(idx_scan) from pg_stat_user_tables
		where schemaname = 'profile' and relname in ('profiles', 'identifiers', 'tombstones', 'marks', 'imports')`
	if err := db.Read.QueryRowContext(ctx, query).Scan(&whole, &looked); err != nil {
		t.Fatal(err)
	}
	if whole > 0 || looked < 1000 {
		t.Errorf("%d rows were read by reading tables from end to end; %d times an index was asked", whole, looked)
	}
}
