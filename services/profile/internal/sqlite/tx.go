package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/profile"
)

// write is one request of the group: apply stages it, and after Submit position is where the store then was.
type write struct {
	changes  int
	apply    func(ctx context.Context, d *draft) error
	position profile.Position
}

// submit commits a write in a group and translates its error.
func (s *Store) submit(ctx context.Context, operation string, changes int, apply func(ctx context.Context, d *draft) error) (profile.Position, error) {
	w := &write{changes: changes, apply: apply}
	if _, err := s.group.Submit(ctx, w); err != nil {
		return profile.Position{}, s.translate(fmt.Errorf("%s: %w", operation, err))
	}
	return w.position, nil
}

// apply stages one request. The batch lives as long as its transaction.
func (s *Store) apply(ctx context.Context, tx *sql.Tx, w *write) (struct{}, error) {
	if s.batch == nil || s.batch.tx != tx {
		s.batch = &batch{
			stage: newStage(), tx: tx, s: s, now: s.cfg.Now().UnixMicro(),
			dbEntries: make(map[audience.UID]*entry), dbHolders: make(map[profile.ExternalID]audience.UID),
		}
	}
	d := s.batch.draft()
	if err := w.apply(ctx, d); err != nil {
		return struct{}{}, err
	}
	s.batch.keep(d)
	return struct{}{}, nil
}

// stamp gives the staged changes their revisions, writes them in the order of uids and advances the counter.
func (s *Store) stamp(ctx context.Context, tx *sql.Tx, done []*sqldb.Done[*write, struct{}]) error {
	head, err := scanHead(within(ctx, tx, s.stmt.writeHead).QueryRowContext(ctx))
	if err != nil {
		return fmt.Errorf("read head: %w", err)
	}
	if b := s.batch; b != nil && b.tx == tx && len(b.ops) > 0 {
		before := head.Revision
		b.number(before)
		if err := b.write(ctx); err != nil {
			return err
		}
		head.Revision, head.Mark = before+int64(len(b.ops)), newMark()
		if err := s.advance(ctx, tx, before, head.Position); err != nil {
			return fmt.Errorf("advance revision: %w", err)
		}
		b.moved = true
	}
	for _, one := range done {
		one.Req.position = head.Position
	}
	return nil
}

// number gives each change a revision: declarations first, then profiles by uid, changes of one profile in their order.
func (b *batch) number(before int64) {
	slices.SortStableFunc(b.ops, func(x, y *op) int {
		switch {
		case x.entry == nil || y.entry == nil:
			return cmp.Compare(order(x), order(y))
		}
		return bytes.Compare(x.entry.uid[:], y.entry.uid[:])
	})
	for i, o := range b.ops {
		o.revision = before + int64(i) + 1
		if a := o.attribute; a != nil {
			a.Revision = o.revision
			if a.Declared == 0 {
				a.Declared = o.revision
			}
		}
	}
}

func order(o *op) int {
	if o.entry == nil {
		return 0
	}
	return 1
}

// write writes the last staged state of everything.
func (b *batch) write(ctx context.Context) error {
	for _, o := range b.ops {
		if o.attribute != nil {
			if err := b.writeAttribute(ctx, o.attribute); err != nil {
				return fmt.Errorf("write attribute: %w", err)
			}
		}
		if o.requestID != "" {
			e := o.entry
			if _, err := b.tx.ExecContext(ctx, "insert or replace into requests (request_id, uid, revision, create_time, body) values ($1, $2, $3, $4, $5)",
				o.requestID, e.uid[:], o.revision, e.created, e.body); err != nil {
				return fmt.Errorf("write request: %w", err)
			}
		}
	}
	puts, err := b.writeRemoved(ctx)
	if err != nil {
		return fmt.Errorf("delete profiles: %w", err)
	}
	if err := b.writeRows(ctx, b.s.stmt.putProfile, puts); err != nil {
		return fmt.Errorf("write profiles: %w", err)
	}
	if err := b.writeHolders(ctx); err != nil {
		return fmt.Errorf("write external ids: %w", err)
	}
	return nil
}

// writeRemoved deletes what was deleted and returns the rows of the others, by uid.
func (b *batch) writeRemoved(ctx context.Context) (puts [][]any, err error) {
	for _, o := range b.ops {
		e := o.entry
		if e == nil || b.entries[e.uid] != e {
			continue // a later change of the group goes over it
		}
		if e.exists {
			puts = append(puts, []any{e.uid[:], o.revision, e.created, e.updated, e.body})
			continue
		}
		if _, err := b.tx.ExecContext(ctx, "delete from profiles where uid = $1", e.uid[:]); err != nil {
			return nil, err
		}
		if _, err := b.tx.ExecContext(ctx, "insert into tombstones (uid, revision) values ($1, $2)", e.uid[:], o.revision); err != nil {
			return nil, err
		}
	}
	return puts, nil
}

func (b *batch) writeHolders(ctx context.Context) error {
	var puts [][]any
	for id, uid := range b.holders {
		switch uid {
		case b.dbHolders[id]: // as it was
		case audience.UID{}:
			if _, err := b.tx.ExecContext(ctx, "delete from external_ids where source = $1 and value = $2", id.Source, id.Value); err != nil {
				return err
			}
		default:
			puts = append(puts, []any{id.Source, id.Value, bytes.Clone(uid[:])})
		}
	}
	slices.SortFunc(puts, func(x, y []any) int {
		return cmp.Or(strings.Compare(x[0].(string), y[0].(string)), strings.Compare(x[1].(string), y[1].(string)))
	})
	return b.writeRows(ctx, b.s.stmt.putExternal, puts)
}

// writeRows writes rows with a statement that takes many, and what is left with the one that takes one.
func (b *batch) writeRows(ctx context.Context, stmt [2]*sql.Stmt, rows [][]any) error {
	many, one := within(ctx, b.tx, stmt[1]), within(ctx, b.tx, stmt[0])
	var args []any
	for len(rows) >= writeRows {
		args = args[:0]
		for _, row := range rows[:writeRows] {
			args = append(args, row...)
		}
		if _, err := many.ExecContext(ctx, args...); err != nil {
			return err
		}
		rows = rows[writeRows:]
	}
	for _, row := range rows {
		if _, err := one.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) writeAttribute(ctx context.Context, a *profile.Attribute) error {
	allowed, err := json.Marshal(a.Allowed)
	if err != nil {
		return err
	}
	if _, err := b.tx.ExecContext(ctx, `insert into attributes (id, type, description, allowed, scale, sensitive, declared, revision, create_time, update_time)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		on conflict (id) do update set description = excluded.description, allowed = excluded.allowed, sensitive = excluded.sensitive,
		revision = excluded.revision, update_time = excluded.update_time`,
		a.ID, a.Type, a.Description, string(allowed), a.Scale, a.Sensitive, a.Declared, a.Revision, a.CreateTime.UnixMicro(), a.UpdateTime.UnixMicro()); err != nil {
		return err
	}
	_, err = b.tx.ExecContext(ctx, "insert into attribute_changes (revision, id) values ($1, $2)", a.Revision, a.ID)
	return err
}

// advance is the last round trip of a commit: the mark beside its revision, then the counter.
func (s *Store) advance(ctx context.Context, tx *sql.Tx, before int64, to profile.Position) error {
	made, err := tx.ExecContext(ctx, "insert into marks (revision, mark) values ($1, $2)", to.Revision, to.Mark)
	if err != nil {
		return err
	}
	// Now and then, so that a commit seldom pays for it.
	if n, err := made.LastInsertId(); err != nil {
		return err
	} else if n%1024 == 0 {
		if _, err := tx.ExecContext(ctx, "delete from marks where n <= $1", n-s.cfg.MarksKept); err != nil {
			return err
		}
	}
	moved, err := tx.ExecContext(ctx, "update store set revision = $1, mark = $2 where id = 1 and revision = $3", to.Revision, to.Mark, before)
	if err != nil {
		return err
	}
	if n, err := moved.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, errors.New("the counter moved while it was locked"))
	}
	return nil
}

// committed wakes the watchers.
func (s *Store) committed([]*sqldb.Done[*write, struct{}]) {
	moved := s.batch != nil && s.batch.moved
	s.batch = nil
	if !moved {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}
