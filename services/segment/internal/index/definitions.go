package index

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/rule"
	"github.com/narrowcast/narrowcast/services/segment"
)

// definition is one segment.
type definition struct {
	segment segment.Segment
	// newest is the state that was read last, answering the one whose rows every block has; nil: none.
	newest, answering *version
	// ready is the newest position at which the answering state was the newest.
	ready segment.Position
	// blocks is how many blocks have the newest state's rows.
	blocks int
}

// version is one state of a segment's rule and of all that it refers to. It changes only with the schema.
type version struct {
	uid    string
	name   string
	state  uint64 // the highest definition revision of the segment and all that it refers to
	number int64  // the segment's own version
	rule   string
	static bool
	own    uint64 // definition revision of the segment itself

	members map[audience.UID]struct{} // of a static list
	pred    audience.Pred
	refs    map[string]*version // all segments that it refers to, directly or not
	dated   bool
	rows    map[int64]*ruleRow // by day; of a rule that does not look at the date by 0
	err     error              // why it cannot be compiled
}

// ruleRow is one row that every block is to have: the members of a segment under one state of its rule (on one day).
type ruleRow struct {
	field   audience.Field
	version *version
	day     int64
	expr    *audience.Expr // nil: a static list
}

// readDefinitions reads all definitions, as one state of the store, with the members of lists that changed.
func (x *Index) readDefinitions(ctx context.Context, st *state) ([]segment.Segment, segment.Position, map[string]map[audience.UID]struct{}, error) {
	const attempts = 5
	for range attempts {
		all, at, err := x.store.AllDefinitions(ctx)
		if err != nil {
			return nil, at, nil, fmt.Errorf("read definitions: %w", err)
		}
		lists, same, err := x.readLists(ctx, st, all)
		if err != nil {
			return nil, at, nil, err
		}
		if same {
			return all, at, lists, nil
		}
	}
	return nil, segment.Position{}, nil, fmt.Errorf("read definitions: lists changed each of %d times", attempts)
}

// readLists reads the lists that are not known yet; same is false if one has changed since all was read.
func (x *Index) readLists(ctx context.Context, st *state, all []segment.Segment) (lists map[string]map[audience.UID]struct{}, same bool, err error) {
	lists = make(map[string]map[audience.UID]struct{})
	for i := range all {
		s := &all[i]
		if d := st.segments[s.UID]; !s.Static || d != nil && d.newest.own == s.DefinitionRevision {
			continue
		}
		members := make(map[audience.UID]struct{}, s.Members)
		of, err := x.store.Members(ctx, s.UID, func(uids []audience.UID) error {
			for _, uid := range uids {
				members[uid] = struct{}{}
			}
			return nil
		})
		if err != nil {
			return nil, false, fmt.Errorf("read the list of %s: %w", s.Name(), err)
		}
		if of != s.DefinitionRevision {
			return nil, false, nil
		}
		lists[s.UID] = members
	}
	return lists, true, nil
}

// define takes over definitions that were read. Called with the lock held.
func (st *state) define(all []segment.Segment, at segment.Position, lists map[string]map[audience.UID]struct{}) {
	r := &resolver{st: st, lists: lists, segments: make(map[string]*segment.Segment, len(all)), made: make(map[string]*version, len(all))}
	for i := range all {
		r.segments[all[i].UID] = &all[i]
	}
	before := st.snapshot
	if before.Incarnation != at.Incarnation {
		before = segment.Position{Incarnation: at.Incarnation}
	}
	segments := make(map[string]*definition, len(all))
	for i := range all {
		s := &all[i]
		v := r.version(s.UID)
		d := st.segments[s.UID]
		if d == nil {
			d = &definition{ready: before}
		}
		d.segment = *s
		d.newest = v
		if d.answering == v {
			d.ready = at
		}
		segments[s.UID] = d
	}
	st.segments, st.snapshot = segments, at
}

// resolver makes versions of one state of all definitions.
type resolver struct {
	st       *state
	lists    map[string]map[audience.UID]struct{}
	segments map[string]*segment.Segment
	made     map[string]*version // nil while it is being made
}

// version returns the newest version of a segment; nil if there is no such segment or it refers to itself, both of which the
// store rules out.
func (r *resolver) version(uid string) *version {
	if v, ok := r.made[uid]; ok {
		return v
	}
	s := r.segments[uid]
	if s == nil {
		return nil
	}
	r.made[uid] = nil
	v := &version{
		uid: uid, name: s.Name(), state: s.DefinitionRevision, own: s.DefinitionRevision, number: s.Version, rule: s.Rule, static: s.Static,
		refs: make(map[string]*version), rows: make(map[int64]*ruleRow),
	}
	for _, ref := range s.References {
		to := r.version(ref.UID)
		if to == nil {
			v.err = fmt.Errorf("%s refers to a segment that is not there", v.name)
			continue
		}
		v.refs[ref.UID] = to
		for uid, below := range to.refs {
			v.refs[uid] = below
		}
		v.state = max(v.state, to.state)
	}
	was := r.st.segments[uid]
	if was != nil && was.newest.state == v.state && was.newest.number == v.number {
		v = was.newest
	} else {
		if s.Static {
			if v.members = r.lists[uid]; v.members == nil && was != nil {
				v.members = was.newest.members
			}
		}
		v.parse(r.st.schema)
	}
	r.made[uid] = v
	return v
}

// parse reads the rule against the schema. It is tried again when the schema changes: a rule may have come before the attribute
// that it names.
func (v *version) parse(schema *audience.Schema) {
	if v.static || v.pred != nil {
		return
	}
	names := make(map[string]string, len(v.refs))
	for uid, ref := range v.refs {
		names[ref.name] = uid
	}
	parsed, err := rule.Compile(v.rule, schema, func(name string) (string, error) {
		if uid, ok := names[name]; ok {
			return uid, nil
		}
		return "", segment.UnknownSegment(strings.TrimPrefix(name, "segments/"))
	})
	if err != nil {
		v.err = fmt.Errorf("read the rule of %s: %w", v.name, err)
		return
	}
	v.pred, v.err = parsed.Pred, nil
}

// compile makes the expression of one day.
func (v *version) compile(schema *audience.Schema, day int64) (*audience.Expr, error) {
	expr, err := audience.Compile(v.pred, audience.Env{Schema: schema, Day: day, Segment: func(uid string) (audience.SegmentRef, error) {
		ref := v.refs[uid]
		if ref == nil {
			return audience.SegmentRef{}, segment.UnknownSegment(uid)
		}
		ref.parse(schema)
		switch {
		case ref.static:
			return audience.SegmentRef{Field: audience.SegmentField(uid, ref.state)}, nil
		case ref.pred == nil:
			return audience.SegmentRef{}, ref.err
		}
		return audience.SegmentRef{Pred: ref.pred}, nil
	}})
	if err != nil {
		return nil, fmt.Errorf("compile the rule of %s: %w", v.name, err)
	}
	return expr, nil
}

// prepare makes the version's rows for the days. False if it cannot be compiled.
func (v *version) prepare(schema *audience.Schema, days []int64) bool {
	if v.static {
		if v.rows[0] == nil {
			v.rows[0] = &ruleRow{field: audience.SegmentField(v.uid, v.state), version: v}
		}
		return true
	}
	if v.parse(schema); v.pred == nil || len(days) == 0 {
		return false
	}
	for _, day := range days {
		if v.rows[day] != nil || !v.dated && v.rows[0] != nil {
			continue
		}
		expr, err := v.compile(schema, day)
		if err != nil {
			v.err = err
			return false
		}
		if v.dated = expr.DateRelative(); v.dated {
			v.rows[day] = &ruleRow{field: audience.SegmentDayField(v.uid, v.state, day), version: v, day: day, expr: expr}
		} else {
			v.rows[0] = &ruleRow{field: audience.SegmentField(v.uid, v.state), version: v, expr: expr}
		}
	}
	for day := range v.rows {
		if v.dated && !slices.Contains(days, day) {
			delete(v.rows, day)
		}
	}
	v.err = nil
	return true
}

// recompile makes the expressions again under a changed schema. Who is a member stays: new attributes and values are nobody's
// yet.
func (v *version) recompile(schema *audience.Schema) error {
	for _, r := range v.rows {
		if v.static {
			continue
		}
		day := r.day
		if !v.dated {
			day = 0 // any day gives the same
		}
		expr, err := v.compile(schema, day)
		if err != nil {
			return err
		}
		r.expr = expr
	}
	return nil
}

// plan makes the list of the rows that every block is to have, lists before rules, since rules read lists' rows, and drops rows
// that are no longer on it. It returns the segments whose rules cannot be compiled. Called with the lock held.
func (st *state) plan() (failed []error) {
	days := slices.Clone(st.days)
	for _, day := range st.target {
		if !slices.Contains(days, day) {
			days = append(days, day)
		}
	}
	wanted := make(map[audience.Field]*ruleRow)
	add := func(v *version) {
		for _, r := range v.rows {
			wanted[r.field] = r
		}
	}
	for _, d := range st.segments {
		for _, v := range [2]*version{d.answering, d.newest} {
			if v == nil {
				continue
			}
			if !v.prepare(st.schema, days) {
				if v.err != nil {
					failed = append(failed, v.err)
				}
				// What answers goes on to, whatever it is that its rule no longer fits.
				if v != d.answering {
					continue
				}
			}
			add(v)
			for _, ref := range v.refs {
				if ref.static && ref.prepare(st.schema, days) {
					add(ref)
				}
			}
		}
	}
	st.rules, st.readers = st.rules[:0], nil
	for _, r := range wanted {
		st.rules = append(st.rules, r)
	}
	slices.SortFunc(st.rules, func(a, b *ruleRow) int {
		if a.version.static != b.version.static {
			if a.version.static {
				return -1
			}
			return 1
		}
		return strings.Compare(string(a.field), string(b.field))
	})
	for _, b := range st.blocks {
		for f := range b.segments {
			if wanted[f] == nil {
				b.drop(f)
			}
		}
	}
	return failed
}
