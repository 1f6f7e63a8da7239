package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/segment"
)

// batch is how many uids one statement names.
const batch = 500

// ChangeMembers puts profiles on a static list and takes others off.
func (s *Store) ChangeMembers(ctx context.Context, id, as string, add, remove []audience.UID) (segment.Segment, segment.Position, error) {
	if len(add)+len(remove) > segment.MaxChange {
		return segment.Segment{}, segment.Position{}, fail("change members", fault.Newf(fault.Invalid, "VALIDATION_FAILED",
			"one change names at most %d profiles; divide it", segment.MaxChange).With("limit", segment.MaxChange))
	}
	w, err := s.submit(ctx, "change members", write{list: &segment.Change{ID: id, As: as}, add: add, remove: remove})
	return w.Segment, w.position, err
}

func (s *Store) changeMembers(ctx context.Context, tx *sql.Tx, w write) (written, error) {
	r, err := mine(ctx, tx, w.list)
	if err != nil {
		return written{}, err
	}
	if !r.Static {
		return written{}, segment.NotStatic(r.ID, false)
	}
	off := make(map[audience.UID]bool, len(w.remove))
	for _, u := range w.remove {
		off[u] = true
	}
	on := slices.DeleteFunc(slices.Clone(w.add), func(u audience.UID) bool { return off[u] })
	removed, err := inBatches(ctx, tx, w.remove, r.number, func(n int) string {
		return "delete from members where segment = $1 and profile in (" + sqldb.Placeholders(2, n) + ")"
	})
	if err != nil {
		return written{}, fmt.Errorf("remove members: %w", err)
	}
	added, err := inBatches(ctx, tx, on, r.number, func(n int) string {
		statement := []byte("insert into members (segment, profile) values ")
		for i := range n {
			statement = fmt.Appendf(statement, "($1, $%d),", i+2)
		}
		return string(statement[:len(statement)-1]) + " on conflict do nothing"
	})
	if err != nil {
		return written{}, fmt.Errorf("add members: %w", err)
	}
	if r.Members += added - removed; r.Members > s.maxMembers {
		return written{}, segment.ListTooLong(s.maxMembers)
	}
	if added == 0 && removed == 0 {
		return written{row: r}, nil
	}
	r.Version++
	if err := s.save(ctx, tx, &r); err != nil {
		return written{}, err
	}
	return written{row: r, changed: true, definition: true}, nil
}

// inBatches runs a statement with the list's number and some uids at a time, and returns how many rows it changed.
func inBatches(ctx context.Context, tx *sql.Tx, uids []audience.UID, list int64, statement func(n int) string) (int64, error) {
	var changed int64
	for some := range slices.Chunk(uids, batch) {
		args := make([]any, 1, 1+len(some))
		args[0] = list
		for i := range some {
			args = append(args, some[i][:])
		}
		res, err := tx.ExecContext(ctx, statement(len(some)), args...)
		if err != nil {
			return 0, err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return 0, err
		}
		changed += n
	}
	return changed, nil
}

// walked is how many profiles a visitor of a list gets at a time.
const walked = 4096

// Members calls visit with the profiles of a static list. A list fits into memory (16 MB at most), so it is read whole before the
// first visit: a visitor that takes its time must not hold a transaction open.
func (s *Store) Members(ctx context.Context, uid string, visit func([]audience.UID) error) (uint64, error) {
	var revision uint64
	var list []audience.UID
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		var number int64
		err := tx.QueryRowContext(ctx, "select number, definition_revision from segments where uid = $1", uid).Scan(&number, &revision)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, segment.ReasonNotFound, "the segment was deleted").With("uid", uid)
		}
		if err != nil {
			return err
		}
		return each(ctx, tx, func(rows *sql.Rows) error {
			var raw sql.RawBytes
			if err := rows.Scan(&raw); err != nil {
				return err
			}
			if len(raw) != len(audience.UID{}) {
				return fmt.Errorf("a member of %d bytes", len(raw))
			}
			list = append(list, audience.UID(raw))
			return nil
		}, "select profile from members where segment = $1 order by profile", number)
	})
	if err != nil {
		return 0, fail("read members", err)
	}
	for some := range slices.Chunk(list, walked) {
		if err := visit(some); err != nil {
			return 0, err // it is the caller's and passes untouched
		}
	}
	return revision, nil
}
