package sqlstore

import (
	"context"
	"io"
	"log/slog"

	"github.com/narrowcast/narrowcast/pkg/sqldb"
)

// Backup writes the whole store to w as of one moment, while others may use it.
func Backup(ctx context.Context, cfg sqldb.Config, w io.Writer, log *slog.Logger) (sqldb.DumpInfo, error) {
	info, err := sqldb.DumpStore(ctx, cfg, migrations, w, log, nil)
	return info, fail("back up campaign store", err)
}

// CanRestore refuses a store that is not empty.
func CanRestore(ctx context.Context, cfg sqldb.Config, log *slog.Logger) error {
	return fail("restore campaign store", sqldb.EmptyStore(ctx, cfg, migrations, log))
}

// Restore fills the empty store with what Backup wrote, on whichever engine.
func Restore(ctx context.Context, cfg sqldb.Config, r io.Reader, log *slog.Logger) (sqldb.DumpInfo, error) {
	info, err := sqldb.LoadStore(ctx, cfg, migrations, r, log, nil)
	return info, fail("restore campaign store", err)
}
