package sqldb

import (
	"crypto/tls"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// SQLSTATE codes with a meaning of their own, from appendix A of PostgreSQL's manual.
const (
	codeUnique         = "23505"
	codeExclusion      = "23P01"
	codeRestrict       = "23001"
	codeForeignKey     = "23503"
	codeSerialization  = "40001"
	codeDeadlock       = "40P01"
	codeUnknownOutcome = "40003" // statement_completion_unknown
	codeTxUnknown      = "08007" // transaction_resolution_unknown
	codeLockTimeout    = "55P03"
	codeCanceled       = "57014" // by statement_timeout, or by a cancel request
	codeIdleInTx       = "25P03"
	codeTxTimeout      = "25P04"
	codeReadOnly       = "25006"
	codeDiskFull       = "53100"
	codeNoRight        = "42501"
	codeDropped        = "57P04" // database_dropped
	codeDataCorrupt    = "XX001"
	codeIndexCorrupt   = "XX002"
)

// classifyPostgres turns an error of PostgreSQL or of the connection to it into a fault; nil if it is neither.
func classifyPostgres(err error) *fault.Error {
	var unknown *commitUnknownError
	if errors.As(err, &unknown) {
		return commitUnknown()
	}
	var connection *connectionError
	if errors.As(err, &connection) {
		return connection.as
	}
	var engine *pgconn.PgError
	if errors.As(err, &engine) {
		return classifyState(engine.Code)
	}
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errStandby):
		return standby()
	case errors.Is(err, errSettings):
		return unavailable(ConditionCannotOpen, "the database does not take the session's settings; connect directly, or through a pooler that keeps one "+
			"session for each connection and passes search_path on", 0)
	case errors.As(err, &certificate):
		return unavailable(ConditionCannotOpen, "the database's certificate is not trusted; check sslmode and sslrootcert of its URL", 0)
	case errors.Is(err, errRolledBack), errors.Is(err, errBusyConn):
		return fault.New(fault.Internal, ReasonInternal, "the store met a defect")
	}
	return nil
}

func classifyState(code string) *fault.Error {
	switch code {
	case codeUnique, codeExclusion:
		return violated(ReasonUnique)
	case codeForeignKey, codeRestrict:
		return violated(ReasonForeignKey)
	case codeSerialization, codeDeadlock, codeLockTimeout:
		return busy()
	case codeCanceled, codeIdleInTx, codeTxTimeout:
		return unavailable(ConditionTimeout, "the store took too long to answer; ask for less, or try again", time.Second)
	case codeReadOnly:
		return standby()
	case codeDiskFull:
		return full()
	case codeNoRight:
		return unavailable(ConditionCannotOpen, "the database role lacks a right that it needs; grant it the schema and what is in it", 0)
	case codeDropped:
		return cannotConnect()
	case codeTxUnknown, codeUnknownOutcome:
		return commitUnknown()
	case codeDataCorrupt, codeIndexCorrupt:
		return fault.New(fault.DataLoss, ReasonUnavailable, "the database reports damaged data; restore it from a copy").
			With(MetaCondition, ConditionCorrupt)
	}
	switch class(code) {
	case "08", "57":
		return disconnected()
	case "28", "3D":
		return cannotConnect()
	case "53":
		return unavailable(ConditionOverloaded, "the database has no room for more work; try again later", time.Second)
	case "58":
		return unavailable(ConditionIO, "the database failed to read or write its files; check its disk", 0)
	}
	return fault.New(fault.Internal, ReasonInternal, "the store failed")
}

// standby is a server that accepts no writes: while another takes over, which is a matter of seconds, or because it was set so.
func standby() *fault.Error {
	return fault.New(fault.Unavailable, ReasonReadOnly, "the database accepts no writes now; try again, and if it stays so check that its URL names the primary").
		With(MetaCondition, ConditionStandby).Retry(time.Second)
}

func disconnected() *fault.Error {
	return unavailable(ConditionConnection, "the connection to the database failed; try again in a moment", time.Second)
}

func cannotConnect() *fault.Error {
	return unavailable(ConditionCannotOpen, "the database refuses us; check the user, the password and the database name in its URL, and the server's pg_hba.conf", 0)
}

func commitUnknown() *fault.Error {
	return unavailable(ConditionCommitUnknown, "the connection to the database broke during the commit, so it is not known whether the change was made; "+
		"read it before you repeat it", 0)
}

// conflicted reports whether err says that another process committed something in our way, so that the same work, done again
// from the start, reads it and comes to its own proper end.
func conflicted(err error) bool {
	var engine *pgconn.PgError
	return errors.As(err, &engine) && engine.Code == codeUnique || lostTo(err)
}

// lostTo reports whether a transaction was ended in favour of another, for no fault of its own.
func lostTo(err error) bool {
	var engine *pgconn.PgError
	return errors.As(err, &engine) && (engine.Code == codeSerialization || engine.Code == codeDeadlock)
}

// isUnknown reports whether it is not known what became of a commit.
func isUnknown(err error) bool {
	f := fault.As(err)
	return f != nil && f.Metadata[MetaCondition] == ConditionCommitUnknown
}
