package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// DumpStore opens the store that cfg names, dumps it as [DB.Dump] does and closes it again. The store must be there and have the
// schema of files (SCHEMA_OLDER, SCHEMA_NEWER); nothing in it is changed, and it may be in use.
func DumpStore(ctx context.Context, cfg Config, files fs.FS, w io.Writer, log *slog.Logger, also func(tx *sql.Tx) error) (info DumpInfo, err error) {
	if cfg.URL.IsZero() { // opening would make the file
		if _, err := os.Stat(cfg.Path); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return info, fault.New(fault.NotFound, ReasonStoreNotFound, "there is no store where the configuration says; name its folder or its database")
			}
			return info, fmt.Errorf("look for store: %w", err)
		}
	}
	cfg.Migrate = MigrateNever
	db, err := OpenMigrated(ctx, cfg, files, log)
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Dump(ctx, w, also)
}

// LoadStore opens or makes the store that cfg names, brings its schema up to files, fills it as [DB.Load] does and closes it again.
// finish is told which store it is.
func LoadStore(ctx context.Context, cfg Config, files fs.FS, r io.Reader, log *slog.Logger, finish func(db *DB, tx *sql.Tx) error) (info DumpInfo, err error) {
	cfg.Migrate = MigrateAuto
	db, err := OpenMigrated(ctx, cfg, files, log)
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Load(ctx, r, func(tx *sql.Tx) error {
		if finish == nil {
			return nil
		}
		return finish(db, tx)
	})
}

// EmptyStore makes the store that cfg names ready for [LoadStore] and refuses one that holds anything (STORE_NOT_EMPTY), so that who
// fills several stores hears of it before the first is filled.
func EmptyStore(ctx context.Context, cfg Config, files fs.FS, log *slog.Logger) (err error) {
	cfg.Migrate = MigrateAuto
	db, err := OpenMigrated(ctx, cfg, files, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.ReadTx(ctx, func(tx *sql.Tx) error {
		tables, err := db.tables(ctx, tx)
		if err != nil {
			return err
		}
		return empty(ctx, tx, tables)
	})
}

// empty refuses tables that have rows.
func empty(ctx context.Context, tx *sql.Tx, tables []table) error {
	for _, t := range tables {
		var any bool
		if err := tx.QueryRowContext(ctx, "select exists (select 1 from "+quote(t.name)+")").Scan(&any); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
		if any {
			return fault.Newf(fault.Precondition, ReasonStoreNotEmpty, "the store is not empty: there are rows in %s; restore into a store that nothing has used yet", t.name).
				With("table", t.name)
		}
	}
	return nil
}
