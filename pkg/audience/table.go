package audience

import (
	"math"
	"math/bits"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// ReasonTableTooLarge is the reason of a table that has more values or cells than one may have.
const ReasonTableTooLarge = "TABLE_TOO_LARGE"

// Bounds of a table.
const (
	// MaxTableValues is the most values of one axis.
	MaxTableValues = 1000
	// MaxTableCells is the most cells, those for other values and for none included.
	MaxTableCells = 100_000
	maxAxes       = 8
)

// Table counts members by several attributes at once. Each axis has a place for each value and two more, for other values and for
// none. A member of a TextList counts in the cell of each element, and of a Region in that of the code and of all that it lies in; under
// every other attribute in one. A Table is for one goroutine; tables of the same axes are merged.
type Table struct {
	// Read, if set, reads the i-th of Fields of a block: a faster way than by its name.
	Read func(b Block, i int) (row Row, c *Column, ok bool)

	axes    []tableAxis
	counts  []uint64
	members uint64
}

// tableAxis is one side of a table.
type tableAxis struct {
	d      Breakdown
	a      *Attribute
	values []string
	stride int
	rows   []Field        // by value, of attributes that are kept in rows
	nums   map[int64]int  // by value, of columns of numbers that have no bands
	texts  map[string]int // by value, of columns of texts
	ranges []Band         // of the column's numbers, by value, where there are bands
	column Field          // of attributes that are kept in columns

	// Of the block that is added.
	present Row
	held    []Row // by value
	c, last *Column
}

// several reports whether one member can be in several places of the axis.
func (x *tableAxis) several() bool { return x.a.Kind == KindRegion || x.a.Kind == KindTextList }

func (x *tableAxis) other() int   { return len(x.values) }
func (x *tableAxis) missing() int { return len(x.values) + 1 }

// NewTable makes an empty table. Where the values of a breakdown have to be known (see Open), they must be stated, as Values lists them.
//
// Errors: Invalid, with the reason TABLE_TOO_LARGE or those of Breakdown.
func NewTable(s *Schema, by []Breakdown) (*Table, error) {
	if len(by) == 0 || len(by) > maxAxes {
		return nil, fault.Newf(fault.Invalid, ReasonInvalidPredicate, "a table has 1 to %d axes", maxAxes)
	}
	t := &Table{axes: make([]tableAxis, len(by))}
	cells := 1
	for i := range slices.Backward(by) {
		x := &t.axes[i]
		if err := x.init(s, by[i]); err != nil {
			return nil, err
		}
		x.stride = cells
		if cells *= len(x.values) + 2; len(x.values) > MaxTableValues || cells > MaxTableCells {
			return nil, tableTooLarge(x.a.Name)
		}
	}
	t.counts = make([]uint64, cells)
	return t, nil
}

func tableTooLarge(attribute string) error {
	return fault.Newf(fault.Invalid, ReasonTableTooLarge, "a table has at most %d values by one attribute and %d cells; state values, "+
		"use wider bands, or count by fewer attributes", MaxTableValues, MaxTableCells).With("limit", MaxTableCells).With("attribute", attribute)
}

func (x *tableAxis) init(s *Schema, d Breakdown) (err error) {
	x.d = d
	if x.a, err = d.attribute(s); err != nil {
		return err
	}
	x.column = d.columnOf(s, x.a)
	switch {
	case len(d.Bands) > 0:
		for _, b := range d.Bands {
			x.values = append(x.values, b.Label)
		}
		x.ranges = d.Bands
		if x.a.Kind == KindBirth {
			x.ranges = bornIn(d.Bands, d.Day)
		}
	case x.a.Kind == KindDate || x.a.Kind == KindDecimal || x.a.Kind == KindMoney:
		x.nums = make(map[int64]int, len(d.Numbers))
		for i, n := range d.Numbers {
			x.nums[n] = i
			x.values = append(x.values, x.a.text(n))
		}
	case len(d.Values) > 0:
		x.values = d.Values
	case x.a.Kind == KindBool:
		x.values = []string{"false", "true"}
	default:
		x.values = x.a.Values
	}
	if x.a.Kind == KindText {
		x.texts = make(map[string]int, len(x.values))
		for i, v := range x.values {
			x.texts[v] = i
		}
	}
	if x.column == "" {
		for _, v := range x.values {
			x.rows = append(x.rows, FactField(x.a.Name, v))
		}
	}
	return nil
}

// bornIn returns the birth dates of those who are of the ages of each band on a day. Who was born later is younger.
func bornIn(bands []Band, day int64) []Band {
	const oldest = 200 * 366 // days; beyond are those of the band without an end
	// first is the first birth date on which one is younger than an age.
	first := func(age int64) int64 {
		return day - oldest + int64(sort.Search(oldest+1, func(i int) bool { return AgeOn(day-oldest+int64(i), day) < age }))
	}
	born := make([]Band, len(bands))
	for i, b := range bands {
		born[i] = Band{Label: b.Label, Min: math.MinInt64, Max: first(b.Min) - 1}
		if b.Max < AgeOn(day-oldest, day) {
			born[i].Min = first(b.Max + 1)
		}
	}
	return born
}

// columnOf is the column by which a breakdown divides; empty where rows do.
func (d *Breakdown) columnOf(s *Schema, a *Attribute) Field {
	switch a.Kind {
	case KindText, KindDate, KindDecimal, KindBirth:
		return a.column
	case KindMoney:
		return MoneyField(a.Name, d.currency(s))
	}
	return ""
}

// Fields returns what Add reads of a block.
func (t *Table) Fields() []Field {
	var fields []Field
	for i := range t.axes {
		x := &t.axes[i]
		fields = append(append(fields, x.a.presence), x.rows...)
		if x.column != "" {
			fields = append(fields, x.column)
		}
		if x.a.Kind == KindBirth {
			fields = append(fields, x.a.last)
		}
	}
	return fields
}

// Values returns the values of an axis, in the order of its places.
func (t *Table) Values(axis int) []string { return t.axes[axis].values }

// Counts returns the cells, row by row: the place of the last axis changes fastest.
func (t *Table) Counts() []uint64 { return t.counts }

// Members returns how many members were added.
func (t *Table) Members() uint64 { return t.members }

// Merge adds the counts of a table of the same axes.
func (t *Table) Merge(x *Table) {
	t.members += x.members
	for i, n := range x.counts {
		t.counts[i] += n
	}
}

// Without returns the table without the values of an axis that have no member in any cell.
func (t *Table) Without(axis int) *Table {
	x := &t.axes[axis]
	places := len(x.values) + 2
	held := make([]bool, places)
	for cell, n := range t.counts {
		if n > 0 {
			held[cell/x.stride%places] = true
		}
	}
	held[x.other()], held[x.missing()] = true, true
	c := &Table{axes: slices.Clone(t.axes), members: t.members}
	c.axes[axis].values = nil
	for i, v := range x.values {
		if held[i] {
			c.axes[axis].values = append(c.axes[axis].values, v)
		}
	}
	c.counts = make([]uint64, 0, len(t.counts)/places*(len(c.axes[axis].values)+2))
	for cell, n := range t.counts {
		if held[cell/x.stride%places] {
			c.counts = append(c.counts, n)
		}
	}
	stride := 1
	for i := range slices.Backward(c.axes) {
		c.axes[i].stride = stride
		stride *= len(c.axes[i].values) + 2
	}
	return c
}

// tally is the working memory of a table in one block: by ordinal, the cell within those axes on which everybody is in one place.
type tally struct {
	cell  [BlockSize]int32
	place [BlockSize]int32 // of one axis
	of    []int32          // by rank of a column
}

var tallies = sync.Pool{New: func() any { return new(tally) }}

// Add adds the members of one block, who must be live. After an error the table is as it was.
func (t *Table) Add(b Block, members *Bits) error {
	n := members.Count()
	if n == 0 {
		return nil
	}
	defer func() {
		for i := range t.axes {
			t.axes[i].drop()
		}
	}()
	if err := t.take(b); err != nil {
		return err
	}
	t.members += uint64(n)
	w := tallies.Get().(*tally)
	defer tallies.Put(w)
	for i, m := range members {
		for ; m != 0; m &= m - 1 {
			w.cell[i<<6|bits.TrailingZeros64(m)] = 0
		}
	}
	var several []*tableAxis
	for i := range t.axes {
		x := &t.axes[i]
		if x.several() {
			several = append(several, x)
			continue
		}
		w.places(x, members)
		stride := int32(x.stride)
		for i, m := range members {
			for ; m != 0; m &= m - 1 {
				o := i<<6 | bits.TrailingZeros64(m)
				w.cell[o] += w.place[o] * stride
			}
		}
	}
	t.split(w, several, members, 0)
	return nil
}

// take takes all that is read of a block, before anything is counted, in the order of Fields.
func (t *Table) take(b Block) error {
	at := 0
	read := func(f Field) (row Row, c *Column, err error) {
		if t.Read != nil {
			var ok bool
			if row, c, ok = t.Read(b, at); !ok {
				err = &UnknownError{Field: f}
			}
			at++
			return row, c, err
		}
		if strings.HasPrefix(string(f), "c/") {
			c, err = columnOf(b, f)
		} else {
			row, err = rowOf(b, f)
		}
		return row, c, err
	}
	for i := range t.axes {
		x := &t.axes[i]
		var err error
		if x.present, _, err = read(x.a.presence); err != nil {
			return err
		}
		x.held = x.held[:0]
		for _, f := range x.rows {
			row, _, err := read(f)
			if err != nil {
				return err
			}
			x.held = append(x.held, row)
		}
		if x.column != "" {
			if _, x.c, err = read(x.column); err != nil {
				return err
			}
		}
		if x.a.Kind == KindBirth {
			if _, x.last, err = read(x.a.last); err != nil {
				return err
			}
		}
	}
	return nil
}

// drop keeps nothing of a block.
func (x *tableAxis) drop() {
	clear(x.held)
	x.present, x.c, x.last = Row{}, nil, nil
}

// split counts members, and before that divides them by the axes on which one can be in several places.
func (t *Table) split(w *tally, by []*tableAxis, members *Bits, base int) {
	if len(by) == 0 {
		for i, m := range members {
			for ; m != 0; m &= m - 1 {
				t.counts[base+int(w.cell[i<<6|bits.TrailingZeros64(m)])]++
			}
		}
		return
	}
	x := by[0]
	// Who is in no row of the axis is left in the end.
	left := *members
	for place, row := range x.held {
		if row.IsEmpty() {
			continue
		}
		at := base + place*x.stride
		if len(by) == 1 {
			t.countIn(w, row, members, &left, at)
			continue
		}
		var in Bits
		row.Into(&in)
		in.And(members)
		if !in.IsEmpty() {
			left.AndNot(&in)
			t.split(w, by[1:], &in, at)
		}
	}
	if left.IsEmpty() {
		return
	}
	var other Bits
	x.present.Into(&other)
	other.And(&left)
	left.AndNot(&other)
	t.split(w, by[1:], &other, base+x.other()*x.stride)
	t.split(w, by[1:], &left, base+x.missing()*x.stride)
}

// countIn counts the members in a row, and takes them out of left.
func (t *Table) countIn(w *tally, row Row, members, left *Bits, base int) {
	counts := t.counts[base:]
	word := func(i int, m uint64) {
		left[i] &^= m
		for ; m != 0; m &= m - 1 {
			counts[w.cell[i<<6|bits.TrailingZeros64(m)]]++
		}
	}
	switch row.form {
	case formDense:
		for i, m := range row.bits {
			if m &= members[i]; m != 0 {
				word(i, m)
			}
		}
	case formRuns:
		row.words(func(i int, m uint64) {
			if m &= members[i]; m != 0 {
				word(i, m)
			}
		})
	default:
		for _, o := range row.list {
			if m := uint64(1) << (o & 63); members[o>>6]&m != 0 {
				left[o>>6] &^= m
				counts[w.cell[o]]++
			}
		}
	}
}

// words calls f with the words of a row of runs that hold anybody, each run's by itself.
func (r *Row) words(f func(i int, m uint64)) {
	for at := 0; at+1 < len(r.list); at += 2 {
		lo, hi, from, to := rangeWords(r.list[at], r.list[at+1])
		for i := lo; i <= hi; i++ {
			m := ^uint64(0)
			if i == lo {
				m &= from
			}
			if i == hi {
				m &= to
			}
			f(i, m)
		}
	}
}

// places finds the place of each member on an axis on which everybody is in one.
func (w *tally) places(x *tableAxis, members *Bits) {
	other, missing := int32(x.other()), int32(x.missing())
	for i, m := range members {
		for ; m != 0; m &= m - 1 {
			w.place[i<<6|bits.TrailingZeros64(m)] = missing
		}
	}
	w.put(x.present, members, other)
	for place, row := range x.held {
		w.put(row, members, int32(place))
	}
	if x.c == nil || x.a.Kind == KindBirth && x.last == nil {
		return
	}
	of := w.placesOf(x, x.c)
	w.ranks(x.c, members, func(o uint16, rank int) { w.place[o] = of[rank] })
	if x.last == nil || x.last == x.c {
		return
	}
	// Whose possible birth dates are in different bands is in none.
	of = w.placesOf(x, x.last)
	w.ranks(x.last, members, func(o uint16, rank int) {
		if w.place[o] != of[rank] {
			w.place[o] = other
		}
	})
}

// put gives the members in a row a place.
func (w *tally) put(row Row, members *Bits, place int32) {
	word := func(i int, m uint64) {
		for m &= members[i]; m != 0; m &= m - 1 {
			w.place[i<<6|bits.TrailingZeros64(m)] = place
		}
	}
	switch row.form {
	case formDense:
		for i, m := range row.bits {
			word(i, m)
		}
	case formRuns:
		row.words(word)
	default:
		for _, o := range row.list {
			w.place[o] = place // of those who are no members it means nothing
		}
	}
}

// ranks calls f with each member's rank.
func (w *tally) ranks(c *Column, members *Bits, f func(o uint16, rank int)) {
	for i, m := range members {
		for m &= c.Present[i]; m != 0; m &= m - 1 {
			o := uint16(i<<6 | bits.TrailingZeros64(m))
			if rank := int(c.Ranks.At(o)); rank < c.Len() {
				f(o, rank)
			}
		}
	}
}

// placesOf returns the place of each value of a column. The values ascend, so those of a band follow each other.
func (w *tally) placesOf(x *tableAxis, c *Column) []int32 {
	of := slices.Grow(w.of[:0], c.Len())[:c.Len()]
	w.of = of
	other := int32(x.other())
	same(of, other)
	fill := func(from, to, place int) { same(of[from:to], int32(place)) }
	switch {
	case len(x.ranges) > 0:
		for place, band := range x.ranges {
			from, to := c.NumRanks(band.Min, band.Max)
			fill(from, to, place)
		}
	case x.texts != nil:
		for rank, text := range c.Texts {
			if place, ok := x.texts[text]; ok {
				of[rank] = int32(place)
			}
		}
	default:
		for rank, n := range c.Nums {
			if place, ok := x.nums[n]; ok {
				of[rank] = int32(place)
			}
		}
	}
	return of
}

// same makes all of list one value, by copying ever longer parts.
func same(list []int32, value int32) {
	if len(list) == 0 {
		return
	}
	list[0] = value
	for n := 1; n < len(list); n *= 2 {
		copy(list[n:], list[:n])
	}
}
