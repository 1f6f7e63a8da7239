package profile

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
