package sqldb_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
)

// What a test cannot make a server say, by the codes of appendix A of PostgreSQL's manual. The words are of another language,
// since they are nobody's to read.
func TestCodesOfPostgresHaveTheirFaults(t *testing.T) {
	db := open(t, sqldb.SQLite, sqldb.Config{})
	for _, c := range []struct {
		codes     []string
		kind      fault.Kind
		reason    string
		condition string
		retry     bool
	}{
		{[]string{"23505", "23P01"}, fault.Exists, sqldb.ReasonUnique, "", false},
		{[]string{"23503", "23001"}, fault.Precondition, sqldb.ReasonForeignKey, "", false},
		{[]string{"40001", "40P01", "55P03"}, fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionBusy, true},
		{[]string{"57014", "25P03", "25P04"}, fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionTimeout, true},
		{[]string{"53100"}, fault.Exhausted, sqldb.ReasonFull, "", false},
		{[]string{"53000", "53200", "53300", "53400"}, fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionOverloaded, true},
		{[]string{"08000", "08003", "08006", "57P01", "57P02", "57P03", "57P05"}, fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionConnection, true},
		{[]string{"08007", "40003"}, fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionCommitUnknown, false},
		{[]string{"25006"}, fault.Unavailable, sqldb.ReasonReadOnly, sqldb.ConditionStandby, true},
		{[]string{"28000", "28P01", "3D000", "42501", "57P04"}, fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionCannotOpen, false},
		{[]string{"58030", "58P01"}, fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionIO, false},
		{[]string{"XX001", "XX002"}, fault.DataLoss, sqldb.ReasonUnavailable, sqldb.ConditionCorrupt, false},
		{[]string{"42601", "42P01", "42703", "22P02", "23502", "23514", "25P02", "0A000", "XX000", "P0001", "99999", "4", ""},
			fault.Internal, sqldb.ReasonInternal, "", false},
	} {
		for _, code := range c.codes {
			raw := &pgconn.PgError{Severity: "FEHLER", Code: code, Message: "ein Wort"}
			err := db.Classify(fmt.Errorf("insert: %w", raw))
			refused(t, code, err, c.kind, c.reason, c.condition)
			if f := fault.As(err); f == nil || (f.RetryAfter > 0) != c.retry {
				t.Errorf("%s: an invitation to repeat, or none: %v", code, err)
			}
		}
	}
}
