package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"log/slog"
	"time"

	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/persona"
)

//go:embed migrations/sqlite/*.sql
var migrations embed.FS

// Store is a persona.Store on SQLite.
type Store struct {
	db  *sqldb.DB
	now func() time.Time
}

var _ persona.Store = (*Store)(nil)

// Open opens or creates the file and brings its schema up to date.
func Open(ctx context.Context, cfg sqldb.Config, now func() time.Time, log *slog.Logger) (*Store, error) {
	db, err := sqldb.OpenMigrated(ctx, cfg, migrations, log)
	if err != nil {
		return nil, fmt.Errorf("open persona store: %w", err)
	}
	return &Store{db: db, now: now}, nil
}

// Ping asks the database for an answer now.
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

func (s *Store) tx(ctx context.Context, what string, fn func(tx *sql.Tx) error) error {
	if err := s.db.Tx(ctx, fn); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (s *Store) readTx(ctx context.Context, what string, fn func(tx *sql.Tx) error) error {
	if err := s.db.ReadTx(ctx, fn); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// moment is now as it is stored: in microseconds, so that what a write returns is what a read returns.
func (s *Store) moment() time.Time { return s.now().UTC().Truncate(time.Microsecond) }
