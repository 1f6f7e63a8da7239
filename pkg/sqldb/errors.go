package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Reasons of the faults that this package makes. A driver that knows which value is meant turns the two violations into a reason
// of its own; the others may go out as they are.
const (
	ReasonUnique        = "UNIQUE_VIOLATION"      // Exists: a value that must be unique is taken
	ReasonForeignKey    = "FOREIGN_KEY_VIOLATION" // Precondition: what a row refers to is not there, or what refers to it still is
	ReasonUnavailable   = "STORE_UNAVAILABLE"     // Unavailable (DataLoss if corrupt): see MetaCondition
	ReasonFull          = "STORE_FULL"            // Exhausted: no room on the disk
	ReasonReadOnly      = "STORE_READ_ONLY"       // Precondition: the file, its folder or the connection forbids writing; Unavailable: a standby
	ReasonSchemaNewer   = "SCHEMA_NEWER"          // Precondition: the store was written by a newer program
	ReasonSchemaOlder   = "SCHEMA_OLDER"          // Precondition: the store must be migrated, and this program may not
	ReasonStoreNotFound = "STORE_NOT_FOUND"       // NotFound: there is nothing to dump
	ReasonStoreNotEmpty = "STORE_NOT_EMPTY"       // Precondition: a dump is loaded into an empty store only
	ReasonDumpDamaged   = "DUMP_DAMAGED"          // DataLoss: a dump that is not whole, or none
	ReasonDumpVersion   = "DUMP_VERSION"          // Precondition: a dump of a format that is not known
	ReasonDumpSchema    = "DUMP_SCHEMA"           // Precondition: a dump of another schema than the store's
	ReasonInternal      = "INTERNAL"              // Internal: a rule of the schema that the domain should have kept, or a defect
)

// MetaCondition is the metadata key under which a fault of the store as a whole says why: one of the Condition constants.
const MetaCondition = "condition"

// Conditions of an unavailable store.
const (
	ConditionBusy          = "busy"           // another process holds a lock, or was faster
	ConditionOverloaded    = "overloaded"     // more work waits than the store can take
	ConditionTimeout       = "timeout"        // a statement or transaction took longer than it may
	ConditionClosed        = "closed"         // shut or shutting down
	ConditionConnection    = "connection"     // the connection to the database could not be made or has broken
	ConditionCommitUnknown = "commit_unknown" // it broke during the commit: nobody may assume that the change was made, nor that it was not
	ConditionStandby       = "standby"        // the database's server is read only, as while another takes over
	ConditionIO            = "io"             // the disk or file system failed
	ConditionCannotOpen    = "cannot_open"    // no such folder or database, or no right to it
	ConditionCorrupt       = "corrupt"        // the file is damaged or not a store
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
	if f := classifyPostgres(err); f != nil {
		return f.Wrap(err)
	}
	if db.closed.Load() || errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) {
		return closedFault().Wrap(err)
	}
	if errors.Is(err, driver.ErrBadConn) {
		if db.Dialect == Postgres { // one connection after the other was dead
			return disconnected().Wrap(err)
		}
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

// engineFailed reports whether err is the engine's rather than the caller's own, so that the transaction may not be fit to go on.
func engineFailed(err error) bool {
	var file *sqlite.Error
	var server *pgconn.PgError
	var connection *connectionError
	return errors.As(err, &file) || errors.As(err, &server) || errors.As(err, &connection) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, errBusyConn) || errors.Is(err, sql.ErrTxDone)
}

// unavailable is a fault of the store as a whole that may pass; message says what to do next.
func unavailable(condition, message string, retry time.Duration) *fault.Error {
	return fault.New(fault.Unavailable, ReasonUnavailable, message).With(MetaCondition, condition).Retry(retry)
}

func closedFault() *fault.Error {
	return unavailable(ConditionClosed, "the store is closed; the service is stopping, try again in a moment", time.Second)
}

func busy() *fault.Error {
	return unavailable(ConditionBusy, "another process is writing to the store; try again", 100*time.Millisecond)
}

func full() *fault.Error {
	return fault.New(fault.Exhausted, ReasonFull, "the store's disk is full; free some room and try again")
}

func violated(reason string) *fault.Error {
	if reason == ReasonUnique {
		return fault.New(fault.Exists, ReasonUnique, "a value that must be unique is taken; use another or update what holds it")
	}
	return fault.New(fault.Precondition, ReasonForeignKey, "what this refers to does not exist, or is still referred to")
}
