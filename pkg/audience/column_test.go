package audience_test

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

func TestAColumnHoldsItsValues(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	nums, texts := make(map[uint16]int64), make(map[uint16]string)
	for range 3000 {
		o := uint16(r.IntN(audience.BlockSize))
		nums[o] = r.Int64N(500) - 250
		texts[o] = strings.Repeat("ab", r.IntN(3)) + string(rune('a'+r.IntN(26)))
	}
	n, s := audience.NewNumColumn(maps.All(nums)), audience.NewTextColumn(maps.All(texts))
	if err := n.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	if n.Present.Count() != len(nums) || !slices.Equal(slices.Sorted(maps.Keys(nums)), slices.Collect(n.Present.All())) {
		t.Error("presence is wrong")
	}
	for o := range audience.BlockSize {
		v, ok := n.Num(uint16(o))
		want, wantOK := nums[uint16(o)]
		w, ok2 := s.Text(uint16(o))
		if v != want || ok != wantOK || w != texts[uint16(o)] || ok2 != wantOK {
			t.Fatalf("ordinal %d: %d %v, %q %v", o, v, ok, w, ok2)
		}
	}
	for range 300 {
		lo, hi := r.Int64N(600)-300, r.Int64N(600)-300
		from, to := n.NumRanks(lo, hi)
		for rank, v := range n.Nums {
			if in := lo <= v && v <= hi; in != (from <= rank && rank < to) {
				t.Fatalf("%d to %d: ranks %d to %d, but %d has %d", lo, hi, from, to, v, rank)
			}
		}
	}
	for _, p := range append(slices.Clone(s.Texts), "", "a", "ab", "abab", "zz", "\xff") {
		from, to := s.PrefixRanks(p)
		from2, to2 := s.TextRanks(p, nil)
		for rank, v := range s.Texts {
			if strings.HasPrefix(v, p) != (from <= rank && rank < to) || (v >= p) != (from2 <= rank && rank < to2) {
				t.Fatalf("%q: prefix ranks %d to %d, from it %d to %d, but %q has %d", p, from, to, from2, to2, v, rank)
			}
		}
	}
}

func TestTheLastValueOfAnOrdinalStands(t *testing.T) {
	t.Parallel()
	c := audience.NewTextColumn(func(yield func(uint16, string) bool) {
		_ = yield(5, "a") && yield(9, "b") && yield(5, "c")
	})
	if v, _ := c.Text(5); v != "c" || !slices.Equal(c.Texts, []string{"b", "c"}) || c.Present.Count() != 2 || c.Validate() != nil {
		t.Errorf("%q of %q", v, c.Texts)
	}
	if empty := audience.NewNumColumn(func(func(uint16, int64) bool) {}); empty.Len() != 0 || empty.Validate() != nil {
		t.Errorf("an empty column has %d values", empty.Len())
	}
}

func TestAColumnOfAWholeBlock(t *testing.T) {
	t.Parallel()
	c := audience.NewNumColumn(func(yield func(uint16, int64) bool) {
		for o := range audience.BlockSize {
			if !yield(uint16(o), int64(audience.BlockSize-o)) {
				return
			}
		}
	})
	if c.Len() != audience.BlockSize || c.Validate() != nil {
		t.Fatalf("%d values, %v", c.Len(), c.Validate())
	}
	if v, ok := c.Num(0); !ok || v != audience.BlockSize {
		t.Errorf("ordinal 0: %d", v)
	}
	if v, ok := c.Num(audience.BlockSize - 1); !ok || v != 1 {
		t.Errorf("last ordinal: %d", v)
	}
}

func TestABrokenColumnIsFoundAndNeverPanics(t *testing.T) {
	t.Parallel()
	present := new(audience.Bits)
	present.Set(3)
	present.Set(70)
	s := schema(t)
	e := audience.MustCompile(audience.And{
		audience.Prefix{Attr: audience.AttrPostalCode, Text: "4"},
		audience.Compare{Attr: audience.AttrPostalCode, Op: audience.OpLT, Value: audience.Value{Text: "9"}},
		audience.In{Attr: audience.AttrPostalCode, Values: []audience.Value{{Text: "40"}, {Text: "41"}}},
	}, audience.Env{Schema: s})
	for name, c := range map[string]*audience.Column{
		"no presence":   {Texts: []string{"40"}, Ranks: audience.MakeRanks(1, 1)},
		"short ranks":   {Present: present, Texts: []string{"40"}, Ranks: audience.MakeRanks(4, 1)},
		"rank too high": {Present: present, Texts: []string{"40"}, Ranks: ranksOf(slices.Repeat([]uint16{9}, 71), 10)},
		"out of order":  {Present: new(audience.Bits), Texts: []string{"41", "40"}},
		"twice":         {Present: new(audience.Bits), Nums: []int64{3, 3}},
		"both":          {Present: new(audience.Bits), Texts: []string{"41"}, Nums: []int64{3}},
	} {
		if err := c.Validate(); err == nil {
			t.Errorf("%s: not found", name)
		}
		var out audience.Bits
		if err := e.Eval(oneColumn{c, present}, nil, &out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for o := range uint16(100) {
			c.Num(o)
			c.Text(o)
		}
	}
}

// oneColumn is a block in which every column is the same.
type oneColumn struct {
	column *audience.Column
	live   *audience.Bits
}

func (b oneColumn) Row(audience.Field) (audience.Row, bool)        { return audience.NewRow(b.live), true }
func (b oneColumn) Column(audience.Field) (*audience.Column, bool) { return b.column, true }
func (b oneColumn) Cardinality(audience.Field) (int, bool)         { return 2, true }

func TestBits(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(2, 2))
	x, y := make(map[uint16]bool), make(map[uint16]bool)
	var a, b audience.Bits
	for range 5000 {
		o, q := uint16(r.IntN(10_000)), uint16(r.IntN(10_000))
		x[o], y[q] = true, true
		a.Set(o)
		b.Set(q)
	}
	for name, c := range map[string]struct {
		do   func(*audience.Bits, *audience.Bits)
		want func(p, q bool) bool
	}{
		"and":     {(*audience.Bits).And, func(p, q bool) bool { return p && q }},
		"and not": {(*audience.Bits).AndNot, func(p, q bool) bool { return p && !q }},
		"or":      {(*audience.Bits).Or, func(p, q bool) bool { return p || q }},
		"xor":     {(*audience.Bits).Xor, func(p, q bool) bool { return p != q }},
	} {
		got, n := a, 0
		c.do(&got, &b)
		for o := range audience.BlockSize {
			want := c.want(x[uint16(o)], y[uint16(o)])
			if got.Has(uint16(o)) != want {
				t.Fatalf("%s: ordinal %d is %v", name, o, !want)
			}
			if want {
				n++
			}
		}
		if got.Count() != n || name == "and" && (a.AndCount(&b) != n || a.Intersects(&b) != (n > 0)) {
			t.Errorf("%s: counts %d, want %d", name, got.Count(), n)
		}
		empty := a
		c.do(&empty, nil)
		if want := a; name == "and" && !empty.IsEmpty() || name != "and" && !empty.Equal(&want) {
			t.Errorf("%s with nothing", name)
		}
	}
	var none *audience.Bits
	if none.Has(3) || none.Count() != 0 || !none.IsEmpty() || !none.Equal(new(audience.Bits)) || none.Equal(&a) {
		t.Error("no bits are not empty")
	}
	for range none.All() {
		t.Error("no bits yield one")
	}
	a.Unset(slices.Collect(a.All())[0])
	if a.Equal(&b) {
		t.Error("different bits are equal")
	}
}

// TestRangesOfRanksAreThoseOfALoop looks ranges up in columns whose numbers lie evenly, in heaps, and at the ends of what there is.
func TestRangesOfRanksAreThoseOfALoop(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(8, 1))
	for name, next := range map[string]func() int64{
		"even": func() int64 { return r.Int64N(20_000) }, "heaps": func() int64 { return int64(1) << r.IntN(62) },
		"ends": func() int64 { return []int64{math.MinInt64, math.MaxInt64}[r.IntN(2)] + r.Int64N(3) - 1 },
		"skew": func() int64 { n := r.Int64N(1 << 20); return n * n * n },
	} {
		for _, n := range []int{1, 2, 31, 33, 500, 20_000} {
			c := audience.NewNumColumn(func(yield func(uint16, int64) bool) {
				for o := range n {
					if !yield(uint16(o), next()) {
						return
					}
				}
			})
			for range 200 {
				lo, hi := next(), next()
				if r.IntN(3) == 0 {
					hi = lo
				}
				from, to := c.NumRanks(lo, hi)
				var first, end int
				for _, v := range c.Nums {
					if v < lo {
						first++
					}
					if v <= hi {
						end++
					}
				}
				if lo <= hi && (from != first || to != end) || lo > hi && from < to {
					t.Fatalf("%s: %d to %d are ranks %d to %d, want %d to %d", name, lo, hi, from, to, first, end)
				}
			}
		}
	}
}

// ranksOf packs ranks.
func ranksOf(list []uint16, distinct int) audience.Ranks {
	r := audience.MakeRanks(len(list), distinct)
	for o, rank := range list {
		r.Set(uint16(o), rank)
	}
	return r
}
