package sqlite

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/segment"
)

//go:embed migrations/sqlite/*.sql
var migrations embed.FS

// Config says how to open the store. Path is needed.
type Config struct {
	// Path of the file, made if it does not exist.
	Path string
	// Now is the clock of times and leases; nil: time.Now.
	Now func() time.Time
	// MaxMembers is how many profiles a static list can hold; 0: segment.MaxMembers.
	MaxMembers int64
	// Logger hears of migrations; nil: nobody does.
	Logger *slog.Logger
	// TracerProvider and MeterProvider observe statements; nil: nobody does.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
}

// Store is a segment.Store in a SQLite file.
type Store struct {
	db         *sqldb.DB
	now        func() time.Time
	maxMembers int64
	group      *sqldb.Group[write, written]
	close      sync.Once
	err        error // of Close
}

var _ segment.Store = (*Store)(nil)

// Open opens the store and brings its schema to the newest version. A store with a newer one is refused (SCHEMA_NEWER).
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	db, err := sqldb.OpenSQLite(ctx, sqldb.Config{Path: cfg.Path, TracerProvider: cfg.TracerProvider, MeterProvider: cfg.MeterProvider})
	if err != nil {
		return nil, fail("open segment store", err)
	}
	s := &Store{db: db, now: cfg.Now, maxMembers: cmp.Or(cfg.MaxMembers, segment.MaxMembers)}
	if err := s.prepare(ctx, cfg.Logger); err != nil {
		return nil, errors.Join(fail("open segment store", err), db.Close())
	}
	return s, nil
}

func (s *Store) prepare(ctx context.Context, log *slog.Logger) error {
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	if err := s.db.Migrate(ctx, files, log); err != nil {
		return err
	}
	// The first life of the store begins when its file is made.
	_, err = s.db.Write.ExecContext(ctx, "insert into head (one, incarnation, revision) values (1, $1, 0) on conflict do nothing", rand.Text())
	if err != nil {
		return s.db.Classify(err)
	}
	s.group, err = sqldb.NewGroup(s.db, sqldb.GroupConfig[write, written]{
		Apply:   s.apply,
		Stamp:   s.stamp,
		Changes: func(w write) int { return 1 + len(w.add) + len(w.remove) },
	})
	return err
}

// Ping asks the file a question now.
func (s *Store) Ping(ctx context.Context) error { return fail("ping segment store", s.db.Ping(ctx)) }

// Close waits for the writes that have begun and closes the file.
func (s *Store) Close() error {
	s.close.Do(func() {
		// A group's transaction is bounded, so waiting for it is too.
		s.err = errors.Join(s.group.Close(context.Background()), s.db.Close())
	})
	return s.err
}

// querier is what a transaction and a pool have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// each calls scan for every row of a query.
func each(ctx context.Context, q querier, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	return nil
}
