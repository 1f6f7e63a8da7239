package profile

import "github.com/narrowcast/narrowcast/pkg/fault"

// MergePolicy says which of two values wins where two profiles of one person contradict each other.
type MergePolicy uint8

// The policies. Where neither rule tells the values apart, the survivor's wins.
const (
	// MergeMostRecent takes the value that was changed last.
	MergeMostRecent MergePolicy = iota
	// MergeMostTrusted takes the value from the source that is trusted most, and of equally trusted ones the one that was
	// changed last.
	MergeMostTrusted
)

// MergeOptions say how two profiles are merged.
type MergeOptions struct {
	// Etag and MergedEtag, if given, must be those of the profile that remains and of the one that goes.
	Etag, MergedEtag string
	Policy           MergePolicy
	// Trust names sources from the most trusted on; it counts for MergeMostTrusted alone.
	Trust []string
}

// AlreadyMerged is the fault about a merge of two profiles that are one; name is that of the one that would have gone.
func AlreadyMerged(name string) error {
	return fault.New(fault.Precondition, ReasonAlreadyMerged, name+" is the profile that remains, or was merged into it already; there is nothing to do").With("name", name)
}

// MergeNotFound is the fault about a profile that was not merged into another one.
func MergeNotFound(name string) error {
	return fault.New(fault.NotFound, ReasonMergeNotFound, name+" is not the name of a profile that was merged into another one").With("name", name)
}

// MergeExpired is the fault about a merge that can no longer be undone.
func MergeExpired(name string) error {
	return fault.New(fault.Precondition, ReasonMergeExpired, "the period is over in which the merge of "+name+" could be undone; create a new profile instead").With("name", name)
}

// MergeBuiltUpon is the fault about a merge on whose result a later change stands, one of the profile into which it was merged.
func MergeBuiltUpon(name, message string) error {
	return fault.New(fault.Precondition, ReasonMergeBuiltUpon, "the merge of "+name+" cannot be undone: "+message).With("name", name)
}
