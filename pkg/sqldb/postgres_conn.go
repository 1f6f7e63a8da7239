package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// This file stands between pgx and everything that sees its errors (telemetry, the callers). It takes out of them what may quote
// a person's data, tells apart by type what only the driver knows (a connection that broke, a commit nobody knows the outcome of,
// the caller's own context), and gives the end of a transaction a time of its own.

const (
	// commitTimeout bounds a commit. A caller who leaves in its middle does not end it, since then nobody would know.
	commitTimeout   = 30 * time.Second
	rollbackTimeout = 5 * time.Second
)

// errBadConn tells database/sql to drop the connection and to try again on another.
var errBadConn = driver.ErrBadConn

// errBusyConn is a defect of a driver: SQLite lets statements mingle, PostgreSQL does not.
var errBusyConn = errors.New("a statement was run in a transaction while the rows of another were open; close them first")

// errRolledBack is a defect of a driver: a statement failed, its error was dropped, and the transaction was to be committed.
var errRolledBack = errors.New("the transaction was rolled back, since a statement in it had failed")

// connectionError is a connection that could not be made or has broken. Nothing of its transaction was committed.
type connectionError struct {
	err    error
	as     *fault.Error // what it is to callers
	sealed bool         // hides a time-out of the connection's own, which would be taken for the caller's
}

func (e *connectionError) Error() string { return "connection: " + e.err.Error() }

func (e *connectionError) Unwrap() error {
	if e.sealed {
		return nil
	}
	return e.err
}

func lostConnection(err error) *connectionError {
	return &connectionError{err: err, as: disconnected(), sealed: true}
}

// commitUnknownError is a commit that was sent and not answered.
type commitUnknownError struct{ err error }

func (e *commitUnknownError) Error() string { return "commit without an answer: " + e.err.Error() }
func (e *commitUnknownError) Unwrap() error { return e.err }

// withheldError is an error of the driver itself, such as an argument that is no uuid. Its words may quote the argument.
type withheldError struct{ err error }

func (e *withheldError) Error() string {
	return fmt.Sprintf("the driver could not handle an argument or a column (%T, words withheld: they may quote a value)", e.err)
}
func (e *withheldError) Unwrap() error { return e.err }

type pgConnector struct {
	driver.Connector
	reads bool
}

func (c pgConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err == nil {
		return &pgConn{Conn: conn.(*stdlib.Conn), reads: c.reads}, nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("connect: %w", ctx.Err())
	}
	e := &connectionError{err: err, as: classifyPostgres(err), sealed: errors.Is(err, context.DeadlineExceeded)}
	if e.as == nil {
		e.as = disconnected()
	}
	return nil, e
}

type pgConn struct {
	*stdlib.Conn
	reads bool // statements change nothing and may be sent again
}

func (c *pgConn) IsValid() bool { return !c.Conn.Conn().IsClosed() }

// ExecContext runs a statement. pgx calls it safe to repeat when the connection breaks while the answer to a statement without
// arguments is awaited, which it is not: only on a connection that was known to be closed before has nothing been sent.
func (c *pgConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.ready(); err != nil {
		return nil, err
	}
	res, err := c.Conn.ExecContext(ctx, query, args)
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	return res, nil
}

// QueryContext runs a query, with the same care.
func (c *pgConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.ready(); err != nil {
		return nil, err
	}
	again := c.reads && c.Conn.Conn().PgConn().TxStatus() == 'I'
	rows, err := c.Conn.QueryContext(ctx, query, args)
	if err != nil {
		if again && ctx.Err() == nil && broken(err) {
			return nil, errBadConn
		}
		return nil, c.failed(ctx, err)
	}
	return &pgRows{Rows: rows.(*stdlib.Rows), ctx: ctx}, nil
}

// ready reports why no statement can be sent now.
func (c *pgConn) ready() error {
	switch conn := c.Conn.Conn(); {
	case conn.IsClosed():
		return errBadConn
	case conn.PgConn().IsBusy():
		return errBusyConn
	}
	return nil
}

// failed is clean for a statement that may have been sent: database/sql must not send it again.
func (c *pgConn) failed(ctx context.Context, err error) error {
	if errors.Is(err, driver.ErrBadConn) && ctx.Err() == nil {
		return lostConnection(err)
	}
	return clean(ctx, err)
}

func (c *pgConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	stmt, err := c.Conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, clean(ctx, err)
	}
	return &pgStmt{Stmt: stmt.(*stdlib.Stmt), conn: c}, nil
}

// BeginTx begins a transaction. On a connection that turns out to be dead nothing has begun, so another is tried.
func (c *pgConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	conn := c.Conn.Conn()
	if conn.IsClosed() {
		return nil, errBadConn
	}
	var o pgx.TxOptions
	switch sql.IsolationLevel(opts.Isolation) {
	case sql.LevelDefault, sql.LevelReadCommitted:
	case sql.LevelRepeatableRead, sql.LevelSnapshot:
		o.IsoLevel = pgx.RepeatableRead
	case sql.LevelSerializable:
		o.IsoLevel = pgx.Serializable
	default:
		return nil, fmt.Errorf("isolation level %s is not supported", sql.IsolationLevel(opts.Isolation))
	}
	if opts.ReadOnly {
		o.AccessMode = pgx.ReadOnly
	}
	tx, err := conn.BeginTx(ctx, o)
	if err != nil {
		if ctx.Err() == nil && broken(err) {
			return nil, errBadConn
		}
		return nil, clean(ctx, err)
	}
	return &pgTx{tx: tx, conn: conn, reads: opts.ReadOnly || c.reads}, nil
}

type pgStmt struct {
	*stdlib.Stmt
	conn *pgConn
}

func (s *pgStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.conn.ready(); err != nil {
		return nil, err
	}
	res, err := s.Stmt.ExecContext(ctx, args)
	if err != nil {
		return nil, s.conn.failed(ctx, err)
	}
	return res, nil
}

func (s *pgStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.conn.ready(); err != nil {
		return nil, err
	}
	rows, err := s.Stmt.QueryContext(ctx, args)
	if err != nil {
		return nil, s.conn.failed(ctx, err)
	}
	return &pgRows{Rows: rows.(*stdlib.Rows), ctx: ctx}, nil
}

type pgRows struct {
	*stdlib.Rows
	ctx context.Context // of the query
}

func (r *pgRows) Next(dest []driver.Value) error {
	err := r.Rows.Next(dest)
	if err == nil || err == io.EOF { //nolint:errorlint // the end of the rows is exactly this; a broken connection wraps it
		return err
	}
	return clean(r.ctx, err)
}

func (r *pgRows) Close() error { return clean(r.ctx, r.Rows.Close()) }

type pgTx struct {
	tx    pgx.Tx
	conn  *pgx.Conn
	reads bool
}

// Commit commits, and says of every failure whether nothing was committed or nobody knows.
func (t *pgTx) Commit() error {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	unsent := t.conn.IsClosed()
	err := t.tx.Commit(ctx)
	var engine *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return errRolledBack
	case errors.As(err, &engine) && !fatal(engine):
		return clean(ctx, err) // the server's own no
	case t.reads || unsent:
		return lostConnection(redact(err))
	}
	return &commitUnknownError{lostConnection(redact(err))}
}

func (t *pgTx) Rollback() error {
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
	defer cancel()
	return clean(ctx, t.tx.Rollback(ctx))
}

// clean is what leaves this file in the place of an error of pgx under ctx.
func clean(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, driver.ErrBadConn) || errors.Is(err, driver.ErrSkip) {
		return err
	}
	var engine *pgconn.PgError
	switch {
	case errors.As(err, &engine):
		if engine.Code == codeCanceled && ctx.Err() != nil {
			return fmt.Errorf("statement ended: %w", ctx.Err())
		}
		return redact(err)
	case ctx.Err() != nil:
		return fmt.Errorf("statement ended: %w", ctx.Err())
	case broken(err):
		return lostConnection(err)
	}
	return &withheldError{err}
}

// broken reports whether the connection cannot be used after err.
func broken(err error) bool {
	var engine *pgconn.PgError
	if errors.As(err, &engine) {
		return fatal(engine)
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, driver.ErrBadConn)
}

// fatal reports whether the server closes the connection with this error.
func fatal(e *pgconn.PgError) bool {
	severity := e.SeverityUnlocalized
	if severity == "" {
		severity = e.Severity
	}
	return severity == "FATAL" || severity == "PANIC"
}

// withheld stands for the words of the server that may quote a value.
const withheld = "(words withheld: they may quote a value)"

// redact takes the values out of a server's error, in place. What a constraint refused stands in the detail ("Key (email)=(...)
// already exists"), and the message itself quotes values in the classes that are about values: 22 (data), P0 (raised by
// functions), XX (internal) and all that is not known here.
func redact(err error) error {
	var engine *pgconn.PgError
	if !errors.As(err, &engine) {
		return err
	}
	engine.Detail, engine.Hint, engine.Where, engine.InternalQuery = "", "", "", ""
	switch class(engine.Code) {
	case "08", "0A", "23", "25", "28", "2D", "3D", "3F", "40", "42", "53", "54", "55", "57", "58":
	default:
		engine.Message = withheld
	}
	return err
}

// class is the class of an SQLSTATE: its first two characters.
func class(code string) string { return code[:min(2, len(code))] }
