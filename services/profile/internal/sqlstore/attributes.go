package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/profile"
)

const attributeQuery = `select id, type, description, allowed, scale, sensitive, declared, revision, create_time, update_time from attributes`

func scanAttribute(row sqldb.Scanner, also ...any) (*profile.Attribute, error) {
	var a profile.Attribute
	var allowed string
	var created, updated int64
	to := append([]any{&a.ID, &a.Type, &a.Description, &allowed, &a.Scale, &a.Sensitive, &a.Declared, &a.Revision, &created, &updated}, also...)
	if err := row.Scan(to...); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(allowed), &a.Allowed); err != nil {
		return nil, fmt.Errorf("decode attribute: %w", err)
	}
	a.CreateTime, a.UpdateTime = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return &a, nil
}

// attribute returns a declaration as this request would find it, or nil.
func (d *draft) attribute(ctx context.Context, id string) (*profile.Attribute, error) {
	if a := d.b.attributes[id]; a != nil {
		return a, nil
	}
	a, err := scanAttribute(d.b.tx.QueryRowContext(ctx, attributeQuery+" where id = $1", id))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		a = nil
	case err != nil:
		return nil, err
	default:
		d.b.dbAttributes[id] = a.Revision
	}
	return a, nil
}

func (d *draft) declare(a *profile.Attribute) {
	d.attributes[a.ID] = a
	d.ops = append(d.ops, &op{attribute: a})
}

// CreateAttribute declares an attribute.
func (s *Store) CreateAttribute(ctx context.Context, a *profile.Attribute) (*profile.Attribute, profile.Position, error) {
	a = a.Clone()
	pos, err := s.submit(ctx, "create attribute", 1, func(ctx context.Context, d *draft) error {
		have, err := d.attribute(ctx, a.ID)
		if err != nil {
			return err
		}
		if have != nil {
			return profile.AttributeExists("attributes/" + a.ID)
		}
		a.Declared, a.Revision = 0, 0
		a.CreateTime = time.UnixMicro(d.b.now).UTC()
		a.UpdateTime = a.CreateTime
		d.declare(a)
		return nil
	})
	if err != nil {
		return nil, profile.Position{}, err
	}
	return a.Clone(), pos, nil
}

// UpdateAttribute changes a declaration.
func (s *Store) UpdateAttribute(ctx context.Context, id, etag string, change func(*profile.Attribute) error) (*profile.Attribute, profile.Position, error) {
	var next *profile.Attribute
	pos, err := s.submit(ctx, "update attribute", 1, func(ctx context.Context, d *draft) error {
		have, err := d.attribute(ctx, id)
		if err != nil {
			return err
		}
		name := "attributes/" + id
		if have == nil {
			return profile.AttributeNotFound(name)
		}
		// A declaration staged in this group has no revision yet, so nobody can have read its etag.
		if _, staged := d.b.attributes[id]; etag != "" && (staged || profile.Etag(have.Revision) != etag) {
			return profile.EtagMismatch(name)
		}
		next = have.Clone()
		if err := change(next); err != nil {
			return err
		}
		if sameDeclaration(have, next) {
			next = have
			return nil
		}
		next.ID, next.Type, next.Scale, next.Declared, next.CreateTime = have.ID, have.Type, have.Scale, have.Declared, have.CreateTime
		next.UpdateTime = time.UnixMicro(d.b.now).UTC()
		d.declare(next)
		return nil
	})
	if err != nil {
		return nil, profile.Position{}, err
	}
	return next.Clone(), pos, nil
}

func sameDeclaration(a, b *profile.Attribute) bool {
	if a.Description != b.Description || a.Sensitive != b.Sensitive || len(a.Allowed) != len(b.Allowed) {
		return false
	}
	for i := range a.Allowed {
		if a.Allowed[i] != b.Allowed[i] {
			return false
		}
	}
	return true
}

// Schema returns all declarations.
func (s *Store) Schema(ctx context.Context) (profile.Schema, error) {
	schema := make(profile.Schema)
	rows, err := s.db.Read.QueryContext(ctx, attributeQuery)
	if err != nil {
		return nil, s.translate(fmt.Errorf("read schema: %w", err))
	}
	defer rows.Close()
	for rows.Next() {
		a, err := scanAttribute(rows)
		if err != nil {
			return nil, s.translate(fmt.Errorf("read schema: %w", err))
		}
		schema[a.ID] = a
	}
	if err := rows.Err(); err != nil {
		return nil, s.translate(fmt.Errorf("read schema: %w", err))
	}
	return schema, nil
}

// writeAttributes writes the changes of declarations, every one of which is kept for watchers.
func (b *batch) writeAttributes(ctx context.Context) error {
	for _, o := range b.ops {
		a := o.attribute
		if a == nil {
			continue
		}
		allowed, err := json.Marshal(a.Allowed)
		if err != nil {
			return err
		}
		if _, err := b.tx.ExecContext(ctx, `insert into attributes (id, type, description, allowed, scale, sensitive, declared, revision, create_time, update_time)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			on conflict (id) do update set description = excluded.description, allowed = excluded.allowed, sensitive = excluded.sensitive,
			revision = excluded.revision, update_time = excluded.update_time`,
			a.ID, int64(a.Type), a.Description, string(allowed), int64(a.Scale), a.Sensitive, a.Declared, a.Revision, a.CreateTime.UnixMicro(), a.UpdateTime.UnixMicro()); err != nil {
			return err
		}
		if _, err := b.tx.ExecContext(ctx, "insert into attribute_changes (revision, id) values ($1, $2)", a.Revision, a.ID); err != nil {
			return err
		}
	}
	return nil
}

// verifyAttributes looks whether the declarations that the group changes are as it read them. The head is locked.
func (b *batch) verifyAttributes(ctx context.Context) error {
	for id := range b.attributes {
		var revision int64
		err := b.tx.QueryRowContext(ctx, "select revision from attributes where id = $1", id).Scan(&revision)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if revision != b.dbAttributes[id] {
			return errStale
		}
	}
	return nil
}
