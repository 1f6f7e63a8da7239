package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/profile"
)

// write is one request of the group: apply stages it, and after Submit position is where the store then was. apply may be called again,
// for a group that met the commit of another process: it must not keep what an earlier call found.
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

// apply stages one request. The batch lives as long as its transaction. Nothing is written before the group is stamped.
func (s *Store) apply(ctx context.Context, tx *sql.Tx, w *write) (struct{}, error) {
	if s.batch == nil || s.batch.tx != tx {
		// A group that another process got in the way of keeps the head to itself from its beginning when it is applied again.
		stmt := s.stmt.writeHead
		if s.disturbed {
			stmt = s.stmt.lockHead
		}
		began, err := readHead(ctx, tx, stmt)
		if err != nil {
			return struct{}{}, err
		}
		s.batch = &batch{
			stage: newStage(), tx: tx, s: s, ring: s.cfg.Keys.Ring(), began: began, now: s.cfg.Now().UnixMicro(),
			dbEntries: make(map[audience.UID]*entry), dbHolders: make(map[profile.ExternalID]audience.UID),
			dbRedirects: make(map[audience.UID]redirect), dbTargets: make(map[audience.UID]bool),
			dbBearers: make(map[profile.Identifier][]audience.UID), dbEvents: make(map[eventKey]*happening), dbStories: make(map[audience.UID]*story),
			dbAttributes: make(map[string]int64),
		}
	}
	d := s.batch.draft()
	if err := w.apply(ctx, d); err != nil {
		return struct{}{}, s.batch.certain(ctx, err)
	}
	s.batch.keep(d)
	return struct{}{}, nil
}

// stamp writes what the group staged, in one order for all processes: first what has no revision, then, with the head locked, what has
// one, and the head last. So the head is locked for a short time, and while it is nobody else can change a profile: who finds that it
// has moved since the group began looks whether what the group read still holds, and if not has the group applied again.
func (s *Store) stamp(ctx context.Context, tx *sql.Tx, done []*sqldb.Done[*write, struct{}]) error {
	head, err := s.write(ctx, tx)
	s.disturbed = err != nil
	if err != nil {
		return err
	}
	for _, one := range done {
		one.Req.position = head.Position
	}
	return nil
}

func (s *Store) write(ctx context.Context, tx *sql.Tx) (profile.Head, error) {
	b := s.batch
	if b == nil || b.tx != tx {
		return profile.Head{}, errors.New("a group is stamped that staged nothing")
	}
	if err := b.recompute(ctx); err != nil {
		return profile.Head{}, fmt.Errorf("compute traits: %w", err)
	}
	if err := b.writeTables(ctx, b.unnumbered()); err != nil {
		return profile.Head{}, err
	}
	if len(b.ops) == 0 && len(b.due) == 0 && b.rekeyed.empty() {
		head, err := readHead(ctx, tx, s.stmt.writeHead)
		if err == nil && len(b.imports) > 0 { // what an import refuses, it refuses for good
			err = b.verify(ctx, head)
		}
		return head, err
	}
	head, err := readHead(ctx, tx, s.stmt.lockHead)
	if err != nil {
		return head, err
	}
	if err := b.verify(ctx, head); err != nil {
		return head, fmt.Errorf("verify what was read: %w", err)
	}
	b.number(head.Revision)
	if err := b.writeTables(ctx, b.numbered()); err != nil {
		return head, err
	}
	if len(b.ops) == 0 {
		return head, nil
	}
	before := head.Revision
	head.Revision, head.Mark = before+int64(len(b.ops)), newMark()
	if err := s.advance(ctx, tx, before, head.Position); err != nil {
		return head, fmt.Errorf("advance revision: %w", err)
	}
	b.moved = head.Revision
	return head, nil
}

// table writes the staged rows of a table, or of a few that belong together.
type table struct {
	name  string
	write func(ctx context.Context) error
}

// unnumbered are the tables that are written before the head is locked, in this order.
func (b *batch) unnumbered() []table {
	imports := table{"imports", b.writeImports}
	if !b.oneIndexKey() {
		return []table{imports}
	}
	return []table{{"identifiers", b.writeIdentifiers}, imports}
}

// numbered are the tables that are written with the head locked, in this order: those that hold revisions.
func (b *batch) numbered() []table {
	return []table{
		{"identifiers under several keys", b.writeHeldIdentifiers},
		{"attributes", b.writeAttributes},
		{"requests", b.writeRequests},
		{"profiles", b.writeProfiles},
		{"redirects", b.writeRedirects},
		{"merges", b.writeMerges},
		{"events", b.writeEvents},
		{"due days", b.writeDue},
		{"rekeyed profiles", b.writeRekeyed},
	}
}

func (b *batch) writeTables(ctx context.Context, tables []table) error {
	for _, t := range tables {
		if err := t.write(ctx); err != nil {
			return fmt.Errorf("write %s: %w", t.name, err)
		}
	}
	return nil
}

// number gives each change a revision: declarations first, then profiles that go, so that nobody sees a person twice while a merge passes by,
// then the others, each by uid; changes of one profile in their order.
func (b *batch) number(before int64) {
	order := func(o *op) int {
		switch {
		case o.entry == nil:
			return 0
		case !b.entries[o.entry.uid].exists:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(b.ops, func(x, y *op) int {
		if c := cmp.Compare(order(x), order(y)); c != 0 || x.entry == nil {
			return c
		}
		return compareUIDs(x.entry.uid, y.entry.uid)
	})
	declared := make(map[string]int64) // in this group
	for i, o := range b.ops {
		o.revision = before + int64(i) + 1
		if a := o.attribute; a != nil {
			a.Revision = o.revision
			if a.Declared == 0 {
				a.Declared = cmp.Or(declared[a.ID], o.revision)
				declared[a.ID] = a.Declared
			}
		}
	}
}

// advance is the last round trip of a commit: the mark beside its revision, then the counter.
func (s *Store) advance(ctx context.Context, tx *sql.Tx, before int64, to profile.Position) error {
	var n int64
	if err := tx.QueryRowContext(ctx, "insert into marks (revision, mark) values ($1, $2) returning n", to.Revision, to.Mark).Scan(&n); err != nil {
		return err
	}
	// Now and then, so that a commit seldom pays for it.
	if n%1024 == 0 {
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
	b := s.batch
	s.batch = nil
	if b != nil && b.moved > 0 {
		s.wake(b.moved)
	}
}
