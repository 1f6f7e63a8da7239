package truth_test

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/rule"
)

// fit returns a predicate that the rule language can say: it has no empty lists and does not count between two fixed days. What
// is left out here is refused by the language, so no answer can be wrong about it.
func fit(p audience.Pred, s *audience.Schema) audience.Pred {
	switch p := p.(type) {
	case audience.And:
		out := make(audience.And, len(p))
		for i, x := range p {
			out[i] = fit(x, s)
		}
		return out
	case audience.Or:
		out := make(audience.Or, len(p))
		for i, x := range p {
			out[i] = fit(x, s)
		}
		return out
	case audience.Not:
		return audience.Not{X: fit(p.X, s)}
	case audience.In:
		if len(p.Values) == 0 {
			return audience.Has{Attr: p.Attr}
		}
	case audience.Contains:
		if len(p.Texts) == 0 {
			return audience.Has{Attr: p.Attr}
		}
	case audience.Within:
		if len(p.Codes) == 0 {
			return audience.Has{Attr: p.Attr}
		}
	case audience.Prefix:
		if p.Text == "" {
			return audience.Has{Attr: p.Attr}
		}
	case audience.Days:
		if p.From.Attr == "" && p.To.Attr == "" {
			p.From = audience.DateRef{Attr: attrSignup}
			return p
		}
	}
	return p
}

var ops = map[audience.Op]string{
	audience.OpEQ: "==", audience.OpNE: "!=", audience.OpLT: "<", audience.OpLE: "<=", audience.OpGT: ">", audience.OpGE: ">=",
}

// text writes a predicate in the rule language.
func text(p audience.Pred, s *audience.Schema) string {
	switch p := p.(type) {
	case audience.And:
		return chain(p, s, " && ", "true")
	case audience.Or:
		return chain(p, s, " || ", "false")
	case audience.Not:
		return "!(" + text(p.X, s) + ")"
	case audience.Const:
		return strconv.FormatBool(bool(p))
	case audience.Compare:
		return p.Attr + " " + ops[p.Op] + " " + literal(p.Attr, p.Value, s)
	case audience.In:
		list := make([]string, len(p.Values))
		for i, v := range p.Values {
			list[i] = literal(p.Attr, v, s)
		}
		return p.Attr + " in [" + strings.Join(list, ", ") + "]"
	case audience.Contains:
		if p.All {
			return p.Attr + ".all(" + rule.QuoteList(p.Texts) + ")"
		}
		return p.Attr + ".any(" + rule.QuoteList(p.Texts) + ")"
	case audience.Within:
		return p.Attr + ".within(" + rule.QuoteList(p.Codes) + ")"
	case audience.Prefix:
		return p.Attr + ".startsWith(" + rule.Quote(p.Text) + ")"
	case audience.Age:
		if p.Attr == audience.AttrBirthDate {
			return fmt.Sprintf("age() %s %d", ops[p.Op], p.Years)
		}
		return fmt.Sprintf("age(%s) %s %d", p.Attr, ops[p.Op], p.Years)
	case audience.Days:
		return fmt.Sprintf("days(%s, %s) %s %d", dateText(p.From), dateText(p.To), ops[p.Op], p.N)
	case audience.Has:
		return "has(" + p.Attr + ")"
	case audience.Consent:
		if p.Channel == "" {
			return "consent(" + rule.Quote(p.Purpose) + ")"
		}
		return "consent(" + rule.Quote(p.Purpose) + ", " + rule.Quote(p.Channel) + ")"
	case audience.Member:
		return "segment(" + rule.Quote(p.Segment) + ")"
	}
	panic(fmt.Sprintf("no text for %T", p))
}

func chain(list []audience.Pred, s *audience.Schema, op, none string) string {
	if len(list) == 0 {
		return none
	}
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = text(p, s)
	}
	return "(" + strings.Join(texts, op) + ")"
}

func dateText(d audience.DateRef) string {
	switch {
	case d.Attr != "":
		return d.Attr
	case d.Today:
		return "today()"
	}
	return dayText(d.Day)
}

func dayText(day int64) string {
	y, m, d := audience.DateOf(day)
	return fmt.Sprintf(`date("%04d-%02d-%02d")`, y, m, d)
}

func literal(attr string, v audience.Value, s *audience.Schema) string {
	a, _ := s.Attribute(attr)
	switch a.Kind {
	case audience.KindBool:
		return strconv.FormatBool(v.Num != 0)
	case audience.KindDate, audience.KindBirth:
		return dayText(v.Num)
	case audience.KindDecimal:
		return `decimal("` + audience.FormatDecimal(v.Num, a.Scale) + `")`
	case audience.KindMoney:
		return fmt.Sprintf(`money("%s", "%s")`, audience.FormatDecimal(v.Num, a.Scale), v.Currency)
	}
	return rule.Quote(v.Text)
}
