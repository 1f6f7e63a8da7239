package server

import (
	"cmp"
	"context"
	"io"
	"log/slog"

	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/campaign/internal/sqlstore"
)

// Backup writes the service's store to w, while the service may run, and changes nothing. Only the logger of deps is asked.
func Backup(ctx context.Context, cfg Config, deps Deps, w io.Writer) (sqldb.DumpInfo, error) {
	if err := cfg.Validate(); err != nil {
		return sqldb.DumpInfo{}, err
	}
	return sqlstore.Backup(ctx, cfg.store(deps), w, deps.logger())
}

// CanRestore refuses a store that is not empty, as Restore would.
func CanRestore(ctx context.Context, cfg Config, deps Deps) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	return sqlstore.CanRestore(ctx, cfg.store(deps), deps.logger())
}

// Restore fills the service's empty store with a backup. No service may run on the store.
func Restore(ctx context.Context, cfg Config, deps Deps, r io.Reader) (sqldb.DumpInfo, error) {
	if err := cfg.Validate(); err != nil {
		return sqldb.DumpInfo{}, err
	}
	return sqlstore.Restore(ctx, cfg.store(deps), r, deps.logger())
}

func (d Deps) logger() *slog.Logger { return cmp.Or(d.Logger, slog.New(slog.DiscardHandler)) }
