package resolve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/rule"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/campaign"
)

// plan is a spec compiled under one view.
type plan struct {
	steps []step
	exprs []*audience.Expr // of the steps, in order
	// all is the steps ANDed.
	all *audience.Expr
	// consents are those that the spec cannot do without, and protect is them compiled; nil if there are none.
	consents audience.And
	protect  *audience.Expr
	// fields are those of the steps and of all, ready to be looked up.
	fields *blocks.Prepared
	// narrowed and absent keep what directories said to the narrowing and to the question who is a member.
	narrowed, absent blocks.Looks
	blocks           int // in the view that the plan was made under
	household        bool
	rules            []Rule
	// day is the day of the question, today the day on which consents must hold.
	day, today int64
}

type step struct {
	part, label string
	expr        *audience.Expr
}

// planned returns the plan of a spec under a view: the one made before, where neither the definitions nor the day have changed.
func (r *Resolver) planned(ctx context.Context, v *blocks.View, spec campaign.Spec) (*plan, error) {
	c, err := r.catalog(v.Definitions)
	if err != nil {
		return nil, err
	}
	key, err := campaign.EncodeSpec(spec)
	if err != nil {
		return nil, err
	}
	today := c.today(r.cfg.Now())
	if p := r.plans.get(v.Definitions, today, key); p != nil {
		return p, nil
	}
	p, err := r.plan(ctx, v, spec, false)
	if err != nil {
		// Not kept: what was not there may come, and what is being built is soon built.
		return nil, err
	}
	r.plans.put(v.Definitions, p.today, key, p)
	return p, nil
}

// plan compiles a spec under a view. saving accepts segments whose rows are not there yet: nothing is evaluated.
func (r *Resolver) plan(ctx context.Context, v *blocks.View, spec campaign.Spec, saving bool) (*plan, error) {
	c, err := r.catalog(v.Definitions)
	if err != nil {
		return nil, err
	}
	q, err := spec.Question(c.schema, &lookup{ctx: ctx, catalog: c, ask: r.cfg.Neighbours, saving: saving})
	if err != nil {
		return nil, err
	}
	today := c.today(r.cfg.Now())
	p := &plan{household: spec.OnePerHousehold, blocks: v.Len(), today: today, day: today}
	if spec.AsOf != nil {
		p.day = *spec.AsOf
	}
	m := &members{catalog: c, day: p.day, today: today, saving: saving, used: make(map[string]Rule)}
	env := audience.Env{Schema: c.schema, Day: p.day, ConsentDay: &p.today, Segment: m.ref}
	var all audience.And
	for i, s := range q.Steps {
		e, err := audience.Compile(s.Pred, env)
		if err != nil {
			return nil, compileFault(spec, s.Part, err)
		}
		label := s.Label
		if s.Part == audience.PartFilter {
			label = "filter " + short(spec.Filter)
		}
		p.steps = append(p.steps, step{part: q.Steps[i].Part, label: label, expr: e})
		p.exprs = append(p.exprs, e)
		all = append(all, s.Pred)
		p.consents = append(p.consents, needed(s.Pred)...)
	}
	if p.all, err = audience.Compile(all, env); err != nil {
		return nil, compileFault(spec, "", err)
	}
	if len(p.consents) > 0 {
		if p.protect, err = audience.Compile(p.consents, env); err != nil {
			return nil, compileFault(spec, "", err)
		}
	}
	fields := slices.Clone(p.all.Fields())
	for _, e := range p.exprs {
		fields = append(fields, e.Fields()...)
	}
	p.fields = v.Prepare(fields)
	p.rules = m.rules()
	return p, nil
}

// needed returns the consents without which p does not hold: p itself, or operands of an AND at its top.
func needed(p audience.Pred) (consents []audience.Pred) {
	switch p := p.(type) {
	case audience.Consent:
		return []audience.Pred{p}
	case audience.And:
		for _, x := range p {
			consents = append(consents, needed(x)...)
		}
	}
	return consents
}

// compileFault puts the field under an Invalid fault that the compiler found, such as a question that is too large.
func compileFault(spec campaign.Spec, part string, err error) error {
	f := fault.As(err)
	if f == nil || f.Kind != fault.Invalid {
		return err
	}
	reason := f.Reason
	if reason == audience.ReasonExpressionTooLarge {
		reason = rule.ReasonTooComplex
	}
	if errors.Is(err, errNotAgain) && spec.AsOf != nil {
		part = audience.PartAsOf
	}
	field := fault.Join("spec", part)
	g := fault.New(fault.Invalid, reason, f.Message).Wrap(err).At(field)
	for k, v := range f.Metadata {
		g = g.With(k, v)
	}
	return g
}

// short is the beginning of a filter, for the narrowing table.
func short(text string) string {
	const most = 60
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return string(runes)
}

// members says how segments are read by one question.
type members struct {
	catalog    *catalog
	day, today int64
	saving     bool
	used       map[string]Rule // by uid
}

// rules are those of the segments that were read, by their names.
func (m *members) rules() []Rule { return sorted(slices.Collect(maps.Values(m.used))) }

// sorted orders rules by the names of their segments.
func sorted(rules []Rule) []Rule {
	slices.SortFunc(rules, func(a, b Rule) int { return strings.Compare(a.Segment, b.Segment) })
	return rules
}

// ref says how one segment is read: by its row, or by its rule where no row is of the day of the question. The row of a day holds
// the consents of that day too, so only today's is right for today.
func (m *members) ref(uid string) (audience.SegmentRef, error) {
	s := m.catalog.uid[uid]
	if s == nil {
		if m.saving {
			return audience.SegmentRef{Pred: audience.Const(false)}, nil // created a moment ago
		}
		return audience.SegmentRef{}, fault.New(fault.Internal, "INTERNAL", "a segment vanished while it was looked up")
	}
	if s.State() == blocks.SegmentBuilding {
		if m.saving {
			return audience.SegmentRef{Pred: audience.Const(false)}, nil
		}
		return audience.SegmentRef{}, building(s.Name, s.Progress)
	}
	m.used[uid] = Rule{Segment: s.Name, Version: s.Version}
	if !s.DateRelative || m.day == m.today && m.catalog.days[m.today] {
		return audience.SegmentRef{Field: s.Field(m.day), DateRelative: s.DateRelative}, nil
	}
	compiled, err := rule.Compile(s.Rule, m.catalog.schema, func(name string) (string, error) {
		if t := m.catalog.name[name]; t != nil {
			return t.UID, nil
		}
		return "", fmt.Errorf("no %s in the definitions", name)
	})
	if err != nil {
		return audience.SegmentRef{}, fault.New(fault.Invalid, ReasonRuleUnsupported,
			s.Name+" looks at the date and cannot be evaluated on another day; leave as_of out").
			With("segment", s.Name).Wrap(errors.Join(errNotAgain, err))
	}
	return audience.SegmentRef{Pred: compiled.Pred, DateRelative: true}, nil
}
