// Package segments is how the persona service speaks with the segment service: statistics, previews, and the segment that a persona
// owns.
//
// It promises that every change of an owned segment states its owner, that only segments of that owner are touched, and that errors
// are faults of the persona service's contract: a segment service that does not answer is SEGMENTS_UNAVAILABLE, and what it says of a
// rule keeps its reason, at the field "rule". It keeps nothing.
//
// The rpc package of the persona service calls it.
package segments
