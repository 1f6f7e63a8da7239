package sqlstore

import (
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
)

// fail names the operation. The store's faults that are not part of the segment service's contract become ones that are: a
// constraint that the code above should have kept is a defect. All others pass as they are.
func fail(operation string, err error) error {
	if f := fault.As(err); f != nil && (f.Reason == sqldb.ReasonUnique || f.Reason == sqldb.ReasonForeignKey) {
		err = fault.New(fault.Internal, sqldb.ReasonInternal, f.Message).Wrap(err)
	}
	return sqldb.While(operation, sqldb.OneReason(err))
}
