package sqldb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
)

func TestOneReasonKeepsAllButTheReason(t *testing.T) {
	cause := errors.New("cause")
	in := fault.New(fault.Unavailable, sqldb.ReasonReadOnly, "m").With(sqldb.MetaCondition, sqldb.ConditionStandby).Retry(time.Second).Wrap(cause)
	err := sqldb.OneReason(sqldb.While("write", in))
	got := fault.As(err)
	if got == nil || got.Reason != sqldb.ReasonUnavailable || got.Kind != fault.Unavailable || got.Message != "m" ||
		got.Metadata[sqldb.MetaCondition] != sqldb.ConditionStandby || got.RetryAfter != time.Second || !errors.Is(err, cause) {
		t.Errorf("got %v (%+v)", err, got)
	}
	if in.Reason != sqldb.ReasonReadOnly {
		t.Error("the fault that was given has changed")
	}
	for _, other := range []error{nil, cause, context.Canceled, fault.New(fault.Exists, sqldb.ReasonUnique, "taken")} {
		if got := sqldb.OneReason(other); !errors.Is(got, other) || fault.ReasonOf(got) != fault.ReasonOf(other) {
			t.Errorf("%v became %v", other, got)
		}
	}
	if err := sqldb.While("write", nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}

func TestAMomentComesBackFromAStoreAsItWas(t *testing.T) {
	at := time.Date(2026, 11, 22, 3, 4, 5, 6789, time.FixedZone("x", 3600))
	if got := sqldb.Moment(at); !got.Equal(time.UnixMicro(got.UnixMicro())) || got.Location() != time.UTC || at.Sub(got) != 789 {
		t.Errorf("moment %v of %v", got, at)
	}
}
