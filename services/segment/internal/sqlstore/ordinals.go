package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/segment"
)

const (
	uidBytes = len(audience.UID{})
	// runBytes is how long a stored run grows before the next one begins: appending a few uids rewrites no more than this.
	runBytes = 256 * uidBytes
)

// BeginLayout opens a new numbering of profiles.
func (s *Store) BeginLayout(ctx context.Context, lease segment.Epoch, of segment.ProfileStore) (segment.Layout, error) {
	l := segment.Layout{Of: of}
	err := s.underLease(ctx, lease, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "insert into layouts (store, incarnation) values ($1, $2) returning number", of.Store, of.Incarnation).Scan(&l.Number)
	})
	if err != nil {
		return segment.Layout{}, fail("begin layout", err)
	}
	return l, nil
}

// Layouts returns the layouts that are kept.
func (s *Store) Layouts(ctx context.Context) ([]segment.Layout, error) {
	var list []segment.Layout
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var l segment.Layout
			if err := rows.Scan(&l.Number, &l.Of.Store, &l.Of.Incarnation, &l.Ordinals); err != nil {
				return err
			}
			list = append(list, l)
			return nil
		}, `select number, store, incarnation, (select coalesce(sum(length(uids)), 0) / 16 from ordinals where layout = number)
			from layouts order by number`)
	})
	return list, fail("read layouts", err)
}

// DropLayout deletes a layout and its ordinals.
func (s *Store) DropLayout(ctx context.Context, lease segment.Epoch, layout uint32) error {
	return fail("drop layout", s.underLease(ctx, lease, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "delete from layouts where number = $1", layout) // its ordinals go with it
		return err
	}))
}

// AppendOrdinals stores runs of new ordinals.
func (s *Store) AppendOrdinals(ctx context.Context, lease segment.Epoch, layout uint32, runs []segment.OrdinalRun) error {
	return fail("append ordinals", s.underLease(ctx, lease, func(tx *sql.Tx) error {
		if err := layoutExists(ctx, tx, layout); err != nil {
			return err
		}
		for _, r := range runs {
			if err := appendRun(ctx, tx, layout, r); err != nil {
				return err
			}
		}
		return nil
	}))
}

func layoutExists(ctx context.Context, tx *sql.Tx, layout uint32) error {
	var there bool
	err := tx.QueryRowContext(ctx, "select exists (select 1 from layouts where number = $1)", layout).Scan(&there)
	if err == nil && !there {
		return segment.LayoutNotFound(layout)
	}
	return err
}

func appendRun(ctx context.Context, tx *sql.Tx, layout uint32, r segment.OrdinalRun) error {
	var first uint32
	var last []byte
	err := tx.QueryRowContext(ctx, "select first, uids from ordinals where layout = $1 and block = $2 order by first desc limit 1",
		layout, r.Block).Scan(&first, &last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	next := first + uint32(len(last)/uidBytes)
	if r.First != next {
		return fmt.Errorf("block %d goes on at ordinal %d, not %d", r.Block, next, r.First)
	}
	if len(r.UIDs) > audience.BlockSize-int(next) {
		return fmt.Errorf("block %d has no room for %d ordinals after %d", r.Block, len(r.UIDs), next)
	}
	packed := make([]byte, 0, len(r.UIDs)*uidBytes)
	for i := range r.UIDs {
		if r.UIDs[i] == (audience.UID{}) {
			return fmt.Errorf("a new ordinal of block %d has a blank uid", r.Block)
		}
		packed = append(packed, r.UIDs[i][:]...)
	}
	if last != nil && len(last) < runBytes {
		n := min(len(packed), runBytes-len(last))
		_, err := tx.ExecContext(ctx, "update ordinals set uids = $1 where layout = $2 and block = $3 and first = $4",
			append(last, packed[:n]...), layout, r.Block, first)
		if err != nil {
			return err
		}
		packed, next = packed[n:], next+uint32(n/uidBytes)
	}
	for len(packed) > 0 {
		n := min(len(packed), runBytes)
		_, err := tx.ExecContext(ctx, "insert into ordinals (layout, block, first, uids) values ($1, $2, $3, $4)", layout, r.Block, next, packed[:n])
		if err != nil {
			return err
		}
		packed, next = packed[n:], next+uint32(n/uidBytes)
	}
	return nil
}

// BlankOrdinals removes the uids of deleted profiles.
func (s *Store) BlankOrdinals(ctx context.Context, lease segment.Epoch, layout uint32, at []segment.Ordinal) error {
	return fail("blank ordinals", s.underLease(ctx, lease, func(tx *sql.Tx) error {
		for _, o := range at {
			var first uint32
			var uids []byte
			err := tx.QueryRowContext(ctx, `select first, uids from ordinals where layout = $1 and block = $2 and first <= $3
				order by first desc limit 1`, layout, o.Block, o.Ordinal).Scan(&first, &uids)
			offset := int(o.Ordinal-first) * uidBytes
			if errors.Is(err, sql.ErrNoRows) || err == nil && offset >= len(uids) {
				return segment.LayoutNotFound(layout)
			}
			if err != nil {
				return err
			}
			clear(uids[offset : offset+uidBytes])
			if _, err := tx.ExecContext(ctx, "update ordinals set uids = $1 where layout = $2 and block = $3 and first = $4", uids, layout, o.Block, first); err != nil {
				return err
			}
		}
		return nil
	}))
}

// errStop ends a walk whose reader has had enough. It never leaves this file.
var errStop = errors.New("enough")

// loaded is how many stored runs one statement of LoadOrdinals reads, a megabyte of uids: none lasts long, whatever the reader does
// between two of them.
const loaded = 256

// LoadOrdinals yields the ordinals of a layout.
func (s *Store) LoadOrdinals(ctx context.Context, layout uint32) iter.Seq2[segment.OrdinalRun, error] {
	return func(yield func(segment.OrdinalRun, error) bool) {
		err := s.db.ReadTx(ctx, func(tx *sql.Tx) error {
			block, first := int64(-1), int64(-1) // the last run that was read
			for {
				runs, err := readRuns(ctx, tx, layout, block, first)
				if err != nil {
					return err
				}
				for _, r := range runs {
					if !yield(r, nil) {
						return errStop
					}
					block, first = int64(r.Block), int64(r.First)
				}
				if len(runs) < loaded {
					return nil
				}
			}
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(segment.OrdinalRun{}, fail("load ordinals", err))
		}
	}
}

// readRuns reads some runs of a layout that follow one.
func readRuns(ctx context.Context, tx *sql.Tx, layout uint32, block, first int64) ([]segment.OrdinalRun, error) {
	var runs []segment.OrdinalRun
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var r segment.OrdinalRun
		var raw sql.RawBytes
		if err := rows.Scan(&r.Block, &r.First, &raw); err != nil {
			return err
		}
		if len(raw)%uidBytes != 0 {
			return fmt.Errorf("ordinals of %d bytes", len(raw))
		}
		r.UIDs = make([]audience.UID, len(raw)/uidBytes)
		for i := range r.UIDs {
			r.UIDs[i] = audience.UID(raw[i*uidBytes:])
		}
		runs = append(runs, r)
		return nil
	}, "select block, first, uids from ordinals where layout = $1 and (block, first) > ($2, $3) order by block, first limit $4",
		layout, block, first, loaded)
	return runs, err
}
