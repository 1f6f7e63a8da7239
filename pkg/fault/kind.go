package fault

// Kind is the class of a failure: what a caller can do about it, not where it came from. The zero Kind is [Internal], so a
// fault built carelessly is never mistaken for one that the caller may act on.
type Kind uint8

// The kinds, with the canonical status each becomes on the wire.
const (
	// Internal is a defect or a failure of our own that no caller can repair (INTERNAL). Its message stays inside.
	Internal Kind = iota
	// Invalid is a request that is wrong whatever the state of the system (INVALID_ARGUMENT).
	Invalid
	// NotFound names something that does not exist (NOT_FOUND).
	NotFound
	// Exists is a name or unique value that is taken (ALREADY_EXISTS).
	Exists
	// Conflict is a lost race: the etag is old, read again and repeat (ABORTED).
	Conflict
	// Precondition is a request that is right but not in this state; repeating it alone does not help (FAILED_PRECONDITION).
	Precondition
	// Exhausted is a quota, a size or a queue that is full (RESOURCE_EXHAUSTED).
	Exhausted
	// Unavailable is a passing failure: the same request may succeed later (UNAVAILABLE).
	Unavailable
	// Unauthenticated is a caller whose identity is missing or not proven (UNAUTHENTICATED).
	Unauthenticated
	// Denied is a known caller without the right (PERMISSION_DENIED).
	Denied
	// OutOfRange is a position that is no longer, or not yet, there, such as a cursor older than what is kept (OUT_OF_RANGE).
	OutOfRange
	// Deadline is work that did not end in the time it was given (DEADLINE_EXCEEDED).
	Deadline
	// Canceled is work whose caller went away (CANCELLED).
	Canceled
	// Unimplemented is a method or option that this server does not have (UNIMPLEMENTED).
	Unimplemented
	// DataLoss is stored data that is gone or fails its checks and cannot be made again (DATA_LOSS).
	DataLoss
)

var kindNames = [...]string{
	Internal: "internal", Invalid: "invalid", NotFound: "not found", Exists: "exists", Conflict: "conflict",
	Precondition: "precondition", Exhausted: "exhausted", Unavailable: "unavailable", Unauthenticated: "unauthenticated",
	Denied: "denied", OutOfRange: "out of range", Deadline: "deadline", Canceled: "canceled",
	Unimplemented: "unimplemented", DataLoss: "data loss",
}

// String returns the kind in lower-case words; a value outside the list reads as "internal".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[Internal]
}

// Kinds returns every kind, in declaration order. Tables that must cover all kinds are tested against it.
func Kinds() []Kind {
	kinds := make([]Kind, len(kindNames))
	for i := range kinds {
		kinds[i] = Kind(i)
	}
	return kinds
}
