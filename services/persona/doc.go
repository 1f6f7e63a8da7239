// Package persona holds the nouns of the persona service: the [Persona], a fictional representative of a segment, the [Evidence] that
// it rests on, and the [Store] that keeps them.
//
// It promises that what [Persona.Check] accepts means something, and that the segment a persona owns is a function of its id
// ([SegmentID]), so that a segment left behind by a crash is found again. It stores no membership: who a persona stands for is the
// membership of its segment, which the segment service keeps.
//
// It does no I/O. The rooms of the persona service import it, and nobody else.
package persona
