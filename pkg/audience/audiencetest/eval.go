package audiencetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/region"
)

// Eval says what a predicate is of one person on a day (days since 1970-01-01), and member who is in a segment. It panics on
// a predicate that does not fit the schema: tests give it only such as the engine accepted.
func Eval(p audience.Pred, f audience.Facts, day int64, s *audience.Schema, member func(uid string) bool) audience.Tri {
	e := twin{facts: f, day: day, schema: s, member: member}
	return e.eval(p)
}

type twin struct {
	facts  audience.Facts
	day    int64
	schema *audience.Schema
	member func(string) bool
}

func (e twin) eval(p audience.Pred) audience.Tri {
	switch p := p.(type) {
	case audience.And:
		t := audience.True
		for _, x := range p {
			t = min(t, e.eval(x))
		}
		return t
	case audience.Or:
		t := audience.False
		for _, x := range p {
			t = max(t, e.eval(x))
		}
		return t
	case audience.Not:
		switch e.eval(p.X) {
		case audience.True:
			return audience.False
		case audience.False:
			return audience.True
		}
		return audience.Unknown
	case audience.Const:
		return tri(bool(p))
	case audience.Compare:
		return e.compare(p.Attr, p.Op, p.Value)
	case audience.In:
		t := audience.False
		if _, ok := e.facts[p.Attr]; !ok {
			t = audience.Unknown
		}
		for _, v := range p.Values {
			t = max(t, e.compare(p.Attr, audience.OpEQ, v))
		}
		return t
	case audience.Contains:
		v, ok := e.facts[p.Attr]
		if !ok {
			return audience.Unknown
		}
		found := 0
		for _, t := range p.Texts {
			if slices.Contains(v.List, t) {
				found++
			}
		}
		if p.All {
			return tri(found == len(p.Texts))
		}
		return tri(found > 0)
	case audience.Within:
		v, ok := e.facts[p.Attr]
		if !ok {
			return audience.Unknown
		}
		inside := append([]string{v.Text}, region.Ancestors(v.Text)...)
		return tri(slices.ContainsFunc(p.Codes, func(c string) bool { return slices.Contains(inside, c) }))
	case audience.Prefix:
		v, ok := e.facts[p.Attr]
		if !ok {
			return audience.Unknown
		}
		return tri(strings.HasPrefix(v.Text, p.Text))
	case audience.Age:
		v, ok := e.facts[p.Attr]
		if !ok {
			return audience.Unknown
		}
		first, last := v.Num, v.Num
		if e.kind(p.Attr) == audience.KindBirth {
			last = v.Last
		}
		return e.always(age(last, e.day), age(first, e.day), p.Op, p.Years)
	case audience.Days:
		from, ok := e.date(p.From)
		to, ok2 := e.date(p.To)
		if !ok || !ok2 {
			return audience.Unknown
		}
		return tri(holds(p.Op, to-from, p.N))
	case audience.Has:
		_, ok := e.facts[p.Attr]
		if !ok && e.kind(p.Attr) == audience.KindConsent {
			_, ok = e.facts[general(p.Attr)]
		}
		return tri(ok)
	case audience.Consent:
		channel := p.Channel
		if channel == "" {
			channel = "any"
		}
		v, ok := e.facts["consent."+p.Purpose+"."+channel]
		if !ok {
			if v, ok = e.facts["consent."+p.Purpose+".any"]; !ok {
				return audience.Unknown
			}
		}
		return tri(v.Num > e.day)
	case audience.Member:
		return tri(e.member(p.Segment))
	}
	panic(fmt.Sprintf("audiencetest: no predicate: %T", p))
}

func (e twin) kind(attr string) audience.Kind {
	a, ok := e.schema.Attribute(attr)
	if !ok {
		panic("audiencetest: no attribute " + attr)
	}
	return a.Kind
}

func (e twin) compare(attr string, op audience.Op, lit audience.Value) audience.Tri {
	v, ok := e.facts[attr]
	if !ok {
		return audience.Unknown
	}
	a, _ := e.schema.Attribute(attr)
	switch a.Kind {
	case audience.KindEnum, audience.KindRegion, audience.KindText:
		return tri(holds(op, strings.Compare(v.Text, lit.Text), 0))
	case audience.KindOrdered:
		return tri(holds(op, slices.Index(a.Values, v.Text), slices.Index(a.Values, lit.Text)))
	case audience.KindBool, audience.KindDate, audience.KindDecimal:
		return tri(holds(op, v.Num, lit.Num))
	case audience.KindMoney:
		if v.Currency != lit.Currency {
			return audience.Unknown
		}
		return tri(holds(op, v.Num, lit.Num))
	case audience.KindBirth:
		return e.always(v.Num, v.Last, op, lit.Num)
	}
	panic("audiencetest: not comparable: " + attr)
}

// always is true if op holds for every number from lo to hi, false if for none.
func (e twin) always(lo, hi int64, op audience.Op, n int64) audience.Tri {
	yes, no := false, false
	for x := lo; x <= hi; x++ {
		if holds(op, x, n) {
			yes = true
		} else {
			no = true
		}
	}
	switch {
	case yes && no:
		return audience.Unknown
	case yes:
		return audience.True
	}
	return audience.False
}

func (e twin) date(r audience.DateRef) (int64, bool) {
	switch {
	case r.Attr != "":
		v, ok := e.facts[r.Attr]
		return v.Num, ok
	case r.Today:
		return e.day, true
	}
	return r.Day, true
}

// age counts birthdays, the standard library's calendar deciding that a 29 February which does not exist is 1 March.
func age(birth, day int64) int64 {
	b, d := date(birth), date(day)
	years := d.Year() - b.Year()
	if time.Date(d.Year(), b.Month(), b.Day(), 0, 0, 0, 0, time.UTC).After(d) {
		years--
	}
	return int64(years)
}

func date(day int64) time.Time { return time.Unix(day*24*60*60, 0).UTC() }

func general(attr string) string { return attr[:strings.LastIndex(attr, ".")+1] + "any" }

func tri(b bool) audience.Tri {
	if b {
		return audience.True
	}
	return audience.False
}

func holds[T int | int64](op audience.Op, x, y T) bool {
	switch op {
	case audience.OpEQ:
		return x == y
	case audience.OpNE:
		return x != y
	case audience.OpLT:
		return x < y
	case audience.OpLE:
		return x <= y
	case audience.OpGT:
		return x > y
	case audience.OpGE:
		return x >= y
	}
	panic("audiencetest: no operator")
}
