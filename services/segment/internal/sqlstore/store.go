package sqlstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/segment"
)

//go:embed migrations/sqlite/*.sql migrations/postgres/*.sql
var migrations embed.FS

// Config says how to open the store. DB is needed.
type Config struct {
	// DB says where the store is.
	DB sqldb.Config
	// Now is the clock of times and leases; nil: time.Now.
	Now func() time.Time
	// MaxMembers is how many profiles a static list can hold; 0: segment.MaxMembers.
	MaxMembers int64
	// Logger hears of migrations; nil: nobody does.
	Logger *slog.Logger
}

// Store is a segment.Store in a SQL database.
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
	db, err := sqldb.OpenMigrated(ctx, cfg.DB, migrations, cfg.Logger)
	if err != nil {
		return nil, fail("open segment store", err)
	}
	s := &Store{db: db, now: cfg.Now, maxMembers: cmp.Or(cfg.MaxMembers, segment.MaxMembers)}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fail("open segment store", err), db.Close())
	}
	return s, nil
}

// Migrate brings the schema to this program's version and closes the store again.
func Migrate(ctx context.Context, cfg sqldb.Config, log *slog.Logger) (sqldb.Versions, error) {
	v, err := sqldb.MigrateOnly(ctx, cfg, migrations, log)
	return v, fail("migrate segment store", err)
}

// prepare makes the rows that are always there, and the group.
func (s *Store) prepare(ctx context.Context) error {
	// The first life of the store begins when it is first opened.
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "insert into head (one, incarnation, revision) values (1, $1, 0) on conflict do nothing", rand.Text())
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `insert into leases (range_id, number, random, holder, expires) values ($1, 0, 0, '', 0)
			on conflict do nothing`, wholeIndex)
		return err
	})
	if err != nil {
		return err
	}
	s.group, err = sqldb.NewGroup(s.db, sqldb.GroupConfig[write, written]{
		Apply:   s.apply,
		Stamp:   s.stamp,
		Changes: func(w write) int { return 1 + len(w.add) + len(w.remove) },
	})
	return err
}

// Ping asks the database a question now.
func (s *Store) Ping(ctx context.Context) error { return fail("ping segment store", s.db.Ping(ctx)) }

// Close waits for the writes that have begun and closes the database.
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
