package generate_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/rule"
	"github.com/narrowcast/narrowcast/services/persona"
	"github.com/narrowcast/narrowcast/services/persona/internal/generate"
)

// years makes the answer about ages by single years, as the segment service labels them.
func years(count map[int]int64, base map[int]int64) generate.Distribution {
	d := generate.Distribution{Attribute: "age"}
	for y := range 101 {
		label := fmt.Sprint(y)
		switch y {
		case 0:
			label = "<1"
		case 100:
			label = "100+"
		}
		d.Buckets = append(d.Buckets, generate.Bucket{Value: label, Count: count[y], BaseCount: base[y]})
	}
	return d
}

func bucket(value string, share, base float64) generate.Bucket {
	b := generate.Bucket{Value: value, Count: int64(share * 1000), BaseCount: int64(base * 100_000), Share: share, BaseShare: base}
	if base > 0 {
		b.Lift = share / base
	}
	return b
}

// cyclists is a segment of 1,000 of 100,000, with figures that can be checked by hand.
func cyclists() *generate.Statistics {
	ages := map[int]int64{24: 100, 27: 150, 28: 200, 31: 200, 33: 150, 36: 100, 70: 100}
	everybody := map[int]int64{24: 10_000, 30: 30_000, 45: 30_000, 70: 30_000}
	return &generate.Statistics{Count: 1000, Base: 100_000, Distributions: []generate.Distribution{
		years(ages, everybody),
		{Attribute: "age", Buckets: []generate.Bucket{{Value: "20-29", Count: 450}, {Value: "30-39", Count: 450}, {Value: "70-79", Count: 100}}},
		{Attribute: "job_level", Buckets: []generate.Bucket{bucket("director", 0.45, 0.05), bucket("vp", 0.25, 0.02), bucket("entry", 0.22, 0.5), bucket("cxo", 0.08, 0.01)}},
		{Attribute: "region", Buckets: []generate.Bucket{bucket("FR", 0.97, 0.9), bucket("FR-NAQ", 0.7, 0.1), bucket("FR-33", 0.4, 0.02)}},
		{Attribute: "gender", Buckets: []generate.Bucket{bucket("female", 0.55, 0.5), bucket("male", 0.45, 0.5)}},
		{Attribute: "interests", Buckets: []generate.Bucket{bucket("cycling", 1, 0.1), bucket("tea", 0.3, 0.3), bucket("films", 0.4, 0.8)}},
		{Attribute: "roles", Buckets: []generate.Bucket{bucket("buyer", 0.6, 0.3), bucket("consumer", 0.4, 0.9)}},
		{Attribute: "needs", Buckets: []generate.Bucket{bucket("a \"quiet\" bike", 0.5, 0.1)}},
		{Attribute: "preferred_channels", Buckets: []generate.Bucket{bucket("email", 0.15, 0.1)}},
	}}
}

func trait(d *generate.Draft, attribute string) (list []string) {
	for _, t := range d.Evidence.Traits {
		if t.Attribute == attribute {
			list = append(list, t.Value)
		}
	}
	return list
}

func TestAPersonaRestsOnTheFigures(t *testing.T) {
	d := generate.Make("segments/cyclists", cyclists())
	if d.Evidence.SampleSize != 1000 || d.Evidence.BaseSize != 100_000 || d.Kind != persona.KindBuyer {
		t.Errorf("evidence %+v, kind %s", d.Evidence, d.Kind)
	}
	// By hand: of 1,000 known ages the 500th lies among those of 31, the 250th is 27, the 750th among those of 33.
	if d.Evidence.MedianAge != 31 {
		t.Errorf("median age %d", d.Evidence.MedianAge)
	}
	for attribute, want := range map[string][]string{
		"age":       {"25-34"},
		"job_level": {"director", "vp"}, // entry is frequent, but rarer than among everybody
		"region":    {"FR-NAQ", "FR", "FR-33"},
		"gender":    {"female"}, "interests": {"cycling", "tea"},
		"preferred_channels": {"email"}, // the most frequent one is told in any case
	} {
		if got := trait(d, attribute); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", attribute, got, want)
		}
	}
	for _, tr := range d.Evidence.Traits {
		if tr.Attribute == "age" && (tr.Count != 700 || tr.Share != 0.7 || tr.BaseShare != 0.3 || math.Abs(tr.Lift-7.0/3) > 1e-9) {
			t.Errorf("age: %+v", tr)
		}
	}
	const rules = `segment("segments/cyclists") && age() >= 27 && age() <= 33 && job_level in ["director", "vp"] && region.within("FR-NAQ")`
	want := []string{
		rules + ` && interests.any(["cycling", "tea"])`,
		rules,
		`segment("segments/cyclists") && age() >= 27 && age() <= 33 && region.within("FR-NAQ")`,
		`segment("segments/cyclists") && age() >= 27 && age() <= 33`,
		`segment("segments/cyclists")`,
	}
	if !slices.Equal(d.Rules, want) {
		t.Errorf("rules:\n%s\nwant:\n%s", strings.Join(d.Rules, "\n"), strings.Join(want, "\n"))
	}
	if d.Headline != "Director, 31, FR-NAQ" || !slices.Equal(d.Goals, []string{`a "quiet" bike`}) {
		t.Errorf("headline %q, goals %q", d.Headline, d.Goals)
	}
	story := d.Narrate("Camille")
	for _, figure := range []string{"Camille is fictional", "1,000 of 100,000 profiles (1.0 %)", "half of them are 31 or younger", "27 to 33", "45 % are at the job level director, against 5.0 % of everybody"} {
		if !strings.Contains(story, figure) {
			t.Errorf("%q is not in %q", figure, story)
		}
	}
}

func TestEveryRuleIsOneThatTheLanguageReads(t *testing.T) {
	schema, err := audience.NewSchema("EUR", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := cyclists()
	s.Distributions[4].Buckets[0] = bucket("female", 0.9, 0.5)
	s.Distributions[5].Buckets[0] = bucket("\"] || true || interests.any([\"\n", 1, 0.1)
	d := generate.Make("segments/cyclists", s)
	for _, text := range d.Rules {
		r, err := rule.Compile(text, schema, func(name string) (string, error) { return "uid of " + name, nil })
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		all, ok := r.Pred.(audience.And)
		if !ok && text != d.Rules[len(d.Rules)-1] || !slices.Equal(r.Segments, []string{"uid of segments/cyclists"}) {
			t.Errorf("%s: %#v of segments %q", text, all, r.Segments)
		}
		audience.Walk(r.Pred, func(p audience.Pred) bool {
			if _, or := p.(audience.Or); or {
				t.Errorf("a value of somebody's became a part of the rule: %s", text)
			}
			return true
		})
	}
	if len(d.Rules) != 6 {
		t.Errorf("%d rules: %q", len(d.Rules), d.Rules)
	}
}

func TestYearsOfBirthAloneAreTakenByDecades(t *testing.T) {
	// Nobody's age is certain to the year, nearly everybody's is to the decade.
	s := &generate.Statistics{Count: 100, Base: 1000, Distributions: []generate.Distribution{
		years(nil, nil),
		{Attribute: "age", Buckets: []generate.Bucket{{Value: "<10"}, {Value: "20-29", Count: 20, BaseCount: 100}, {Value: "30-39", Count: 60, BaseCount: 300}, {Value: "60-69", Count: 20, BaseCount: 600}, {Value: "100+"}}},
	}}
	d := generate.Make("segments/x", s)
	// By hand: the 50th of 100 is half way through the sixty of 30 to 39.
	if d.Evidence.MedianAge != 35 {
		t.Errorf("median age %d", d.Evidence.MedianAge)
	}
	if !strings.Contains(d.Rules[0], "age() >= 30 && age() <= 39") {
		t.Errorf("rule %s", d.Rules[0])
	}
}

func TestASegmentOfWhomNothingIsKnownStillHasAPersona(t *testing.T) {
	d := generate.Make("segments/x", &generate.Statistics{Count: 3, Base: 3})
	if !slices.Equal(d.Rules, []string{`segment("segments/x")`}) || d.Kind != persona.KindConsumer || d.Headline == "" || d.Evidence.MedianAge != 0 {
		t.Errorf("%+v", d)
	}
	if story := d.Narrate("X"); !strings.Contains(story, "3 of 3 profiles (100 %)") {
		t.Errorf("story %q", story)
	}
}

func TestOnlyBuiltInAttributesAreAskedFor(t *testing.T) {
	list := generate.Dimensions()
	if len(list) > 20 {
		t.Errorf("%d dimensions, the contract allows 20", len(list))
	}
	for _, d := range list {
		if strings.HasPrefix(d.Attribute, audience.AttrCustomPrefix) || len(d.Bounds) > 100 {
			t.Errorf("dimension %+v", d)
		}
	}
}

func FuzzMake(f *testing.F) {
	f.Add("18-24", int64(3), "x", 0.5, 0.5, int64(10))
	f.Add("65+", int64(-3), "FR-NAQ", math.NaN(), 0.0, int64(0))
	f.Fuzz(func(t *testing.T, band string, count int64, value string, share, base float64, n int64) {
		s := &generate.Statistics{Count: n, Base: n, Distributions: []generate.Distribution{
			{Attribute: "age", Buckets: []generate.Bucket{{Value: band, Count: count}}},
			{Attribute: "region", Buckets: []generate.Bucket{{Value: value, Count: count, Share: share, BaseShare: base, Lift: share / base}}},
			{Attribute: "interests", Buckets: []generate.Bucket{{Value: value, Count: 1, Share: share, Lift: 2}}},
		}}
		d := generate.Make("segments/x", s)
		if len(d.Rules) == 0 || d.Rules[len(d.Rules)-1] != `segment("segments/x")` {
			t.Errorf("rules %q", d.Rules)
		}
		_ = d.Narrate("X")
	})
}
