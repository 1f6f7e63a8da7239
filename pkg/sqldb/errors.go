package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Reasons of the faults that this package makes. A driver that knows which value is meant turns the two violations into a reason
// of its own; the others may go out as they are.
const (
	ReasonUnique      = "UNIQUE_VIOLATION"      // Exists: a value that must be unique is taken
	ReasonForeignKey  = "FOREIGN_KEY_VIOLATION" // Precondition: what a row refers to is not there, or what refers to it still is
	ReasonUnavailable = "STORE_UNAVAILABLE"     // Unavailable (DataLoss if corrupt): see MetaCondition
	ReasonFull        = "STORE_FULL"            // Exhausted: no room on the disk
	ReasonReadOnly    = "STORE_READ_ONLY"       // Precondition: the file, its folder or the connection forbids writing
	ReasonSchemaNewer = "SCHEMA_NEWER"          // Precondition: the store was written by a newer program
	ReasonInternal    = "INTERNAL"              // Internal: a rule of the schema that the domain should have kept, or a defect
)

// MetaCondition is the metadata key under which a fault with [ReasonUnavailable] says why: one of the Condition constants.
const MetaCondition = "condition"

// Conditions of an unavailable store.
const (
	ConditionBusy       = "busy"        // another process holds the write lock
	ConditionOverloaded = "overloaded"  // more writes wait than the store can take
	ConditionTimeout    = "timeout"     // a transaction took longer than it may
	ConditionClosed     = "closed"      // shut or shutting down
	ConditionIO         = "io"          // the disk or file system failed
	ConditionCannotOpen = "cannot_open" // no such folder, or no right to it
	ConditionCorrupt    = "corrupt"     // the file is damaged or not a store
)

// Classify turns an engine's error into a fault, by its code; the original stays its cause. It returns nil for nil, and passes
// faults, context errors and sql.ErrNoRows as they are, so it may be applied at every return of a driver. Errors that it does
// not know are passed on too: they may be the caller's own.
func (db *DB) Classify(err error) error {
	if err == nil || fault.As(err) != nil || errors.Is(err, sql.ErrNoRows) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if f := classifySQLite(err); f != nil {
		return f.Wrap(err)
	}
	if db.closed.Load() || errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) || errors.Is(err, driver.ErrBadConn) {
		return closedFault().Wrap(err)
	}
	return err
}

// classify is Classify for work under ctx: once ctx has ended, the engine's "interrupted" means just that.
func (db *DB) classify(ctx context.Context, err error) error {
	var engine *sqlite.Error
	interrupted := errors.As(err, &engine) && engine.Code()&0xff == sqlite3.SQLITE_INTERRUPT
	if ctx.Err() != nil && (interrupted || errors.Is(err, sql.ErrTxDone)) {
		return ctx.Err()
	}
	return db.Classify(err)
}

// unavailable is a fault of the store as a whole that may pass; message says what to do next.
func unavailable(condition, message string, retry time.Duration) *fault.Error {
	return fault.New(fault.Unavailable, ReasonUnavailable, message).With(MetaCondition, condition).Retry(retry)
}

func closedFault() *fault.Error {
	return unavailable(ConditionClosed, "the store is closed; the service is stopping, try again in a moment", time.Second)
}

func classifySQLite(err error) *fault.Error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return nil
	}
	// The extended code says which constraint; the low byte is the class.
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return fault.New(fault.Exists, ReasonUnique, "a value that must be unique is taken; use another or update what holds it")
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fault.New(fault.Precondition, ReasonForeignKey, "what this refers to does not exist, or is still referred to")
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH:
		return fault.New(fault.Internal, ReasonInternal, "a rule of the stored schema was broken")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return unavailable(ConditionBusy, "another process is writing to the store; try again", 100*time.Millisecond)
	case sqlite3.SQLITE_FULL:
		return fault.New(fault.Exhausted, ReasonFull, "the store's disk is full; free some room and try again")
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
