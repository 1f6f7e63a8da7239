package sqldb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// OpenMigrated opens the store and brings its schema up to the migrations in folder migrations/sqlite or migrations/postgres of
// files, as the dialect is, within what cfg.Migrate allows. A schema that is newer than them is refused (SCHEMA_NEWER), and one
// that is older where it may not migrate (SCHEMA_OLDER); the store is closed again then.
func OpenMigrated(ctx context.Context, cfg Config, files fs.FS, log *slog.Logger) (*DB, error) {
	db, err := Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	folder, err := fs.Sub(files, "migrations/"+string(db.Dialect))
	if err == nil {
		err = db.Migrate(ctx, folder, log)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Versions are those of a store's schema before and after it was migrated; 0 is a store without a schema.
type Versions struct{ Before, After int64 }

// MigrateOnly does what [OpenMigrated] does under [MigrateAuto], says what it changed, and closes the store again. It is for a job
// that has the right to change schemas, where the programs that serve do not.
func MigrateOnly(ctx context.Context, cfg Config, files fs.FS, log *slog.Logger) (v Versions, err error) {
	cfg.Migrate = MigrateAuto
	db, err := Open(ctx, cfg)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	folder, err := fs.Sub(files, "migrations/"+string(db.Dialect))
	if err != nil {
		return v, err
	}
	const whatever = math.MaxInt64 // Migrate refuses what is too new
	if v.Before, err = db.checkSchema(ctx, whatever); err != nil {
		return v, err
	}
	v.After = v.Before
	if err = db.Migrate(ctx, folder, log); err != nil {
		return v, err
	}
	v.After, err = db.checkSchema(ctx, whatever)
	return v, err
}

// While says in the course of which operation an error came up; nil stays nil.
func While(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// OneReason gives a store that cannot be written the reason of one that does not answer, for services whose contract does not tell
// the two apart. Kind, message and metadata stay, and so do all other errors.
func OneReason(err error) error {
	f := fault.As(err)
	if f == nil || f.Reason != ReasonReadOnly {
		return err
	}
	one := *f
	one.Reason = ReasonUnavailable
	return one.Wrap(err)
}

// Moment is a time as stores keep it: in UTC and in microseconds, so that what a write returns is what a read returns.
func Moment(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// Scanner is one row, or the current one of many.
type Scanner interface{ Scan(dest ...any) error }

// Collect reads and closes all rows of a query.
func Collect[T any](rows *sql.Rows, scan func(Scanner) (T, error)) (list []T, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read a row: %w", err)
		}
		list = append(list, one)
	}
	return list, rows.Err()
}

// NewEtag returns an etag that no state of any resource ever had: a counter would begin anew with a resource of the same name.
func NewEtag() string { return `"` + rand.Text()[:20] + `"` }
