package resolve

import (
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/revision"
)

// Consistency is how fresh an answer has to be. The zero value answers at once from the newest view.
type Consistency struct {
	// Token, unless it says nothing, is what the answer must not be older than.
	Token revision.Token
	// Fully asks the profile service for its newest position first.
	Fully bool
	// MaxStaleness, if set, bounds the age of the answer.
	MaxStaleness *time.Duration
	// AllowStale accepts an answer older than the service's bound.
	AllowStale bool
}

// check refuses a token of another store, or of this one before it was restored: its revision would be compared with that of another
// order of changes. A view that is not there yet (nil) refuses nothing.
func check(t revision.Token, v *blocks.View) error {
	if v == nil {
		return nil
	}
	other := func(p revision.Part, q blocks.Point) bool {
		return p.Present() && len(p.Mark) > 0 && q.Mark != "" && uint64(p.Revision) == q.Revision && string(p.Mark) != q.Mark
	}
	if other(t.Profile, v.Through.Profiles) || other(t.Segment, v.Through.Definitions) {
		return fault.New(fault.Precondition, revision.ReasonAnotherStore,
			"the consistency token is of this store before it was restored; drop it and read what was written again")
	}
	return t.Belongs(v.Store, v.Through.Profiles.Incarnation, v.Through.Definitions.Incarnation)
}

func (c Consistency) blocks(n Neighbours) blocks.Consistency {
	b := blocks.MinimizeLatency()
	switch {
	case c.Token.Store != "":
		// An absent part is 0, and not waited for.
		b = blocks.AtLeast(blocks.Position{Revision: uint64(c.Token.Profile.Revision), Definition: uint64(c.Token.Segment.Revision)})
	case c.Fully:
		b = blocks.FullyConsistent(n.Head)
	case c.MaxStaleness != nil:
		b = blocks.BoundedStaleness(*c.MaxStaleness)
	}
	if c.AllowStale {
		b = b.AllowStale()
	}
	return b
}
