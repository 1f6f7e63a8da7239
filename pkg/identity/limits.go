package identity

import (
	"maps"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Limits are the most identifiers of each kind that one person may have. A kind that is not in it has its default limit. More
// of them than a person has is the mark of a shared value: a shop's till, a call centre, a default in a form.
type Limits map[string]int

// DefaultLimits returns the limits that apply where nothing else is said.
func DefaultLimits() Limits { return maps.Clone(defaultLimits) }

var defaultLimits = Limits{ExternalID: 32, Email: 8, Phone: 8, MobileAdID: 16, Cookie: 64, DeviceID: 32, UID2Token: 16}

// Of returns the limit of a kind, 0 if there is no such kind.
func (l Limits) Of(kind string) int {
	if limit, ok := l[kind]; ok {
		return limit
	}
	return defaultLimits[kind]
}

// Check returns an Invalid fault with reason TOO_MANY_IDENTIFIERS if there are more identifiers of a kind than its limit, or
// INVALID_IDENTIFIER if there is no such kind. Counts are by kind.
func (l Limits) Check(counts map[string]int) error {
	for kind := range counts {
		if !IsKind(kind) {
			return errKind
		}
	}
	i := slices.IndexFunc(Kinds, func(kind string) bool { return counts[kind] > l.Of(kind) })
	if i < 0 {
		return nil
	}
	kind := Kinds[i]
	return fault.Newf(fault.Invalid, ReasonLimit, "a person may have at most %d identifiers of kind %s, not %d; keep those seen last",
		l.Of(kind), kind, counts[kind]).With("kind", kind).With("limit", l.Of(kind)).With("count", counts[kind])
}
