package audience_test

import (
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
)

func day(t testing.TB, text string) int64 {
	t.Helper()
	d, err := audience.ParseDay(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func born(t testing.TB, text string) audience.Value {
	t.Helper()
	if len(text) == 4 {
		return audience.Value{Num: day(t, text+"-01-01"), Last: day(t, text+"-12-31")}
	}
	return audience.Value{Num: day(t, text), Last: day(t, text)}
}

func schema(t testing.TB, custom ...audience.Attribute) *audience.Schema {
	t.Helper()
	s, err := audience.NewSchema("EUR", custom)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// truth says what the engine says of one person, by Truth and by Eval.
func truth(t testing.TB, p audience.Pred, f audience.Facts, env audience.Env) audience.Tri {
	t.Helper()
	b, err := audiencetest.NewBlock(env.Schema, mapSeq(map[uint16]audience.Facts{77: f}))
	if err != nil {
		t.Fatal(err)
	}
	e, err := audience.Compile(p, env)
	if err != nil {
		t.Fatal(err)
	}
	tri, err := e.Truth(b, 77)
	if err != nil {
		t.Fatal(err)
	}
	var out audience.Bits
	if err := e.Eval(b, nil, &out); err != nil {
		t.Fatal(err)
	}
	if out.Has(77) != (tri == audience.True) || out.Count() > 1 {
		t.Fatalf("Eval and Truth disagree: %v, %v", out.Has(77), tri)
	}
	return tri
}

func TestAge(t *testing.T) {
	t.Parallel()
	const T, F, U = audience.True, audience.False, audience.Unknown
	for _, c := range []struct {
		birth, on string
		op        audience.Op
		years     int64
		want      audience.Tri
	}{
		{"2000-05-10", "2026-05-09", audience.OpGE, 26, F},
		{"2000-05-10", "2026-05-10", audience.OpGE, 26, T},
		{"2000-05-10", "2026-05-10", audience.OpEQ, 26, T},
		{"2000-05-10", "2026-05-10", audience.OpNE, 26, F},
		{"2000-05-10", "2026-05-10", audience.OpGT, 26, F},
		{"2000-05-10", "2026-05-10", audience.OpLE, 26, T},
		{"2000-05-10", "2026-05-10", audience.OpLT, 26, F},
		// Born on a leap day: a year older on 1 March of common years, on the day itself in leap years.
		{"2004-02-29", "2022-02-28", audience.OpGE, 18, F},
		{"2004-02-29", "2022-03-01", audience.OpGE, 18, T},
		{"2004-02-29", "2024-02-28", audience.OpGE, 20, F},
		{"2004-02-29", "2024-02-29", audience.OpGE, 20, T},
		{"2004-02-28", "2022-02-28", audience.OpGE, 18, T},
		{"2003-02-28", "2024-02-29", audience.OpGE, 21, T},
		{"2003-03-01", "2024-02-29", audience.OpGE, 21, F},
		// A year alone: on 30 June either age is possible, on 31 December only one.
		{"1990", "2026-06-30", audience.OpGE, 36, U},
		{"1990", "2026-06-30", audience.OpGE, 35, T},
		{"1990", "2026-06-30", audience.OpGE, 37, F},
		{"1990", "2026-06-30", audience.OpEQ, 36, U},
		{"1990", "2026-06-30", audience.OpEQ, 35, U},
		{"1990", "2026-06-30", audience.OpEQ, 34, F},
		{"1990", "2026-06-30", audience.OpLT, 36, U},
		{"1990", "2026-12-31", audience.OpGE, 36, T},
		{"1990", "2026-12-31", audience.OpEQ, 36, T},
		{"1990", "2026-12-31", audience.OpLE, 35, F},
		{"1990", "2026-01-01", audience.OpGE, 36, U},
		{"1990", "2025-12-31", audience.OpGE, 36, F},
		// Numbers that no age reaches.
		{"1990-01-01", "2026-01-01", audience.OpLT, 1 << 62, T},
		{"1990-01-01", "2026-01-01", audience.OpGT, -1 << 62, T},
	} {
		p := audience.Age{Attr: audience.AttrBirthDate, Op: c.op, Years: c.years}
		env := audience.Env{Schema: schema(t), Day: day(t, c.on)}
		f := audience.Facts{audience.AttrBirthDate: born(t, c.birth)}
		if got := truth(t, p, f, env); got != c.want {
			t.Errorf("born %s, on %s: age %v %d is %v, want %v", c.birth, c.on, c.op, c.years, got, c.want)
		}
		if got := truth(t, audience.Not{X: p}, f, env); got != c.want.Not() {
			t.Errorf("born %s, on %s: not age %v %d is %v, want %v", c.birth, c.on, c.op, c.years, got, c.want.Not())
		}
		if got := truth(t, p, audience.Facts{}, env); got != U {
			t.Errorf("no birth date: age %v %d is %v", c.op, c.years, got)
		}
	}
}

func TestAMissingValueIsUnknownUnderNot(t *testing.T) {
	t.Parallel()
	env := audience.Env{Schema: schema(t), Day: 20_000}
	female := audience.Compare{Attr: audience.AttrGender, Op: audience.OpEQ, Value: audience.Value{Text: "female"}}
	f := audience.Facts{audience.AttrInterests: {}}
	for name, c := range map[string]struct {
		p    audience.Pred
		want audience.Tri
	}{
		"not on missing":             {audience.Not{X: female}, audience.Unknown},
		"unknown or true":            {audience.Or{female, audience.Const(true)}, audience.True},
		"unknown and false":          {audience.And{female, audience.Const(false)}, audience.False},
		"not(unknown and false)":     {audience.Not{X: audience.And{female, audience.Const(false)}}, audience.True},
		"has missing":                {audience.Has{Attr: audience.AttrGender}, audience.False},
		"not has missing":            {audience.Not{X: audience.Has{Attr: audience.AttrGender}}, audience.True},
		"an empty list is there":     {audience.Has{Attr: audience.AttrInterests}, audience.True},
		"an empty list lacks":        {audience.Contains{Attr: audience.AttrInterests, Texts: []string{"tea"}}, audience.False},
		"not in an empty list":       {audience.Not{X: audience.Contains{Attr: audience.AttrInterests, Texts: []string{"tea"}}}, audience.True},
		"a missing list is unknown":  {audience.Not{X: audience.Contains{Attr: audience.AttrNeeds, Texts: []string{"tea"}}}, audience.Unknown},
		"all of nothing":             {audience.Contains{Attr: audience.AttrInterests, All: true}, audience.True},
		"any of nothing":             {audience.Contains{Attr: audience.AttrInterests}, audience.False},
		"all of nothing, list there": {audience.Contains{Attr: audience.AttrNeeds, All: true}, audience.Unknown},
	} {
		if got := truth(t, c.p, f, env); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestASegmentIsTwoValued(t *testing.T) {
	t.Parallel()
	female := audience.Compare{Attr: audience.AttrGender, Op: audience.OpEQ, Value: audience.Value{Text: "female"}}
	env := audience.Env{Schema: schema(t), Day: 20_000, Segment: func(string) (audience.SegmentRef, error) {
		return audience.SegmentRef{Pred: female}, nil
	}}
	nothing := audience.Facts{}
	if got := truth(t, audience.Member{Segment: "w"}, nothing, env); got != audience.False {
		t.Errorf("of unknown gender: member %v", got)
	}
	if got := truth(t, audience.Not{X: audience.Member{Segment: "w"}}, nothing, env); got != audience.True {
		t.Errorf("of unknown gender: not a member %v", got)
	}
	if got := truth(t, audience.Not{X: female}, nothing, env); got != audience.Unknown {
		t.Errorf("the same rule, not as a segment: %v", got)
	}
}

func TestRegionsLieInTheirAncestors(t *testing.T) {
	t.Parallel()
	env := audience.Env{Schema: schema(t), Day: 20_000}
	within := func(codes ...string) audience.Pred { return audience.Within{Attr: audience.AttrRegion, Codes: codes} }
	is := func(code string) audience.Pred {
		return audience.Compare{Attr: audience.AttrRegion, Op: audience.OpEQ, Value: audience.Value{Text: code}}
	}
	const T, F = audience.True, audience.False
	for _, c := range []struct {
		lives string
		p     audience.Pred
		want  audience.Tri
	}{
		{"FR-40", within("FR-NAQ"), T}, {"FR-40", within("FR"), T}, {"FR-40", within("FR-40"), T},
		{"FR-40", within("FR-33"), F}, {"FR-40", within("FR-IDF", "DE"), F}, {"FR-40", within("DE", "FR"), T},
		{"FR", within("FR-NAQ"), F}, {"FR-NAQ", within("FR-40"), F}, {"FR-NAQ", within("FR-NAQ"), T},
		{"FR-40", is("FR"), F}, {"FR-40", is("FR-40"), T}, {"FR", is("FR"), T}, {"FR-NAQ", is("FR-NAQ"), T},
		{"FR-NAQ", is("FR"), F}, {"FR-40", is("FR-NAQ"), F}, {"AQ", is("AQ"), T},
	} {
		f := audience.Facts{audience.AttrRegion: {Text: c.lives}}
		if got := truth(t, c.p, f, env); got != c.want {
			t.Errorf("in %s: %#v is %v, want %v", c.lives, c.p, got, c.want)
		}
		if got := truth(t, c.p, audience.Facts{}, env); got != audience.Unknown {
			t.Errorf("nowhere: %#v is %v", c.p, got)
		}
	}
}

func TestMoneyInAnotherCurrencyIsUnknown(t *testing.T) {
	t.Parallel()
	s := schema(t)
	env := audience.Env{Schema: s, Day: 20_000}
	a, _ := s.Attribute(audience.AttrIncome)
	dollars := audience.Facts{audience.AttrIncome: {Num: 60_000_00, Currency: "USD"}}
	for currency, want := range map[string]audience.Tri{"": audience.Unknown, "EUR": audience.Unknown, "USD": audience.True} {
		p, err := s.CompareNumber(a, audience.OpGE, "50000", currency)
		if err != nil {
			t.Fatal(err)
		}
		if got := truth(t, p, dollars, env); got != want {
			t.Errorf("60000 USD >= 50000 %s: %v, want %v", currency, got, want)
		}
		if got := truth(t, audience.Not{X: p}, dollars, env); got != want.Not() {
			t.Errorf("not 60000 USD >= 50000 %s: %v, want %v", currency, got, want.Not())
		}
	}
	if got := truth(t, audience.Has{Attr: audience.AttrIncome}, dollars, env); got != audience.True {
		t.Errorf("has(income) in dollars: %v", got)
	}
}

func TestConsentEndsWithItsDay(t *testing.T) {
	t.Parallel()
	const email, any = "consent.marketing.email", "consent.marketing.any"
	today := day(t, "2026-11-22")
	at := func(n int64) audience.Value { return audience.Value{Num: n} }
	p := audience.Consent{Purpose: "marketing", Channel: "email"}
	for name, c := range map[string]struct {
		facts audience.Facts
		want  audience.Tri
	}{
		"no record":                      {audience.Facts{}, audience.Unknown},
		"without expiry":                 {audience.Facts{email: at(audience.MaxDay)}, audience.True},
		"denied":                         {audience.Facts{email: at(audience.MinDay)}, audience.False},
		"its last day":                   {audience.Facts{email: at(today + 1)}, audience.True},
		"gone from the start of the day": {audience.Facts{email: at(today)}, audience.False},
		"general":                        {audience.Facts{any: at(audience.MaxDay)}, audience.True},
		"general denied":                 {audience.Facts{any: at(audience.MinDay)}, audience.False},
		"own denial wins":                {audience.Facts{any: at(audience.MaxDay), email: at(audience.MinDay)}, audience.False},
		"own consent wins":               {audience.Facts{any: at(audience.MinDay), email: at(audience.MaxDay)}, audience.True},
		"another channel":                {audience.Facts{"consent.marketing.sms": at(audience.MaxDay)}, audience.Unknown},
		"another purpose":                {audience.Facts{"consent.profiling.email": at(audience.MaxDay)}, audience.Unknown},
	} {
		env := audience.Env{Schema: schema(t), Day: today}
		if got := truth(t, p, c.facts, env); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if got := truth(t, audience.Not{X: p}, c.facts, env); got != c.want.Not() {
			t.Errorf("not, %s: %v, want %v", name, got, c.want.Not())
		}
		// The question's day moves ages and dates, and leaves consents where they are.
		env.Day, env.ConsentDay = today-1000, &today
		if got := truth(t, p, c.facts, env); got != c.want {
			t.Errorf("%s, asked about another day: %v, want %v", name, got, c.want)
		}
	}
}

func TestNumbersCompareExactlyBeyondTheirScale(t *testing.T) {
	t.Parallel()
	s := schema(t, audience.Attribute{Name: "custom.x", Kind: audience.KindDecimal, Scale: 2})
	a, _ := s.Attribute("custom.x")
	env := audience.Env{Schema: s, Day: 20_000}
	ops := []audience.Op{audience.OpEQ, audience.OpNE, audience.OpLT, audience.OpLE, audience.OpGT, audience.OpGE}
	for _, c := range []struct {
		x    int64 // hundredths
		lit  string
		sign int // of x minus the literal
	}{
		{100, "1.005", -1}, {101, "1.005", 1}, {101, "1.01", 0}, {101, "1.0100", 0}, {101, "1.0100000000000000001", -1},
		{-100, "-1.005", 1}, {-101, "-1.005", -1}, {0, "-0.001", 1}, {0, "0.001", -1}, {-1, "-0.001", -1}, {0, "-0", 0},
		{9223372036854775807, "92233720368547758.07", 0}, {9223372036854775807, "92233720368547758.06999", 1},
		{-9223372036854775808, "-92233720368547758.08", 0}, {-9223372036854775808, "-92233720368547758.07", -1},
	} {
		for _, op := range ops {
			p, err := s.CompareNumber(a, op, c.lit, "")
			if err != nil {
				t.Fatalf("%s: %v", c.lit, err)
			}
			want := map[audience.Op]bool{audience.OpEQ: c.sign == 0, audience.OpNE: c.sign != 0, audience.OpLT: c.sign < 0,
				audience.OpLE: c.sign <= 0, audience.OpGT: c.sign > 0, audience.OpGE: c.sign >= 0}[op]
			got := truth(t, p, audience.Facts{"custom.x": {Num: c.x}}, env)
			if got != audience.TriOf(want) {
				t.Errorf("%d hundredths %v %s: %v", c.x, op, c.lit, got)
			}
			if got := truth(t, p, audience.Facts{}, env); got != audience.Unknown {
				t.Errorf("nothing %v %s: %v", op, c.lit, got)
			}
		}
	}
}
