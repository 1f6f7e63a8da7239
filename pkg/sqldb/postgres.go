package sqldb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// The pools of a PostgreSQL store.
const (
	poolWrite   = "write"
	poolRead    = "read"
	poolMigrate = "migrate"
)

// schemaName is what a schema may be called: no name that needs quotes.
var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// What a new connection may be refused for. They are told apart by identity, never by text.
var (
	errStandby  = errors.New("the server accepts no writes")
	errSettings = errors.New("the server or a pooler before it did not take the session's settings")
)

// openPostgres opens both pools and proves that each can be used.
func openPostgres(ctx context.Context, cfg Config) (*DB, error) {
	// The parser's own words could quote the URL, and with it the password.
	if _, err := pgx.ParseConfig(cfg.URL.Reveal()); err != nil {
		return nil, errors.New("open store: the database URL cannot be read; write it as postgres://user:password@host:5432/database?sslmode=verify-full")
	}
	if cfg.Schema != "" && (!schemaName.MatchString(cfg.Schema) || strings.HasPrefix(cfg.Schema, "pg_")) {
		return nil, fmt.Errorf("open store: %q is no schema name; use lower-case letters, digits and underscores, at most 63, not beginning with a digit or pg_", cfg.Schema)
	}
	positive(&cfg.Readers, 8)
	positive(&cfg.Writers, 4)
	positive(&cfg.BusyTimeout, DefaultBusyTimeout)
	positive(&cfg.StatementTimeout, DefaultStatementTimeout)
	positive(&cfg.IdleInTxTimeout, DefaultIdleInTxTimeout)
	positive(&cfg.ConnectTimeout, DefaultConnectTimeout)
	positive(&cfg.ConnLifetime, DefaultConnLifetime)

	db := &DB{Dialect: Postgres, cfg: cfg}
	var err error
	if db.Write, err = db.openPool(poolWrite, cfg.Writers); err != nil {
		return nil, err
	}
	if db.Read, err = db.openPool(poolRead, cfg.Readers); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	for _, pool := range []*sql.DB{db.Write, db.Read} {
		if err := pool.PingContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("open store: %w", db.classify(ctx, err)), db.Close())
		}
	}
	return db, nil
}

// positive sets a setting that was left out to its default.
func positive[T cmp.Ordered](setting *T, value T) {
	var zero T
	if *setting <= zero {
		*setting = value
	}
}

// openPool makes one pool. No connection is made yet.
func (db *DB) openPool(pool string, size int) (*sql.DB, error) {
	cfg, err := db.connConfig(pool)
	if err != nil {
		return nil, err
	}
	opts := []stdlib.OptionOpenDB{stdlib.OptionResetSession(demoted(pool))}
	if pool == poolMigrate {
		opts = append(opts, stdlib.OptionAfterConnect(db.lockMigrations))
	}
	pooled, err := db.open(pgConnector{Connector: stdlib.GetConnector(*cfg, opts...), reads: pool == poolRead}, pool)
	if err != nil {
		return nil, err
	}
	pooled.SetMaxOpenConns(size)
	pooled.SetMaxIdleConns(size)
	if pool == poolMigrate {
		return pooled, nil // its one session holds a lock and is not to be replaced
	}
	pooled.SetConnMaxLifetime(db.cfg.ConnLifetime)
	pooled.SetConnMaxIdleTime(db.cfg.ConnLifetime / 6)
	return pooled, nil
}

// connConfig says how one pool's connections are made.
func (db *DB) connConfig(pool string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(db.cfg.URL.Reveal())
	if err != nil {
		return nil, errors.New("open store: the database URL cannot be read")
	}
	cfg.ConnectTimeout = db.cfg.ConnectTimeout
	// A server whose machine is gone is noticed within half a minute, also by a statement that has no deadline.
	cfg.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}).DialContext
	cfg.OnPgError = func(_ *pgconn.PgConn, e *pgconn.PgError) bool { return !fatal(e) }
	cfg.ValidateConnect = db.validate(pool)

	millis := func(d time.Duration) string { return strconv.FormatInt(max(1, d.Milliseconds()), 10) }
	for name, value := range map[string]string{
		"application_name":                    strings.TrimSuffix("narrowcast-"+db.cfg.Schema, "-"),
		"statement_timeout":                   millis(db.cfg.StatementTimeout),
		"lock_timeout":                        millis(db.cfg.BusyTimeout),
		"idle_in_transaction_session_timeout": millis(db.cfg.IdleInTxTimeout),
	} {
		if _, ok := cfg.RuntimeParams[name]; !ok {
			cfg.RuntimeParams[name] = value
		}
	}
	for name, value := range db.cfg.Settings {
		if _, ok := cfg.RuntimeParams[name]; !ok {
			cfg.RuntimeParams[name] = value
		}
	}
	if db.cfg.Schema != "" {
		cfg.RuntimeParams["search_path"] = db.cfg.Schema
	}
	switch pool {
	case poolRead:
		cfg.RuntimeParams["default_transaction_read_only"] = "on"
	case poolMigrate:
		cfg.RuntimeParams["statement_timeout"] = "0" // an index may take an hour
		cfg.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	}
	return cfg, nil
}

// validate refuses a server that is a standby or read only, so that the next host of the URL is tried, and a session that lacks our
// settings. Readers want the primary too: a standby is behind, and who has written would not find it there.
func (db *DB) validate(pool string) pgconn.ValidateConnectFunc {
	question := "select current_setting('transaction_read_only'), current_setting('search_path')"
	if pool == poolRead {
		question = "select case when pg_is_in_recovery() then 'on' else 'off' end, current_setting('search_path')"
	}
	return func(ctx context.Context, conn *pgconn.PgConn) error {
		results, err := conn.Exec(ctx, question).ReadAll()
		switch {
		case err != nil:
			return err
		case len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != 2:
			return errSettings
		case string(results[0].Rows[0][0]) != "off":
			return errStandby
		case db.cfg.Schema != "" && string(results[0].Rows[0][1]) != db.cfg.Schema:
			return errSettings // its statements would meet another schema
		}
		return nil
	}
}

// demoted drops a pooled connection whose server has told that it does not accept writes any more (since version 14 it tells).
func demoted(pool string) func(context.Context, *pgx.Conn) error {
	return func(_ context.Context, conn *pgx.Conn) error {
		if conn.PgConn().ParameterStatus("in_hot_standby") == "on" ||
			pool != poolRead && conn.PgConn().ParameterStatus("default_transaction_read_only") == "on" {
			return errBadConn
		}
		return nil
	}
}
