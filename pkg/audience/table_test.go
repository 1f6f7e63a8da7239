package audience_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// placesIn are the places of one person on an axis, by the loop over facts that counts histograms.
func placesIn(s *audience.Schema, d audience.Breakdown, values []string, f audience.Facts) (places []int) {
	h := audience.Histogram{Counts: make(map[string]uint64)}
	recount(&h, s, d, f)
	if h.Missing > 0 {
		return []int{len(values) + 1}
	}
	for i, v := range values {
		if h.Counts[v] > 0 {
			places = append(places, i)
		}
	}
	if places == nil {
		return []int{len(values)}
	}
	return places
}

// stated makes an open breakdown one with values.
func stated(t *testing.T, w *world, d audience.Breakdown) audience.Breakdown {
	t.Helper()
	if !d.Open(w.schema) {
		return d
	}
	v, err := audience.NewDistinct(w.schema, d)
	if err != nil || len(v.Fields()) == 0 {
		t.Fatal(v.Fields(), err)
	}
	for _, b := range w.blocks {
		if err := v.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	return v.Breakdown()
}

func TestTablesCountEveryMemberInEachOfItsCells(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 4))
	w := newWorld(t, r)
	kinds := []audience.Breakdown{
		{Attr: "gender"}, {Attr: "job_level"}, {Attr: "custom.vip"}, {Attr: "region"}, {Attr: "interests"}, {Attr: "preferred_channels"},
		{Attr: "postal_code"}, {Attr: "custom.signup"}, {Attr: "birth_date", Bands: ageBands, Day: audiencetest.Day},
		{Attr: "income", Currency: "USD"}, {Attr: "custom.balance", Bands: []audience.Band{{"low", -10, -5}, {"high", 5, 10}}},
		{Attr: "gender", Values: []string{"male"}}, {Attr: "region", Values: []string{"FR", "DE-BE"}}, {Attr: "interests", Values: []string{"tea", "nobody's"}},
	}
	for round := range 60 {
		var by []audience.Breakdown
		for _, i := range r.Perm(len(kinds))[:1+r.IntN(4)] {
			by = append(by, stated(t, w, kinds[i]))
		}
		table, err := audience.NewTable(w.schema, by)
		if fault.ReasonOf(err) == audience.ReasonTableTooLarge {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		parts := []*audience.Table{table}
		if second, err := audience.NewTable(w.schema, by); err == nil {
			parts = append(parts, second)
		}
		want := make([]uint64, len(table.Counts()))
		members := uint64(0)
		for i, b := range w.blocks {
			var in audience.Bits
			for o, f := range b.People {
				if r.IntN(3) == 0 {
					continue
				}
				in.Set(o)
				members++
				cells := []int{0}
				for axis, d := range by {
					var next []int
					for _, cell := range cells {
						for _, place := range placesIn(w.schema, d, table.Values(axis), f) {
							next = append(next, cell*(len(table.Values(axis))+2)+place)
						}
					}
					cells = next
				}
				for _, cell := range cells {
					want[cell]++
				}
			}
			if err := parts[i%len(parts)].Add(b, &in); err != nil {
				t.Fatal(err)
			}
		}
		table.Merge(parts[1])
		if !slices.Equal(table.Counts(), want) || table.Members() != members {
			t.Fatalf("round %d, by %v: %d members, want %d; cells differ: %v, want %v", round, by, table.Members(), members, table.Counts(), want)
		}
		checkWithout(t, table, r.IntN(len(by)), len(by))
		if len(table.Fields()) < len(by) {
			t.Errorf("fields %v", table.Fields())
		}
	}
}

// checkWithout compares a table, cell by cell, with itself without what nobody has.
func checkWithout(t *testing.T, table *audience.Table, axis, axes int) {
	t.Helper()
	short := table.Without(axis)
	cells := func(table *audience.Table) map[string]uint64 {
		held := make(map[string]uint64)
		for cell, n := range table.Counts() {
			if n == 0 {
				continue
			}
			var name []string
			for i := range slices.Backward(make([]struct{}, axes)) {
				values := append(slices.Clone(table.Values(i)), "(other)", "(none)")
				name = append(name, values[cell%len(values)])
				cell /= len(values)
			}
			held[strings.Join(name, "|")] = n
		}
		return held
	}
	if got, want := cells(short), cells(table); fmt.Sprint(got) != fmt.Sprint(want) || len(short.Values(axis)) > len(table.Values(axis)) {
		t.Fatalf("without what nobody has: %v, want %v", got, want)
	}
}

func TestTablesThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	s := schema(t)
	many := make([]string, audience.MaxTableValues)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for name, by := range map[string][]audience.Breakdown{
		"too many values": {{Attr: "interests", Values: append(slices.Clone(many), "one more")}},
		"too many cells":  {{Attr: "interests", Values: many}, {Attr: "preferred_brands", Values: many}},
	} {
		if _, err := audience.NewTable(s, by); fault.ReasonOf(err) != audience.ReasonTableTooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, by := range map[string][]audience.Breakdown{"no axis": nil, "a consent": {{Attr: "consent.marketing.email"}}, "no bands": {{Attr: "birth_date"}}} {
		if _, err := audience.NewTable(s, by); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	v, err := audience.NewDistinct(s, audience.Breakdown{Attr: "postal_code"})
	if err != nil {
		t.Fatal(err)
	}
	people := make(map[uint16]audience.Facts)
	for o := range uint16(audience.MaxTableValues + 1) {
		people[o] = audience.Facts{"postal_code": {Text: fmt.Sprint(o)}}
	}
	b, err := audiencetest.NewBlock(s, mapSeq(people))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Add(b); fault.ReasonOf(err) != audience.ReasonTableTooLarge {
		t.Errorf("more values than a table has: %v", err)
	}
	b.Hide(audience.ColumnField("postal_code"))
	if err := v.Add(b); err == nil || fault.ReasonOf(err) == audience.ReasonTableTooLarge {
		t.Errorf("an unknown column: %v", err)
	}
	table, err := audience.NewTable(s, []audience.Breakdown{{Attr: "gender"}})
	if err != nil {
		t.Fatal(err)
	}
	b.Hide(audience.FactField("gender", "male"))
	if err := table.Add(b, &audience.Bits{1}); err == nil {
		t.Error("an unknown row counted as empty")
	}
}

func TestDimensionsAreRead(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for _, c := range []struct {
		attribute string
		bounds    []float64
		values    []string
		field     string
		reason    string
	}{
		{attribute: "gender"}, {attribute: "age"}, {attribute: "birth_date", bounds: []float64{18, 65}}, {attribute: "region", values: []string{"FR"}},
		{"nothing", nil, nil, "attribute", audience.ReasonUnknownAttribute},
		{"consent.marketing.email", nil, nil, "attribute", audience.ReasonInvalidDimension},
		{"gender", []float64{1}, nil, "bounds", audience.ReasonInvalidDimension},
		{"age", []float64{18, 18}, nil, "bounds[1]", audience.ReasonInvalidDimension},
		{"age", []float64{0}, nil, "bounds[0]", audience.ReasonInvalidDimension},
		{"age", []float64{1e300}, nil, "bounds[0]", audience.ReasonInvalidDimension},
		{"age", nil, []string{"20"}, "values", audience.ReasonInvalidDimension},
		{"gender", nil, []string{"male", "cat"}, "values[1]", audience.ReasonUnknownValue},
		{"region", nil, []string{"XX"}, "values[0]", audience.ReasonUnknownRegion},
	} {
		d, err := audience.NewBreakdown(s, c.attribute, c.bounds, c.values)
		if c.reason == "" {
			if err != nil || c.attribute == "age" && len(d.Bands) != 11 || len(c.bounds) > 0 && len(d.Bands) != len(c.bounds)+1 {
				t.Errorf("%s: %v, %v", c.attribute, d, err)
			}
			continue
		}
		f := fault.As(err)
		if f == nil || f.Reason != c.reason || len(f.Violations) != 1 || f.Violations[0].Field != c.field {
			t.Errorf("%s: %v, want %s at %s", c.attribute, err, c.reason, c.field)
		}
	}
}
