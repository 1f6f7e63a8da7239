package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
)

// Get returns one profile.
func (s *Store) Get(ctx context.Context, uid audience.UID) (*profile.Profile, error) {
	found, err := s.BatchGet(ctx, []audience.UID{uid})
	if err != nil {
		return nil, err
	}
	if found[0] == nil {
		return nil, profile.NotFound(nameOf(uid))
	}
	return found[0], nil
}

// BatchGet returns the profiles in the order of uids, nil where there is none.
func (s *Store) BatchGet(ctx context.Context, uids []audience.UID) ([]*profile.Profile, error) {
	byUID := make(map[audience.UID]*profile.Profile, len(uids))
	var targets map[audience.UID]audience.UID
	r := reader{s: s, ring: s.cfg.Keys.Ring()}
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) (err error) {
		if err := r.read(ctx, tx, uids, byUID); err != nil {
			return err
		}
		gone := slices.DeleteFunc(slices.Clone(uids), func(uid audience.UID) bool { return byUID[uid] != nil })
		if len(gone) == 0 {
			return nil
		}
		if targets, err = s.readTargets(ctx, tx, gone); err != nil {
			return err
		}
		return r.read(ctx, tx, slices.Collect(maps.Values(targets)), byUID)
	})
	if err != nil {
		return nil, s.translate(fmt.Errorf("read profiles: %w", err))
	}
	out := make([]*profile.Profile, len(uids))
	for i, uid := range uids {
		if target, merged := targets[uid]; merged {
			uid = target
		}
		if p := byUID[uid]; p != nil {
			out[i] = p
			byUID[uid] = p.Clone() // asked for twice: two profiles that share nothing
		}
	}
	return out, nil
}

// read reads the profiles that there are into a map.
func (r reader) read(ctx context.Context, tx *sql.Tx, uids []audience.UID, to map[audience.UID]*profile.Profile) error {
	return r.s.stmt.readProfiles.each(ctx, tx, nil, keysOf(uids), func(rows *sql.Rows) error {
		p, _, err := r.profile(rows)
		if err == nil {
			to[p.UID] = p
		}
		return err
	})
}

// List returns profiles by uid.
func (s *Store) List(ctx context.Context, after audience.UID, limit int) ([]*profile.Profile, error) {
	out := make([]*profile.Profile, 0, min(limit, 1000))
	r := reader{s: s, ring: s.cfg.Keys.Ring()}
	rows, err := s.stmt.list.QueryContext(ctx, after[:], limit)
	err = eachRow(rows, err, func(rows *sql.Rows) error {
		p, _, err := r.profile(rows)
		out = append(out, p)
		return err
	})
	if err != nil {
		return nil, s.translate(fmt.Errorf("list profiles: %w", err))
	}
	return out, nil
}

// reader makes profiles of rows.
type reader struct {
	s    *Store
	ring *keyring.Ring
}

// profile reads a row of uid, revision, create_time, update_time, body, contact and contact_key, and how many bytes it has.
func (r reader) profile(rows *sql.Rows) (*profile.Profile, int, error) {
	var uid, body, contact sql.RawBytes
	var revision, created, updated, key int64
	if err := rows.Scan(&uid, &revision, &created, &updated, &body, &contact, &key); err != nil {
		return nil, 0, err
	}
	plain, err := r.s.unseal(r.ring, audience.UID(uid), contact)
	if err != nil {
		return nil, 0, err
	}
	p, err := decode(audience.UID(uid), revision, created, updated, body, plain)
	return p, len(body) + len(contact), err
}

// decode makes a profile of its parts.
func decode(uid audience.UID, revision, created, updated int64, body, contact []byte) (*profile.Profile, error) {
	p := &profile.Profile{UID: uid, Revision: revision, CreateTime: time.UnixMicro(created).UTC(), UpdateTime: time.UnixMicro(updated).UTC()}
	err := record.Decode(body, p)
	if err == nil && len(contact) > 0 {
		err = record.Decode(contact, p)
	}
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", nameOf(uid), err)
	}
	return p, nil
}

// Head returns the newest committed position.
func (s *Store) Head(ctx context.Context) (profile.Head, error) {
	h, err := scanHead(s.stmt.head.QueryRowContext(ctx))
	if err != nil {
		return profile.Head{}, s.translate(fmt.Errorf("read head: %w", err))
	}
	return h, nil
}

func scanHead(row *sql.Row) (h profile.Head, err error) {
	err = row.Scan(&h.Store, &h.Incarnation, &h.Revision, &h.Mark)
	return h, err
}

// readHead reads the head with one of the statements for it.
func readHead(ctx context.Context, tx *sql.Tx, stmt *sql.Stmt) (profile.Head, error) {
	h, err := scanHead(within(ctx, tx, stmt).QueryRowContext(ctx))
	if err != nil {
		return h, fmt.Errorf("read head: %w", err)
	}
	return h, nil
}

func nameOf(uid audience.UID) string { return profile.Name(uid) }
