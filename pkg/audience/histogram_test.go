package audience_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
	"github.com/narrowcast/narrowcast/pkg/audience/region"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

var ageBands = []audience.Band{{Label: "0-1", Min: 0, Max: 1}, {Label: "2-3", Min: 2, Max: 3}, {Label: "4+", Min: 4, Max: 200}}

// recount is the breakdown by a loop over facts.
func recount(h *audience.Histogram, s *audience.Schema, d audience.Breakdown, f audience.Facts) {
	h.Members++
	a, _ := s.Attribute(d.Attr)
	v, ok := f[d.Attr]
	if !ok {
		h.Missing++
		return
	}
	switch a.Kind {
	case audience.KindTextList:
		once := make(map[string]bool)
		for _, text := range v.List {
			if !once[text] {
				h.Counts[text]++
			}
			once[text] = true
		}
	case audience.KindRegion:
		h.Counts[v.Text]++
		for _, up := range region.Ancestors(v.Text) {
			h.Counts[up]++
		}
	case audience.KindBool:
		h.Counts[fmt.Sprint(v.Num == 1)]++
	case audience.KindBirth:
		for _, b := range d.Bands {
			if lo, hi := audience.AgeOn(v.Last, d.Day), audience.AgeOn(v.Num, d.Day); b.Min <= lo && hi <= b.Max {
				h.Counts[b.Label]++
				return
			}
		}
		h.Other++
	case audience.KindMoney:
		if v.Currency != "USD" {
			h.Other++
			return
		}
		h.Counts[audience.FormatDecimal(v.Num, a.Scale)]++
	case audience.KindDate:
		h.Counts[audience.FormatDay(v.Num)]++
	case audience.KindDecimal:
		for _, b := range d.Bands {
			if b.Min <= v.Num && v.Num <= b.Max {
				h.Counts[b.Label]++
				return
			}
		}
		h.Other++
	default:
		h.Counts[v.Text]++
	}
}

func TestBreakdownsCountEveryMember(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 4))
	w := newWorld(t, r)
	for _, d := range []audience.Breakdown{
		{Attr: "gender"}, {Attr: "job_level"}, {Attr: "custom.vip"}, {Attr: "region"}, {Attr: "interests"}, {Attr: "preferred_channels"},
		{Attr: "postal_code"}, {Attr: "custom.signup"}, {Attr: "birth_date", Bands: ageBands, Day: audiencetest.Day},
		{Attr: "income", Currency: "USD"}, {Attr: "custom.balance", Bands: []audience.Band{{"low", -10, -5}, {"high", 5, 10}}},
	} {
		want := audience.Histogram{Counts: make(map[string]uint64)}
		var got audience.Histogram
		for _, b := range w.blocks {
			var members audience.Bits
			for o, f := range b.People {
				if r.IntN(3) > 0 {
					members.Set(o)
					recount(&want, w.schema, d, f)
				}
			}
			if err := got.Add(b, w.schema, d, &members); err != nil {
				t.Fatal(err)
			}
			if err := got.Add(b, w.schema, d, new(audience.Bits)); err != nil {
				t.Fatal(err)
			}
		}
		maps.DeleteFunc(got.Counts, func(_ string, n uint64) bool { return n == 0 })
		if fmt.Sprint(got) != fmt.Sprint(want) || want.Missing == 0 {
			t.Errorf("%s:\n%v, want\n%v", d.Attr, got, want)
		}
		fields, err := d.Fields(w.schema)
		if err != nil || len(fields) == 0 {
			t.Errorf("%s: fields %v, %v", d.Attr, fields, err)
		}
	}
}

func TestBreakdownsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	s := schema(t)
	b, err := audiencetest.NewBlock(s, mapSeq(map[uint16]audience.Facts{1: {"interests": {List: []string{"tea"}}}}))
	if err != nil {
		t.Fatal(err)
	}
	var members audience.Bits
	members.Set(1)
	plain := struct{ audience.Block }{b} // not a Lister
	for name, d := range map[string]audience.Breakdown{
		"no attribute": {Attr: "x"}, "a consent": {Attr: "consent.marketing.any"}, "no bands": {Attr: "birth_date"}, "no values": {Attr: "interests"},
	} {
		if err := new(audience.Histogram).Add(plain, s, d, &members); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	var h audience.Histogram
	if err := h.Add(plain, s, audience.Breakdown{Attr: "interests", Values: []string{"tea", "films"}}, &members); err != nil || h.Counts["tea"] != 1 {
		t.Errorf("named values: %v, %v", h, err)
	}
	b.Hide(audience.PresenceField("interests"))
	if err := h.Add(b, s, audience.Breakdown{Attr: "interests"}, &members); err == nil {
		t.Error("an unknown row was counted as empty")
	}
}

func TestOneOfEachHouseholdStays(t *testing.T) {
	t.Parallel()
	s := schema(t)
	at := func(home string) audience.Facts { return audience.Facts{audience.AttrHousehold: {Text: home}} }
	first, err := audiencetest.NewBlock(s, mapSeq(map[uint16]audience.Facts{1: at("a"), 2: at("b"), 3: at("a"), 4: {}, 5: {}, 6: at("c")}))
	if err != nil {
		t.Fatal(err)
	}
	second, err := audiencetest.NewBlock(s, mapSeq(map[uint16]audience.Facts{0: at("b"), 7: at("c"), 9: at("c"), 8: {}}))
	if err != nil {
		t.Fatal(err)
	}
	var h audience.Households
	for i, c := range []struct {
		b    *audiencetest.Block
		in   []uint16
		want []uint16
	}{{first, []uint16{1, 2, 3, 4, 5}, []uint16{1, 2, 4, 5}}, {second, []uint16{0, 7, 8, 9}, []uint16{7, 8}}} {
		var members, want audience.Bits
		for _, o := range c.in {
			members.Set(o)
		}
		for _, o := range c.want {
			want.Set(o)
		}
		if err := h.Keep(c.b, &members); err != nil || members != want {
			t.Errorf("block %d: %d kept, %v", i, members.Count(), err)
		}
	}
	second.Hide(audience.HouseholdField)
	var members audience.Bits
	members.Set(8)
	if err := h.Keep(second, &members); err == nil {
		t.Error("an unknown column was read as empty")
	}
}

// sharing keeps the two columns of birth dates once, as readers do where they say the same.
type sharing struct{ audience.Block }

func (b sharing) Column(f audience.Field) (*audience.Column, bool) {
	if f == birthFields[1] {
		f = birthFields[0]
	}
	return b.Block.Column(f)
}

func TestAgesAreCountedAlikeFromOneColumnOrTwo(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 8))
	s := schema(t)
	people := make(map[uint16]audience.Facts)
	members := new(audience.Bits)
	for range 2000 {
		o := uint16(r.IntN(audience.BlockSize))
		people[o] = person(r)
		if r.IntN(5) == 0 {
			delete(people[o], audience.AttrBirthDate)
		}
		if r.IntN(2) == 0 {
			members.Set(o)
		}
	}
	b, err := audiencetest.NewBlock(s, mapSeq(people))
	if err != nil {
		t.Fatal(err)
	}
	d := audience.Breakdown{
		Attr: audience.AttrBirthDate, Day: audiencetest.Day,
		Bands: []audience.Band{{Label: "young", Min: 0, Max: 30}, {Label: "old", Min: 40, Max: 60}},
	}
	var two, one audience.Histogram
	if err := two.Add(b, s, d, members); err != nil {
		t.Fatal(err)
	}
	if err := one.Add(sharing{b}, s, d, members); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(one, two) || one.Counts["young"] == 0 || one.Counts["old"] == 0 || one.Other == 0 || one.Missing == 0 {
		t.Errorf("from one column %+v, from two %+v", one, two)
	}
}
