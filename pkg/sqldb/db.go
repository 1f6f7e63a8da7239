package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/XSAM/otelsql"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/narrowcast/narrowcast/pkg/config"
)

// Dialect names the SQL engine behind a DB, for the few places where statements differ.
type Dialect string

// The engines.
const (
	// SQLite is the embedded engine.
	SQLite Dialect = "sqlite"
	// Postgres is a PostgreSQL server, version 13 or newer.
	Postgres Dialect = "postgres"
)

// system is how OpenTelemetry calls the engine.
func (d Dialect) system() string {
	if d == Postgres {
		return "postgresql"
	}
	return string(d)
}

// DB is an open store. Statements that change anything go through Write, all others through Read; use [DB.Tx] and [DB.ReadTx]
// rather than the pools where more than one statement must agree. All methods may be called concurrently.
type DB struct {
	// Write holds the connections that may write: with SQLite exactly one, so writers queue for it.
	Write *sql.DB
	// Read holds connections that cannot write. A read never waits for a writer.
	Read *sql.DB
	// Dialect is the engine.
	Dialect Dialect

	cfg     Config
	closed  atomic.Bool
	metrics []metric.Registration
}

// Times and sizes of a store, unless configured.
const (
	DefaultBusyTimeout      = 5 * time.Second
	DefaultStatementTimeout = 30 * time.Second
	DefaultIdleInTxTimeout  = 10 * time.Second
	DefaultConnectTimeout   = 5 * time.Second
	DefaultConnLifetime     = 30 * time.Minute
)

// Config says how to open a store. Only Path or URL is needed.
type Config struct {
	// Path of the SQLite file, made if it does not exist; its folder must exist. It does not matter where URL is set.
	Path string
	// URL of a PostgreSQL database, postgres://user:password@host:port/database?sslmode=verify-full; empty means SQLite at Path.
	// Several hosts, host1:port1,host2:port2, are tried in this order until one is found that accepts writes. Settings of
	// the session that it names (statement_timeout, application_name, ...) win over those below; target_session_attrs does not.
	URL config.Secret
	// Schema is the PostgreSQL schema that holds everything of this store; Migrate creates it. It is of lower-case letters,
	// digits and underscores, at most 63, and does not begin with a digit or "pg_". Empty leaves the search_path as the
	// server or the URL sets it. SQLite has none.
	Schema string
	// Migrate says what [DB.Migrate] may do, default [MigrateAuto].
	Migrate MigratePolicy
	// Readers is the size of the reading pool, default 4 on SQLite and 8 on PostgreSQL.
	Readers int
	// Writers is the size of the writing pool on PostgreSQL, default 4: one for a [Group] and some for the rest. SQLite has one.
	Writers int
	// BusyTimeout is how long a statement waits for a lock that another transaction or process holds, default 5 s.
	BusyTimeout time.Duration
	// StatementTimeout is after how long PostgreSQL ends a statement, default 30 s. Migrations have no such bound.
	StatementTimeout time.Duration
	// IdleInTxTimeout is after how long PostgreSQL ends a transaction whose program asks nothing, default 10 s.
	IdleInTxTimeout time.Duration
	// Settings are run-time parameters of every session on PostgreSQL beside those above, for a store that knows better than the
	// planner how its tables are to be read.
	Settings map[string]string
	// ConnectTimeout bounds the making of one connection to one PostgreSQL host, default 5 s.
	ConnectTimeout time.Duration
	// ConnLifetime is after how long a connection to PostgreSQL is replaced by a new one, default 30 min, so that load finds
	// its way to hosts that have come back.
	ConnLifetime time.Duration
	// TracerProvider makes a span of each statement; nil makes none.
	TracerProvider trace.TracerProvider
	// MeterProvider measures statements and pools; nil measures nothing.
	MeterProvider metric.MeterProvider
}

// Open opens the PostgreSQL database at cfg.URL, or the SQLite file at cfg.Path if there is no URL, and proves that it can be
// used. It does not touch the schema: see [OpenMigrated].
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if cfg.URL.IsZero() {
		return OpenSQLite(ctx, cfg)
	}
	return openPostgres(ctx, cfg)
}

// open makes one pool of connections, watched by telemetry.
func (db *DB) open(connector driver.Connector, pool string) (*sql.DB, error) {
	tp, mp := db.cfg.TracerProvider, db.cfg.MeterProvider
	if tp == nil {
		tp = tracenoop.NewTracerProvider()
	}
	if mp == nil {
		mp = metricnoop.NewMeterProvider()
	}
	opts := []otelsql.Option{
		otelsql.WithTracerProvider(tp), otelsql.WithMeterProvider(mp),
		otelsql.WithTextMapPropagator(propagation.NewCompositeTextMapPropagator()), // nothing is written into statements
		otelsql.WithAttributes(attribute.String("db.system.name", db.Dialect.system()), attribute.String("db.client.connection.pool.name", pool)),
		otelsql.WithSpanOptions(otelsql.SpanOptions{
			OmitConnResetSession: true, OmitConnectorConnect: true, OmitRows: true, OmitConnPrepare: true, DisableErrSkip: true,
			// Only work that is part of a traced call makes spans; background statements would each be a trace of one span.
			// Savepoints are how a group keeps its requests apart, and tell nobody anything.
			SpanFilter: func(ctx context.Context, _ otelsql.Method, query string, _ []driver.NamedValue) bool {
				return trace.SpanContextFromContext(ctx).IsValid() && !strings.Contains(query, savepoint)
			},
		}),
	}
	pooled := otelsql.OpenDB(connector, opts...)
	if pool == poolMigrate {
		return pooled, nil // it lives too short to be measured
	}
	reg, err := otelsql.RegisterDBStatsMetrics(pooled, opts...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("measure store: %w", err), pooled.Close())
	}
	db.metrics = append(db.metrics, reg)
	return pooled, nil
}

// Ping asks the store a question now; readiness probes call it.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	return db.classify(ctx, db.Read.QueryRowContext(ctx, "select 1").Scan(&one))
}

// Tx runs fn in one writing transaction, which commits if fn returns nil and is rolled back otherwise, also when fn panics.
// fn must not use the pools, only tx: the writing connection is taken. If ctx ends, the transaction is rolled back.
// The error of fn is returned classified, so faults of its own pass through unchanged.
//
// On PostgreSQL the transaction is READ COMMITTED, and a statement that fails ends it: fn must return, not go on. If the
// connection breaks while the commit is under way, nobody can tell whether it was made; the fault then has the condition
// [ConditionCommitUnknown], and what was to be written must be read before it is written again.
func (db *DB) Tx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return db.tx(ctx, db.Write, nil, fn)
}

// ReadTx runs fn in one reading transaction: all its statements see the same state of the store, whatever is written meanwhile.
// On PostgreSQL it is REPEATABLE READ READ ONLY.
func (db *DB) ReadTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	opts := sql.TxOptions{ReadOnly: true}
	if db.Dialect == Postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	return db.tx(ctx, db.Read, &opts, fn)
}

func (db *DB) tx(ctx context.Context, pool *sql.DB, opts *sql.TxOptions, fn func(tx *sql.Tx) error) error {
	tx, err := pool.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", db.classify(ctx, err))
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing; else its failure ends the connection, which undoes as well
	if err := fn(tx); err != nil {
		return db.classify(ctx, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", db.classify(ctx, err))
	}
	return nil
}

// Close closes the readers, then the writer, which with SQLite folds the log back into the file. Closing twice does nothing.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return nil
	}
	var errs []error
	for _, r := range db.metrics {
		errs = append(errs, r.Unregister())
	}
	for _, pool := range []*sql.DB{db.Read, db.Write} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Placeholders returns n placeholders, "$from,$from+1,...", for a list in a statement.
func Placeholders(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "$%d", from+i)
	}
	return b.String()
}
