package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"io"
	"log/slog"

	"github.com/narrowcast/narrowcast/pkg/sqldb"
)

// leaseLeap is how far a restored store's lease number is ahead of the one in its backup. The life before has gone on after the backup was
// taken, and blocks that it wrote since may still be there: a number that it cannot have reached is what makes the restored index's
// blocks win over them, and a holder of that life step down.
const leaseLeap = 1 << 20

// Backup writes the whole store to w as of one moment, while others may use it.
func Backup(ctx context.Context, cfg sqldb.Config, w io.Writer, log *slog.Logger) (sqldb.DumpInfo, error) {
	var incarnation string
	info, err := sqldb.DumpStore(ctx, cfg, migrations, w, log, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, "select incarnation from head").Scan(&incarnation)
		if errors.Is(err, sql.ErrNoRows) { // migrated and never opened
			return nil
		}
		return err
	})
	info.Incarnation = incarnation
	return info, fail("back up segment store", err)
}

// CanRestore refuses a store that is not empty.
func CanRestore(ctx context.Context, cfg sqldb.Config, log *slog.Logger) error {
	return fail("restore segment store", sqldb.EmptyStore(ctx, cfg, migrations, log))
}

// Restore fills the empty store with what Backup wrote, on whichever engine. A new incarnation begins in the same transaction, so that
// tokens of the life before are refused, and nobody holds the lease.
func Restore(ctx context.Context, cfg sqldb.Config, r io.Reader, log *slog.Logger) (sqldb.DumpInfo, error) {
	info, err := sqldb.LoadStore(ctx, cfg, migrations, r, log, func(_ *sqldb.DB, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "update head set incarnation = $1", rand.Text()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "update leases set number = number + $1, random = 0, holder = '', expires = 0", int64(leaseLeap))
		return err
	})
	return info, fail("restore segment store", err)
}
