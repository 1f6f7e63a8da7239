package resolve

import (
	"context"
	"slices"
	"strings"

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
		in := make([]bool, len(p.rows))
		err = s.Locate(ctx, uids, p.fields, func(at int, _ uint32, b audience.Block, ordinal uint16) error {
			names, err := p.holding(b, ordinal, in)
			if err == nil {
				answer.Of[at] = Membership{Found: true, Segments: names}
			}
			return err
		})
		answer.Info = info(s)
		answer.Info.Rules = p.rules
		return err
	})
	return answer, err
}

// lookups is what segments are looked up by: it is made for one state of the definitions and one day. It is immutable.
type lookups struct {
	defs *blocks.Definitions
	day  int64
	// names are those of the segments with a row, ascending, and rows the numbers of these among the fields.
	names    []string
	rows     []int
	others   []lookedUp // segments whose rules are evaluated: no row is of the day
	building []string
	rules    []Rule
	fields   *blocks.Prepared
}

// lookedUp is a segment with its rule.
type lookedUp struct {
	name string
	expr *audience.Expr
}

// holding returns the names of the segments that hold an ordinal, ascending. in is as long as rows.
func (p *lookups) holding(b audience.Block, ordinal uint16, in []bool) ([]string, error) {
	if err := blocks.Holds(b, p.rows, ordinal, in); err != nil {
		return nil, err
	}
	n := 0
	for _, is := range in {
		if is {
			n++
		}
	}
	names := make([]string, 0, n)
	for i, is := range in {
		if is {
			names = append(names, p.names[i])
		}
	}
	for i := range p.others {
		truth, err := p.others[i].expr.Truth(b, ordinal)
		if err != nil {
			return nil, err
		}
		if truth == audience.True {
			names = append(names, p.others[i].name)
		}
	}
	if len(p.others) > 0 {
		slices.Sort(names)
	}
	return names, nil
}

// lookedUp returns what the named segments are looked up by, or all that are built.
func (r *Resolver) lookedUp(ctx context.Context, v *blocks.View, names []string) (*lookups, error) {
	c, err := r.catalog(v.Definitions)
	if err != nil {
		return nil, err
	}
	day := c.today(r.cfg.Now())
	all := len(names) == 0
	if all {
		if p := r.every.Load(); p != nil && p.defs == v.Definitions && p.day == day {
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
	if err := p.add(ctx, r, c, v, names, all); err != nil {
		return nil, err
	}
	if all {
		r.every.Store(p)
	}
	return p, nil
}

func (p *lookups) add(ctx context.Context, r *Resolver, c *catalog, v *blocks.View, names []string, all bool) error {
	find := &lookup{ctx: ctx, catalog: c, ask: r.cfg.Neighbours}
	m := &members{catalog: c, day: p.day, today: p.day, used: make(map[string]Rule)}
	env := audience.Env{Schema: c.schema, Day: p.day, ConsentDay: &p.day, Segment: m.ref}
	var wrong fault.Violations
	var fields []audience.Field
	type withRow struct {
		name  string
		field audience.Field
	}
	var rows []withRow
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
		if ref.Pred == nil {
			fields, rows = append(fields, ref.Field), append(rows, withRow{name, ref.Field})
			continue
		}
		e, err := audience.Compile(audience.Member{Segment: uid}, env)
		if err != nil {
			return err
		}
		fields, p.others = append(fields, e.TruthFields()...), append(p.others, lookedUp{name, e})
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	p.fields = v.Prepare(fields)
	slices.SortFunc(rows, func(a, b withRow) int { return strings.Compare(a.name, b.name) })
	for _, r := range rows {
		p.names, p.rows = append(p.names, r.name), append(p.rows, p.fields.Number(r.field))
	}
	if !all {
		// Of all segments the revision of the definitions in the token says enough: hundreds of versions would be most of the answer.
		p.rules = m.rules()
	}
	return nil
}
