package resolve

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/campaign"
)

// Membership is what one profile is a member of.
type Membership struct {
	// Found says that the index has the profile.
	Found bool
	// Segments are the names of those that hold it, ascending.
	Segments []string
}

// Memberships are those of several profiles.
type Memberships struct {
	// Of are in the order of the question.
	Of []Membership
	// Building are names of segments that were left out because they are being built.
	Building []string
	Info     Info
}

// Memberships says which segments hold each profile: of those named, or of all that are built.
//
// Errors: as of Count; Invalid, at segments[i], for a segment that does not exist; SEGMENT_BUILDING for a named one that is being built.
func (r *Resolver) Memberships(ctx context.Context, uids []audience.UID, segments []string, c Consistency) (*Memberships, error) {
	var answer *Memberships
	err := r.ask(ctx, c, func(s *blocks.Session) error {
		p, err := r.lookedUp(ctx, s.View(), segments)
		if err != nil {
			return err
		}
		answer = &Memberships{Of: make([]Membership, len(uids)), Building: p.building}
		held := make([]string, 0, 64)
		err = s.Locate(ctx, uids, p.fields, func(at int, _ uint32, b audience.Block, ordinal uint16) error {
			held = held[:0]
			for i := range p.segments {
				in, err := p.segments[i].holds(b, ordinal)
				if err != nil {
					return err
				}
				if in {
					held = append(held, p.segments[i].name)
				}
			}
			answer.Of[at] = Membership{Found: true, Segments: slices.Clone(held)}
			return nil
		})
		answer.Info = info(s)
		answer.Info.Rules = p.rules
		return err
	})
	return answer, err
}

// lookups is what segments are looked up by: it is made for one state of the definitions and one day. It is immutable.
type lookups struct {
	defs     *blocks.Definitions
	day      int64
	segments []lookedUp // by name
	building []string
	rules    []Rule
	fields   *blocks.Prepared
}

// lookedUp is one segment: its row, or where there is none its rule.
type lookedUp struct {
	name string
	row  int
	expr *audience.Expr
}

func (l *lookedUp) holds(b audience.Block, ordinal uint16) (bool, error) {
	if l.expr != nil {
		truth, err := l.expr.Truth(b, ordinal)
		return truth == audience.True, err
	}
	row, ok := blocks.RowAt(b, l.row)
	if !ok {
		return false, audience.ErrUnknown
	}
	return row.Has(ordinal), nil
}

// everySegment keeps what all segments are looked up by.
type everySegment struct{ made atomic.Pointer[lookups] }

// lookedUp returns what the named segments are looked up by, or all that are built.
func (r *Resolver) lookedUp(ctx context.Context, v *blocks.View, names []string) (*lookups, error) {
	c, err := r.catalog(v.Definitions)
	if err != nil {
		return nil, err
	}
	day := c.today(r.cfg.Now())
	all := len(names) == 0
	if all {
		if p := r.every.made.Load(); p != nil && p.defs == v.Definitions && p.day == day {
			return p, nil
		}
	}
	p := &lookups{defs: v.Definitions, day: day}
	if all {
		for name, s := range c.name {
			if s.State() == blocks.SegmentBuilding {
				p.building = append(p.building, name)
				continue
			}
			names = append(names, name)
		}
		slices.Sort(p.building)
	}
	if err := p.add(ctx, r, c, v, names); err != nil {
		return nil, err
	}
	if all {
		r.every.made.Store(p)
	}
	return p, nil
}

func (p *lookups) add(ctx context.Context, r *Resolver, c *catalog, v *blocks.View, names []string) error {
	find := &lookup{ctx: ctx, catalog: c, ask: r.cfg.Neighbours}
	m := &members{catalog: c, day: p.day, today: p.day, used: make(map[string]Rule)}
	env := audience.Env{Schema: c.schema, Day: p.day, ConsentDay: &p.day, Segment: m.ref}
	var wrong fault.Violations
	var fields []audience.Field
	rows := make([]audience.Field, 0, len(names)) // by segment; empty where a rule is evaluated
	for i, name := range names {
		uid, err := find.Segment(name)
		if err != nil {
			if f := fault.As(err); f != nil && f.Reason == campaign.ReasonUnknownSegment {
				wrong.Add(fault.Index("segments", i), f.Reason, f.Message)
				continue
			}
			return err
		}
		ref, err := m.ref(uid)
		if err != nil {
			return err
		}
		one := lookedUp{name: name}
		if ref.Pred != nil {
			if one.expr, err = audience.Compile(audience.Member{Segment: uid}, env); err != nil {
				return err
			}
			fields = append(fields, one.expr.TruthFields()...)
		} else {
			fields = append(fields, ref.Field)
		}
		p.segments, rows = append(p.segments, one), append(rows, ref.Field)
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	p.fields = v.Prepare(fields)
	for i := range p.segments {
		if p.segments[i].expr == nil {
			p.segments[i].row = p.fields.Number(rows[i])
		}
	}
	slices.SortFunc(p.segments, func(a, b lookedUp) int { return strings.Compare(a.name, b.name) })
	for _, rule := range m.used {
		p.rules = append(p.rules, rule)
	}
	slices.SortFunc(p.rules, func(a, b Rule) int { return strings.Compare(a.Segment, b.Segment) })
	return nil
}
