package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
)

// Create stores a new profile.
func (s *Store) Create(ctx context.Context, p *profile.Profile, requestID string) (*profile.Profile, profile.Position, error) {
	var made *op
	var first *profile.Profile
	pos, err := s.submit(ctx, "create profile", 1, func(ctx context.Context, d *draft) (err error) {
		if requestID != "" {
			if made, first, err = d.answered(ctx, requestID); err != nil || made != nil || first != nil {
				return err
			}
		}
		made, err = d.create(ctx, p)
		if err == nil && requestID != "" {
			made.requestID = requestID
			d.requests[requestID] = made
		}
		return err
	})
	if err != nil {
		return nil, profile.Position{}, err
	}
	if first == nil {
		if first, err = made.profile(); err != nil {
			return nil, profile.Position{}, s.translate(err)
		}
	}
	return first, pos, nil
}

func (d *draft) create(ctx context.Context, p *profile.Profile) (*op, error) {
	if p.UID == (audience.UID{}) {
		made, err := d.b.s.uids.Next(1)
		if err != nil {
			return nil, err
		}
		p.UID = made[0]
	}
	ids := p.ExternalIDs()
	if err := d.b.load(ctx, []audience.UID{p.UID}); err != nil {
		return nil, err
	}
	if err := d.b.loadHolders(ctx, ids); err != nil {
		return nil, err
	}
	old := d.entry(p.UID)
	if old.exists || old.dead {
		return nil, profile.Exists(nameOf(p.UID))
	}
	if err := d.claim(p.UID, ids); err != nil {
		return nil, err
	}
	return d.put(old, record.Encode(nil, p), ids)
}

// answered looks for the first answer to a request id: in this group, where it is a change that is still to be stamped, or stored.
func (d *draft) answered(ctx context.Context, requestID string) (*op, *profile.Profile, error) {
	if o := d.b.requests[requestID]; o != nil {
		return o, nil, nil
	}
	oldest := d.b.now - d.b.s.cfg.RequestsKept.Microseconds()
	if _, err := d.b.tx.ExecContext(ctx, "delete from requests where create_time < $1", oldest); err != nil {
		return nil, nil, err
	}
	var uid, body []byte
	var revision, created int64
	err := d.b.tx.QueryRowContext(ctx, "select uid, revision, create_time, body from requests where request_id = $1", requestID).
		Scan(&uid, &revision, &created, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	p, err := decode(uid, revision, created, created, body)
	return nil, p, err
}

// profile returns the state that a stamped change made.
func (o *op) profile() (*profile.Profile, error) {
	e := o.entry
	return decode(e.uid[:], o.revision, e.created, e.updated, e.body)
}

// Update changes a profile.
func (s *Store) Update(ctx context.Context, uid audience.UID, etag string, change func(*profile.Profile) error) (*profile.Profile, profile.Position, error) {
	var made *op
	var same *profile.Profile
	pos, err := s.submit(ctx, "update profile", 1, func(ctx context.Context, d *draft) error {
		old, err := d.found(ctx, uid, etag)
		if err != nil {
			return err
		}
		p, err := decode(uid[:], old.stored, old.created, old.updated, old.body)
		if err != nil {
			return err
		}
		if err := change(p); err != nil {
			return err
		}
		p.UID = uid
		ids := p.ExternalIDs()
		if err := d.b.loadHolders(ctx, ids); err != nil {
			return err
		}
		if err := d.claim(uid, ids); err != nil {
			return err
		}
		body := record.Encode(make([]byte, 0, len(old.body)+64), p)
		if bytes.Equal(body, old.body) {
			made, same = old.op, p
			return nil
		}
		made, err = d.put(old, body, ids)
		return err
	})
	if err != nil {
		return nil, profile.Position{}, err
	}
	if made == nil {
		return same, pos, nil
	}
	p, err := made.profile()
	if err != nil {
		return nil, profile.Position{}, s.translate(err)
	}
	return p, pos, nil
}

// found returns the state of a profile that must exist and have the etag, if one is given.
func (d *draft) found(ctx context.Context, uid audience.UID, etag string) (*entry, error) {
	if err := d.b.load(ctx, []audience.UID{uid}); err != nil {
		return nil, err
	}
	e := d.entry(uid)
	if !e.exists {
		return nil, profile.NotFound(nameOf(uid))
	}
	if etag != "" && !e.hasEtag(etag) {
		return nil, profile.EtagMismatch(nameOf(uid))
	}
	return e, nil
}

// Delete deletes a profile.
func (s *Store) Delete(ctx context.Context, uid audience.UID, etag string) (profile.Position, error) {
	return s.submit(ctx, "delete profile", 1, func(ctx context.Context, d *draft) error {
		old, err := d.found(ctx, uid, etag)
		if err != nil {
			return err
		}
		_, err = d.remove(old)
		return err
	})
}

// Upsert creates or replaces profiles, all or none.
func (s *Store) Upsert(ctx context.Context, rows []profile.Row) ([]profile.Upserted, profile.Position, error) {
	results := make([]profile.Upserted, len(rows))
	pos, err := s.submit(ctx, "upsert profiles", len(rows), func(ctx context.Context, d *draft) error {
		if err := d.loadRows(ctx, rows); err != nil {
			return err
		}
		for i, r := range rows {
			var err error
			if results[i], err = d.upsert(r); err != nil {
				if f := fault.As(err); f != nil {
					return f.At(fault.Index("profiles", i))
				}
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, profile.Position{}, err
	}
	return results, pos, nil
}

// ImportProgress returns how far an import has come.
func (s *Store) ImportProgress(ctx context.Context, id string) (profile.Progress, profile.Position, error) {
	var progress profile.Progress
	var head profile.Head
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) (err error) {
		if progress, err = readProgress(ctx, tx, id); err != nil {
			return err
		}
		head, err = scanHead(tx.QueryRowContext(ctx, headQuery))
		return err
	})
	if err != nil {
		return profile.Progress{}, profile.Position{}, s.translate(fmt.Errorf("read import: %w", err))
	}
	return progress, head.Position, nil
}

func readProgress(ctx context.Context, tx *sql.Tx, id string) (p profile.Progress, err error) {
	err = tx.QueryRowContext(ctx, "select through, created, updated, unchanged, rejected from imports where id = $1", id).
		Scan(&p.Through, &p.Created, &p.Updated, &p.Unchanged, &p.Rejected)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return p, err
}

// Import upserts rows and stores the import's progress with them.
func (s *Store) Import(ctx context.Context, id string, from int64, rows []profile.Row) ([]profile.Upserted, profile.Progress, profile.Position, error) {
	results := make([]profile.Upserted, len(rows))
	var progress profile.Progress
	pos, err := s.submit(ctx, "import profiles", len(rows), func(ctx context.Context, d *draft) (err error) {
		if progress, err = readProgress(ctx, d.b.tx, id); err != nil {
			return err
		}
		if progress.Through != from {
			return fault.New(fault.Conflict, profile.ReasonImportProtocol,
				"another stream of this import went on meanwhile; start it again with the same id").With("expected", progress.Through)
		}
		if err := d.loadRows(ctx, rows); err != nil {
			return err
		}
		for i, r := range rows {
			if results[i], err = d.importRow(r); err != nil {
				return err
			}
			progress.Count(results[i])
		}
		p := &progress
		_, err = d.b.tx.ExecContext(ctx, `insert into imports (id, through, created, updated, unchanged, rejected, update_time)
			values ($1, $2, $3, $4, $5, $6, $7) on conflict (id) do update set through = excluded.through, created = excluded.created,
			updated = excluded.updated, unchanged = excluded.unchanged, rejected = excluded.rejected, update_time = excluded.update_time`,
			id, p.Through, p.Created, p.Updated, p.Unchanged, p.Rejected, d.b.now)
		return err
	})
	if err != nil {
		return nil, profile.Progress{}, profile.Position{}, err
	}
	return results, progress, pos, nil
}

// importRow upserts one row; a refusal is its result's Err, any other error the whole import's.
func (d *draft) importRow(r profile.Row) (profile.Upserted, error) {
	if r.Profile == nil {
		return profile.Upserted{}, nil
	}
	result, err := d.upsert(r)
	if f := fault.As(err); f != nil && (f.Kind == fault.Exists || f.Kind == fault.Conflict) {
		return profile.Upserted{Err: f}, nil
	}
	return result, err
}
