package segment

import (
	"strings"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Reasons of the faults of this package; they are those of the segment service's contract.
const (
	ReasonNotFound       = "SEGMENT_NOT_FOUND"
	ReasonExists         = "SEGMENT_EXISTS"
	ReasonInUse          = "SEGMENT_IN_USE"
	ReasonNotStatic      = "SEGMENT_NOT_STATIC"
	ReasonCycle          = "SEGMENT_CYCLE"
	ReasonOwned          = "SEGMENT_OWNED"
	ReasonListTooLong    = "LIST_TOO_LONG"
	ReasonETagMismatch   = "ETAG_MISMATCH"
	ReasonUnknownSegment = "RULE_UNKNOWN_SEGMENT"
	ReasonNotLeaseHolder = "NOT_LEASE_HOLDER"
	ReasonBlockNotFound  = "BLOCK_NOT_FOUND"
)

// NotFound says that no segment has the id.
func NotFound(id string) *fault.Error {
	name := Name(id)
	return fault.Newf(fault.NotFound, ReasonNotFound, "there is no %s; list the segments to see their names", name).With("name", name)
}

// Exists says that the id is taken.
func Exists(id string) *fault.Error {
	name := Name(id)
	return fault.Newf(fault.Exists, ReasonExists, "%s exists; update it, or choose another id", name).With("name", name)
}

// InUse says that the rule of another segment names the segment.
func InUse(id, usedBy string) *fault.Error {
	name, user := Name(id), Name(usedBy)
	return fault.Newf(fault.Precondition, ReasonInUse, "the rule of %s names %s; change that rule first", user, name).
		With("name", name).With("used_by", user).
		Unmet(ReasonInUse, user, "its rule must not name "+name)
}

// NotStatic says that the segment has a rule, or with static true that it has a list where a rule was needed.
func NotStatic(id string, static bool) *fault.Error {
	name := Name(id)
	msg := name + " has a rule, so nobody can be put on its list or taken off; change the rule, or create a segment with a static list"
	if static {
		msg = name + " has a static list, which cannot become a rule; create another segment"
	}
	return fault.New(fault.Precondition, ReasonNotStatic, msg).With("name", name).Unmet(ReasonNotStatic, name, msg)
}

// Cycle says that a rule would refer to itself along the path of ids, whose first and last are the same.
func Cycle(path []string) *fault.Error {
	names := make([]string, len(path))
	for i, id := range path {
		names[i] = Name(id)
	}
	text := strings.Join(names, " -> ")
	return fault.New(fault.Invalid, ReasonCycle, "the rule would refer to itself: "+text+"; leave one of these references out").With("path", text)
}

// Owned says that only the owner changes the segment.
func Owned(id, owner string) *fault.Error {
	name := Name(id)
	return fault.Newf(fault.Precondition, ReasonOwned, "%s belongs to %s; change it there", name, owner).
		With("name", name).With("owner", owner).Unmet(ReasonOwned, name, "change it through "+owner)
}

// ListTooLong says that a static list would exceed its limit.
func ListTooLong(limit int64) *fault.Error {
	return fault.Newf(fault.Exhausted, ReasonListTooLong, "a static list holds at most %d profiles; divide it into several segments", limit).
		With("limit", limit)
}

// ETagMismatch says that the segment has changed since it was read.
func ETagMismatch(id string) *fault.Error {
	name := Name(id)
	return fault.Newf(fault.Conflict, ReasonETagMismatch, "%s has changed since it was read; read it again and repeat the change", name).With("name", name)
}

// UnknownSegment says that a rule names a segment that does not exist.
func UnknownSegment(id string) *fault.Error {
	name := Name(id)
	return fault.New(fault.Invalid, ReasonUnknownSegment, "the rule names "+name+", which does not exist; create it first").With("segment", name)
}

// NotLeaseHolder says that the epoch is not that of the current lease.
func NotLeaseHolder() *fault.Error {
	return fault.New(fault.Unavailable, ReasonNotLeaseHolder, "another replica holds the lease of the index; send the request again")
}

// LayoutNotFound says that there is no such layout, block or ordinal.
func LayoutNotFound(layout uint32) *fault.Error {
	return fault.Newf(fault.NotFound, ReasonBlockNotFound, "no block of layout %d has that number", layout).With("layout", layout)
}
