package audience

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// maxSize bounds the nodes of an expression, each counted as often as it is evaluated: segments that name each other twice
// over and over would else take time exponential in their number.
const maxSize = 50_000

// Reasons of Compile's faults.
const (
	ReasonInvalidPredicate   = "RULE_TYPE"
	ReasonExpressionTooLarge = "RULE_TOO_COMPLEX"
	ReasonSegmentCycle       = "SEGMENT_CYCLE"
)

// SegmentRef says how an expression reads a segment: from the row Field, or where that is "" by evaluating Pred in its
// place. Membership is two-valued either way: who is not a member by Pred, for whatever reason, is outside.
type SegmentRef struct {
	Field Field
	Pred  Pred
	// DateRelative tells that the row Field is one day's; of an inlined Pred the compiler sees it.
	DateRelative bool
}

// Env is what a predicate is compiled against.
type Env struct {
	Schema *Schema
	// Day is the day of the question, from MinDay up to but not including MaxDay.
	Day int64
	// ConsentDay is the day on which consents must hold, where that is not Day: a question about another day moves the
	// clock of ages and dates, not of what people agree to now. Nil: Day.
	ConsentDay *int64
	// Segment says how to read the segment of that uid; its errors are returned wrapped. Nil if no predicate names one.
	Segment func(uid string) (SegmentRef, error)
}

// Compile turns a predicate into an expression over rows and columns whose members are exactly those of whom p is true. The
// same predicate and environment give the same expression. A predicate that does not fit the schema, is too large, or names
// a segment that inlines itself is an Invalid fault; it never panics, whatever tree it is given.
func Compile(p Pred, env Env) (*Expr, error) {
	if env.Schema == nil {
		return nil, fault.New(fault.Internal, ReasonInvalidPredicate, "a predicate is compiled against a schema; none was given")
	}
	if env.Day < MinDay || env.Day >= MaxDay {
		return nil, fault.New(fault.Invalid, ReasonInvalidDate, "the day of a question lies between 0001-01-01 and 9999-12-30")
	}
	if env.ConsentDay == nil {
		env.ConsentDay = &env.Day
	} else if *env.ConsentDay < MinDay || *env.ConsentDay >= MaxDay {
		return nil, fault.New(fault.Invalid, ReasonInvalidDate, "the day of consents lies between 0001-01-01 and 9999-12-30")
	}
	c := &compiler{env: env, inlined: make(map[string]*node)}
	e := &Expr{}
	var err error
	if e.pos, err = c.compile(p, true); err != nil {
		return nil, err
	}
	if e.neg, err = c.compile(p, false); err != nil {
		return nil, err
	}
	e.dateRelative = c.dateRelative
	seen := map[Field]bool{FieldLive: true}
	visited := make(map[*node]bool)
	all := e.pos.collect([]Field{FieldLive}, seen, visited)
	e.fields = slices.Clip(all)
	e.truthFields = e.neg.collect(e.fields, seen, visited)
	return e, nil
}

// MustCompile is Compile for tests and package variables; it panics on an error.
func MustCompile(p Pred, env Env) *Expr {
	e, err := Compile(p, env)
	if err != nil {
		panic(err)
	}
	return e
}

type compiler struct {
	env          Env
	dateRelative bool
	depth        int
	inlined      map[string]*node // by uid; nil while it is being compiled
}

// compile returns the set of whom p is true, or with !want false. In Kleene's logic these are different sets with a third
// between them, and NOT swaps them: so pushing it to the leaves leaves a two-valued tree.
func (c *compiler) compile(p Pred, want bool) (*node, error) {
	if c.depth++; c.depth > maxDepth {
		return nil, errTooLarge()
	}
	defer func() { c.depth-- }()
	n, err := c.node(p, want)
	if err != nil {
		return nil, err
	}
	if n.size > maxSize {
		return nil, errTooLarge()
	}
	return n, nil
}

func errTooLarge() error {
	return fault.New(fault.Invalid, ReasonExpressionTooLarge,
		"the question and the segments that it names are too large together; split it or name fewer segments")
}

func (c *compiler) node(p Pred, want bool) (*node, error) {
	switch p := p.(type) {
	case And:
		return c.operands(p, want, want)
	case Or:
		return c.operands(p, want, !want)
	case Not:
		return c.compile(p.X, !want)
	case Const:
		if bool(p) == want {
			return everybody, nil
		}
		return nobody, nil
	case Compare:
		return c.compare(p, want)
	case In:
		return c.in(p, want)
	case Contains:
		return c.contains(p, want)
	case Within:
		return c.within(p, want)
	case Prefix:
		a, err := c.attr(p.Attr, KindText)
		if err != nil {
			return nil, err
		}
		return rangeNode(a.column, !want, span{kind: spanPrefix, from: p.Text}), nil
	case Age:
		return c.age(p, want)
	case Days:
		return c.days(p, want)
	case Has:
		n, err := c.has(p.Attr)
		if err != nil || want {
			return n, err
		}
		return notNode(n), nil
	case Consent:
		return c.consent(p, want)
	case Member:
		n, err := c.member(p.Segment)
		if err != nil || want {
			return n, err
		}
		return notNode(n), nil
	}
	return nil, fault.New(fault.Invalid, ReasonInvalidPredicate, fmt.Sprintf("%T is no predicate", p))
}

func (c *compiler) operands(list []Pred, want, and bool) (*node, error) {
	kids := make([]*node, len(list))
	for i, x := range list {
		var err error
		if kids[i], err = c.compile(x, want); err != nil {
			return nil, err
		}
	}
	if and {
		return andNode(kids...), nil
	}
	return orNode(kids...), nil
}

// attr returns the attribute if its kind is one of the given.
func (c *compiler) attr(name string, kinds ...Kind) (*Attribute, error) {
	a, ok := c.env.Schema.Attribute(name)
	if !ok {
		return nil, fault.New(fault.Invalid, ReasonUnknownAttribute, "the schema has no attribute "+strconv.Quote(name)).With("attribute", name)
	}
	if !slices.Contains(kinds, a.Kind) {
		return nil, notAnswered(name)
	}
	return a, nil
}

func notAnswered(name string) error {
	return fault.New(fault.Invalid, ReasonInvalidPredicate, "this question cannot be asked of "+name).With("attribute", name)
}

// member returns a segment's true set.
func (c *compiler) member(uid string) (*node, error) {
	if n, ok := c.inlined[uid]; ok {
		if n == nil {
			return nil, fault.New(fault.Invalid, ReasonSegmentCycle, "segment "+uid+" refers to itself; break the circle").With("segment", uid)
		}
		return n, nil
	}
	if c.env.Segment == nil {
		return nil, fault.New(fault.Invalid, ReasonInvalidPredicate, "segment "+uid+" is named where no segment can be").With("segment", uid)
	}
	ref, err := c.env.Segment(uid)
	if err != nil {
		return nil, fmt.Errorf("look up segment %s: %w", uid, err)
	}
	if ref.DateRelative {
		c.dateRelative = true
	}
	var n *node
	switch {
	case ref.Field != "":
		n = rowNode(ref.Field)
	case ref.Pred != nil:
		c.inlined[uid] = nil
		if n, err = c.compile(ref.Pred, true); err != nil {
			return nil, fmt.Errorf("segment %s: %w", uid, err)
		}
	default:
		return nil, fault.New(fault.Internal, ReasonInvalidPredicate, "segment "+uid+" has neither a row nor a rule").With("segment", uid)
	}
	c.inlined[uid] = n
	return n, nil
}
