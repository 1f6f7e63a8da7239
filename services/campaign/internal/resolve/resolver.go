package resolve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/campaign"
)

// Stable reasons, as narrowcast.campaign.v1.ErrorReason names them.
const (
	ReasonSegmentBuilding    = "SEGMENT_BUILDING"
	ReasonRuleUnsupported    = "RULE_UNSUPPORTED"
	ReasonUnknownAttribute   = "RULE_UNKNOWN_ATTRIBUTE"
	ReasonProfileNotFound    = "PROFILE_NOT_FOUND"
	ReasonResumeTokenInvalid = "RESUME_TOKEN_INVALID"
	ReasonGoingAway          = "SERVER_GOING_AWAY"
	ReasonChanging           = "DEFINITIONS_CHANGING"
	ReasonLayoutGone         = blocks.ReasonLayoutGone
)

// Segment is what the segment service says of a segment that the manifest does not have.
type Segment struct {
	UID   string
	Owner string
	// Progress is the share of blocks that have it, in percent.
	Progress int
}

// Neighbours are the services that are asked where the manifest does not suffice.
type Neighbours interface {
	// Segment returns a segment by its name; NotFound where there is none.
	Segment(ctx context.Context, name string) (Segment, error)
	// Head returns the newest position of the profile service.
	Head(ctx context.Context) (blocks.Position, error)
}

// Config says what a Resolver answers from.
type Config struct {
	Reader *blocks.Reader
	// Follower is the reader's.
	Follower   *blocks.Follower
	Neighbours Neighbours
	// Now is the clock by which it is today.
	Now func() time.Time
}

// Resolver answers questions about audiences. It is safe for concurrent use.
type Resolver struct {
	cfg      Config
	catalogs atomic.Pointer[catalog] // of the definitions last seen
	plans    plans
	every    atomic.Pointer[lookups] // what all segments are looked up by
}

// New returns a resolver.
func New(cfg Config) (*Resolver, error) {
	if cfg.Reader == nil || cfg.Follower == nil || cfg.Neighbours == nil || cfg.Now == nil {
		return nil, errors.New("new resolver: reader, follower, neighbours and clock are needed")
	}
	return &Resolver{cfg: cfg}, nil
}

// Rule is a segment whose rule an answer used.
type Rule struct {
	Segment string
	Version uint64
}

// Info says what an answer was made from.
type Info struct {
	Store   string
	Through blocks.Through
	Age     time.Duration
	Rules   []Rule
	Stats   blocks.Stats
}

func info(s *blocks.Session, plans ...*plan) Info {
	i := Info{Store: s.View().Store, Through: s.Through(), Age: s.Age(), Stats: s.Stats()}
	if len(plans) == 1 {
		i.Rules = plans[0].rules
		return i
	}
	for _, p := range plans {
		i.Rules = append(i.Rules, p.rules...)
	}
	i.Rules = slices.Compact(sorted(i.Rules))
	return i
}

// answer runs one question under a session and its plan, again if definitions were replaced in the middle.
func (r *Resolver) answer(ctx context.Context, spec campaign.Spec, c Consistency, do func(*blocks.Session, *plan) error) error {
	return r.ask(ctx, c, func(s *blocks.Session) error {
		p, err := r.planned(ctx, s.View(), spec)
		if err != nil {
			return err
		}
		return do(s, p)
	})
}

// ask runs one question under a session, again if definitions were replaced in the middle.
func (r *Resolver) ask(ctx context.Context, c Consistency, do func(*blocks.Session) error) error {
	// A token of another store is refused before it is waited for.
	if err := check(c.Token, r.cfg.Follower.View()); err != nil {
		return err
	}
	err := r.cfg.Reader.Answer(ctx, c.blocks(r.cfg.Neighbours), func(s *blocks.Session) error {
		if err := check(c.Token, s.View()); err != nil {
			return err
		}
		return do(s)
	})
	if errors.Is(err, blocks.ErrDefinitionsMoved) {
		return fault.New(fault.Unavailable, ReasonChanging, "definitions changed too often while the answer was made; repeat the request").
			Retry(time.Second).Wrap(err)
	}
	return err
}

// Check returns all that is wrong with a spec, as one Invalid fault with field paths that begin with "spec". What was created a moment
// ago and is not yet in the manifest is not wrong: its owner is asked before a name is refused.
func (r *Resolver) Check(ctx context.Context, spec campaign.Spec) error {
	// The first view is waited for. A stale one still knows the words; what it does not know is asked for below.
	s, err := r.cfg.Reader.Begin(ctx, blocks.AtLeast(blocks.Position{}).AllowStale())
	if errors.Is(err, blocks.ErrTokenNotReached) {
		return blocks.ErrNotReady.Retry(time.Second).Wrap(err)
	}
	if err != nil {
		return err
	}
	if _, err = r.plan(ctx, s.View(), spec, true); !names(err, ReasonUnknownAttribute) {
		return err
	}
	// The attribute may have been declared a moment ago.
	s, again := r.cfg.Reader.Begin(ctx, blocks.FullyConsistent(r.cfg.Neighbours.Head).AllowStale())
	if again != nil {
		return fmt.Errorf("look for a new attribute: %w", again)
	}
	_, err = r.plan(ctx, s.View(), spec, true)
	return err
}

// names reports whether a violation of err has the reason.
func names(err error, reason string) bool {
	f := fault.As(err)
	if f == nil {
		return false
	}
	for _, v := range f.Violations {
		if v.Reason == reason {
			return true
		}
	}
	return f.Reason == reason
}
