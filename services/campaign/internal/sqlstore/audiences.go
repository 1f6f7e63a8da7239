package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/campaign"
)

const selectAudience = `select a.name, a.uid, a.display_name, a.description, a.owner, a.version, a.etag, a.create_time, a.update_time, v.spec
from audiences a join audience_versions v on v.audience_uid = a.uid and v.version = a.version `

func scanAudience(row sqldb.Scanner) (campaign.Audience, error) {
	var a campaign.Audience
	var created, updated int64
	var spec string
	if err := row.Scan(&a.Name, &a.UID, &a.DisplayName, &a.Description, &a.Owner, &a.Version, &a.Etag, &created, &updated, &spec); err != nil {
		return campaign.Audience{}, err
	}
	a.CreateTime, a.UpdateTime = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	var err error
	if a.Spec, err = campaign.DecodeSpec([]byte(spec)); err != nil {
		return campaign.Audience{}, fmt.Errorf("%s: %w", a.Name, err)
	}
	return a, nil
}

// audience reads one audience within a transaction.
func audience(ctx context.Context, tx *sql.Tx, name string) (campaign.Audience, error) {
	a, err := scanAudience(tx.QueryRowContext(ctx, selectAudience+`where a.name = $1`, name))
	if errors.Is(err, sql.ErrNoRows) {
		return a, campaign.AudienceNotFound(name)
	}
	return a, err
}

// locked reads one audience and keeps others from changing it until the transaction ends. The row is locked before the joined version
// is read, in a statement of its own: see [sqldb.Dialect.ForUpdate].
func (s *Store) locked(ctx context.Context, tx *sql.Tx, name string) (campaign.Audience, error) {
	var version int64
	err := tx.QueryRowContext(ctx, `select version from audiences where name = $1`+s.db.Dialect.ForUpdate(), name).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		return campaign.Audience{}, campaign.AudienceNotFound(name)
	}
	if err != nil {
		return campaign.Audience{}, err
	}
	return audience(ctx, tx, name)
}

// CreateAudience stores a new audience.
func (s *Store) CreateAudience(ctx context.Context, a campaign.Audience) (campaign.Audience, error) {
	spec, err := campaign.EncodeSpec(a.Spec)
	if err != nil {
		return campaign.Audience{}, err
	}
	a.Version, a.Etag, a.CreateTime = 1, sqldb.NewEtag(), s.moment()
	a.UpdateTime = a.CreateTime
	err = fail("create audience", s.db.Tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `insert into audiences (name, uid, display_name, description, owner, version, etag, create_time, update_time)
values ($1, $2, $3, $4, $5, 1, $6, $7, $7) on conflict (name) do nothing`,
			a.Name, a.UID, a.DisplayName, a.Description, a.Owner, a.Etag, a.CreateTime.UnixMicro())
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, campaign.AudienceExists(a.Name))
		}
		return addVersion(ctx, tx, a, spec)
	}))
	if err != nil {
		return campaign.Audience{}, err
	}
	return a, nil
}

func addVersion(ctx context.Context, tx *sql.Tx, a campaign.Audience, spec []byte) error {
	_, err := tx.ExecContext(ctx, `insert into audience_versions (audience_uid, version, spec, create_time) values ($1, $2, $3, $4)`,
		a.UID, a.Version, string(spec), a.UpdateTime.UnixMicro())
	return err
}

// Audience returns an audience.
func (s *Store) Audience(ctx context.Context, name string) (a campaign.Audience, err error) {
	err = fail("read audience", s.db.ReadTx(ctx, func(tx *sql.Tx) (err error) {
		a, err = audience(ctx, tx, name)
		return err
	}))
	return a, err
}

// AudienceSpec returns the spec of one version.
func (s *Store) AudienceSpec(ctx context.Context, name string, version int64) (spec campaign.Spec, err error) {
	err = fail("read audience version", s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		var text string
		err := tx.QueryRowContext(ctx, `select v.spec from audiences a join audience_versions v on v.audience_uid = a.uid
where a.name = $1 and v.version = $2`, name, version).Scan(&text)
		if errors.Is(err, sql.ErrNoRows) {
			return campaign.AudienceNotFound(name).With("version", version)
		}
		if err != nil {
			return err
		}
		spec, err = campaign.DecodeSpec([]byte(text))
		return err
	}))
	return spec, err
}

// Audiences returns a page of audiences.
func (s *Store) Audiences(ctx context.Context, after string, limit int) (list []campaign.Audience, err error) {
	err = fail("list audiences", s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, selectAudience+`where a.name > $1 order by a.name limit $2`, after, limit)
		if err != nil {
			return err
		}
		list, err = sqldb.Collect(rows, scanAudience)
		return err
	}))
	return list, err
}

// UpdateAudience replaces what can change of an audience.
func (s *Store) UpdateAudience(ctx context.Context, a campaign.Audience) (campaign.Audience, error) {
	spec, err := campaign.EncodeSpec(a.Spec)
	if err != nil {
		return campaign.Audience{}, err
	}
	var now campaign.Audience
	err = fail("update audience", s.db.Tx(ctx, func(tx *sql.Tx) error {
		was, err := s.locked(ctx, tx, a.Name)
		if err != nil {
			return err
		}
		if was.Etag != a.Etag {
			return campaign.EtagMismatch(a.Name)
		}
		now = was
		now.DisplayName, now.Description, now.Owner, now.Spec = a.DisplayName, a.Description, a.Owner, a.Spec
		now.Etag, now.UpdateTime = sqldb.NewEtag(), s.moment()
		if !was.Spec.Equal(a.Spec) {
			now.Version++
			if err := addVersion(ctx, tx, now, spec); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `update audiences set display_name = $2, description = $3, owner = $4, version = $5, etag = $6, update_time = $7
where name = $1`, now.Name, now.DisplayName, now.Description, now.Owner, now.Version, now.Etag, now.UpdateTime.UnixMicro())
		return err
	}))
	if err != nil {
		return campaign.Audience{}, err
	}
	return now, nil
}

// DeleteAudience deletes an audience with its versions.
func (s *Store) DeleteAudience(ctx context.Context, name, etag string) error {
	return fail("delete audience", s.db.Tx(ctx, func(tx *sql.Tx) error {
		was, err := s.locked(ctx, tx, name)
		if err != nil {
			return err
		}
		if etag != "" && etag != was.Etag {
			return campaign.EtagMismatch(name)
		}
		var user string
		err = tx.QueryRowContext(ctx, `select name from campaigns where audience = $1 order by name limit 1`, name).Scan(&user)
		if err == nil {
			return campaign.AudienceInUse(name, user)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		_, err = tx.ExecContext(ctx, `delete from audiences where name = $1`, name)
		return err
	}))
}
