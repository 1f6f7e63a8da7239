package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
)

// convertRows is how many profiles are converted in one transaction.
const convertRows = 1000

// convert seals what an earlier program kept in clear, if there is any. It goes on where an earlier start was interrupted, and at last
// rewrites the file, so that nothing stays in clear in the room of rows that are gone.
func (s *Store) convert(ctx context.Context) error {
	for begun := false; ; begun = true {
		var left, more bool
		err := s.db.Tx(ctx, func(tx *sql.Tx) (err error) {
			left, more, err = s.convertSome(ctx, tx)
			return err
		})
		if err != nil || !left {
			return err
		}
		if !begun {
			s.cfg.Logger.InfoContext(ctx, "sealing contact data that an earlier program kept in clear")
		}
		if more {
			continue
		}
		if s.db.Dialect == sqldb.SQLite {
			for _, step := range []string{"vacuum", "pragma wal_checkpoint(truncate)"} {
				if _, err := s.db.Write.ExecContext(ctx, step); err != nil {
					return fmt.Errorf("rewrite file: %w", err)
				}
			}
		}
		if _, err := s.db.Write.ExecContext(ctx, "delete from conversions where name = 'contact'"); err != nil {
			return err
		}
		s.cfg.Logger.InfoContext(ctx, "contact data sealed")
		return nil
	}
}

// convertSome converts the next profiles; left says that there was anything to do, more that there may be more after it.
func (s *Store) convertSome(ctx context.Context, tx *sql.Tx) (left, more bool, err error) {
	var after []byte
	err = tx.QueryRowContext(ctx, "select after from conversions where name = 'contact'").Scan(&after)
	if errors.Is(err, sql.ErrNoRows) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	olds, err := readOld(tx.QueryContext(ctx, s.text("select {uid}, body, '' from profiles where uid > $1 order by uid limit $2"), after, convertRows))
	if err != nil {
		return false, false, err
	}
	for _, o := range olds {
		if err := s.convertProfile(ctx, tx, o); err != nil {
			return false, false, err
		}
		after = o.uid[:]
	}
	if len(olds) == 0 {
		return true, false, s.convertRequests(ctx, tx)
	}
	_, err = tx.ExecContext(ctx, "update conversions set after = $1 where name = 'contact'", after)
	return true, true, err
}

// oldRow is a row as earlier programs wrote it.
type oldRow struct {
	uid  audience.UID
	body []byte
	id   string
}

func readOld(rows *sql.Rows, err error) (list []oldRow, _ error) {
	err = eachRow(rows, err, func(rows *sql.Rows) error {
		var o oldRow
		var uid sql.RawBytes
		if err := rows.Scan(&uid, &o.body, &o.id); err != nil {
			return err
		}
		o.uid = audience.UID(uid)
		list = append(list, o)
		return nil
	})
	return list, err
}

// parts splits and seals what an earlier program wrote, identifiers in their normal form where they have one.
func (o *oldRow) parts(s *Store) (body, contact, sealed []byte, key int64, err error) {
	var p profile.Profile
	if err := record.Decode(o.body, &p); err != nil {
		return nil, nil, nil, 0, fmt.Errorf("decode %s: %w", nameOf(o.uid), err)
	}
	p.NormalizeIdentifiers()
	body, contact = record.Body(nil, &p), record.Contact(nil, &p)
	sealed, key, err = seal(s.cfg.Keys.Ring(), o.uid, contact)
	return body, contact, sealed, key, err
}

func (s *Store) convertProfile(ctx context.Context, tx *sql.Tx, o oldRow) error {
	body, contact, sealed, key, err := o.parts(s)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "update profiles set body = $1, contact = $2, contact_key = $3 where uid = $4", body, sealed, key, o.uid[:]); err != nil {
		return err
	}
	rows, _, err := hashRows(s.cfg.Keys.Ring(), o.uid, contact, nil, nil)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if _, err := tx.ExecContext(ctx, "insert into identifiers (key_id, hash, uid, kind) values ($1, $2, $3, $4) on conflict (key_id, hash, uid) do nothing",
			int64(r.Key), r.Sum[:], r.uid[:], r.kind); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) convertRequests(ctx context.Context, tx *sql.Tx) error {
	olds, err := readOld(tx.QueryContext(ctx, s.text("select {uid}, body, request_id from requests where contact is null")))
	if err != nil {
		return err
	}
	for _, o := range olds {
		body, _, sealed, key, err := o.parts(s)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "update requests set body = $1, contact = $2, contact_key = $3 where request_id = $4", body, sealed, key, o.id); err != nil {
			return err
		}
	}
	return nil
}
