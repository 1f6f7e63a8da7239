package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/campaign"
)

const selectCampaign = `select name, uid, display_name, objective, value_proposition, audience, channel, budget_currency, budget_cents,
start_day, end_day, state, etag, create_time, update_time from campaigns `

func scanCampaign(row sqldb.Scanner) (campaign.Campaign, error) {
	var c campaign.Campaign
	var created, updated int64
	var currency sql.NullString
	var cents sql.NullInt64
	if err := row.Scan(&c.Name, &c.UID, &c.DisplayName, &c.Objective, &c.ValueProposition, &c.Audience, &c.Channel, &currency, &cents,
		&c.StartDay, &c.EndDay, &c.State, &c.Etag, &created, &updated); err != nil {
		return campaign.Campaign{}, err
	}
	c.CreateTime, c.UpdateTime = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	if currency.Valid {
		c.Budget = &campaign.Money{Currency: currency.String, Cents: cents.Int64}
	}
	return c, nil
}

// oneCampaign reads one campaign within a transaction. lock is how the select ends.
func oneCampaign(ctx context.Context, tx *sql.Tx, name, lock string) (campaign.Campaign, error) {
	c, err := scanCampaign(tx.QueryRowContext(ctx, selectCampaign+`where name = $1`+lock, name))
	if errors.Is(err, sql.ErrNoRows) {
		return c, campaign.CampaignNotFound(name)
	}
	return c, err
}

// columns are the values of a campaign's row that can change, in the order of the statements below.
func columns(c campaign.Campaign) []any {
	var currency, cents any
	if c.Budget != nil {
		currency, cents = c.Budget.Currency, c.Budget.Cents
	}
	return []any{c.Name, c.DisplayName, c.Objective, c.ValueProposition, c.Audience, c.Channel, currency, cents,
		c.StartDay, c.EndDay, c.State, c.Etag, c.UpdateTime.UnixMicro()}
}

// needAudience refuses a campaign whose audience does not exist, and keeps it from being deleted until the transaction ends. The
// foreign key would do both, without saying which field is wrong.
func (s *Store) needAudience(ctx context.Context, tx *sql.Tx, name string) error {
	var one int
	err := tx.QueryRowContext(ctx, `select 1 from audiences where name = $1`+s.db.Dialect.ForKeyShare(), name).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return campaign.NoSuchAudience(name)
	}
	return err
}

// CreateCampaign stores a new campaign.
func (s *Store) CreateCampaign(ctx context.Context, c campaign.Campaign) (campaign.Campaign, error) {
	c.Etag, c.CreateTime = sqldb.NewEtag(), s.moment()
	c.UpdateTime = c.CreateTime
	err := fail("create campaign", s.db.Tx(ctx, func(tx *sql.Tx) error {
		if err := s.needAudience(ctx, tx, c.Audience); err != nil {
			return err
		}
		done, err := tx.ExecContext(ctx, `insert into campaigns (name, display_name, objective, value_proposition, audience, channel, budget_currency, budget_cents,
start_day, end_day, state, etag, update_time, uid, create_time) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) on conflict (name) do nothing`,
			append(columns(c), c.UID, c.CreateTime.UnixMicro())...)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, campaign.CampaignExists(c.Name))
		}
		return nil
	}))
	if err != nil {
		return campaign.Campaign{}, err
	}
	return c, nil
}

// Campaign returns a campaign.
func (s *Store) Campaign(ctx context.Context, name string) (c campaign.Campaign, err error) {
	err = fail("read campaign", s.db.ReadTx(ctx, func(tx *sql.Tx) (err error) {
		c, err = oneCampaign(ctx, tx, name, "")
		return err
	}))
	return c, err
}

// Campaigns returns a page of campaigns.
func (s *Store) Campaigns(ctx context.Context, after string, limit int) (list []campaign.Campaign, err error) {
	err = fail("list campaigns", s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, selectCampaign+`where name > $1 order by name limit $2`, after, limit)
		if err != nil {
			return err
		}
		list, err = sqldb.Collect(rows, scanCampaign)
		return err
	}))
	return list, err
}

// UpdateCampaign replaces what can change of a campaign.
func (s *Store) UpdateCampaign(ctx context.Context, c campaign.Campaign) (campaign.Campaign, error) {
	err := fail("update campaign", s.db.Tx(ctx, func(tx *sql.Tx) error {
		was, err := oneCampaign(ctx, tx, c.Name, s.db.Dialect.ForUpdate())
		if err != nil {
			return err
		}
		if was.Etag != c.Etag {
			return campaign.EtagMismatch(c.Name)
		}
		if err := s.needAudience(ctx, tx, c.Audience); err != nil {
			return err
		}
		c.UID, c.CreateTime = was.UID, was.CreateTime
		c.Etag, c.UpdateTime = sqldb.NewEtag(), s.moment()
		_, err = tx.ExecContext(ctx, `update campaigns set display_name = $2, objective = $3, value_proposition = $4, audience = $5, channel = $6,
budget_currency = $7, budget_cents = $8, start_day = $9, end_day = $10, state = $11, etag = $12, update_time = $13 where name = $1`, columns(c)...)
		return err
	}))
	if err != nil {
		return campaign.Campaign{}, err
	}
	return c, nil
}

// DeleteCampaign deletes a campaign.
func (s *Store) DeleteCampaign(ctx context.Context, name, etag string) error {
	return fail("delete campaign", s.db.Tx(ctx, func(tx *sql.Tx) error {
		was, err := oneCampaign(ctx, tx, name, s.db.Dialect.ForUpdate())
		if err != nil {
			return err
		}
		if etag != "" && etag != was.Etag {
			return campaign.EtagMismatch(name)
		}
		_, err = tx.ExecContext(ctx, `delete from campaigns where name = $1`, name)
		return err
	}))
}
