package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
	"github.com/narrowcast/narrowcast/services/profile/merging"
)

// MakeNewer closes a store as a program of a later version would leave it.
func MakeNewer(t testing.TB, s *Store) {
	t.Helper()
	if _, err := s.db.Write.ExecContext(t.Context(), "insert into goose_db_version (version_id, is_applied) values (99999, true)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// MoveEvents moves events in a commit of their own.
func (s *Store) MoveEvents(ctx context.Context, from, to audience.UID, of ...audience.UID) (profile.Position, error) {
	return s.submit(ctx, "move events", 1, func(ctx context.Context, d *draft) error { return d.moveEvents(ctx, from, to, of...) })
}

// Due returns the day on which a profile is due.
func (s *Store) Due(t testing.TB, uid audience.UID) (day int64) {
	t.Helper()
	if err := s.db.Write.QueryRowContext(t.Context(), "select day from due where uid = $1", uid[:]).Scan(&day); err != nil {
		t.Fatal(err)
	}
	return day
}

// Bare are rows as a store keeps them, ready to be inserted.
type Bare struct {
	profiles [][]any
	hashes   []hashRow
}

// MakeBare makes the rows of profiles with ascending uids; revisions follow after.
func MakeBare(t testing.TB, ring *keyring.Ring, people []*profile.Profile, after int64) *Bare {
	t.Helper()
	var b Bare
	for i, p := range people {
		contact := record.Contact(nil, p)
		sealed, key, err := seal(ring, p.UID, contact)
		if err != nil {
			t.Fatal(err)
		}
		uid := p.UID
		origins := merging.Track(nil, p, merging.Provenance{}, time.UnixMicro(1), "bench").Encode(nil, p)
		b.profiles = append(b.profiles, []any{uid[:], after + int64(i) + 1, int64(1), int64(1), record.Body(nil, p), origins, sealed, key})
		if b.hashes, _, err = hashRows(ring, uid, contact, b.hashes, nil); err != nil {
			t.Fatal(err)
		}
	}
	return &b
}

// InsertBare inserts rows in one transaction, with the statements that the store itself uses and in the order of their keys, and nothing
// else: what the engine needs for them at least.
func (s *Store) InsertBare(ctx context.Context, b *Bare) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		group := &batch{tx: tx, s: s}
		if err := group.writeHashes(ctx, b.hashes, nil); err != nil {
			return err
		}
		_, err := s.stmt.insertProfiles.write(ctx, tx, len(b.profiles), func(i int, to []any) []any { return append(to, b.profiles[i]...) })
		return err
	})
}

// UIDs makes uids as the store does.
func (s *Store) UIDs(t testing.TB, n int) []audience.UID {
	t.Helper()
	uids, err := s.uids.Next(n)
	if err != nil {
		t.Fatal(err)
	}
	return uids
}

// Damage runs a statement on a store behind its back.
func Damage(t testing.TB, s *Store, query string, args ...any) {
	t.Helper()
	if _, err := s.db.Write.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// Waiting is how many writes wait for a commit.
func (s *Store) Waiting() int { return s.group.Waiting() }

// RekeyHeld puts up to limit profiles under the primary keys as another process would, and calls held before it commits.
func (s *Store) RekeyHeld(ctx context.Context, limit int, held func()) error {
	other := &Store{db: s.db, cfg: s.cfg, stmt: s.stmt, changes: newChanges()}
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		_, err := other.apply(ctx, tx, &write{apply: func(ctx context.Context, d *draft) error {
			_, err := d.rekey(ctx, limit)
			return err
		}})
		if err == nil {
			_, err = other.write(ctx, tx)
		}
		if err == nil {
			held()
		}
		return err
	})
}

// Locked is how many sessions of the database wait for a lock.
func (s *Store) Locked(t testing.TB) (n int) {
	t.Helper()
	if err := s.db.Read.QueryRowContext(t.Context(), "select count(distinct pid) from pg_locks where not granted").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// ReadAgain reads in one write what it could not read before: failing is the context of the first try.
func (s *Store) ReadAgain(ctx, failing context.Context, uid audience.UID, event string, id profile.Identifier) (found, recorded, holds, bears, counted bool, err error) {
	_, err = s.submit(ctx, "read again", 1, func(ctx context.Context, d *draft) error {
		external, key := profile.ExternalID{Source: id.Source, Value: id.Value}, keyOfEvent(event)
		read := func(ctx context.Context) error {
			return errors.Join(d.b.load(ctx, []audience.UID{uid}), d.b.loadEvents(ctx, []eventKey{key}), d.b.loadHolders(ctx, []profile.ExternalID{external}),
				d.b.loadBearers(ctx, []profile.Identifier{id}), d.b.loadStories(ctx, []audience.UID{uid}))
		}
		if read(failing) == nil {
			return errors.New("a read with a context that has ended did not fail")
		}
		if err := read(ctx); err != nil {
			return err
		}
		found, recorded, holds = d.entry(uid).exists, d.happening(key).exists, d.holder(external) == uid
		bears, counted = len(d.b.dbBearers[id]) == 1, len(d.b.dbStories[uid].events) == 1
		return nil
	})
	return found, recorded, holds, bears, counted, err
}
