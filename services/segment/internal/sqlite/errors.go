package sqlite

import (
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
)

// fail names the operation. The store's faults that are not part of the segment service's contract become ones that are: a
// constraint that the code above should have kept is a defect. All others pass as they are.
func fail(operation string, err error) error {
	if err == nil {
		return nil
	}
	if f := fault.As(err); f != nil {
		switch f.Reason {
		case sqldb.ReasonUnique, sqldb.ReasonForeignKey:
			err = fault.New(fault.Internal, sqldb.ReasonInternal, f.Message).Wrap(err)
		case sqldb.ReasonReadOnly:
			err = fault.New(fault.Precondition, sqldb.ReasonUnavailable, f.Message).Wrap(err)
		}
	}
	return fmt.Errorf("%s: %w", operation, err)
}
