package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/profile"
)

// translate turns an error of the database into a fault of this service's contract, whose reasons the database kit shares but
// for broken constraints. Faults of the domain and context errors pass; anything unknown is internal.
func (s *Store) translate(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	err = s.db.Classify(err)
	f := fault.As(err)
	if f == nil || f.Reason == sqldb.ReasonUnique || f.Reason == sqldb.ReasonForeignKey {
		// The stage checks before it writes: a constraint that fails nevertheless is a defect.
		return fault.New(fault.Internal, profile.ReasonInternal, "the profile store failed").Wrap(err)
	}
	return err
}

// errStale says that another process changed what a group had read: the group is applied again, to what is there now.
var errStale = fmt.Errorf("what was read is not what is there: %w", sqldb.ErrRetryGroup)
