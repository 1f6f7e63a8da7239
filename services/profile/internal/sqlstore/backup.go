package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
)

// reasonConverting is the reason of a store that is not ready to be copied; no service says it.
const reasonConverting = "STORE_NOT_CONVERTED"

// Backup writes the whole store that cfg.SQL names to w as of one moment, while others may use it. No key is in it, and none is needed;
// contact data is sealed in it as it is in the store. A store that still holds contact data in clear, of an earlier program, is refused.
func Backup(ctx context.Context, cfg Config, w io.Writer) (sqldb.DumpInfo, error) {
	var incarnation string
	info, err := sqldb.DumpStore(ctx, cfg.SQL, migrations, w, cfg.Logger, func(tx *sql.Tx) error {
		var pending int64
		if err := tx.QueryRowContext(ctx, "select count(*) from conversions").Scan(&pending); err != nil {
			return err
		}
		if pending > 0 {
			return fault.New(fault.Precondition, reasonConverting,
				"the store still holds contact data in clear, of an earlier program; start the service, or run \"narrowcast migrate\", and back up then")
		}
		err := tx.QueryRowContext(ctx, "select incarnation from store where id = 1").Scan(&incarnation)
		if errors.Is(err, sql.ErrNoRows) { // migrated and never opened
			return nil
		}
		return err
	})
	if err != nil {
		return sqldb.DumpInfo{}, fmt.Errorf("back up profile store: %w", err)
	}
	info.Incarnation = incarnation
	return info, nil
}

// CanRestore refuses a store that is not empty.
func CanRestore(ctx context.Context, cfg Config) error {
	return sqldb.While("restore profile store", sqldb.EmptyStore(ctx, cfg.SQL, migrations, cfg.Logger))
}

// Restore fills the empty store that cfg.SQL names with what Backup wrote, on whichever engine, and begins a new incarnation in the same
// transaction: positions and tokens of the life before are not recognised. A ring that lacks a key of the data is refused (KEY_UNKNOWN),
// as is data that a key does not open, and then nothing is restored.
func Restore(ctx context.Context, cfg Config, r io.Reader) (sqldb.DumpInfo, error) {
	info, err := sqldb.LoadStore(ctx, cfg.SQL, migrations, r, cfg.Logger, func(db *sqldb.DB, tx *sql.Tx) error {
		s := &Store{db: db, cfg: cfg}
		if err := s.checkKeys(ctx, tx); err != nil {
			return err
		}
		if err := s.checkSealed(ctx, tx); err != nil {
			return err
		}
		return beginIncarnation(ctx, tx)
	})
	if err != nil {
		return sqldb.DumpInfo{}, fmt.Errorf("restore profile store: %w", err)
	}
	return info, nil
}
