package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/services/profile"
)

// Resolve returns which profiles have each identifier. While keys are being changed, the profiles that share an identifier may have it
// under different ones, so all keys are asked.
func (s *Store) Resolve(ctx context.Context, ids []profile.Identifier) ([][]audience.UID, error) {
	for {
		ring := s.cfg.Keys.Ring()
		found, err := s.resolve(ctx, ring, ids)
		if err != nil {
			return nil, s.translate(fmt.Errorf("resolve identifiers: %w", err))
		}
		// Where the keys changed meanwhile, a row may have gone where the ring could not look.
		if s.cfg.Keys.Ring() == ring {
			return found, nil
		}
	}
}

func (s *Store) resolve(ctx context.Context, ring *keyring.Ring, ids []profile.Identifier) ([][]audience.UID, error) {
	out := make([][]audience.UID, len(ids))
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		return eachBearer(ctx, tx, s.stmt.resolve, ring, ids, func(i int, uid audience.UID) { out[i] = append(out[i], uid) })
	})
	for i := range out {
		slices.SortFunc(out[i], compareUIDs)
		out[i] = slices.Compact(out[i])
	}
	return out, err
}
