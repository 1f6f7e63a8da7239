package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

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
		cfg.BusyTimeout = DefaultBusyTimeout
	}
	db := &DB{Dialect: SQLite, cfg: cfg}
	if db.Write, err = db.openSQLite(sqliteDSN(path, cfg.BusyTimeout, true), "write"); err != nil {
		return nil, err
	}
	db.Write.SetMaxOpenConns(1)
	// The one connection is never retired: a new one would begin with a cold page cache.
	db.Write.SetMaxIdleConns(1)
	// The writer goes first: it creates the file and switches it to WAL, which a reader may not.
	if err := db.Write.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", db.Classify(err)), db.Close())
	}
	if db.Read, err = db.openSQLite(sqliteDSN(path, cfg.BusyTimeout, false), "read"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	db.Read.SetMaxOpenConns(cfg.Readers)
	db.Read.SetMaxIdleConns(cfg.Readers)
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), db.Close())
	}
	return db, nil
}

func (db *DB) openSQLite(dsn, pool string) (*sql.DB, error) {
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return db.open(connector, pool)
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

func classifySQLite(err error) *fault.Error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return nil
	}
	// The extended code says which constraint; the low byte is the class.
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return violated(ReasonUnique)
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return violated(ReasonForeignKey)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH:
		return fault.New(fault.Internal, ReasonInternal, "a rule of the stored schema was broken")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return busy()
	case sqlite3.SQLITE_FULL:
		return full()
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return fault.New(fault.Precondition, ReasonReadOnly, "the store cannot be written; check the rights of its file and folder")
	case sqlite3.SQLITE_CANTOPEN:
		return unavailable(ConditionCannotOpen, "the store's file cannot be opened; check its path and its folder's rights", 0)
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOLFS, sqlite3.SQLITE_PROTOCOL:
		return unavailable(ConditionIO, "reading or writing the store's file failed; check the disk", 0)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fault.New(fault.DataLoss, ReasonUnavailable, "the store's file is damaged or is not a store; restore it from a copy").
			With(MetaCondition, ConditionCorrupt)
	case sqlite3.SQLITE_INTERRUPT:
		return fault.New(fault.Canceled, ReasonUnavailable, "the statement was interrupted")
	}
	return fault.New(fault.Internal, ReasonInternal, "the store failed")
}
