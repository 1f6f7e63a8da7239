package sqlstore

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
		had, expires, err := s.lockLease(ctx, tx)
		if err != nil {
			return err
		}
		if had.holder != "" && had.holder != holder && now.UnixMicro() < expires {
			return segment.NotLeaseHolder().Retry(time.UnixMicro(expires).Sub(now))
		}
		e.Number = had.Number + 1
		_, err = tx.ExecContext(ctx, "update leases set number = $1, random = $2, holder = $3, expires = $4 where range_id = $5",
			e.Number, int64(e.Random), holder, now.Add(ttl).UnixMicro(), wholeIndex)
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

// held is a lease with its holder's name; none: it was released, or never taken.
type held struct {
	segment.Epoch
	holder string
}

// lockLease reads the lease and keeps everybody else from it until the transaction ends. Its row is made when the store is opened,
// since a row that is not there cannot be locked.
func (s *Store) lockLease(ctx context.Context, tx *sql.Tx) (h held, expires int64, err error) {
	var random int64
	err = tx.QueryRowContext(ctx, "select number, random, holder, expires from leases where range_id = $1"+s.db.Dialect.ForUpdate(), wholeIndex).
		Scan(&h.Number, &random, &h.holder, &expires)
	h.Random = uint64(random)
	return h, expires, err
}

// underLease runs fn in a transaction that began under the lease; nobody can take it before the transaction ends.
func (s *Store) underLease(ctx context.Context, lease segment.Epoch, fn func(tx *sql.Tx) error) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		now, _, err := s.lockLease(ctx, tx)
		if err != nil {
			return err
		}
		if now.holder == "" || now.Epoch != lease {
			return segment.NotLeaseHolder()
		}
		return fn(tx)
	})
}
