package audience_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

func ptr(n int64) *int64 { return &n }

func TestASpecsStepsAreInDeclaredOrder(t *testing.T) {
	t.Parallel()
	sp := audience.Spec{
		Regions: []string{"fr-naq"}, PostalCodes: []string{"40*", "33000"}, Age: audience.IntRange{Min: ptr(25), Max: ptr(34)},
		Genders: []string{"female"}, JobLevels: []string{"cxo", "vp"}, MinJobLevel: "director",
		Income: audience.MoneyRange{Min: "50000", Currency: "USD"}, Interests: []string{"cycling", "tea"}, Roles: []string{"buyer"},
		AllSegments: []string{"a"}, AnySegments: []string{"b", "c"}, ExcludedSegments: []string{"d", "e"}, Personas: []string{"p"},
		Filter: audience.Has{Attr: "needs"}, Channel: "email", Purposes: []string{"marketing", "profiling"}, OnePerHousehold: true,
	}
	steps, err := sp.Steps(schema(t))
	if err != nil {
		t.Fatal(err)
	}
	value := func(texts ...string) []audience.Value {
		var list []audience.Value
		for _, text := range texts {
			list = append(list, audience.Value{Text: text})
		}
		return list
	}
	want := []audience.Step{
		{"region FR-NAQ", "regions", audience.Within{Attr: "region", Codes: []string{"FR-NAQ"}}},
		{"postal code 40*, 33000", "postal_codes", audience.Or{audience.Prefix{Attr: "postal_code", Text: "40"}, audience.In{Attr: "postal_code", Values: value("33000")}}},
		{"age 25 to 34", "age", audience.And{audience.Age{Attr: "birth_date", Op: audience.OpGE, Years: 25}, audience.Age{Attr: "birth_date", Op: audience.OpLE, Years: 34}}},
		{"gender female", "genders", audience.In{Attr: "gender", Values: value("female")}},
		{"job level cxo, vp", "job_levels", audience.In{Attr: "job_level", Values: value("cxo", "vp")}},
		{"job level director or above", "min_job_level", audience.Compare{Attr: "job_level", Op: audience.OpGE, Value: audience.Value{Text: "director"}}},
		{"income 50000 or more USD", "income", audience.And{audience.Compare{Attr: "income", Op: audience.OpGE, Value: audience.Value{Num: 5000000, Currency: "USD"}}}},
		{"role buyer", "roles", audience.Contains{Attr: "roles", Texts: []string{"buyer"}}},
		{"interest cycling, tea", "interests", audience.Contains{Attr: "interests", Texts: []string{"cycling", "tea"}}},
		{"in all of 1 segment", "all_segments", audience.And{audience.Member{Segment: "a"}}},
		{"in one of 2 segments", "any_segments", audience.Or{audience.Member{Segment: "b"}, audience.Member{Segment: "c"}}},
		{"in none of 2 segments", "excluded_segments", audience.Not{X: audience.Or{audience.Member{Segment: "d"}, audience.Member{Segment: "e"}}}},
		{"like one of 1 persona", "personas", audience.Or{audience.Member{Segment: "p"}}},
		{"filter", "filter", audience.Has{Attr: "needs"}},
		{"consent to marketing by email", "purposes", audience.Consent{Purpose: "marketing", Channel: "email"}},
		{"consent to profiling by email", "purposes", audience.Consent{Purpose: "profiling", Channel: "email"}},
	}
	for i := range max(len(steps), len(want)) {
		if i >= len(steps) || i >= len(want) || !reflect.DeepEqual(steps[i], want[i]) {
			t.Errorf("step %d\n%#v\nwant\n%#v", i, steps[min(i, len(steps)-1)], want[min(i, len(want)-1)])
		}
	}
}

func TestChannelsAndPurposesAskForConsent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spec audience.Spec
		want []audience.Pred
	}{
		"neither":         {audience.Spec{}, nil},
		"a channel alone": {audience.Spec{Channel: "sms"}, []audience.Pred{audience.Consent{Purpose: "marketing", Channel: "sms"}}},
		"purposes alone": {audience.Spec{Purposes: []string{"profiling", "measurement"}},
			[]audience.Pred{audience.Consent{Purpose: "profiling"}, audience.Consent{Purpose: "measurement"}}},
		"both": {audience.Spec{Channel: "sms", Purposes: []string{"profiling"}}, []audience.Pred{audience.Consent{Purpose: "profiling", Channel: "sms"}}},
	} {
		steps, err := c.spec.Steps(schema(t))
		if err != nil {
			t.Fatal(err)
		}
		var got []audience.Pred
		for _, st := range steps {
			got = append(got, st.Pred)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %#v", name, got)
		}
	}
}

func TestAllThatIsWrongWithASpecIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	sp := audience.Spec{
		Regions: []string{"FR", "XX"}, PostalCodes: []string{"*", "4*0"}, Age: audience.IntRange{Min: ptr(40), Max: ptr(30)},
		Genders: []string{"Female"}, JobLevels: []string{"boss"}, MinJobLevel: "chief",
		Income: audience.MoneyRange{Min: "5", Max: "4.99"}, Educations: []string{"phd"}, Interests: []string{""},
		AnySegments: []string{"a", ""}, Channel: "fax", Purposes: []string{"spam"}, AsOf: ptr(audience.MaxDay),
	}
	_, err := sp.Steps(schema(t))
	f := fault.As(err)
	if f == nil || f.Kind != fault.Invalid {
		t.Fatal(err)
	}
	var got []string
	for _, v := range f.Violations {
		got = append(got, v.Field+" "+v.Reason)
	}
	want := []string{"spec.regions[1] UNKNOWN_REGION", "spec.postal_codes[0] UNKNOWN_VALUE", "spec.postal_codes[1] UNKNOWN_VALUE",
		"spec.age.min INVALID_RANGE", "spec.genders[0] UNKNOWN_VALUE", "spec.job_levels[0] UNKNOWN_JOB_LEVEL",
		"spec.min_job_level UNKNOWN_JOB_LEVEL", "spec.income.min INVALID_RANGE", "spec.educations[0] UNKNOWN_VALUE",
		"spec.interests[0] UNKNOWN_VALUE", "spec.any_segments[1] UNKNOWN_SEGMENT", "spec.channel UNKNOWN_VALUE",
		"spec.purposes[0] UNKNOWN_VALUE", "spec.as_of INVALID_DATE"}
	if !slices.Equal(got, want) {
		t.Errorf("violations\n%q, want\n%q", got, want)
	}
	for field, sp := range map[string]audience.Spec{
		"spec.age.max":              {Age: audience.IntRange{Max: ptr(151)}},
		"spec.age.min":              {Age: audience.IntRange{Min: ptr(-1)}},
		"spec.income.min":           {Income: audience.MoneyRange{Min: "a lot"}},
		"spec.income.currency_code": {Income: audience.MoneyRange{Min: "1", Currency: "eur"}},
		"spec.income":               {Income: audience.MoneyRange{Currency: "EUR"}},
	} {
		if _, err := sp.Steps(schema(t)); fault.As(err) == nil || fault.As(err).Violations[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestCompileRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	s := schema(t, audience.Attribute{Name: "custom.d", Kind: audience.KindDate})
	chain := func(uid string) (audience.SegmentRef, error) { // a names b names a
		return audience.SegmentRef{Pred: audience.Not{X: audience.Member{Segment: map[string]string{"a": "b", "b": "a"}[uid]}}}, nil
	}
	double := func(uid string) (audience.SegmentRef, error) { // each names the next one twice
		if len(uid) > 60 {
			return audience.SegmentRef{Pred: audience.Const(true)}, nil
		}
		m := audience.Member{Segment: uid + "x"}
		return audience.SegmentRef{Pred: audience.Or{audience.Has{Attr: "gender"}, audience.And{m, audience.Has{Attr: "needs"}}, audience.Not{X: m}}}, nil
	}
	var deep audience.Pred = audience.Has{Attr: "gender"}
	for range 1_000_000 {
		deep = audience.Not{X: deep}
	}
	text := audience.Value{Text: "x"}
	for name, c := range map[string]struct {
		p      audience.Pred
		lookup func(string) (audience.SegmentRef, error)
		reason string
	}{
		"nothing":             {nil, nil, audience.ReasonInvalidPredicate},
		"nothing inside":      {audience.And{nil}, nil, audience.ReasonInvalidPredicate},
		"not of nothing":      {audience.Not{}, nil, audience.ReasonInvalidPredicate},
		"no such attribute":   {audience.Has{Attr: "x"}, nil, audience.ReasonUnknownAttribute},
		"wrong kind":          {audience.Prefix{Attr: "gender"}, nil, audience.ReasonInvalidPredicate},
		"no order":            {audience.Compare{Attr: "gender", Op: audience.OpLT, Value: text}, nil, audience.ReasonInvalidPredicate},
		"no operator":         {audience.Compare{Attr: "custom.d"}, nil, audience.ReasonInvalidPredicate},
		"no such level":       {audience.Compare{Attr: "job_level", Op: audience.OpLT, Value: text}, nil, audience.ReasonInvalidPredicate},
		"no currency":         {audience.Compare{Attr: "income", Op: audience.OpLT}, nil, audience.ReasonInvalidPredicate},
		"no purpose":          {audience.Consent{}, nil, audience.ReasonUnknownAttribute},
		"no day":              {audience.Days{From: audience.DateRef{Day: 1 << 60}, Op: audience.OpLT}, nil, audience.ReasonInvalidDate},
		"no segments":         {audience.Member{Segment: "a"}, nil, audience.ReasonInvalidPredicate},
		"a circle":            {audience.Member{Segment: "a"}, chain, audience.ReasonSegmentCycle},
		"too deep":            {deep, nil, audience.ReasonExpressionTooLarge},
		"exponentially large": {audience.Member{Segment: "x"}, double, audience.ReasonExpressionTooLarge},
	} {
		_, err := audience.Compile(c.p, audience.Env{Schema: s, Day: 20_000, Segment: c.lookup})
		if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != c.reason {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, day := range []int64{audience.MinDay - 1, audience.MaxDay} {
		if _, err := audience.Compile(audience.Const(true), audience.Env{Schema: s, Day: day}); fault.ReasonOf(err) != audience.ReasonInvalidDate {
			t.Errorf("day %d: %v", day, err)
		}
	}
}
