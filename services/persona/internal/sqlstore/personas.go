package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/persona"
)

const selectPersona = `select name, uid, display_name, kind, headline, narrative, goals, frustrations, source_segment, rule, segment, evidence,
etag, create_time, update_time from personas `

func scanPersona(row sqldb.Scanner) (persona.Persona, error) {
	var p persona.Persona
	var created, updated int64
	var goals, frustrations string
	var evidence sql.NullString
	if err := row.Scan(&p.Name, &p.UID, &p.DisplayName, &p.Kind, &p.Headline, &p.Narrative, &goals, &frustrations, &p.SourceSegment, &p.Rule,
		&p.Segment, &evidence, &p.Etag, &created, &updated); err != nil {
		return persona.Persona{}, err
	}
	p.CreateTime, p.UpdateTime = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	err := errors.Join(json.Unmarshal([]byte(goals), &p.Goals), json.Unmarshal([]byte(frustrations), &p.Frustrations))
	if err == nil && evidence.Valid {
		// Statistics for people: a field that this program does not know may be left out without making anything wrong.
		p.Evidence = &persona.Evidence{}
		err = json.Unmarshal([]byte(evidence.String), p.Evidence)
	}
	if err != nil {
		return persona.Persona{}, fmt.Errorf("read stored form of %s: %w", p.Name, err)
	}
	return p, nil
}

// one reads one persona within a transaction. lock is how the select ends.
func one(ctx context.Context, tx *sql.Tx, name, lock string) (persona.Persona, error) {
	p, err := scanPersona(tx.QueryRowContext(ctx, selectPersona+`where name = $1`+lock, name))
	if errors.Is(err, sql.ErrNoRows) {
		return p, persona.NotFound(name)
	}
	return p, err
}

// texts is the stored form of a list; an empty one and none are the same.
func texts(list []string) (string, error) {
	if len(list) == 0 {
		return "null", nil
	}
	data, err := json.Marshal(list)
	return string(data), err
}

// Create stores a new persona.
func (s *Store) Create(ctx context.Context, p persona.Persona) (persona.Persona, error) {
	goals, err1 := texts(p.Goals)
	frustrations, err2 := texts(p.Frustrations)
	var evidence sql.NullString
	var err3 error
	if p.Evidence != nil {
		var data []byte
		data, err3 = json.Marshal(p.Evidence)
		evidence = sql.NullString{String: string(data), Valid: true}
	}
	if err := errors.Join(err1, err2, err3); err != nil {
		return persona.Persona{}, fmt.Errorf("make stored form of %s: %w", p.Name, err)
	}
	p.Etag, p.CreateTime = sqldb.NewEtag(), s.moment()
	p.UpdateTime = p.CreateTime
	err := fail("create persona", s.db.Tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `insert into personas (name, uid, display_name, kind, headline, narrative, goals, frustrations, source_segment, rule,
segment, evidence, etag, create_time, update_time) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14) on conflict (name) do nothing`,
			p.Name, p.UID, p.DisplayName, p.Kind, p.Headline, p.Narrative, goals, frustrations, p.SourceSegment, p.Rule, p.Segment, evidence,
			p.Etag, p.CreateTime.UnixMicro())
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, persona.Exists(p.Name))
		}
		return nil
	}))
	if err != nil {
		return persona.Persona{}, err
	}
	return p, nil
}

// Get returns a persona.
func (s *Store) Get(ctx context.Context, name string) (p persona.Persona, err error) {
	err = fail("read persona", s.db.ReadTx(ctx, func(tx *sql.Tx) (err error) {
		p, err = one(ctx, tx, name, "")
		return err
	}))
	return p, err
}

// List returns a page of personas.
func (s *Store) List(ctx context.Context, after string, limit int) (list []persona.Persona, err error) {
	err = fail("list personas", s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, selectPersona+`where name > $1 order by name limit $2`, after, limit)
		if err != nil {
			return err
		}
		list, err = sqldb.Collect(rows, scanPersona)
		return err
	}))
	return list, err
}

// Update replaces what can change of a persona.
func (s *Store) Update(ctx context.Context, p persona.Persona) (persona.Persona, error) {
	goals, err1 := texts(p.Goals)
	frustrations, err2 := texts(p.Frustrations)
	if err := errors.Join(err1, err2); err != nil {
		return persona.Persona{}, fmt.Errorf("make stored form of %s: %w", p.Name, err)
	}
	var now persona.Persona
	err := fail("update persona", s.db.Tx(ctx, func(tx *sql.Tx) error {
		was, err := one(ctx, tx, p.Name, s.db.Dialect.ForUpdate())
		if err != nil {
			return err
		}
		if was.Etag != p.Etag {
			return persona.EtagMismatch(p.Name)
		}
		now = was
		now.DisplayName, now.Kind, now.Headline, now.Narrative = p.DisplayName, p.Kind, p.Headline, p.Narrative
		now.Goals, now.Frustrations, now.Rule = p.Goals, p.Frustrations, p.Rule
		now.Etag, now.UpdateTime = sqldb.NewEtag(), s.moment()
		_, err = tx.ExecContext(ctx, `update personas set display_name = $2, kind = $3, headline = $4, narrative = $5, goals = $6, frustrations = $7,
rule = $8, etag = $9, update_time = $10 where name = $1`,
			now.Name, now.DisplayName, now.Kind, now.Headline, now.Narrative, goals, frustrations, now.Rule, now.Etag, now.UpdateTime.UnixMicro())
		return err
	}))
	if err != nil {
		return persona.Persona{}, err
	}
	return now, nil
}

// Delete deletes a persona.
func (s *Store) Delete(ctx context.Context, name, etag string) error {
	return fail("delete persona", s.db.Tx(ctx, func(tx *sql.Tx) error {
		was, err := one(ctx, tx, name, s.db.Dialect.ForUpdate())
		if err != nil {
			return err
		}
		if etag != "" && etag != was.Etag {
			return persona.EtagMismatch(name)
		}
		_, err = tx.ExecContext(ctx, `delete from personas where name = $1`, name)
		return err
	}))
}
