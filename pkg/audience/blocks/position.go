package blocks

import (
	"fmt"
	"time"
)

// Format is the version of everything that is kept in a block store: keys, meta, rows, columns and dictionaries. It is part of
// the key, so two formats never read each other's blocks.
const Format uint32 = 1

// Epoch names one holding of the lease under which blocks are written. Epochs are ordered by Number; two holdings that drew the
// same number (after the lease table was restored) differ in Random and are then not the same epoch.
type Epoch struct {
	Number uint64
	Random uint64
}

// Position is a pair of revisions: of the profile store, and of the segment store (the definition revision). Each only grows.
type Position struct {
	Revision   uint64
	Definition uint64
}

// Reaches reports whether p is at or after q in both parts.
func (p Position) Reaches(q Position) bool {
	return p.Revision >= q.Revision && p.Definition >= q.Definition
}

// String returns "revision/definition".
func (p Position) String() string { return fmt.Sprintf("%d/%d", p.Revision, p.Definition) }

// Point is a revision of one store with what a consistency token needs to name it: the life of the store, and the random mark
// (raw bytes) that was committed with the revision.
type Point struct {
	Incarnation string
	Revision    uint64
	Mark        string
}

// Through closes a frame of the manifest: every block reflects these points, and the block store has acknowledged it.
type Through struct {
	Profiles    Point
	Definitions Point
	// Age is how long before the frame was sent the segment service asked the profile service for a head that Profiles has
	// reached. It is measured by the sender's monotonic clock.
	Age time.Duration
	// Echo is the newest number that the sender had received from this reader; 0 before the first.
	Echo uint64
}

// Position returns the two revisions.
func (t Through) Position() Position {
	return Position{Revision: t.Profiles.Revision, Definition: t.Definitions.Revision}
}
