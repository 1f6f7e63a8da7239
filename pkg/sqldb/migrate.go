package sqldb

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// MigratePolicy says whether a program may change a store's schema.
type MigratePolicy string

// The policies.
const (
	// MigrateAuto brings an older schema up to date; it is also what the empty policy means.
	MigrateAuto MigratePolicy = "auto"
	// MigrateNever refuses an older schema, for where only a job of its own has the right to change it.
	MigrateNever MigratePolicy = "never"
)

// UnmarshalText takes "auto", "never" or nothing.
func (p *MigratePolicy) UnmarshalText(text []byte) error {
	switch one := MigratePolicy(text); one {
	case "", MigrateAuto, MigrateNever:
		*p = one
		return nil
	default:
		return fmt.Errorf("%q is no migration policy; write auto or never", text)
	}
}

// Migrate brings the store's schema to the newest version in fsys, whose top folder holds files named 00001_what.sql with goose's
// "-- +goose Up" mark. Each file runs in a transaction of its own and is never changed once released; there is no way back. A
// store whose schema is newer than fsys is left alone and refused with [ReasonSchemaNewer]; under [MigrateNever] an older one is
// refused with [ReasonSchemaOlder].
//
// On PostgreSQL any number of processes may call it at once: one migrates under an advisory lock of the session, the others wait
// for it, as long as ctx lasts. It creates the configured schema and keeps goose's table in it. On SQLite it is meant for one
// caller at start.
func (db *DB) Migrate(ctx context.Context, fsys fs.FS, log *slog.Logger) error {
	pool, dialect := db.Write, goose.DialectSQLite3
	opts := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger())}
	if db.Dialect == Postgres {
		var err error
		if pool, err = db.openPool(poolMigrate, 1); err != nil {
			return err
		}
		defer pool.Close() // what was migrated is committed, and the session ends in any case
		dialect = goose.DialectPostgres
	}
	p, err := goose.NewProvider(dialect, pool, fsys, opts...)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	sources := p.ListSources() // in ascending order, and never none
	want := sources[len(sources)-1].Version
	have, err := db.checkSchema(ctx, want)
	if err != nil || have == want {
		return err
	}
	if db.cfg.Migrate == MigrateNever {
		return fault.Newf(fault.Precondition, ReasonSchemaOlder,
			"the store has schema version %d and this program needs %d; run \"narrowcast migrate\" before it", have, want).
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
	_, err = db.checkSchema(ctx, want) // a newer program may have come first
	return err
}

// checkSchema returns the version of the store's schema, 0 if it has none, and refuses a newer one than want. It changes nothing.
func (db *DB) checkSchema(ctx context.Context, want int64) (have int64, err error) {
	tables := "select count(*) from sqlite_master where name = 'goose_db_version'"
	if db.Dialect == Postgres {
		tables = "select count(to_regclass('goose_db_version'))"
	}
	if err = db.Write.QueryRowContext(ctx, tables).Scan(&have); err == nil && have > 0 {
		err = db.Write.QueryRowContext(ctx, "select coalesce(max(version_id), 0) from goose_db_version").Scan(&have)
	}
	if err != nil {
		return 0, fmt.Errorf("read schema version: %w", db.classify(ctx, err))
	}
	if have > want {
		return 0, fault.Newf(fault.Precondition, ReasonSchemaNewer,
			"the store has schema version %d and this program knows %d; start a program at least as new as the one that wrote it", have, want).
			With("schema_version", have).With("known_version", want)
	}
	return have, nil
}

// lockMigrations is what each session of the migrating pool begins with: it keeps other processes out for as long as it lives,
// whatever becomes of its program. Waiting lasts as long as ctx. The schema is made under the lock too, since "if not exists" does
// not keep two that make it at once apart.
func (db *DB) lockMigrations(ctx context.Context, conn *pgx.Conn) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
		}
	}()
	h := fnv.New64a() // one lock for each schema of the database
	h.Write([]byte("narrowcast migrate " + db.cfg.Schema))
	if _, err := conn.Exec(ctx, "set lock_timeout = 0"); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", int64(h.Sum64())); err != nil {
		return err
	}
	// A migration that waits for a table's lock makes everybody wait behind it, so it does not wait long.
	if _, err := conn.Exec(ctx, "select set_config('lock_timeout', $1, false)", strconv.FormatInt(db.cfg.BusyTimeout.Milliseconds(), 10)); err != nil {
		return err
	}
	if db.cfg.Schema == "" {
		return nil
	}
	var there bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_namespace where nspname = $1)", db.cfg.Schema).Scan(&there); err != nil {
		return err
	}
	if there { // "if not exists" would ask for the right to create it all the same
		return nil
	}
	_, err = conn.Exec(ctx, `create schema "`+db.cfg.Schema+`"`) // a name that needs no more than this: see schemaName
	return err
}
