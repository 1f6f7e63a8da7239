package audience_test

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// sizes are the numbers of ordinals around which a row changes its form, in memory or in the store, and the ends.
var sizes = []int{
	0, 1, 2, 63, 64, 65, audience.ListMax - 1, audience.ListMax, audience.ListMax + 1, 4095, 4096, 4097, 32768, 65535, 65536,
}

// scattered returns n ordinals chosen at random.
func scattered(r *rand.Rand, n int) *audience.Bits {
	b := new(audience.Bits)
	if n > audience.BlockSize/2 {
		for _, o := range r.Perm(audience.BlockSize)[:n] {
			b.Set(uint16(o))
		}
		return b
	}
	for n > 0 {
		if o := uint16(r.IntN(audience.BlockSize)); !b.Has(o) {
			b.Set(o)
			n--
		}
	}
	return b
}

// clustered returns n ordinals in a few runs.
func clustered(r *rand.Rand, n, runs int) *audience.Bits {
	b := new(audience.Bits)
	for i := range runs {
		share := n / runs
		if i == runs-1 {
			share = n - share*(runs-1)
		}
		at := i*(audience.BlockSize/runs) + r.IntN(max(1, audience.BlockSize/runs-share))
		if share > 0 {
			b.SetRange(uint16(at), uint16(min(at+share, audience.BlockSize)-1))
		}
	}
	return b
}

func TestRowsSayWhatTheirBitmapsSay(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 9))
	other := scattered(r, 20_000)
	for _, n := range sizes {
		for name, b := range map[string]*audience.Bits{
			"scattered": scattered(r, n), "one run": clustered(r, n, 1), "many runs": clustered(r, n, audience.RunsMax),
			"more runs": clustered(r, n, audience.RunsMax+1),
		} {
			want := *b
			forms := map[string]audience.Row{"chosen": audience.NewRow(b), "dense": audience.DenseRow(&want, want.Count())}
			list := slices.Collect(want.All())
			forms["list"] = audience.ListRow(list)
			var pairs []uint16
			for _, o := range list {
				if last := len(pairs) - 1; last > 0 && pairs[last] == o-1 && o > 0 {
					pairs[last] = o
					continue
				}
				pairs = append(pairs, o, o)
			}
			forms["runs"] = audience.RunsRow(pairs)
			for form, row := range forms {
				name := fmt.Sprintf("%d %s as %s", n, name, form)
				var into audience.Bits
				row.Into(&into)
				if row.Count() != want.Count() || row.IsEmpty() != want.IsEmpty() || into != want || !row.Bits().Equal(&want) {
					t.Errorf("%s: other ordinals", name)
				}
				if !slices.Equal(slices.Collect(row.All()), list) {
					t.Errorf("%s: All yields others", name)
				}
				if got, naive := row.AndCount(other), want.AndCount(other); got != naive || row.AndCount(nil) != 0 {
					t.Errorf("%s: %d in both, want %d", name, got, naive)
				}
				for range 200 {
					if o := uint16(r.IntN(audience.BlockSize)); row.Has(o) != want.Has(o) {
						t.Fatalf("%s: Has(%d) is %t", name, o, row.Has(o))
					}
				}
				for x, y := range forms {
					if !row.Equal(y) {
						t.Errorf("%s is not equal to itself as %s", name, x)
					}
				}
				if n > 0 && row.Equal(audience.NewRow(clustered(r, n-1, 1))) {
					t.Errorf("%s is equal to one with one less", name)
				}
			}
		}
	}
	for row := range all(forms(r, r.Perm)) {
		if row.Size() > audience.BlockSize/8 {
			t.Errorf("a row of %d takes %d bytes", row.Count(), row.Size())
		}
	}
}

// forms yields rows of every form and size.
func forms(r *rand.Rand, perm func(int) []int) []*audience.Bits {
	var list []*audience.Bits
	for _, i := range perm(len(sizes)) {
		list = append(list, scattered(r, sizes[i]), clustered(r, sizes[i], 1+r.IntN(3)))
	}
	return list
}

func all(list []*audience.Bits) iter.Seq[audience.Row] {
	return func(yield func(audience.Row) bool) {
		for _, b := range list {
			if !yield(audience.NewRow(b)) {
				return
			}
		}
	}
}

// bitBlock is a block of rows and columns that are given as they are, with a plain copy of each for the twin.
type bitBlock struct {
	live    audience.Bits
	rows    map[audience.Field]audience.Row
	columns map[audience.Field]*audience.Column
	plain   map[audience.Field]*audience.Bits
}

func (b *bitBlock) Row(f audience.Field) (audience.Row, bool) {
	row, ok := b.rows[f]
	return row, ok
}

func (b *bitBlock) Column(f audience.Field) (*audience.Column, bool) {
	c, ok := b.columns[f]
	return c, ok
}

func (b *bitBlock) Cardinality(f audience.Field) (int, bool) {
	if c := b.columns[f]; c != nil {
		return c.Present.Count(), true
	}
	row, ok := b.rows[f]
	return row.Count(), ok
}

// set gives the block a row; facts are cut to the living.
func (b *bitBlock) set(f audience.Field, row *audience.Bits, fact bool) {
	own := *row
	if fact {
		own.And(&b.live)
	}
	kept := own
	b.rows[f], b.plain[f] = audience.NewRow(&own), &kept
}

// leaves are questions about bitBlock, and their answers.
var interestNames = []string{"a", "b", "c", "d", "e"}

func newBitBlock(r *rand.Rand) *bitBlock {
	b := &bitBlock{rows: make(map[audience.Field]audience.Row), columns: make(map[audience.Field]*audience.Column), plain: make(map[audience.Field]*audience.Bits)}
	some := func() *audience.Bits {
		list := forms(r, func(int) []int { return []int{r.IntN(len(sizes))} })
		return list[r.IntN(len(list))]
	}
	switch r.IntN(3) {
	case 0:
		b.live = *some()
	case 1:
		b.live.SetRange(0, uint16(r.IntN(audience.BlockSize)))
	default:
		b.live.SetRange(0, audience.BlockSize-1)
	}
	b.set(audience.FieldLive, &b.live, true)
	for i, name := range interestNames {
		b.set(audience.FactField(audience.AttrInterests, name), some(), true)
		b.set(audience.SegmentField(name, uint64(i)), some(), false)
	}
	b.set(audience.PresenceField(audience.AttrInterests), &b.live, true)
	for _, name := range []string{"custom.few", "custom.some", "custom.many", "custom.most"} {
		distinct := map[string]int{"custom.few": 1 + r.IntN(128), "custom.some": 129 + r.IntN(128), "custom.many": 257 + r.IntN(30_000), "custom.most": 40_000 + r.IntN(20_000)}[name]
		present := some()
		if r.IntN(2) == 0 {
			present = &b.live
		}
		own := *present
		own.And(&b.live)
		f := audience.ColumnField(name)
		b.plain[f] = &own
		if own.IsEmpty() {
			b.columns[f] = nil
			continue
		}
		b.columns[f] = audience.NewNumColumn(func(yield func(uint16, int64) bool) {
			for o := range own.All() {
				if !yield(o, int64(r.IntN(distinct))) {
					return
				}
			}
		})
	}
	// First and last possible days of birth: one column, as readers keep it, or two.
	var days [2]map[uint16]int64
	for i := range days {
		days[i] = make(map[uint16]int64)
	}
	whole := r.IntN(2) == 0
	for o := range b.live.All() {
		if r.IntN(10) == 0 {
			continue
		}
		first := int64(r.IntN(30_000))
		days[0][o], days[1][o] = first, first
		if !whole && r.IntN(3) == 0 {
			days[1][o] += 364
		}
	}
	for i, f := range birthFields {
		b.columns[f] = audience.NewNumColumn(mapSeq(days[i]))
		b.plain[f] = b.columns[f].Present
	}
	if whole {
		b.columns[birthFields[1]] = b.columns[birthFields[0]]
	}
	return b
}

var birthFields = [2]audience.Field{audience.ColumnField(audience.AttrBirthDate), audience.LastField(audience.AttrBirthDate)}

// aged asks for an age from lo to hi, ends that may hold nobody included.
func (b *bitBlock) aged(lo, hi int64) (audience.Pred, func(o uint16) (yes, no bool)) {
	const day = 30_000
	ask := audience.And{
		audience.Age{Attr: audience.AttrBirthDate, Op: audience.OpGE, Years: lo}, audience.Age{Attr: audience.AttrBirthDate, Op: audience.OpLE, Years: hi},
	}
	first, last := b.columns[birthFields[0]], b.columns[birthFields[1]]
	return ask, func(o uint16) (bool, bool) {
		from, ok := first.Num(o)
		to, _ := last.Num(o)
		if !ok {
			return false, false
		}
		// Of whoever was born on from or on to: the age only grows in between.
		old, young := audience.AgeOn(from, day), audience.AgeOn(to, day)
		return young >= lo && old <= hi, old < lo || young > hi
	}
}

// ask returns a random question, and its naive answer of one ordinal: whether it is true, and whether it is false.
func (b *bitBlock) ask(r *rand.Rand, depth int) (audience.Pred, func(o uint16) (yes, no bool)) {
	kind := r.IntN(8)
	if depth == 0 {
		kind = r.IntN(5)
	}
	if kind == 4 {
		lo := int64(r.IntN(80))
		return b.aged(lo, lo+int64(r.IntN(30)-3))
	}
	switch kind {
	case 0: // a list of interests, which everybody has
		name := interestNames[r.IntN(len(interestNames))]
		bits := b.plain[audience.FactField(audience.AttrInterests, name)]
		return audience.Contains{Attr: audience.AttrInterests, Texts: []string{name}}, func(o uint16) (bool, bool) {
			return bits.Has(o), b.live.Has(o) && !bits.Has(o)
		}
	case 1:
		i := r.IntN(len(interestNames))
		bits := b.plain[audience.SegmentField(interestNames[i], uint64(i))]
		return audience.Member{Segment: interestNames[i]}, func(o uint16) (bool, bool) { return bits.Has(o), !bits.Has(o) }
	case 2:
		name := []string{"custom.few", "custom.some", "custom.many", "custom.most"}[r.IntN(4)]
		f := audience.ColumnField(name)
		c, present := b.columns[f], b.plain[f]
		bound := int64(r.IntN(300))
		if c != nil && r.IntN(2) == 0 {
			bound = c.Nums[r.IntN(len(c.Nums))] + int64(r.IntN(2))
		}
		op := []audience.Op{audience.OpLT, audience.OpLE, audience.OpGT, audience.OpGE, audience.OpEQ, audience.OpNE}[r.IntN(6)]
		holds := map[audience.Op]func(v int64) bool{
			audience.OpLT: func(v int64) bool { return v < bound }, audience.OpLE: func(v int64) bool { return v <= bound },
			audience.OpGT: func(v int64) bool { return v > bound }, audience.OpGE: func(v int64) bool { return v >= bound },
			audience.OpEQ: func(v int64) bool { return v == bound }, audience.OpNE: func(v int64) bool { return v != bound },
		}[op]
		return audience.Compare{Attr: name, Op: op, Value: audience.Value{Num: bound}}, func(o uint16) (bool, bool) {
			if !present.Has(o) {
				return false, false
			}
			v, _ := c.Num(o)
			return holds(v), !holds(v)
		}
	case 3:
		f := audience.ColumnField("custom.few")
		c, present := b.columns[f], b.plain[f]
		return audience.In{Attr: "custom.few", Values: []audience.Value{{Num: 1}, {Num: 3}, {Num: 90}}}, func(o uint16) (bool, bool) {
			if !present.Has(o) {
				return false, false
			}
			v, _ := c.Num(o)
			in := v == 1 || v == 3 || v == 90
			return in, !in
		}
	case 5:
		x, answer := b.ask(r, depth-1)
		return audience.Not{X: x}, func(o uint16) (bool, bool) {
			yes, no := answer(o)
			return no, yes
		}
	}
	n := 1 + r.IntN(4)
	preds := make([]audience.Pred, n)
	answers := make([]func(uint16) (bool, bool), n)
	for i := range preds {
		preds[i], answers[i] = b.ask(r, depth-1)
	}
	and := func(o uint16, flip bool) (every, some bool) {
		every = true
		for _, answer := range answers {
			yes, no := answer(o)
			if flip {
				yes, no = no, yes
			}
			every, some = every && yes, some || no
		}
		return every, some
	}
	if kind == 6 {
		return audience.And(preds), func(o uint16) (bool, bool) { return and(o, false) }
	}
	return audience.Or(preds), func(o uint16) (bool, bool) {
		no, yes := and(o, true)
		return yes, no
	}
}

// TestEveryPairOfFormsAgreesWithTheNaiveTwin evaluates random questions over full-size blocks whose rows have every form.
func TestEveryPairOfFormsAgreesWithTheNaiveTwin(t *testing.T) {
	t.Parallel()
	seeds := uint64(24)
	if testing.Short() {
		seeds = 8
	}
	var custom []audience.Attribute
	for _, name := range []string{"custom.few", "custom.some", "custom.many", "custom.most"} {
		custom = append(custom, audience.Attribute{Name: name, Kind: audience.KindDecimal})
	}
	s, err := audience.NewSchema("EUR", custom)
	if err != nil {
		t.Fatal(err)
	}
	env := audience.Env{Schema: s, Day: 30_000, Segment: func(uid string) (audience.SegmentRef, error) {
		return audience.SegmentRef{Field: audience.SegmentField(uid, uint64(slices.Index(interestNames, uid)))}, nil
	}}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 77))
		b := newBitBlock(r)
		for range 8 {
			pred, answer := b.ask(r, 3)
			e := audience.MustCompile(pred, env)
			var want, got audience.Bits
			for o := range b.live.All() {
				if yes, _ := answer(o); yes {
					want.Set(o)
				}
			}
			if err := e.Eval(b, nil, &got); err != nil || got != want {
				t.Fatalf("seed %d: %d members, want %d (%v)\n%s", seed, got.Count(), want.Count(), err, e)
			}
			members, err := e.Members(b)
			if err != nil || members.Count() != want.Count() || !members.Bits().Equal(&want) {
				t.Fatalf("seed %d: a row of %d members, want %d (%v)\n%s", seed, members.Count(), want.Count(), err, e)
			}
			if e.Guess(b) == 0 && !want.IsEmpty() {
				t.Fatalf("seed %d: a guess of nobody for %d members\n%s", seed, want.Count(), e)
			}
			// Among some words, as a tick does.
			var within audience.Bits
			for range 1 + r.IntN(20) {
				within[r.IntN(audience.Words)] = ^uint64(0) >> r.IntN(64)
			}
			want.And(&within)
			if err := e.Eval(b, &within, &within); err != nil || within != want {
				t.Fatalf("seed %d: %d members within, want %d (%v)\n%s", seed, within.Count(), want.Count(), err, e)
			}
		}
		b.narrow(t, r, env)
	}
}

// narrow holds the narrowing of random steps, read and unread, against the naive loop.
func (b *bitBlock) narrow(t *testing.T, r *rand.Rand, env audience.Env) {
	t.Helper()
	for range 6 {
		n := r.IntN(5)
		exprs := make([]*audience.Expr, n)
		want := make([]uint64, n+1)
		left := b.live
		want[0] = uint64(left.Count())
		for i := range exprs {
			pred, answer := b.ask(r, r.IntN(2))
			exprs[i] = audience.MustCompile(pred, env)
			for o := range left.All() {
				if yes, _ := answer(o); !yes {
					left.Unset(o)
				}
			}
			want[i+1] = uint64(left.Count())
		}
		got := make([]uint64, n+1)
		var out audience.Bits
		if err := audience.Narrow(exprs, b, got, &out); err != nil || !slices.Equal(got, want) || out != left {
			t.Fatalf("narrowing %v, want %v (%v)", got, want, err)
		}
		clear(got)
		if err := audience.Narrow(exprs, b, got, nil); err != nil || !slices.Equal(got, want) {
			t.Fatalf("narrowing without members %v, want %v (%v)", got, want, err)
		}
		if live, first, ok := audience.NarrowUnread(exprs, b); ok {
			clear(got)
			copy(got, []uint64{uint64(live), uint64(first)})
			if !slices.Equal(got, want) {
				t.Fatalf("unread %v, want %v", got, want)
			}
		}
	}
}

// TestRanksAreComparedAsSingleOnesAre holds the comparison of whole words against single ranks, at every width.
func TestRanksAreComparedAsSingleOnesAre(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 4))
	s, err := audience.NewSchema("EUR", []audience.Attribute{{Name: "custom.n", Kind: audience.KindDecimal}})
	if err != nil {
		t.Fatal(err)
	}
	for _, distinct := range []int{1, 2, 127, 128, 129, 255, 256, 257, 32767, 32768, 32769, 65535, 65536} {
		present := new(audience.Bits)
		present.SetRange(0, audience.BlockSize-1)
		c := audience.NewNumColumn(func(yield func(uint16, int64) bool) {
			for o := range present.All() {
				if !yield(o, int64(int(o)*7919%distinct)) {
					return
				}
			}
		})
		if c.Len() != distinct {
			t.Fatalf("%d values, want %d", c.Len(), distinct)
		}
		b := oneColumn{c, present}
		for range 12 {
			lo := int64(r.IntN(distinct + 1))
			hi := lo + int64(r.IntN(distinct+1))
			for _, not := range []bool{false, true} {
				var p audience.Pred = audience.And{
					audience.Compare{Attr: "custom.n", Op: audience.OpGE, Value: audience.Value{Num: lo}},
					audience.Compare{Attr: "custom.n", Op: audience.OpLT, Value: audience.Value{Num: hi}},
				}
				if not {
					p = audience.Not{X: p}
				}
				var out audience.Bits
				if err := audience.MustCompile(p, audience.Env{Schema: s}).Eval(b, nil, &out); err != nil {
					t.Fatal(err)
				}
				for o := range audience.BlockSize {
					v := int64(o * 7919 % distinct)
					if want := (lo <= v && v < hi) != not; out.Has(uint16(o)) != want {
						t.Fatalf("%d values, %d to %d, not %t: ordinal %d with %d is %t", distinct, lo, hi, not, o, v, !want)
					}
				}
			}
		}
	}
}
