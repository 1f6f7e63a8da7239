package sqlstore

import (
	"context"
	"database/sql"
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
