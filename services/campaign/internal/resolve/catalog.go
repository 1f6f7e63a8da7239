package resolve

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/rule"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/campaign"
)

// catalog is what one state of the definitions says, made for looking up. It is immutable.
type catalog struct {
	defs   *blocks.Definitions
	schema *audience.Schema
	zone   *time.Location
	name   map[string]*blocks.SegmentDefinition
	owner  map[string]*blocks.SegmentDefinition
	uid    map[string]*blocks.SegmentDefinition
	days   map[int64]bool
}

// catalog returns the catalog of definitions, which travel whole and change rarely: the last one made is kept.
func (r *Resolver) catalog(defs *blocks.Definitions) (*catalog, error) {
	if c := r.catalogs.Load(); c != nil && c.defs == defs {
		return c, nil
	}
	schema, err := audience.NewSchema(defs.Currency, defs.Attributes)
	if err != nil {
		return nil, fault.New(fault.Internal, "INTERNAL", "the index announced attributes that cannot be").Wrap(err)
	}
	zone, err := time.LoadLocation(defs.Zone)
	if err != nil {
		return nil, fault.New(fault.Internal, "INTERNAL", "the index announced a time zone that this program does not know").Wrap(err)
	}
	c := &catalog{
		defs: defs, schema: schema, zone: zone, days: make(map[int64]bool),
		name: make(map[string]*blocks.SegmentDefinition), owner: make(map[string]*blocks.SegmentDefinition), uid: make(map[string]*blocks.SegmentDefinition),
	}
	for i := range defs.Segments {
		s := &defs.Segments[i]
		c.name[s.Name], c.uid[s.UID] = s, s
		if s.Owner != "" {
			c.owner[s.Owner] = s
		}
	}
	for _, d := range defs.Days {
		c.days[d] = true
	}
	r.catalogs.Store(c)
	return c, nil
}

// today is the day of a moment in the store's zone.
func (c *catalog) today(now time.Time) int64 {
	y, m, d := now.In(c.zone).Date()
	return audience.DayOf(int64(y), int64(m), int64(d))
}

// lookup answers campaign.Names for one question.
type lookup struct {
	ctx     context.Context
	catalog *catalog
	ask     Neighbours
	// saving takes a name that the manifest does not have yet for what its owner says it is; a question cannot be answered
	// without its rows, and says that they are being built.
	saving bool
}

// Segment returns the uid of a segment by its name.
func (l *lookup) Segment(name string) (string, error) {
	if s := l.catalog.name[name]; s != nil {
		return s.UID, nil
	}
	return l.late(name, name, "", fault.New(fault.Invalid, campaign.ReasonUnknownSegment,
		"there is no "+name+"; list the segments to see their names").With("segment", name))
}

// Persona returns the uid of the segment that a persona owns.
func (l *lookup) Persona(name string) (string, error) {
	if s := l.catalog.owner[name]; s != nil {
		return s.UID, nil
	}
	id := "segments/persona-" + strings.TrimPrefix(name, "personas/")
	return l.late(id, name, name, fault.New(fault.Invalid, campaign.ReasonUnknownPersona,
		"there is no "+name+"; list the personas to see their names").With("persona", name))
}

// late looks for a segment that the manifest does not have: it may have been created a moment ago. The segment service is the one to
// say so; where it does not answer, the manifest's word stands.
func (l *lookup) late(segment, name, owner string, unknown *fault.Error) (string, error) {
	s, err := l.ask.Segment(l.ctx, segment)
	if err != nil || owner != "" && s.Owner != owner {
		if l.ctx.Err() != nil {
			return "", fmt.Errorf("look up %s: %w", name, l.ctx.Err())
		}
		return "", unknown
	}
	if l.saving {
		return s.UID, nil
	}
	return "", building(name, s.Progress)
}

// Filter reads a filter.
func (l *lookup) Filter(text string) (audience.Pred, error) {
	r, err := rule.Compile(text, l.catalog.schema, func(name string) (string, error) {
		uid, err := l.Segment(name)
		if f := fault.As(err); f != nil && f.Reason == campaign.ReasonUnknownSegment {
			unknown := *f
			unknown.Reason = "RULE_UNKNOWN_SEGMENT"
			return "", &unknown
		}
		return uid, err
	})
	if err != nil {
		return nil, err
	}
	return r.Pred, nil
}

// building is the fault about a segment whose rows are not in every block yet.
func building(name string, progress int) error {
	return fault.Newf(fault.Unavailable, ReasonSegmentBuilding, "%s is being built, %d %% of the blocks have it; repeat the request", name, progress).
		With("segment", name).With("progress_percent", progress).Retry(time.Second)
}

// errNotAgain is the cause of a segment that cannot be evaluated on another day.
var errNotAgain = errors.New("the rule cannot be evaluated again")
