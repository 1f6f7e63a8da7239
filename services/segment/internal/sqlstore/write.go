package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/segment"
)

// write is one request to change definitions. Exactly one of create, update, delete and list says what.
type write struct {
	create *segment.Segment
	update *segment.Change
	delete *segment.Change // its id, etag and as
	list   *segment.Change // its id and as, with:
	add    []audience.UID
	remove []audience.UID
	// checkOnly undoes the write after everything was checked.
	checkOnly bool
}

// written is what came of it.
type written struct {
	row
	// changed says that the write takes a revision, definition that it is the definition's too.
	changed    bool
	definition bool
	position   segment.Position
}

// checked ends a write that was only to be checked: as an error it undoes it, and brings the result out.
type checked struct{ written }

func (*checked) Error() string { return "checked only" }

// submit hands a write to the group.
func (s *Store) submit(ctx context.Context, operation string, w write) (written, error) {
	done, err := s.group.Submit(ctx, w)
	var check *checked
	if errors.As(err, &check) {
		return check.written, nil
	}
	return done, fail(operation, err)
}

// Create stores a new segment.
func (s *Store) Create(ctx context.Context, seg segment.Segment, checkOnly bool) (segment.Segment, segment.Position, error) {
	w, err := s.submit(ctx, "create segment", write{create: &seg, checkOnly: checkOnly})
	return w.Segment, w.position, err
}

// Update changes one segment.
func (s *Store) Update(ctx context.Context, c segment.Change) (segment.Segment, segment.Position, error) {
	w, err := s.submit(ctx, "update segment", write{update: &c, checkOnly: c.CheckOnly})
	return w.Segment, w.position, err
}

// Delete deletes a segment and its list.
func (s *Store) Delete(ctx context.Context, id, etag, as string) (segment.Position, error) {
	w, err := s.submit(ctx, "delete segment", write{delete: &segment.Change{ID: id, ETag: etag, As: as}})
	return w.position, err
}

// lock makes this transaction the only one that changes segments, until it ends. What it reads from then on is what was committed
// last. A write of a group that is undone may give the lock back, so each takes it.
func (s *Store) lock(ctx context.Context, tx *sql.Tx) error {
	var revision int64
	return tx.QueryRowContext(ctx, "select revision from head"+s.db.Dialect.ForUpdate()).Scan(&revision)
}

// apply makes one write in the group's transaction. Revisions are put in by stamp.
func (s *Store) apply(ctx context.Context, tx *sql.Tx, w write) (written, error) {
	if err := s.lock(ctx, tx); err != nil {
		return written{}, err
	}
	var done written
	var err error
	switch {
	case w.create != nil:
		done, err = s.create(ctx, tx, *w.create)
	case w.update != nil:
		done, err = s.update(ctx, tx, w.update)
	case w.delete != nil:
		done, err = remove(ctx, tx, w.delete)
	case w.list != nil:
		done, err = s.changeMembers(ctx, tx, w)
	default:
		return written{}, errors.New("a write without content")
	}
	if err == nil && w.checkOnly {
		return written{}, &checked{done}
	}
	return done, err
}

func (s *Store) create(ctx context.Context, tx *sql.Tx, seg segment.Segment) (written, error) {
	var taken bool
	if err := tx.QueryRowContext(ctx, "select exists (select 1 from segments where id = $1)", seg.ID).Scan(&taken); err != nil {
		return written{}, err
	}
	if taken {
		return written{}, segment.Exists(seg.ID)
	}
	now := sqldb.Moment(s.now())
	seg.Version, seg.Members, seg.ETag = 1, 0, newETag()
	seg.Revision, seg.DefinitionRevision = 0, 0
	seg.CreateTime, seg.UpdateTime = now, now
	r := row{Segment: seg}
	err := tx.QueryRowContext(ctx, `insert into segments (uid, id, display_name, description, rule, is_static, members, owner, version,
		definition_revision, revision, etag, create_time, update_time)
		values ($1, $2, $3, $4, $5, $6, 0, $7, 1, 0, 0, $8, $9, $9) returning number`,
		seg.UID, seg.ID, seg.DisplayName, seg.Description, seg.Rule, flag(seg.Static), seg.Owner, seg.ETag, now.UnixMicro()).Scan(&r.number)
	if err != nil {
		return written{}, err
	}
	if r.References, err = setReferences(ctx, tx, r, seg.References); err != nil {
		return written{}, err
	}
	return written{row: r, changed: true, definition: true}, nil
}

// flag is how a truth value is stored.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// mine reads a segment for a change and refuses who may not make it.
func mine(ctx context.Context, tx *sql.Tx, c *segment.Change) (row, error) {
	r, err := one(ctx, tx, c.ID)
	switch {
	case err != nil:
		return row{}, err
	case r.Owner != "" && r.Owner != c.As:
		return row{}, segment.Owned(c.ID, r.Owner)
	case c.ETag != "" && c.ETag != r.ETag:
		return row{}, segment.ETagMismatch(c.ID)
	}
	return r, nil
}

func (s *Store) update(ctx context.Context, tx *sql.Tx, c *segment.Change) (written, error) {
	r, err := mine(ctx, tx, c)
	if err != nil {
		return written{}, err
	}
	done := written{}
	set := func(field *string, value *string) {
		if value != nil && *field != *value {
			*field, done.changed = *value, true
		}
	}
	set(&r.DisplayName, c.DisplayName)
	set(&r.Description, c.Description)
	if c.Rule != nil {
		if r.Static {
			return written{}, segment.NotStatic(c.ID, true)
		}
		if r.Rule != *c.Rule {
			r.Rule, r.Version = *c.Rule, r.Version+1
			done.changed, done.definition = true, true
			if r.References, err = setReferences(ctx, tx, r, c.References); err != nil {
				return written{}, err
			}
		}
	}
	if done.changed {
		if err := s.save(ctx, tx, &r); err != nil {
			return written{}, err
		}
	}
	done.row = r
	return done, nil
}

// save writes what a change can change, under a new etag.
func (s *Store) save(ctx context.Context, tx *sql.Tx, r *row) error {
	r.ETag = newETag()
	// An update is never before what it updates, whatever the clock says.
	r.UpdateTime = sqldb.Moment(s.now())
	if r.UpdateTime.Before(r.CreateTime) {
		r.UpdateTime = r.CreateTime
	}
	_, err := tx.ExecContext(ctx, `update segments set display_name = $1, description = $2, rule = $3, members = $4, version = $5, etag = $6,
		update_time = $7 where number = $8`, r.DisplayName, r.Description, r.Rule, r.Members, r.Version, r.ETag, r.UpdateTime.UnixMicro(), r.number)
	return err
}

func remove(ctx context.Context, tx *sql.Tx, c *segment.Change) (written, error) {
	r, err := mine(ctx, tx, c)
	if err != nil {
		return written{}, err
	}
	var user string
	err = tx.QueryRowContext(ctx, `select s.id from segment_references r join segments s on s.number = r.segment
		where r.ref = $1 order by s.id limit 1`, r.number).Scan(&user)
	if err == nil {
		return written{}, segment.InUse(c.ID, user)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return written{}, err
	}
	for _, statement := range []string{
		"delete from members where segment = $1",
		"delete from segments where number = $1", // its references go with it
	} {
		if _, err := tx.ExecContext(ctx, statement, r.number); err != nil {
			return written{}, err
		}
	}
	return written{row: r, changed: true}, nil
}

// setReferences replaces what a segment names, and refuses what does not exist or leads back. It sees the writes before it in
// the group, and no other write can come between, so all segments together never hold a circle.
func setReferences(ctx context.Context, tx *sql.Tx, r row, refs []segment.Reference) ([]segment.Reference, error) {
	refs = segment.SortReferences(slices.Clone(refs))
	numbers := make(map[string]int64, len(refs))
	for i := range refs {
		var number int64
		err := tx.QueryRowContext(ctx, "select number, id from segments where uid = $1", refs[i].UID).Scan(&number, &refs[i].ID)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, segment.UnknownSegment(refs[i].ID)
		}
		if err != nil {
			return nil, err
		}
		numbers[refs[i].UID] = number
	}
	if _, err := tx.ExecContext(ctx, "delete from segment_references where segment = $1", r.number); err != nil {
		return nil, err
	}
	path, err := segment.FindCycle(segment.Reference{ID: r.ID, UID: r.UID}, refs, func(uid string) ([]segment.Reference, error) {
		var number int64
		if err := tx.QueryRowContext(ctx, "select number from segments where uid = $1", uid).Scan(&number); err != nil {
			return nil, err
		}
		return references(ctx, tx, number)
	})
	if err != nil {
		return nil, fmt.Errorf("look for a cycle: %w", err)
	}
	if path != nil {
		return nil, segment.Cycle(path)
	}
	for _, ref := range refs {
		if _, err := tx.ExecContext(ctx, "insert into segment_references (segment, ref) values ($1, $2)", r.number, numbers[ref.UID]); err != nil {
			return nil, err
		}
	}
	return refs, nil
}

// stamp gives the writes of a group their revisions, the last thing before the commit.
func (s *Store) stamp(ctx context.Context, tx *sql.Tx, done []*sqldb.Done[write, written]) error {
	n := 0
	for _, d := range done {
		if d.Res.changed {
			n++
		}
	}
	p, err := head(ctx, tx)
	if err != nil {
		return err
	}
	if n > 0 {
		first := p.Revision
		if err := tx.QueryRowContext(ctx, "update head set revision = revision + $1 returning revision", n).Scan(&p.Revision); err != nil {
			return err
		}
		mark := make([]byte, 16)
		rand.Read(mark) // it never fails
		p.Mark = string(mark)
		if _, err := tx.ExecContext(ctx, "insert into marks (revision, mark) values ($1, $2)", p.Revision, mark); err != nil {
			return err
		}
		if err := number(ctx, tx, done, first); err != nil {
			return err
		}
	}
	for _, d := range done {
		d.Res.position = p
		if d.Res.changed {
			d.Res.position.Revision = d.Res.Revision
		}
	}
	return nil
}

// number counts up from the revision before the group. What a later write of the group read of an earlier one had no revision
// yet, so the newest ones are carried along.
func number(ctx context.Context, tx *sql.Tx, done []*sqldb.Done[write, written], revision uint64) error {
	newest := make(map[int64]segment.Segment)
	for _, d := range done {
		r := &d.Res
		if before, ok := newest[r.row.number]; ok {
			r.Revision, r.DefinitionRevision = before.Revision, before.DefinitionRevision
		}
		if !r.changed {
			continue
		}
		revision++
		r.Revision = revision
		if r.definition {
			r.DefinitionRevision = revision
		}
		newest[r.row.number] = r.Segment
		_, err := tx.ExecContext(ctx, "update segments set revision = $1, definition_revision = $2 where number = $3",
			r.Revision, r.DefinitionRevision, r.row.number)
		if err != nil {
			return err
		}
	}
	return nil
}

// newETag returns a quoted text that was never used before.
func newETag() string { return `"` + strings.ToLower(rand.Text()[:16]) + `"` }
