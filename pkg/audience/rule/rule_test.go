package rule_test

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"

	a "github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/rule"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

func schema(t testing.TB) *a.Schema {
	t.Helper()
	s, err := a.NewSchema("EUR", []a.Attribute{
		{Name: "custom.vip", Kind: a.KindBool},
		{Name: "custom.signup", Kind: a.KindDate},
		{Name: "custom.last_order", Kind: a.KindDate},
		{Name: "custom.score", Kind: a.KindDecimal, Scale: 2},
		{Name: "custom.tags", Kind: a.KindTextList},
		{Name: "custom.package", Kind: a.KindEnum, Values: []string{"red", "green"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func resolve(name string) (string, error) {
	if name == "segments/gone" {
		return "", fault.New(fault.Invalid, "RULE_UNKNOWN_SEGMENT", "there is no segments/gone")
	}
	return "uid of " + name, nil
}

func text(s string) a.Value { return a.Value{Text: s} }
func num(n int64) a.Value   { return a.Value{Num: n} }

func TestRulesBecomePredicates(t *testing.T) {
	t.Parallel()
	s := schema(t)
	cmp := func(attr string, op a.Op, v a.Value) a.Pred { return a.Compare{Attr: attr, Op: op, Value: v} }
	vip := cmp("custom.vip", a.OpEQ, num(1))
	day := a.DayOf(2024, 1, 31)
	for text_, want := range map[string]a.Pred{
		`gender == "female"`:                           cmp("gender", a.OpEQ, text("female")),
		`"female" != gender`:                           cmp("gender", a.OpNE, text("female")),
		`job_level >= "director"`:                      cmp("job_level", a.OpGE, text("director")),
		`"director" <= job_level`:                      cmp("job_level", a.OpGE, text("director")),
		`employer.size in ["51-200", "201-500"]`:       a.In{Attr: "employer.size", Values: []a.Value{text("51-200"), text("201-500")}},
		`employer.name == "Ô"`:                         cmp("employer.name", a.OpEQ, text("Ô")),
		"employer.name == 'O\u0302'":                   cmp("employer.name", a.OpEQ, text("Ô")),
		`region == "FR"`:                               cmp("region", a.OpEQ, text("FR")),
		`region.within("FR-NAQ")`:                      a.Within{Attr: "region", Codes: []string{"FR-NAQ"}},
		`region.within("FR-NAQ", "DE")`:                a.Within{Attr: "region", Codes: []string{"FR-NAQ", "DE"}},
		`region.within(["FR-NAQ", "DE"])`:              a.Within{Attr: "region", Codes: []string{"FR-NAQ", "DE"}},
		`postal_code.startsWith("40")`:                 a.Prefix{Attr: "postal_code", Text: "40"},
		`postal_code < "5"`:                            cmp("postal_code", a.OpLT, text("5")),
		`"cycling" in interests`:                       a.Contains{Attr: "interests", Texts: []string{"cycling"}},
		`interests.any(["a", "b"])`:                    a.Contains{Attr: "interests", Texts: []string{"a", "b"}},
		`interests.all("a", "b")`:                      a.Contains{Attr: "interests", Texts: []string{"a", "b"}, All: true},
		`"email" in preferred_channels`:                a.Contains{Attr: "preferred_channels", Texts: []string{"email"}},
		`age() >= 25 && age() < 35`:                    a.And{a.Age{Attr: "birth_date", Op: a.OpGE, Years: 25}, a.Age{Attr: "birth_date", Op: a.OpLT, Years: 35}},
		`25 <= age()`:                                  a.Age{Attr: "birth_date", Op: a.OpGE, Years: 25},
		`age() in [18, 21]`:                            a.Or{a.Age{Attr: "birth_date", Op: a.OpEQ, Years: 18}, a.Age{Attr: "birth_date", Op: a.OpEQ, Years: 21}},
		`age(custom.signup) > 2`:                       a.Age{Attr: "custom.signup", Op: a.OpGT, Years: 2},
		`custom.signup >= date("2024-01-31")`:          cmp("custom.signup", a.OpGE, num(day)),
		`custom.signup < today()`:                      a.Days{From: a.DateRef{Attr: "custom.signup"}, To: a.DateRef{Today: true}, Op: a.OpGT},
		`birth_date < date("2024-01-31")`:              cmp("birth_date", a.OpLT, a.Value{Num: day, Last: day}),
		`days(custom.last_order, today()) <= 30`:       a.Days{From: a.DateRef{Attr: "custom.last_order"}, To: a.DateRef{Today: true}, Op: a.OpLE, N: 30},
		`-3 < days(custom.signup, custom.last_order)`:  a.Days{From: a.DateRef{Attr: "custom.signup"}, To: a.DateRef{Attr: "custom.last_order"}, Op: a.OpGT, N: -3},
		`days(date("2024-01-31"), custom.signup) == 0`: a.Days{From: a.DateRef{Day: day}, To: a.DateRef{Attr: "custom.signup"}, Op: a.OpEQ},
		`income >= 50000`:                              cmp("income", a.OpGE, a.Value{Num: 5000000, Currency: "EUR"}),
		`income >= money("50000.00", "USD")`:           cmp("income", a.OpGE, a.Value{Num: 5000000, Currency: "USD"}),
		`custom.score > 1.005`:                         cmp("custom.score", a.OpGT, num(100)),
		`custom.score >= 1.005`:                        cmp("custom.score", a.OpGT, num(100)),
		`custom.score < 1.005`:                         cmp("custom.score", a.OpLE, num(100)),
		`custom.score == decimal("1.50")`:              cmp("custom.score", a.OpEQ, num(150)),
		`custom.score > -1.5`:                          cmp("custom.score", a.OpGT, num(-150)),
		`custom.score > -(1.5)`:                        cmp("custom.score", a.OpGT, num(-150)),
		`custom.score > .5`:                            cmp("custom.score", a.OpGT, num(50)),
		`custom.score > 1.5e3`:                         cmp("custom.score", a.OpGT, num(150000)),
		`custom.score > 7u`:                            cmp("custom.score", a.OpGT, num(700)),
		`custom.score < 70368744177664.03`:             cmp("custom.score", a.OpLT, num(7036874417766403)),
		`custom.score < 9007199254740993.01`:           cmp("custom.score", a.OpLT, num(900719925474099301)),
		`purchase.count_90d >= 3 && purchase.last_date > date("2024-01-31")`: a.And{
			cmp("purchase.count_90d", a.OpGE, num(3)), cmp("purchase.last_date", a.OpGT, num(day)),
		},
		`days(purchase.last_date, today()) <= 30`:      a.Days{From: a.DateRef{Attr: "purchase.last_date"}, To: a.DateRef{Today: true}, Op: a.OpLE, N: 30},
		`purchase.sum_365d >= 99.95`:                   cmp("purchase.sum_365d", a.OpGE, a.Value{Num: 9995, Currency: "EUR"}),
		`purchase.loyalty > 0.5`:                       cmp("purchase.loyalty", a.OpGT, num(5000)),
		`survey.satisfaction < 7.5`:                    cmp("survey.satisfaction", a.OpLT, num(750)),
		`purchase.favourite_channel in ["web"]`:        a.In{Attr: "purchase.favourite_channel", Values: []a.Value{text("web")}},
		`purchase.favourite_brand.startsWith("a")`:     a.Prefix{Attr: "purchase.favourite_brand", Text: "a"},
		`!has(visit.last_date) || open.count_30d == 0`: a.Or{a.Not{X: a.Has{Attr: "visit.last_date"}}, cmp("open.count_30d", a.OpEQ, num(0))},
		`purchase.count > 2.5`:                         cmp("purchase.count", a.OpGT, num(2)),
		`custom.vip`:                                   vip,
		`custom.vip == false`:                          cmp("custom.vip", a.OpEQ, num(0)),
		`!custom.vip || true`:                          a.Or{a.Not{X: vip}, a.Const(true)},
		`custom.package == "red"`:                      cmp("custom.package", a.OpEQ, text("red")),
		`custom.vip && custom.vip && custom.vip`:       a.And{vip, vip, vip},
		`has(income)`:                                  a.Has{Attr: "income"},
		`has(employer.name)`:                           a.Has{Attr: "employer.name"},
		`has(consent.marketing.email)`:                 a.Has{Attr: "consent.marketing.email"},
		`consent("marketing", "email")`:                a.Consent{Purpose: "marketing", Channel: "email"},
		`consent("profiling")`:                         a.Consent{Purpose: "profiling"},
		`segment("vip") && !segment("segments/old")`:   a.And{a.Member{Segment: "uid of segments/vip"}, a.Not{X: a.Member{Segment: "uid of segments/old"}}},
		"gender ==\n  // who\n  \"male\"":              cmp("gender", a.OpEQ, text("male")),
	} {
		got, err := rule.Compile(text_, s, resolve)
		if err != nil {
			t.Errorf("%s: %v", text_, err)
			continue
		}
		if !reflect.DeepEqual(got.Pred, want) {
			t.Errorf("%s\n is %#v\nnot %#v", text_, got.Pred, want)
		}
		if _, err := a.Compile(got.Pred, a.Env{Schema: s, Segment: func(string) (a.SegmentRef, error) {
			return a.SegmentRef{Field: a.SegmentField("x", 1)}, nil
		}}); err != nil {
			t.Errorf("%s does not compile: %v", text_, err)
		}
	}
}

// Every attribute that a schema has can be written in a rule by its name.
func TestEveryAttributeCanBeNamed(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for _, name := range s.Names() {
		r, err := rule.Compile("has("+name+")", s, resolve)
		if err != nil || !reflect.DeepEqual(r.Pred, a.Has{Attr: name}) {
			t.Errorf("has(%s) is %v (%v)", name, r, err)
		}
	}
}

func TestRulesThatCannotBeAreRefusedWithReasonAndPosition(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for _, c := range []struct{ text, reason, line, column, says string }{
		{``, rule.ReasonSyntax, "1", "1", "empty"},
		{`gender ==`, rule.ReasonSyntax, "1", "10", ""},
		{`gender == "female" &&& true`, rule.ReasonSyntax, "1", "", ""},
		{"true &&\n gender = \"x\"", rule.ReasonSyntax, "2", "", ""},
		{"gender == \"\xff\"", rule.ReasonSyntax, "1", "1", "UTF-8"},
		{`jobb_level == "cxo"`, rule.ReasonUnknownAttribute, "1", "1", "did you mean job_level?"},
		{"true &&\n  custom.vop", rule.ReasonUnknownAttribute, "2", "", "did you mean custom.vip?"},
		{`purchase.cuont_90d > 3`, rule.ReasonUnknownAttribute, "1", "", "did you mean purchase.count_90d?"},
		{`purchase > 3`, rule.ReasonUnknownAttribute, "1", "1", ""},
		{`purchase.favourite_channel == "fax"`, rule.ReasonUnknownValue, "1", "31", "email"},
		{`purchase.last_date > 3`, rule.ReasonType, "1", "22", "date("},
		{`shoe_size == 42`, rule.ReasonUnknownAttribute, "1", "1", ""},
		{`job_level == "boss"`, rule.ReasonUnknownValue, "1", "14", "use one of unpaid"},
		{`job_level in ["cxo", "directr"]`, rule.ReasonUnknownValue, "1", "22", `did you mean "director"?`},
		{`region.within("XX")`, rule.ReasonUnknownValue, "1", "15", "ISO 3166"},
		{`region == "fr"`, rule.ReasonUnknownValue, "1", "11", `"FR"`},
		{`"fax" in preferred_channels`, rule.ReasonUnknownValue, "1", "1", "email"},
		{`consent("spam")`, rule.ReasonUnknownValue, "1", "9", "marketing"},
		{`consent("marketing", "fax")`, rule.ReasonUnknownValue, "1", "22", "email"},
		{`custom.signup > date("2023-02-29")`, rule.ReasonUnknownValue, "1", "22", "2024-01-31"},
		{`custom.score > decimal("1,5")`, rule.ReasonUnknownValue, "1", "", "digits"},
		{`custom.score > 99999999999999999.0`, rule.ReasonUnknownValue, "1", "", "too large"},
		{`income > money("5", "euro")`, rule.ReasonUnknownValue, "1", "", "EUR"},
		{`gender > "female"`, rule.ReasonType, "1", "10", "no order"},
		{`gender == 3`, rule.ReasonType, "1", "11", "gender is one of several values"},
		{`gender`, rule.ReasonType, "1", "1", `gender == "female"`},
		{`"female"`, rule.ReasonType, "1", "1", "condition"},
		{`!income`, rule.ReasonType, "1", "2", "income >= 50000"},
		{`custom.vip > true`, rule.ReasonType, "1", "14", ""},
		{`custom.signup > "2024-01-01"`, rule.ReasonType, "1", "17", "date("},
		{`birth_date > today()`, rule.ReasonType, "1", "", "age()"},
		{`income >= "5"`, rule.ReasonType, "1", "11", "money("},
		{`custom.score >= money("5", "EUR")`, rule.ReasonType, "1", "", ""},
		{`interests == "tea"`, rule.ReasonType, "1", "14", `"x" in interests`},
		{`interests.any([])`, rule.ReasonType, "1", "", "at least one"},
		{`gender in []`, rule.ReasonType, "1", "", "empty list"},
		{`"a" in gender`, rule.ReasonType, "1", "8", "no list"},
		{`gender.startsWith("f")`, rule.ReasonType, "1", "", "startsWith"},
		{`interests.within("FR")`, rule.ReasonType, "1", "", ""},
		{`age() >= 25.5`, rule.ReasonType, "1", "10", "whole"},
		{`age(gender) > 3`, rule.ReasonType, "1", "5", ""},
		{`days(birth_date, today()) > 3`, rule.ReasonType, "1", "6", "date attribute"},
		{`consent.marketing.email`, rule.ReasonType, "1", "", `consent("marketing", "email")`},
		{`consent()`, rule.ReasonType, "1", "", ""},
		{`age() + 1 > 3`, rule.ReasonUnsupported, "1", "7", "arithmetic"},
		{`custom.signup == custom.last_order`, rule.ReasonUnsupported, "1", "", "days(from, to)"},
		{`1 == 1`, rule.ReasonUnsupported, "1", "", "literals"},
		{`interests.exists(x, x == "a")`, rule.ReasonUnsupported, "1", "", "any(["},
		{`interests.all(x, x == "a")`, rule.ReasonType, "1", "15", ""},
		{`interests[0] == "a"`, rule.ReasonUnsupported, "1", "", ""},
		{`custom.vip ? true : false`, rule.ReasonUnsupported, "1", "", ""},
		{`(gender == "male") == true`, rule.ReasonUnsupported, "1", "", ""},
		{`size(interests) > 3`, rule.ReasonUnsupported, "1", "5", "not known"},
		{`segmnt("x")`, rule.ReasonUnsupported, "1", "", "did you mean segment?"},
		{`gender == null`, rule.ReasonUnsupported, "1", "11", ""},
		{`{"a": 1}`, rule.ReasonUnsupported, "1", "", ""},
		{`gender.name == "x"`, rule.ReasonUnknownAttribute, "1", "", ""},
		{`true && segment("gone")`, "RULE_UNKNOWN_SEGMENT", "1", "17", "segments/gone"},
	} {
		r, err := rule.Compile(c.text, s, resolve)
		f := fault.As(err)
		if f == nil {
			t.Errorf("%s: accepted as %#v (%v)", c.text, r, err)
			continue
		}
		if f.Kind != fault.Invalid || f.Reason != c.reason {
			t.Errorf("%s: %v %s, want %s", c.text, f.Kind, f, c.reason)
		}
		if line, col := f.Metadata[rule.MetaLine], f.Metadata[rule.MetaColumn]; line != c.line || c.column != "" && col != c.column {
			t.Errorf("%s: at %s:%s, want %s:%s: %s", c.text, line, col, c.line, c.column, f.Message)
		}
		if !strings.Contains(f.Message, c.says) {
			t.Errorf("%s: %q does not say %q", c.text, f.Message, c.says)
		}
	}
}

func TestRulesAreBounded(t *testing.T) {
	t.Parallel()
	s := schema(t)
	deep := func(open, middle, shut string, n int) string {
		return strings.Repeat(open, n) + middle + strings.Repeat(shut, n)
	}
	for name, text := range map[string]string{
		"too long":      strings.Repeat("true && ", rule.MaxText/8) + "true",
		"parentheses":   deep("(", "true", ")", 3000),
		"not":           deep("!(", "true", ")", 3000),
		"and or":        deep("true && (true || (", "true", "))", 500),
		"calls":         deep("age(", "x", ")", 5000),
		"lists":         "gender in " + deep("[", "x", "]", 5000),
		"methods":       "gender" + strings.Repeat(".any()", 5000),
		"fields":        "gender" + strings.Repeat(".a", 10000),
		"comparisons":   strings.Repeat("true == ", 4000) + "true",
		"conditionals":  strings.Repeat("true ? ", 4000) + "true" + strings.Repeat(" : true", 1000),
		"unclosed":      strings.Repeat("(", 30000),
		"many literals": "age() in [" + strings.Repeat("1,", 12000) + "1]",
	} {
		_, err := rule.Compile(text, s, resolve)
		if fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%s: %v", name, err)
		}
		if f := fault.As(err); f != nil && len(f.Message) > 500 {
			t.Errorf("%s: a message of %d bytes", name, len(f.Message))
		}
		if name == "too long" || name == "parentheses" || name == "not" || name == "and or" || name == "many literals" {
			if r := fault.ReasonOf(err); r != rule.ReasonTooComplex {
				t.Errorf("%s: %s", name, r)
			}
		}
	}
	// Long but flat is a normal rule: a persona may list hundreds of values.
	var parts []string
	for i := range 1200 {
		parts = append(parts, "age() == "+strconv.Itoa(i))
	}
	r, err := rule.Compile(strings.Join(parts, " || "), s, resolve)
	if err != nil {
		t.Fatal(err)
	}
	if or, ok := r.Pred.(a.Or); !ok || len(or) != len(parts) || !reflect.DeepEqual(or[700], a.Age{Attr: "birth_date", Op: a.OpEQ, Years: 700}) {
		t.Errorf("a chain of %d is %T", len(parts), r.Pred)
	}
}

func TestARuleTellsWhatItRestsOn(t *testing.T) {
	t.Parallel()
	s := schema(t)
	r, err := rule.Compile(`segment("b") || !segment("segments/a") || segment("b")`, s, resolve)
	if err != nil || !reflect.DeepEqual(r.Segments, []string{"uid of segments/b", "uid of segments/a"}) || r.DateRelative {
		t.Errorf("%+v, %v", r, err)
	}
	for text, want := range map[string]bool{
		`age() > 3`: true, `days(custom.signup, today()) > 3`: true, `custom.signup < today()`: true, `consent("marketing")`: true,
		`!(gender == "male" || age() > 3)`: true, `custom.signup > date("2024-01-31")`: false,
		`days(custom.signup, custom.last_order) > 3`: false, `has(birth_date)`: false,
	} {
		if r, err := rule.Compile(text, s, resolve); err != nil || r.DateRelative != want {
			t.Errorf("%s: date relative %v, %v", text, r, err)
		}
	}
	cause := errors.New("store away")
	if _, err := rule.Compile(`segment("b")`, s, func(string) (string, error) { return "", cause }); !errors.Is(err, cause) {
		t.Errorf("the resolver's error became %v", err)
	}
	if _, err := rule.Compile(`segment("b")`, s, nil); fault.ReasonOf(err) != rule.ReasonUnsupported {
		t.Errorf("without a resolver: %v", err)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`gender == "female" && job_level >= "director"`, `region.within(["FR-NAQ"])`, `"a" in interests`, `age() in [1,2]`,
		`days(custom.last_order, today()) <= 30`, `income >= money("50000.00", "EUR") || custom.score > 1.005e2`,
		`segment("x") ? 1 : 2`, `has(gender.x)`, `{}`, `a{b:1}`, `[1][0]`, `"\u00e9" + b"x" == r'x'`, "`a`", `.gender == "male"`,
		`!-1`, `-9223372036854775808 < days(today(), date("0001-01-01"))`, `gender.?x`, "x\n\r\t", `consent("marketing","email")`,
	} {
		f.Add(s)
	}
	s := schema(f)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := rule.Compile(text, s, resolve)
		if err != nil {
			e := fault.As(err)
			if e == nil || e.Kind != fault.Invalid || !strings.HasPrefix(e.Reason, "RULE_") || e.Metadata[rule.MetaLine] == "" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if _, err := a.Compile(r.Pred, a.Env{Schema: s, Segment: func(string) (a.SegmentRef, error) {
			return a.SegmentRef{Field: a.SegmentField("x", 1)}, nil
		}}); err != nil && fault.ReasonOf(err) != a.ReasonExpressionTooLarge {
			t.Fatalf("%q was accepted and does not compile: %v", text, err)
		}
	})
}

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", `"`, `\`, "\x00\x7f\u00ad\u2028", "\xff", "😀", `a" || true || "`, "\r\n\t"} {
		f.Add(s)
	}
	s := schema(f)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4000 {
			return
		}
		r, err := rule.Compile("interests.any("+rule.QuoteList([]string{text, "x"})+")", s, nil)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		want := a.Contains{Attr: "interests", Texts: []string{a.NormalizeText(strings.ToValidUTF8(text, "\uFFFD")), "x"}}
		if !reflect.DeepEqual(r.Pred, want) {
			t.Fatalf("%q became %#v", text, r.Pred)
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	s := schema(b)
	const text = `region.within("FR-NAQ") && age() >= 25 && age() < 35 && job_level >= "director" && "cycling" in interests && consent("marketing", "email")`
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rule.Compile(text, s, resolve); err != nil {
			b.Fatal(err)
		}
	}
}
