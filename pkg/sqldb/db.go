package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
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
	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// Dialect names the SQL engine behind a DB, for the few places where statements differ.
type Dialect string

// SQLite is the embedded engine.
const SQLite Dialect = "sqlite"

// DB is an open store. Statements that change anything go through Write, all others through Read; use [DB.Tx] and [DB.ReadTx]
// rather than the pools where more than one statement must agree. All methods may be called concurrently.
type DB struct {
	// Write holds the connections that may write: with SQLite exactly one, so writers queue for it.
	Write *sql.DB
	// Read holds connections that cannot write. A read never waits for a writer.
	Read *sql.DB
	// Dialect is the engine.
	Dialect Dialect

	closed  atomic.Bool
	metrics []metric.Registration
}

// Config says how to open a store. Only Path is needed.
type Config struct {
	// Path of the SQLite file, made if it does not exist; its folder must exist.
	Path string
	// Readers is the size of the reading pool, default 4.
	Readers int
	// BusyTimeout is how long a write waits for another process's lock, default 5 s.
	BusyTimeout time.Duration
	// TracerProvider makes a span of each statement; nil makes none.
	TracerProvider trace.TracerProvider
	// MeterProvider measures statements and pools; nil measures nothing.
	MeterProvider metric.MeterProvider
}

// OpenSQLite opens or creates a SQLite store and proves that it can be used.
func OpenSQLite(ctx context.Context, cfg Config) (*DB, error) {
	if cfg.Path == "" {
		return nil, errors.New("open store: the path is empty")
	}
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if cfg.Readers <= 0 {
		cfg.Readers = 4
	}
	if cfg.BusyTimeout <= 0 {
		cfg.BusyTimeout = 5 * time.Second
	}
	db := &DB{Dialect: SQLite}
	if db.Write, err = db.open(sqliteDSN(path, cfg.BusyTimeout, true), "write", cfg); err != nil {
		return nil, err
	}
	db.Write.SetMaxOpenConns(1)
	// The one connection is never retired: a new one would begin with a cold page cache.
	db.Write.SetMaxIdleConns(1)
	// The writer goes first: it creates the file and switches it to WAL, which a reader may not.
	if err := db.Write.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", db.Classify(err)), db.Close())
	}
	if db.Read, err = db.open(sqliteDSN(path, cfg.BusyTimeout, false), "read", cfg); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	db.Read.SetMaxOpenConns(cfg.Readers)
	db.Read.SetMaxIdleConns(cfg.Readers)
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), db.Close())
	}
	return db, nil
}

func sqliteDSN(path string, busy time.Duration, write bool) string {
	q := url.Values{}
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()))
	q.Add("_pragma", "foreign_keys(1)")
	if write {
		q.Add("_pragma", "journal_mode(WAL)")
		q.Add("_pragma", "synchronous(FULL)") // NORMAL would lose acknowledged commits when the power fails
		q.Set("_txlock", "immediate")         // a write lock taken late can fail in the middle of a transaction
	} else {
		q.Add("_pragma", "query_only(1)")
	}
	// The path is escaped so that '?', '#' and '%' in a folder's name stay part of it.
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func (db *DB) open(dsn, pool string, cfg Config) (*sql.DB, error) {
	tp, mp := cfg.TracerProvider, cfg.MeterProvider
	if tp == nil {
		tp = tracenoop.NewTracerProvider()
	}
	if mp == nil {
		mp = metricnoop.NewMeterProvider()
	}
	opts := []otelsql.Option{
		otelsql.WithTracerProvider(tp), otelsql.WithMeterProvider(mp),
		otelsql.WithTextMapPropagator(propagation.NewCompositeTextMapPropagator()), // nothing is written into statements
		otelsql.WithAttributes(attribute.String("db.system.name", "sqlite"), attribute.String("db.client.connection.pool.name", pool)),
		otelsql.WithSpanOptions(otelsql.SpanOptions{
			OmitConnResetSession: true, OmitConnectorConnect: true, OmitRows: true, OmitConnPrepare: true, DisableErrSkip: true,
			// Only work that is part of a traced call makes spans; background statements would each be a trace of one span.
			// Savepoints are how a group keeps its requests apart, and tell nobody anything.
			SpanFilter: func(ctx context.Context, _ otelsql.Method, query string, _ []driver.NamedValue) bool {
				return trace.SpanContextFromContext(ctx).IsValid() && !strings.Contains(query, savepoint)
			},
		}),
	}
	pooled, err := otelsql.Open("sqlite", dsn, opts...)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
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
	return db.Classify(db.Read.QueryRowContext(ctx, "select 1").Scan(&one))
}

// Tx runs fn in one writing transaction, which commits if fn returns nil and is rolled back otherwise, also when fn panics.
// fn must not use the pools, only tx: the writing connection is taken. If ctx ends, the transaction is rolled back.
// The error of fn is returned classified, so faults of its own pass through unchanged.
func (db *DB) Tx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return db.tx(ctx, db.Write, nil, fn)
}

// ReadTx runs fn in one reading transaction: all its statements see the same state of the store, whatever is written meanwhile.
func (db *DB) ReadTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return db.tx(ctx, db.Read, &sql.TxOptions{ReadOnly: true}, fn)
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

// Close closes the readers, then the writer, which folds the log back into the file. Closing twice does nothing.
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
