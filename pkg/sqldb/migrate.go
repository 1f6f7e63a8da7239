package sqldb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Migrate brings the store's schema to the newest version in fsys, whose top folder holds files named 00001_what.sql with goose's
// "-- +goose Up" mark. Each file runs in a transaction of its own and is never changed once released; there is no way back. A
// store whose schema is newer than fsys is left alone and refused with [ReasonSchemaNewer]. It is meant for one caller at start.
func (db *DB) Migrate(ctx context.Context, fsys fs.FS, log *slog.Logger) error {
	p, err := goose.NewProvider(goose.DialectSQLite3, db.Write, fsys, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", db.classify(ctx, err))
	}
	if have > want {
		return fault.Newf(fault.Precondition, ReasonSchemaNewer,
			"the store has schema version %d and this program knows %d; start a program at least as new as the one that wrote it", have, want).
			With("schema_version", have).With("known_version", want)
	}
	done, err := p.Up(ctx)
	if err != nil {
		// The partial error holds the engine's error, but does not unwrap to it.
		var partial *goose.PartialError
		if errors.As(err, &partial) && partial.Err != nil {
			return fmt.Errorf("migrate to schema version %d: %w", partial.Failed.Source.Version, db.classify(ctx, partial.Err))
		}
		return fmt.Errorf("migrate schema: %w", db.classify(ctx, err))
	}
	for _, m := range done {
		log.InfoContext(ctx, "schema migrated", "version", m.Source.Version, "took", m.Duration)
	}
	return nil
}
