package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
)

// Changes returns what changed after a revision. The three kinds of changes are read as of one moment, each by its own index
// on the revision; where one was cut short, so are the others, at the same revision.
func (s *Store) Changes(ctx context.Context, after int64, want profile.PageOptions) (profile.Page, error) {
	read := reader{s: s, ring: s.cfg.Keys.Ring()}
	var page profile.Page
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) (err error) {
		page = profile.Page{}
		if page.Head, err = readHead(ctx, tx, s.stmt.head); err != nil {
			return err
		}
		if page.Head.Revision <= after {
			return nil
		}
		r := changeReader{page: &page, through: page.Head.Revision, limit: want.Limit, bytes: want.Bytes, reader: read, plain: want.WithoutContact, stored: want.Stored}
		return r.read(ctx, tx, after)
	})
	if err != nil {
		return profile.Page{}, s.translate(fmt.Errorf("read changes: %w", err))
	}
	return page, nil
}

// changeReader collects changes up to a revision that it lowers whenever a list is cut short.
type changeReader struct {
	reader
	plain   bool   // without contacts
	stored  bool   // as they are stored
	texts   []byte // of which stored records are parts
	page    *profile.Page
	through int64
	limit   int
	bytes   int
}

func (r *changeReader) read(ctx context.Context, tx *sql.Tx, after int64) error {
	if err := r.list(ctx, tx, attributeChanges, after, r.attribute); err != nil {
		return err
	}
	if err := r.list(ctx, tx, tombstoneChanges, after, r.tombstone); err != nil {
		return err
	}
	profiles := profileChanges
	if r.plain {
		profiles = plainChanges
	}
	if err := r.list(ctx, tx, profiles, after, r.change); err != nil {
		return err
	}
	p := r.page
	slices.SortFunc(p.Changes, func(a, b profile.Change) int { return cmp.Compare(a.Revision, b.Revision) })
	if len(p.Changes) > r.limit {
		r.through = p.Changes[r.limit-1].Revision
	}
	p.Changes = slices.DeleteFunc(p.Changes, func(c profile.Change) bool { return c.Revision > r.through })
	p.More = r.through < p.Head.Revision
	return nil
}

const (
	attributeChanges = `select c.revision, a.id, a.type, a.description, a.allowed, a.scale, a.sensitive, a.declared, a.revision, a.create_time, a.update_time
		from attribute_changes c join attributes a on a.id = c.id where c.revision > $1 and c.revision <= $2 order by c.revision limit $3`
	tombstoneChanges = "select revision, {uid} from tombstones where revision > $1 and revision <= $2 order by revision limit $3"
	profileChanges   = "select {uid}, revision, create_time, update_time, body, contact, contact_key from profiles where revision > $1 and revision <= $2 order by revision limit $3"
	plainChanges     = "select {uid}, revision, create_time, update_time, body, null, 0 from profiles where revision > $1 and revision <= $2 order by revision limit $3"
)

// list reads one kind. Where as many came as were asked for, or the bytes are used up, there may be more behind the last one.
func (r *changeReader) list(ctx context.Context, tx *sql.Tx, query string, after int64, scan func(*sql.Rows) (profile.Change, int, error)) error {
	rows, err := tx.QueryContext(ctx, r.s.text(query), after, r.through, r.limit)
	if err != nil {
		return err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		c, size, err := scan(rows)
		if err != nil {
			return err
		}
		r.page.Changes = append(r.page.Changes, c)
		r.bytes -= size
		if n++; n == r.limit || r.bytes <= 0 {
			r.through = c.Revision
			break
		}
	}
	return rows.Err()
}

func (r *changeReader) attribute(rows *sql.Rows) (profile.Change, int, error) {
	var c profile.Change
	var err error
	c.Attribute, err = scanAttribute(first{rows, &c.Revision})
	return c, 0, err
}

// first scans one more column before the others.
type first struct {
	rows *sql.Rows
	to   any
}

// Scan implements scanner.
func (f first) Scan(to ...any) error { return f.rows.Scan(append([]any{f.to}, to...)...) }

func (r *changeReader) tombstone(rows *sql.Rows) (profile.Change, int, error) {
	var c profile.Change
	var raw sql.RawBytes
	if err := rows.Scan(&c.Revision, &raw); err != nil {
		return c, 0, err
	}
	uid := audience.UID(raw)
	c.Deleted = &uid
	return c, len(uid), nil
}

func (r *changeReader) change(rows *sql.Rows) (profile.Change, int, error) {
	if r.stored {
		return r.record(rows)
	}
	p, size, err := r.profile(rows)
	if err != nil {
		return profile.Change{}, 0, err
	}
	return profile.Change{Revision: p.Revision, Profile: p}, size, nil
}

// record reads a profile as it is stored.
func (r *changeReader) record(rows *sql.Rows) (profile.Change, int, error) {
	var uid, body, sealed sql.RawBytes
	var revision, key int64
	one := &profile.Stored{}
	if err := rows.Scan(&uid, &revision, &one.CreateTime, &one.UpdateTime, &body, &sealed, &key); err != nil {
		return profile.Change{}, 0, err
	}
	one.UID = audience.UID(uid)
	var err error
	if one.Contact, err = r.s.unseal(r.ring, one.UID, sealed); err != nil {
		return profile.Change{}, 0, err
	}
	if cap(r.texts)-len(r.texts) < len(body) {
		r.texts = make([]byte, 0, max(64<<10, len(body)))
	}
	at := len(r.texts)
	r.texts = append(r.texts, body...)
	one.Body = r.texts[at:len(r.texts):len(r.texts)]
	return profile.Change{Revision: revision, Stored: one}, len(body) + len(sealed), nil
}

// Mark returns the mark by which a revision is known.
func (s *Store) Mark(ctx context.Context, revision int64) ([]byte, error) {
	var mark []byte
	if err := s.stmt.mark.QueryRowContext(ctx, revision).Scan(&mark); err != nil {
		return nil, s.translate(fmt.Errorf("read mark: %w", err))
	}
	return mark, nil
}

// Check reports whether this store, in this life, gave a position.
func (s *Store) Check(ctx context.Context, store, incarnation string, at profile.Position) error {
	stranger := fault.New(fault.Precondition, profile.ReasonCursorOfAnotherStore,
		"the position is of another store, or of this one before it was restored; begin without one")
	head, err := s.Head(ctx)
	if err != nil {
		return err
	}
	if head.Store != store || head.Incarnation != incarnation || at.Revision > head.Revision || at.Revision < 0 {
		return stranger
	}
	mark, err := s.Mark(ctx, at.Revision)
	if err != nil {
		return err
	}
	if bytes.Equal(mark, at.Mark) {
		return nil
	}
	var oldest int64
	if err := s.stmt.oldestMark.QueryRowContext(ctx).Scan(&oldest); err != nil {
		return s.translate(fmt.Errorf("read marks: %w", err))
	}
	if at.Revision < oldest {
		return fault.New(fault.OutOfRange, profile.ReasonCursorTooOld, "the position is older than what the store can still tell apart; begin without one")
	}
	return stranger
}
