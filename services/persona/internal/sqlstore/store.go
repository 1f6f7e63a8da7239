package sqlstore

import (
	"context"
	"embed"
	"log/slog"
	"time"

	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/persona"
)

//go:embed migrations/sqlite/*.sql migrations/postgres/*.sql
var migrations embed.FS

// Store is a persona.Store in a SQL database.
type Store struct {
	db  *sqldb.DB
	now func() time.Time
}

var _ persona.Store = (*Store)(nil)

// Open opens the database and brings the schema to this program's version, within what cfg.Migrate allows.
func Open(ctx context.Context, cfg sqldb.Config, now func() time.Time, log *slog.Logger) (*Store, error) {
	db, err := sqldb.OpenMigrated(ctx, cfg, migrations, log)
	if err != nil {
		return nil, fail("open persona store", err)
	}
	return &Store{db: db, now: now}, nil
}

// Migrate brings the schema to this program's version and closes the store again.
func Migrate(ctx context.Context, cfg sqldb.Config, log *slog.Logger) (sqldb.Versions, error) {
	v, err := sqldb.MigrateOnly(ctx, cfg, migrations, log)
	return v, fail("migrate persona store", err)
}

// Ping asks the database for an answer now.
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// moment is now as it is stored.
func (s *Store) moment() time.Time { return sqldb.Moment(s.now()) }

// fail names the operation, in the words of the service's contract.
func fail(operation string, err error) error { return sqldb.While(operation, sqldb.OneReason(err)) }
