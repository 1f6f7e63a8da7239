package rule

import (
	"strconv"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// attribute reads the name of an attribute that conditions are about.
func (c *checker) attribute(e ast.Expr) (*audience.Attribute, error) {
	a, err := c.attributeOrConsent(e)
	if err == nil && a.Kind == audience.KindConsent {
		return nil, c.refuse(e, ReasonType, "ask for a consent with consent(\"marketing\", \"email\")")
	}
	return a, err
}

func (c *checker) attributeOrConsent(e ast.Expr) (*audience.Attribute, error) {
	name, ok := qualified(e)
	if !ok {
		return nil, c.refuse(e, ReasonUnsupported, "the name of an attribute is needed here")
	}
	a, found := c.schema.Attribute(name)
	if found {
		return a, nil
	}
	message := "there is no attribute " + strconv.Quote(name)
	if near := closest(name, c.schema.Names()); near != "" {
		message += "; did you mean " + near + "?"
	} else {
		message += "; declare it first, or use another one"
	}
	return nil, c.refuse(e, ReasonUnknownAttribute, message).With("attribute", name)
}

// qualified returns a name such as employer.name from the selections it is parsed into.
func qualified(e ast.Expr) (string, bool) {
	var parts []string
	for e.Kind() == ast.SelectKind {
		s := e.AsSelect()
		if s.IsTestOnly() || len(parts) > 4 {
			return "", false
		}
		parts = append(parts, s.FieldName())
		e = s.Operand()
	}
	if e.Kind() != ast.IdentKind {
		return "", false
	}
	var b strings.Builder
	b.WriteString(e.AsIdent())
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteString("." + parts[i])
	}
	return b.String(), true
}

// textOf reads a text literal, in NFC.
func (c *checker) textOf(e ast.Expr) (string, error) {
	if err := c.visit(e); err != nil {
		return "", err
	}
	if e.Kind() == ast.LiteralKind {
		if s, ok := e.AsLiteral().(types.String); ok {
			return audience.NormalizeText(string(s)), nil
		}
	}
	return "", c.refuse(e, ReasonType, "a text in quotes is needed here")
}

// textValue reads a text that the attribute can have.
func (c *checker) textValue(e ast.Expr, a *audience.Attribute) (string, error) {
	text, err := c.textOf(e)
	if err != nil {
		return "", err
	}
	return text, c.allowed(e, a, text)
}

func (c *checker) oneOf(e ast.Expr, what string, values []string) (string, error) {
	text, err := c.textOf(e)
	if err != nil {
		return "", err
	}
	for _, v := range values {
		if v == text {
			return text, nil
		}
	}
	return "", c.refuse(e, ReasonUnknownValue, strconv.Quote(text)+" is no "+what+"; use one of "+strings.Join(values, ", "))
}

// describe says what an attribute is.
func describe(a *audience.Attribute) string {
	switch a.Kind {
	case audience.KindEnum:
		return "one of several values"
	case audience.KindOrdered:
		return "one of several values in an order"
	case audience.KindBool:
		return "true or false"
	case audience.KindRegion:
		return "a region"
	case audience.KindTextList:
		return "a list of texts"
	case audience.KindText:
		return "a text"
	case audience.KindDate:
		return "a date"
	case audience.KindBirth:
		return "a birth date"
	case audience.KindDecimal:
		return "a number"
	case audience.KindMoney:
		return "an amount of money"
	case audience.KindConsent:
		return "a consent"
	}
	return "of a kind that rules do not know"
}

// hint says what can be asked of an attribute.
func hint(a *audience.Attribute) string {
	example := "x"
	if len(a.Values) > 0 {
		example = a.Values[0]
	}
	example = strconv.Quote(example)
	switch a.Kind {
	case audience.KindEnum, audience.KindText:
		return "write " + a.Name + " == " + example
	case audience.KindOrdered:
		return "write " + a.Name + " >= " + example
	case audience.KindBool:
		return "write " + a.Name + " or !" + a.Name
	case audience.KindRegion:
		return "write " + a.Name + ".within(\"FR-NAQ\")"
	case audience.KindTextList:
		return "write " + example + " in " + a.Name + ", or " + a.Name + ".any([" + example + "])"
	case audience.KindDate:
		return "write " + a.Name + " >= date(\"2024-01-31\"), or days(" + a.Name + ", today()) <= 30"
	case audience.KindBirth:
		return "write age() >= 25, or " + a.Name + " >= date(\"2000-01-31\")"
	case audience.KindDecimal:
		return "write " + a.Name + " >= 10"
	case audience.KindMoney:
		return "write " + a.Name + " >= 50000, or " + a.Name + " >= money(\"50000\", \"EUR\")"
	}
	return "use another attribute"
}

// messageOf is what an error of the engine says to people.
func messageOf(err error) string {
	if f := fault.As(err); f != nil {
		return f.Message
	}
	return "the value is not possible"
}

// closest returns the candidate that differs from name in the fewest letters, "" if none is close. Names are short; longer
// ones are not compared.
func closest(name string, candidates []string) string {
	const longest = 80
	if len(name) > longest {
		return ""
	}
	best, most := "", max(1, len(name)/3)
	for _, c := range candidates {
		if len(c) > longest || len(c) > len(name)+most || len(name) > len(c)+most {
			continue
		}
		if d := distance(name, c); d <= most {
			best, most = c, d-1
		}
	}
	return best
}

// distance is the number of bytes to insert, delete or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
