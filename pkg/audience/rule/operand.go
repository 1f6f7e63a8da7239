package rule

import (
	"strconv"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/region"
)

// operand is one side of a comparison: an attribute, age(...), days(...), or a literal.
type operand struct {
	attr     *audience.Attribute // also of age(attr)
	age      bool
	days     bool
	from, to audience.DateRef

	kind     literal
	text     string // a text, or the digits of a number
	currency string
	flag     bool
	day      int64
}

// literal is what kind of literal an operand is.
type literal uint8

const (
	noLiteral literal = iota
	textLiteral
	numberLiteral
	moneyLiteral
	boolLiteral
	dateLiteral
	todayLiteral
)

func (o operand) isLiteral() bool { return o.kind != noLiteral }

// operand reads one side of a comparison.
func (c *checker) operand(e ast.Expr) (operand, error) {
	if err := c.visit(e); err != nil {
		return operand{}, err
	}
	switch e.Kind() {
	case ast.LiteralKind:
		return c.literal(e)
	case ast.IdentKind, ast.SelectKind:
		a, err := c.attribute(e)
		return operand{attr: a}, err
	case ast.CallKind:
		return c.function(e)
	}
	return operand{}, c.refuse(e, ReasonUnsupported, "an attribute or a literal is needed here")
}

func (c *checker) literal(e ast.Expr) (operand, error) {
	switch v := e.AsLiteral().(type) {
	case types.String:
		return operand{kind: textLiteral, text: audience.NormalizeText(string(v))}, nil
	case types.Bool:
		return operand{kind: boolLiteral, flag: bool(v)}, nil
	case types.Int:
		return operand{kind: numberLiteral, text: strconv.FormatInt(int64(v), 10)}, nil
	case types.Uint:
		return operand{kind: numberLiteral, text: strconv.FormatUint(uint64(v), 10)}, nil
	case types.Double:
		text, ok := c.digits(e, float64(v))
		if !ok {
			return operand{}, c.refuse(e, ReasonType, "write this number as decimal(\"...\"), so that all its digits count")
		}
		return operand{kind: numberLiteral, text: text}, nil
	}
	return operand{}, c.refuse(e, ReasonUnsupported, "this kind of literal is not compared with anything; use a text, a number, true, false or date(\"2024-01-31\")")
}

// digits returns the number as it was written, since a double would not keep all digits of a decimal: found again in the
// text, and checked to be the same number. A number in another form than digits and a point is written out in full.
func (c *checker) digits(e ast.Expr, v float64) (string, bool) {
	if r, ok := c.info.GetOffsetRange(e.ID()); ok && r.Start >= 0 {
		runes := []rune(c.text)
		if int(r.Start) < len(runes) {
			rest := runes[r.Start:]
			end := 0
			for end < len(rest) && (rest[end] >= '0' && rest[end] <= '9' || rest[end] == '.' || end == 0 && rest[end] == '-') {
				end++
			}
			exponent := end < len(rest) && (rest[end] == 'e' || rest[end] == 'E')
			text := string(rest[:end])
			if text != "" && !exponent {
				text = strings.Replace(text, "-.", "-0.", 1)
				if text[0] == '.' {
					text = "0" + text
				}
				if back, err := strconv.ParseFloat(text, 64); err == nil && back == v && text[len(text)-1] != '.' {
					return text, true
				}
			}
		}
	}
	// Up to 15 significant digits survive a double; with an exponent nobody writes more.
	text := strconv.FormatFloat(v, 'f', -1, 64)
	short := strconv.FormatFloat(v, 'e', -1, 64)
	mantissa, _, _ := strings.Cut(strings.TrimPrefix(short, "-"), "e")
	return text, len(mantissa) <= 16 && len(text) < 40
}

func (c *checker) function(e ast.Expr) (operand, error) {
	call := e.AsCall()
	name, args := call.FunctionName(), call.Args()
	if call.IsMemberFunction() {
		return operand{}, c.refuse(e, ReasonUnsupported, "conditions are not compared; combine them with && || !")
	}
	texts := func(n int, example string) ([]string, error) {
		if len(args) != n {
			return nil, c.refuse(e, ReasonType, "write "+example)
		}
		list := make([]string, n)
		for i, arg := range args {
			var err error
			if list[i], err = c.textOf(arg); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	switch name {
	case operators.Negate:
		o, err := c.operand(args[0])
		if err != nil {
			return operand{}, err
		}
		if o.kind != numberLiteral {
			return operand{}, c.unsupported(e, name)
		}
		if text, ok := strings.CutPrefix(o.text, "-"); ok {
			o.text = text
		} else {
			o.text = "-" + o.text
		}
		return o, nil
	case "age":
		return c.age(e, args)
	case "days":
		if len(args) != 2 {
			return operand{}, c.refuse(e, ReasonType, "days takes two dates: days(custom.last_order, today())")
		}
		from, err := c.dateRef(args[0])
		if err != nil {
			return operand{}, err
		}
		to, err := c.dateRef(args[1])
		return operand{days: true, from: from, to: to}, err
	case "today":
		if len(args) != 0 {
			return operand{}, c.refuse(e, ReasonType, "today takes nothing: today()")
		}
		return operand{kind: todayLiteral}, nil
	case "date":
		list, err := texts(1, "date(\"2024-01-31\")")
		if err != nil {
			return operand{}, err
		}
		day, err := audience.ParseDay(list[0])
		if err != nil {
			return operand{}, c.refuse(args[0], ReasonUnknownValue, strconv.Quote(list[0])+" is no date; write year-month-day, such as 2024-01-31")
		}
		return operand{kind: dateLiteral, day: day}, nil
	case "decimal":
		list, err := texts(1, "decimal(\"12.50\")")
		if err != nil {
			return operand{}, err
		}
		return operand{kind: numberLiteral, text: list[0]}, nil
	case "money":
		list, err := texts(2, "money(\"12.50\", \"EUR\")")
		if err != nil {
			return operand{}, err
		}
		return operand{kind: moneyLiteral, text: list[0], currency: list[1]}, nil
	}
	if _, ok := comparisons[name]; ok || name == operators.LogicalAnd || name == operators.LogicalOr || name == operators.LogicalNot {
		return operand{}, c.refuse(e, ReasonUnsupported, "conditions are not compared; combine them with && || !")
	}
	return operand{}, c.unsupported(e, name)
}

func (c *checker) age(e ast.Expr, args []ast.Expr) (operand, error) {
	switch len(args) {
	case 0:
		a, ok := c.schema.Attribute(audience.AttrBirthDate)
		if !ok {
			return operand{}, c.refuse(e, ReasonUnknownAttribute, "the schema has no birth date")
		}
		return operand{attr: a, age: true}, nil
	case 1:
		a, err := c.attribute(args[0])
		if err != nil {
			return operand{}, err
		}
		if a.Kind != audience.KindBirth && a.Kind != audience.KindDate {
			return operand{}, c.refuse(args[0], ReasonType, a.Name+" is "+describe(a)+", which has no age; name a date")
		}
		return operand{attr: a, age: true}, nil
	}
	return operand{}, c.refuse(e, ReasonType, "age takes one date at most: age() is that of birth_date")
}

// dateRef reads one end of days(...).
func (c *checker) dateRef(e ast.Expr) (audience.DateRef, error) {
	o, err := c.operand(e)
	if err != nil {
		return audience.DateRef{}, err
	}
	switch {
	case o.kind == todayLiteral:
		return audience.DateRef{Today: true}, nil
	case o.kind == dateLiteral:
		return audience.DateRef{Day: o.day}, nil
	case o.attr != nil && !o.age && o.attr.Kind == audience.KindDate:
		return audience.DateRef{Attr: o.attr.Name}, nil
	}
	return audience.DateRef{}, c.refuse(e, ReasonType, "days counts between dates; name a date attribute, today() or date(\"2024-01-31\")")
}

// compare reads left op right, where one side is a literal.
func (c *checker) compare(e ast.Expr, op audience.Op, left, right ast.Expr) (audience.Pred, error) {
	l, err := c.operand(left)
	if err != nil {
		return nil, err
	}
	r, err := c.operand(right)
	if err != nil {
		return nil, err
	}
	switch {
	case l.isLiteral() && r.isLiteral():
		return nil, c.refuse(e, ReasonUnsupported, "both sides are literals; compare an attribute")
	case !l.isLiteral() && !r.isLiteral():
		return nil, c.refuse(e, ReasonUnsupported, "two attributes are not compared, except dates: days(from, to) >= 0")
	case l.isLiteral():
		return c.relate(left, r, op.Flip(), l)
	}
	return c.relate(right, l, op, r)
}

// relate compares what o names with a literal, which stands at e.
func (c *checker) relate(e ast.Expr, o operand, op audience.Op, lit operand) (audience.Pred, error) {
	if !lit.isLiteral() {
		return nil, c.refuse(e, ReasonUnsupported, "a literal is needed here")
	}
	if o.age || o.days {
		n, err := strconv.ParseInt(lit.text, 10, 64)
		if lit.kind != numberLiteral || err != nil {
			return nil, c.refuse(e, ReasonType, "years and days are counted in whole numbers; write one such as 25")
		}
		if o.age {
			return audience.Age{Attr: o.attr.Name, Op: op, Years: n}, nil
		}
		return audience.Days{From: o.from, To: o.to, Op: op, N: n}, nil
	}
	a := o.attr
	ordered := op != audience.OpEQ && op != audience.OpNE
	plain := func(v audience.Value) (audience.Pred, error) {
		return audience.Compare{Attr: a.Name, Op: op, Value: v}, nil
	}
	mismatch := func() error {
		return c.refuse(e, ReasonType, a.Name+" is "+describe(a)+" and cannot be compared with this; "+hint(a))
	}
	switch a.Kind {
	case audience.KindEnum, audience.KindRegion, audience.KindOrdered, audience.KindText:
		if lit.kind != textLiteral {
			return nil, mismatch()
		}
		if ordered && (a.Kind == audience.KindEnum || a.Kind == audience.KindRegion) {
			return nil, c.refuse(e, ReasonType, a.Name+" has no order; use == != or in")
		}
		// A text with allowed values can be compared in order with any text.
		if !ordered || a.Kind != audience.KindText {
			if err := c.allowed(e, a, lit.text); err != nil {
				return nil, err
			}
		}
		return plain(audience.Value{Text: lit.text})
	case audience.KindBool:
		if lit.kind != boolLiteral || ordered {
			return nil, mismatch()
		}
		v := audience.Value{}
		if lit.flag {
			v.Num = 1
		}
		return plain(v)
	case audience.KindDate:
		switch lit.kind {
		case dateLiteral:
			return plain(audience.Value{Num: lit.day})
		case todayLiteral: // attr op today is 0 op' days from attr to today
			return audience.Days{From: audience.DateRef{Attr: a.Name}, To: audience.DateRef{Today: true}, Op: op.Flip()}, nil
		}
		return nil, mismatch()
	case audience.KindBirth:
		if lit.kind != dateLiteral {
			return nil, mismatch()
		}
		return plain(audience.Value{Num: lit.day, Last: lit.day})
	case audience.KindDecimal, audience.KindMoney:
		if lit.kind != numberLiteral && (lit.kind != moneyLiteral || a.Kind != audience.KindMoney) {
			return nil, mismatch()
		}
		p, err := c.schema.CompareNumber(a, op, lit.text, lit.currency)
		if err != nil {
			return nil, c.refuse(e, ReasonUnknownValue, messageOf(err)).Wrap(err)
		}
		return p, nil
	}
	return nil, mismatch()
}

// allowed refuses a text that the attribute cannot have.
func (c *checker) allowed(e ast.Expr, a *audience.Attribute, text string) error {
	if a.Kind == audience.KindRegion {
		if !region.Valid(text) {
			message := strconv.Quote(text) + " is no ISO 3166 code; use one such as FR or FR-NAQ"
			if code, ok := region.Normalize(text); ok {
				message = "write the region as " + strconv.Quote(code)
			}
			return c.refuse(e, ReasonUnknownValue, message).With("attribute", a.Name)
		}
		return nil
	}
	if a.Allows(text) {
		return nil
	}
	message := strconv.Quote(text) + " is not a value of " + a.Name
	if near := closest(text, a.Values); near != "" {
		message += "; did you mean " + strconv.Quote(near) + "?"
	} else if len(a.Values) <= 20 {
		message += "; use one of " + strings.Join(a.Values, ", ")
	}
	return c.refuse(e, ReasonUnknownValue, message).With("attribute", a.Name)
}
