package rule

import (
	"strconv"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// checker turns a syntax tree into a predicate. It goes no deeper than MaxDepth, and visits no more than MaxNodes.
type checker struct {
	schema  *audience.Schema
	resolve func(string) (string, error)
	info    *ast.SourceInfo
	text    string
	depth   int
	nodes   int
}

// refuse is a fault at the position of e.
func (c *checker) refuse(e ast.Expr, reason, message string) *fault.Error {
	loc := c.info.GetStartLocation(e.ID())
	return at(loc.Line(), loc.Column()+1, reason, message)
}

// visit counts a node; each expression is visited once by whoever takes it apart.
func (c *checker) visit(e ast.Expr) error {
	if c.nodes++; c.nodes > MaxNodes || c.depth > MaxDepth {
		return c.refuse(e, ReasonTooComplex, "the rule has too many parts, or too many inside each other; make segments of its parts and name them")
	}
	return nil
}

// comparisons are the CEL operators that compare.
var comparisons = map[string]audience.Op{
	operators.Equals: audience.OpEQ, operators.NotEquals: audience.OpNE,
	operators.Less: audience.OpLT, operators.LessEquals: audience.OpLE,
	operators.Greater: audience.OpGT, operators.GreaterEquals: audience.OpGE,
}

// condition reads an expression that is true, false or unknown.
func (c *checker) condition(e ast.Expr) (audience.Pred, error) {
	c.depth++
	defer func() { c.depth-- }()
	if err := c.visit(e); err != nil {
		return nil, err
	}
	switch e.Kind() {
	case ast.LiteralKind:
		if b, ok := e.AsLiteral().(types.Bool); ok {
			return audience.Const(b), nil
		}
		return nil, c.refuse(e, ReasonType, "a condition is needed here, not a value; compare the value with an attribute")
	case ast.IdentKind, ast.SelectKind:
		a, err := c.attribute(e)
		if err != nil {
			return nil, err
		}
		if a.Kind != audience.KindBool {
			return nil, c.refuse(e, ReasonType, a.Name+" is "+describe(a)+", which is no condition by itself; "+hint(a))
		}
		return audience.Compare{Attr: a.Name, Op: audience.OpEQ, Value: audience.Value{Num: 1}}, nil
	case ast.CallKind:
		return c.call(e)
	}
	return nil, c.refuse(e, ReasonUnsupported, "this is not a condition that the index answers; combine comparisons of attributes with && || !")
}

func (c *checker) call(e ast.Expr) (audience.Pred, error) {
	call := e.AsCall()
	name, args := call.FunctionName(), call.Args()
	if call.IsMemberFunction() {
		return c.method(e, call)
	}
	switch name {
	case operators.LogicalAnd, operators.LogicalOr:
		// The tree is binary; the operands of the same operator form one list.
		var list []audience.Pred
		if err := c.chain(e, name, &list); err != nil {
			return nil, err
		}
		if name == operators.LogicalAnd {
			return audience.And(list), nil
		}
		return audience.Or(list), nil
	case operators.LogicalNot:
		x, err := c.condition(args[0])
		if err != nil {
			return nil, err
		}
		return audience.Not{X: x}, nil
	case operators.In, operators.OldIn:
		return c.in(e, args[0], args[1])
	case "has":
		if len(args) != 1 {
			return nil, c.refuse(e, ReasonType, "has takes one attribute: has(income)")
		}
		a, err := c.attributeOrConsent(args[0])
		if err != nil {
			return nil, err
		}
		return audience.Has{Attr: a.Name}, nil
	case "consent":
		return c.consent(e, args)
	case "segment":
		return c.segment(e, args)
	}
	if op, ok := comparisons[name]; ok {
		return c.compare(e, op, args[0], args[1])
	}
	return nil, c.unsupported(e, name)
}

// chain collects the operands of nested && or || of the same kind, from left to right. The parser balances long chains, so
// this does not go deep.
func (c *checker) chain(e ast.Expr, name string, list *[]audience.Pred) error {
	c.depth++
	defer func() { c.depth-- }()
	for _, arg := range e.AsCall().Args() {
		if arg.Kind() == ast.CallKind && arg.AsCall().FunctionName() == name && !arg.AsCall().IsMemberFunction() {
			if err := c.visit(arg); err != nil {
				return err
			}
			if err := c.chain(arg, name, list); err != nil {
				return err
			}
			continue
		}
		p, err := c.condition(arg)
		if err != nil {
			return err
		}
		*list = append(*list, p)
	}
	return nil
}

// unsupported refuses a function or operator by its name.
func (c *checker) unsupported(e ast.Expr, name string) error {
	what := "the function " + strconv.Quote(name) + " is not known"
	switch name {
	case operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo, operators.Negate:
		what = "arithmetic is not answered from the index; write the result as a literal, or use age() and days(from, to)"
	case operators.Conditional:
		what = "a ? b : c is not answered from the index; write (a && b) || (!a && c)"
	case operators.Index, operators.OptIndex, operators.OptSelect:
		what = "elements are not taken out of lists; use \"x\" in the_list, any([...]) or all([...])"
	case operators.Exists, operators.ExistsOne, operators.All, operators.Map, operators.Filter:
		what = name + " is not answered from the index; use any([...]) or all([...])"
	case "age", "days", "date", "today", "decimal", "money":
		what = name + " is a value, not a condition; compare it"
		if name == "age" {
			what += ", such as age() >= 25"
		}
	default:
		if near := closest(name, functions); near != "" {
			what += "; did you mean " + near + "?"
		}
	}
	return c.refuse(e, ReasonUnsupported, what)
}

var functions = []string{"has", "consent", "segment", "age", "days", "date", "today", "decimal", "money", "any", "all", "within", "startsWith"}

func (c *checker) consent(e ast.Expr, args []ast.Expr) (audience.Pred, error) {
	if len(args) < 1 || len(args) > 2 {
		return nil, c.refuse(e, ReasonType, "consent takes a purpose and perhaps a channel: consent(\"marketing\", \"email\")")
	}
	purpose, err := c.oneOf(args[0], "purpose", audience.Purposes)
	if err != nil {
		return nil, err
	}
	p := audience.Consent{Purpose: purpose}
	if len(args) == 2 {
		if p.Channel, err = c.oneOf(args[1], "channel", audience.Channels); err != nil {
			return nil, err
		}
	}
	return p, nil
}

const segments = "segments/"

func (c *checker) segment(e ast.Expr, args []ast.Expr) (audience.Pred, error) {
	if len(args) != 1 {
		return nil, c.refuse(e, ReasonType, "segment takes one name: segment(\"segments/vip\")")
	}
	name, err := c.textOf(args[0])
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(name, segments) {
		name = segments + name
	}
	if name == segments || c.resolve == nil {
		return nil, c.refuse(args[0], ReasonUnsupported, "no segment can be named here")
	}
	uid, err := c.resolve(name)
	if err != nil {
		f := fault.As(err)
		if f == nil {
			return nil, err
		}
		// The position joins what the resolver says; its kind and reason stand.
		loc := c.info.GetStartLocation(args[0].ID())
		l, col := strconv.Itoa(max(loc.Line(), 1)), strconv.Itoa(loc.Column()+1)
		f = f.With(MetaLine, l).With(MetaColumn, col)
		f.Message = "line " + l + ", column " + col + ": " + f.Message
		return nil, f
	}
	return audience.Member{Segment: uid}, nil
}

// method reads attribute.function(...).
func (c *checker) method(e ast.Expr, call ast.CallExpr) (audience.Pred, error) {
	name, args := call.FunctionName(), call.Args()
	switch name {
	case "any", "all", "within", "startsWith":
	default:
		return nil, c.unsupported(e, name)
	}
	a, err := c.attribute(call.Target())
	if err != nil {
		return nil, err
	}
	wrong := func() error {
		return c.refuse(e, ReasonType, a.Name+" is "+describe(a)+", of which "+name+" cannot be asked; "+hint(a))
	}
	switch name {
	case "startsWith":
		if a.Kind != audience.KindText {
			return nil, wrong()
		}
		if len(args) != 1 {
			return nil, c.refuse(e, ReasonType, "startsWith takes one text")
		}
		text, err := c.textOf(args[0])
		if err != nil {
			return nil, err
		}
		return audience.Prefix{Attr: a.Name, Text: text}, nil
	case "within":
		if a.Kind != audience.KindRegion {
			return nil, wrong()
		}
	default:
		if a.Kind != audience.KindTextList {
			return nil, wrong()
		}
	}
	texts, err := c.textsOf(e, name, a, args)
	if err != nil {
		return nil, err
	}
	if a.Kind == audience.KindRegion {
		return audience.Within{Attr: a.Name, Codes: texts}, nil
	}
	return audience.Contains{Attr: a.Name, Texts: texts, All: name == "all"}, nil
}

// textsOf reads the values that a method is given, one by one or as lists.
func (c *checker) textsOf(e ast.Expr, method string, a *audience.Attribute, args []ast.Expr) ([]string, error) {
	var texts []string
	for _, arg := range args {
		elements := []ast.Expr{arg}
		if arg.Kind() == ast.ListKind {
			elements = arg.AsList().Elements()
		}
		for _, x := range elements {
			v, err := c.textValue(x, a)
			if err != nil {
				return nil, err
			}
			texts = append(texts, v)
		}
	}
	if len(texts) == 0 {
		return nil, c.refuse(e, ReasonType, method+" needs at least one value")
	}
	return texts, nil
}

// in reads x in [..] of a single-valued attribute or an age, and "x" in list_attribute.
func (c *checker) in(e, left, right ast.Expr) (audience.Pred, error) {
	if right.Kind() == ast.ListKind {
		elements := right.AsList().Elements()
		if len(elements) == 0 {
			return nil, c.refuse(right, ReasonType, "nothing is in an empty list; name the values")
		}
		o, err := c.operand(left)
		if err != nil {
			return nil, err
		}
		if o.attr == nil && !o.age && !o.days {
			return nil, c.refuse(left, ReasonType, "an attribute is needed before in")
		}
		return c.among(o, left, elements)
	}
	if right.Kind() == ast.IdentKind || right.Kind() == ast.SelectKind {
		a, err := c.attribute(right)
		if err != nil {
			return nil, err
		}
		if a.Kind != audience.KindTextList {
			return nil, c.refuse(right, ReasonType, a.Name+" is "+describe(a)+", no list; "+hint(a))
		}
		text, err := c.textValue(left, a)
		if err != nil {
			return nil, err
		}
		return audience.Contains{Attr: a.Name, Texts: []string{text}}, nil
	}
	return nil, c.refuse(e, ReasonUnsupported, "in stands between an attribute and a list of values, or a text and a list attribute")
}

// among is an attribute, age or number of days that equals one of the elements.
func (c *checker) among(o operand, left ast.Expr, elements []ast.Expr) (audience.Pred, error) {
	var values []audience.Value
	equal := make(audience.Or, 0, len(elements))
	for _, x := range elements {
		lit, err := c.operand(x)
		if err != nil {
			return nil, err
		}
		p, err := c.relate(x, o, audience.OpEQ, lit)
		if err != nil {
			return nil, err
		}
		equal = append(equal, p)
		if cmp, ok := p.(audience.Compare); ok && o.attr.Kind != audience.KindMoney && o.attr.Kind != audience.KindBirth {
			values = append(values, cmp.Value)
		}
	}
	// Where every element is a plain equality, one In says the same with one leaf.
	if len(values) == len(equal) {
		return audience.In{Attr: o.attr.Name, Values: values}, nil
	}
	return equal, nil
}
