package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"time"

	"github.com/narrowcast/narrowcast/services/segment"
)

// wholeIndex is the one range of today.
const wholeIndex = 0

// AcquireLease takes the lease.
func (s *Store) AcquireLease(ctx context.Context, holder string, ttl time.Duration) (segment.Epoch, error) {
	if holder == "" {
		return segment.Epoch{}, errors.New("acquire lease: the holder has no name")
	}
	var random [8]byte
	rand.Read(random[:]) // it never fails
	e := segment.Epoch{Random: binary.LittleEndian.Uint64(random[:])}
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		now := s.now()
		var had string
		var expires int64
		err := tx.QueryRowContext(ctx, "select number, holder, expires from leases where range_id = $1", wholeIndex).Scan(&e.Number, &had, &expires)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if had != "" && had != holder && now.UnixMicro() < expires {
			return segment.NotLeaseHolder().Retry(time.UnixMicro(expires).Sub(now))
		}
		e.Number++
		_, err = tx.ExecContext(ctx, `insert into leases (range_id, number, random, holder, expires) values ($1, $2, $3, $4, $5)
			on conflict (range_id) do update set number = excluded.number, random = excluded.random, holder = excluded.holder,
			expires = excluded.expires`, wholeIndex, e.Number, int64(e.Random), holder, now.Add(ttl).UnixMicro())
		return err
	})
	if err != nil {
		return segment.Epoch{}, fail("acquire lease", err)
	}
	return e, nil
}

// RenewLease lets the lease last longer.
func (s *Store) RenewLease(ctx context.Context, lease segment.Epoch, ttl time.Duration) error {
	return fail("renew lease", s.underLease(ctx, lease, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "update leases set expires = $1 where range_id = $2", s.now().Add(ttl).UnixMicro(), wholeIndex)
		return err
	}))
}

// ReleaseLease ends the lease. Its number stays, so that the next is greater.
func (s *Store) ReleaseLease(ctx context.Context, lease segment.Epoch) error {
	_, err := s.db.Write.ExecContext(ctx, "update leases set holder = '', expires = 0 where range_id = $1 and number = $2 and random = $3",
		wholeIndex, lease.Number, int64(lease.Random))
	return fail("release lease", s.db.Classify(err))
}

// underLease runs fn in a transaction that began under the lease; nobody can take it before the transaction ends.
func (s *Store) underLease(ctx context.Context, lease segment.Epoch, fn func(tx *sql.Tx) error) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		var e segment.Epoch
		var random int64
		var holder string
		err := tx.QueryRowContext(ctx, "select number, random, holder from leases where range_id = $1", wholeIndex).Scan(&e.Number, &random, &holder)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if e.Random = uint64(random); err != nil || holder == "" || e != lease {
			return segment.NotLeaseHolder()
		}
		return fn(tx)
	})
}
