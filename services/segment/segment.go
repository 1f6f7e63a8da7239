package segment

import (
	"slices"
	"strings"
	"time"
)

// Limits of a segment.
const (
	// MaxMembers is the number of profiles a static list can hold.
	MaxMembers = 1_000_000
	// MaxChange is the number of profiles that one change of a static list can name.
	MaxChange = 10_000
)

// namePrefix begins the resource name of every segment.
const namePrefix = "segments/"

// Segment is a named part of the market, by a rule or by a static list.
type Segment struct {
	// ID is the last part of the resource name: lower-case letters, digits and hyphens, at most 63 characters. It never changes.
	ID string
	// UID is a UUID in its text form that no other segment ever has, also not one with the same id later.
	UID string
	// DisplayName and Description are for people.
	DisplayName string
	Description string
	// Rule is the text of the rule; empty where Static.
	Rule string
	// Static says that the members are a list kept in the store.
	Static bool
	// Members is the number of profiles on the list; 0 for a rule.
	Members int64
	// Owner is the resource name of the owner, such as "personas/commuter"; empty for none. It never changes.
	Owner string
	// References are the segments that the rule names directly, sorted by uid, each once.
	References []Reference
	// Version counts the definitions (rule texts or states of the list) from 1.
	Version int64
	// DefinitionRevision is the revision at which the definition last changed.
	DefinitionRevision uint64
	// Revision is the revision at which anything of the segment last changed.
	Revision uint64
	// ETag is a quoted text that changes with every change of the segment (AIP-154).
	ETag string
	// CreateTime and UpdateTime are when the segment was created and last changed, in UTC.
	CreateTime time.Time
	UpdateTime time.Time
}

// Reference is a segment that a rule names. Both parts hold for as long as the reference: a segment in use is not deleted, and
// none is renamed.
type Reference struct {
	ID  string
	UID string
}

// Name returns the resource name, "segments/{id}".
func (s *Segment) Name() string { return namePrefix + s.ID }

// ReferenceUIDs returns the uids of the segments that the rule names directly, sorted.
func (s *Segment) ReferenceUIDs() []string {
	uids := make([]string, len(s.References))
	for i, r := range s.References {
		uids[i] = r.UID
	}
	return uids
}

// Name returns the resource name of the segment with an id.
func Name(id string) string { return namePrefix + id }

// ParseName returns the id in a resource name. It accepts a bare id too, since rules may name a segment either way; whether the
// segment exists is for the store to say.
func ParseName(name string) (id string, ok bool) {
	id = strings.TrimPrefix(name, namePrefix)
	return id, ValidID(id)
}

// ValidID reports whether id is a segment's id: RFC 1034's label in lower case, beginning with a letter.
func ValidID(id string) bool {
	if id == "" || len(id) > 63 || id[0] < 'a' || id[0] > 'z' || id[len(id)-1] == '-' {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// SortReferences puts references into the order of [Segment.References] and removes doubles.
func SortReferences(refs []Reference) []Reference {
	slices.SortFunc(refs, func(a, b Reference) int { return strings.Compare(a.UID, b.UID) })
	return slices.CompactFunc(refs, func(a, b Reference) bool { return a.UID == b.UID })
}

// Position is a definition revision with what a consistency token needs to name it.
type Position struct {
	// Incarnation is the life of the segment store.
	Incarnation string
	// Revision is the definition revision; 0 is before the first change.
	Revision uint64
	// Mark holds the random bytes that were committed with the revision; empty at 0.
	Mark string
}

// Epoch is a lease's number and the random value drawn with it: ordered by the number, equal only if both are.
type Epoch struct {
	Number uint64
	Random uint64
}
