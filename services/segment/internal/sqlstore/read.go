package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/segment"
)

const columns = `number, uid, id, display_name, description, rule, is_static, members, owner, version,
	definition_revision, revision, etag, create_time, update_time`

// row is a segment with the number that other tables know it by.
type row struct {
	segment.Segment
	number int64
}

func scanRow(scan func(...any) error) (row, error) {
	var r row
	var created, updated int64
	err := scan(&r.number, &r.UID, &r.ID, &r.DisplayName, &r.Description, &r.Rule, &r.Static, &r.Members, &r.Owner, &r.Version,
		&r.DefinitionRevision, &r.Revision, &r.ETag, &created, &updated)
	r.CreateTime, r.UpdateTime = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return r, err
}

// one reads a segment by id, with its references.
func one(ctx context.Context, q querier, id string) (row, error) {
	r, err := scanRow(q.QueryRowContext(ctx, "select "+columns+" from segments where id = $1", id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, segment.NotFound(id)
	}
	if err != nil {
		return row{}, err
	}
	r.References, err = references(ctx, q, r.number)
	return r, err
}

// references reads what one segment names, sorted by uid.
func references(ctx context.Context, q querier, number int64) ([]segment.Reference, error) {
	var refs []segment.Reference
	err := each(ctx, q, func(rows *sql.Rows) error {
		var r segment.Reference
		if err := rows.Scan(&r.UID, &r.ID); err != nil {
			return err
		}
		refs = append(refs, r)
		return nil
	}, `select s.uid, s.id from segment_references r join segments s on s.number = r.ref where r.segment = $1 order by s.uid`, number)
	return refs, err
}

// Get returns the segment with the id.
func (s *Store) Get(ctx context.Context, id string) (segment.Segment, error) {
	var r row
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) (err error) {
		r, err = one(ctx, tx, id)
		return err
	})
	return r.Segment, fail("get segment", err)
}

// List returns a page of segments by id.
func (s *Store) List(ctx context.Context, after string, limit int) ([]segment.Segment, error) {
	var list []segment.Segment
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) (err error) {
		list, err = many(ctx, tx, "where id > $1 order by id limit $2", after, limit)
		return err
	})
	return list, fail("list segments", err)
}

// many reads segments and their references. All references come in two statements, however many segments there are.
func many(ctx context.Context, tx querier, where string, args ...any) ([]segment.Segment, error) {
	var list []segment.Segment
	at := make(map[int64]int)
	var numbers []any
	err := each(ctx, tx, func(rows *sql.Rows) error {
		r, err := scanRow(rows.Scan)
		if err != nil {
			return err
		}
		at[r.number] = len(list)
		numbers = append(numbers, r.number)
		list = append(list, r.Segment)
		return nil
	}, "select "+columns+" from segments "+where, args...)
	if err != nil {
		return nil, err
	}
	const chunk = 1000
	for len(numbers) > 0 {
		some := numbers[:min(chunk, len(numbers))]
		numbers = numbers[len(some):]
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var number int64
			var ref segment.Reference
			if err := rows.Scan(&number, &ref.UID, &ref.ID); err != nil {
				return err
			}
			s := &list[at[number]]
			s.References = append(s.References, ref)
			return nil
		}, `select r.segment, s.uid, s.id from segment_references r join segments s on s.number = r.ref
			where r.segment in (`+sqldb.Placeholders(1, len(some))+`) order by r.segment, s.uid`, some...)
		if err != nil {
			return nil, fmt.Errorf("read references: %w", err)
		}
	}
	return list, nil
}

// Head returns the newest committed position.
func (s *Store) Head(ctx context.Context) (segment.Position, error) {
	var p segment.Position
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) (err error) {
		p, err = head(ctx, tx)
		return err
	})
	return p, fail("read head", err)
}

func head(ctx context.Context, q querier) (segment.Position, error) {
	var p segment.Position
	var mark []byte
	err := q.QueryRowContext(ctx, "select h.incarnation, h.revision, m.mark from head h left join marks m on m.revision = h.revision").
		Scan(&p.Incarnation, &p.Revision, &mark)
	p.Mark = string(mark)
	return p, err
}

// AllDefinitions returns all segments and the position that they are the state of.
func (s *Store) AllDefinitions(ctx context.Context) ([]segment.Segment, segment.Position, error) {
	var list []segment.Segment
	var p segment.Position
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) (err error) {
		if p, err = head(ctx, tx); err != nil {
			return err
		}
		list, err = many(ctx, tx, "order by uid")
		return err
	})
	return list, p, fail("read definitions", err)
}

// Holds reports whether the store's history contains the position.
func (s *Store) Holds(ctx context.Context, p segment.Position) (bool, error) {
	var held bool
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		now, err := head(ctx, tx)
		if err != nil || now.Incarnation != p.Incarnation || now.Revision < p.Revision {
			return err
		}
		if p.Revision == 0 {
			held = p.Mark == ""
			return nil
		}
		// The mark of a group stands beside its last revision.
		var mark []byte
		if err := tx.QueryRowContext(ctx, "select mark from marks where revision >= $1 order by revision limit 1", p.Revision).Scan(&mark); err != nil {
			return err
		}
		held = string(mark) == p.Mark
		return nil
	})
	return held, fail("look for position", err)
}
