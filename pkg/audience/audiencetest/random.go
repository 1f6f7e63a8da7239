package audiencetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Day is the day around which random dates lie: 1 March 2026, so that the leap-day rule is always near.
var Day = audience.DayOf(2026, 3, 1)

// Values from which random facts and predicates are drawn: few, so that they meet.
var (
	words      = []string{"", "a", "ab", "abc", "b", "É", "ab\u0000", "zz"}
	interests  = []string{"cycling", "tea", "films", "a=b"}
	regions    = []string{"FR", "FR-NAQ", "FR-40", "FR-33", "FR-IDF", "FR-974", "DE", "DE-BE", "GB-LND", "GB-ENG", "AQ"}
	currencies = []string{"EUR", "USD"}
)

// few are the traits that random people have and random predicates ask of, one or two of each kind: there are so many traits that
// nothing else would be asked for otherwise.
var few = []string{
	audience.AttrPurchaseLastDate, audience.AttrPurchaseCount90d, audience.AttrPurchaseSum365d, audience.AttrPurchaseFavouriteChannel,
	audience.AttrPurchaseFavouriteBrand, audience.AttrPurchaseLoyalty, audience.AttrSurveySatisfaction, audience.ActivityAttrsOf("open").LastDate,
}

// drawn reports whether an attribute is no trait, or one of few.
func drawn(name string) bool {
	kind, _, _ := strings.Cut(name, ".")
	return kind != "purchase" && !slices.Contains(audience.Activities, kind) || slices.Contains(few, name)
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// some returns between min and all of a list, with repetitions.
func some[T any](r *rand.Rand, list []T, least int) []T {
	out := make([]T, 0, len(list))
	for range least + r.IntN(len(list)) {
		out = append(out, pick(r, list))
	}
	return out
}

// Schema returns a schema with custom attributes of every kind that can be declared.
func Schema(r *rand.Rand) *audience.Schema {
	levels := make([]string, 2+r.IntN(5))
	for i := range levels {
		levels[i] = "level " + strconv.Itoa(i)
	}
	s, err := audience.NewSchema("EUR", []audience.Attribute{
		{Name: "custom.tier", Kind: audience.KindOrdered, Values: levels},
		{Name: "custom.colour", Kind: audience.KindEnum, Values: []string{"red", "green", "blue"}},
		{Name: "custom.vip", Kind: audience.KindBool},
		{Name: "custom.note", Kind: audience.KindText},
		{Name: "custom.code", Kind: audience.KindText, Values: []string{"x", "y"}},
		{Name: "custom.tags", Kind: audience.KindTextList},
		{Name: "custom.sizes", Kind: audience.KindTextList, Values: []string{"s", "m", "l"}},
		{Name: "custom.signup", Kind: audience.KindDate},
		{Name: "custom.last_order", Kind: audience.KindDate},
		{Name: "custom.balance", Kind: audience.KindDecimal, Scale: r.IntN(4)},
		{Name: "custom.spent", Kind: audience.KindMoney, Scale: 2},
	})
	if err != nil {
		panic(fmt.Sprintf("audiencetest: %v", err))
	}
	return s
}

// Facts returns a person for whom each attribute is missing three times in ten, consents mostly, and most traits always.
func Facts(r *rand.Rand, s *audience.Schema) audience.Facts {
	f := make(audience.Facts)
	for _, name := range s.Names() {
		if !drawn(name) {
			continue
		}
		a, _ := s.Attribute(name)
		missing := 0.3
		if a.Kind == audience.KindConsent {
			missing = 0.8
		}
		if r.Float64() >= missing {
			f[name] = value(r, a)
		}
	}
	return f
}

// value returns a value that the attribute can have.
func value(r *rand.Rand, a *audience.Attribute) audience.Value {
	switch a.Kind {
	case audience.KindEnum, audience.KindOrdered:
		return audience.Value{Text: pick(r, a.Values)}
	case audience.KindBool:
		return audience.Value{Num: r.Int64N(2)}
	case audience.KindRegion:
		return audience.Value{Text: pick(r, regions)}
	case audience.KindTextList:
		list := some(r, listValues(a), 0)
		if len(list) == 0 && r.IntN(2) == 0 {
			list = nil
		}
		return audience.Value{List: list}
	case audience.KindText:
		if len(a.Values) > 0 {
			return audience.Value{Text: pick(r, a.Values)}
		}
		return audience.Value{Text: pick(r, words)}
	case audience.KindDate:
		return audience.Value{Num: someDay(r)}
	case audience.KindConsent:
		return audience.Value{Num: pick(r, []int64{audience.MinDay, audience.MaxDay, Day - 1, Day, Day + 1, someDay(r)})}
	case audience.KindBirth:
		first := Day - r.Int64N(6*365)
		switch r.IntN(3) {
		case 0: // the year alone
			y, _, _ := audience.DateOf(first)
			return audience.Value{Num: audience.DayOf(y, 1, 1), Last: audience.DayOf(y, 12, 31)}
		case 1: // a leap day
			return audience.Value{Num: audience.DayOf(2024, 2, 29), Last: audience.DayOf(2024, 2, 29)}
		}
		return audience.Value{Num: first, Last: first}
	case audience.KindDecimal:
		return audience.Value{Num: r.Int64N(20) - 10}
	case audience.KindMoney:
		return audience.Value{Num: r.Int64N(20) - 10, Currency: pick(r, currencies)}
	}
	panic("audiencetest: no value of this kind")
}

func listValues(a *audience.Attribute) []string {
	if len(a.Values) > 0 {
		return a.Values
	}
	return interests
}

func someDay(r *rand.Rand) int64 { return Day - 400 + r.Int64N(800) }

func someOp(r *rand.Rand) audience.Op { return audience.OpEQ + audience.Op(r.IntN(6)) }

// Pred returns a predicate over the schema, at most depth operators deep, that may name the segments.
func Pred(r *rand.Rand, s *audience.Schema, segments []string, depth int) audience.Pred {
	if depth > 0 && r.IntN(4) > 0 {
		list := make([]audience.Pred, r.IntN(4))
		for i := range list {
			list[i] = Pred(r, s, segments, depth-1)
		}
		switch r.IntN(3) {
		case 0:
			return audience.And(list)
		case 1:
			return audience.Or(list)
		}
		return audience.Not{X: Pred(r, s, segments, depth-1)}
	}
	switch r.IntN(16) {
	case 0:
		return audience.Const(r.IntN(2) == 0)
	case 1, 2:
		if len(segments) > 0 {
			return audience.Member{Segment: pick(r, segments)}
		}
	case 3:
		p := audience.Consent{Purpose: pick(r, audience.Purposes)}
		if r.IntN(3) > 0 {
			p.Channel = pick(r, audience.Channels)
		}
		return p
	case 4:
		return audience.Has{Attr: pick(r, s.Names())}
	case 5, 6:
		return audience.Age{Attr: pick(r, []string{"birth_date", "birth_date", "custom.signup", audience.AttrPurchaseLastDate}), Op: someOp(r), Years: r.Int64N(9) - 2}
	case 7:
		return audience.Days{From: dateRef(r), To: dateRef(r), Op: someOp(r), N: r.Int64N(300) - 150}
	}
	return about(r, s)
}

func dateRef(r *rand.Rand) audience.DateRef {
	switch r.IntN(6) {
	case 0:
		return audience.DateRef{Today: true}
	case 1:
		return audience.DateRef{Day: someDay(r)}
	case 2:
		return audience.DateRef{Attr: "custom.signup"}
	case 3:
		return audience.DateRef{Attr: audience.AttrPurchaseLastDate}
	}
	return audience.DateRef{Attr: "custom.last_order"}
}

// about returns a leaf about a random attribute.
func about(r *rand.Rand, s *audience.Schema) audience.Pred {
	for {
		a, _ := s.Attribute(pick(r, s.Names()))
		if !drawn(a.Name) {
			continue
		}
		switch a.Kind {
		case audience.KindConsent:
			continue
		case audience.KindTextList:
			return audience.Contains{Attr: a.Name, Texts: some(r, listValues(a), 0), All: r.IntN(2) == 0}
		case audience.KindRegion:
			if r.IntN(2) == 0 {
				return audience.Within{Attr: a.Name, Codes: some(r, regions, 0)}
			}
		case audience.KindText:
			if r.IntN(3) == 0 {
				return audience.Prefix{Attr: a.Name, Text: pick(r, words)}
			}
		}
		v := value(r, a)
		if a.Kind != audience.KindBirth && r.IntN(3) == 0 {
			in := audience.In{Attr: a.Name}
			for range r.IntN(4) {
				in.Values = append(in.Values, value(r, a))
			}
			return in
		}
		op := someOp(r)
		switch a.Kind {
		case audience.KindEnum, audience.KindBool, audience.KindRegion:
			op = pick(r, []audience.Op{audience.OpEQ, audience.OpNE})
		}
		return audience.Compare{Attr: a.Name, Op: op, Value: v}
	}
}

// Spec returns a spec with a few parts, that may name the segments. Its filter is a random predicate.
func Spec(r *rand.Rand, s *audience.Schema, segments []string) *audience.Spec {
	sp := new(audience.Spec)
	maybe := func(f func()) {
		if r.IntN(5) == 0 {
			f()
		}
	}
	two := func(list []string) []string {
		return []string{pick(r, list), pick(r, list)}[:1+r.IntN(2)]
	}
	maybe(func() { sp.Regions = two(regions[:7]) })
	maybe(func() { sp.PostalCodes = pick(r, [][]string{{"a*"}, {"ab", "b"}, {"zz", "a*"}}) })
	maybe(func() {
		lo, hi := r.Int64N(4), 3+r.Int64N(3)
		sp.Age = pick(r, []audience.IntRange{{Min: &lo}, {Max: &hi}, {Min: &lo, Max: &hi}})
	})
	maybe(func() { sp.Genders = two(audience.Genders) })
	maybe(func() { sp.JobLevels = two(audience.JobLevels) })
	maybe(func() { sp.MinJobLevel = pick(r, audience.JobLevels) })
	maybe(func() {
		sp.Income = pick(r, []audience.MoneyRange{{Min: "-0.05"}, {Max: "0.035", Currency: "USD"}, {Min: "-0.05", Max: "0.05"}})
	})
	maybe(func() { sp.Educations = two(audience.Educations) })
	maybe(func() { sp.MaritalStatuses = two(audience.MaritalStatuses) })
	maybe(func() { sp.Roles = two(audience.Roles) })
	maybe(func() { sp.Lifecycles = two(audience.Lifecycles) })
	maybe(func() { sp.EmployerIndustries = two(words[1:]) })
	maybe(func() { sp.EmployerSizes = two(audience.EmployerSizes) })
	maybe(func() { sp.Interests = two(interests) })
	if len(segments) > 0 {
		maybe(func() { sp.AllSegments = two(segments) })
		maybe(func() { sp.AnySegments = two(segments) })
		maybe(func() { sp.ExcludedSegments = two(segments) })
		maybe(func() { sp.Personas = two(segments) })
	}
	maybe(func() { sp.Channel = pick(r, audience.Channels) })
	maybe(func() { sp.Purposes = two(audience.Purposes) })
	maybe(func() { sp.Filter = Pred(r, s, segments, 2) })
	return sp
}
