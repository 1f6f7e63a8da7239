package persona

import "github.com/narrowcast/narrowcast/pkg/fault"

// Stable reasons, as narrowcast.persona.v1.ErrorReason names them.
const (
	ReasonValidation          = "VALIDATION_FAILED"
	ReasonNotFound            = "PERSONA_NOT_FOUND"
	ReasonExists              = "PERSONA_EXISTS"
	ReasonRuleRequired        = "PERSONA_RULE_REQUIRED"
	ReasonSegmentEmpty        = "SEGMENT_EMPTY"
	ReasonEtagMismatch        = "ETAG_MISMATCH"
	ReasonUnknownField        = "UNKNOWN_FIELD"
	ReasonSegmentsUnavailable = "SEGMENTS_UNAVAILABLE"
	ReasonStoreUnavailable    = "STORE_UNAVAILABLE"
	ReasonStoreFull           = "STORE_FULL"
)

// NotFound is the fault about a name that no persona has.
func NotFound(name string) *fault.Error {
	return fault.New(fault.NotFound, ReasonNotFound, "there is no "+name+"; list the personas to see their names").With("name", name)
}

// Exists is the fault about a name that is taken.
func Exists(name string) *fault.Error {
	return fault.New(fault.Exists, ReasonExists, name+" exists; update it or choose another id").With("name", name)
}

// EtagMismatch is the fault about a persona that has changed since it was read.
func EtagMismatch(name string) *fault.Error {
	return fault.New(fault.Conflict, ReasonEtagMismatch, name+" has changed since it was read; read it again and repeat the change").With("name", name)
}

// SegmentEmpty is the fault about a segment that holds nobody to make a persona from.
func SegmentEmpty(segment string) *fault.Error {
	return fault.New(fault.Precondition, ReasonSegmentEmpty, segment+" has no members to make a persona from; widen its rule or import profiles").
		With("segment", segment).Unmet(ReasonSegmentEmpty, segment, "it needs at least one member")
}
