package sqldb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
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
