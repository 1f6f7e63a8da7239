package audience

import (
	"iter"
	"math/bits"
	"strconv"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Band is a range of a number, both ends included: ages in whole years, days, or smallest units of a decimal.
type Band struct {
	Label    string
	Min, Max int64
}

// Breakdown says how a set is divided by one attribute.
type Breakdown struct {
	Attr string
	// Values are the values to count of a TextList or Region attribute. Without them the blocks must be Listers, and all
	// values are counted; other attributes are always counted whole.
	Values []string
	// Numbers are the values that a Table counts of a Date, Decimal or Money without bands.
	Numbers []int64
	// Bands are needed for a Birth, whose ages they divide, and may divide a Date, Decimal or Money. They must not overlap.
	Bands []Band
	// Currency selects a Money's values, "" the store's; those in others count as Other.
	Currency string
	// Day is the day of the ages.
	Day int64
}

// Histogram is a breakdown's counts. A member of a TextList counts under each element, and of a Region under the code and
// all that it lies in, so only for other attributes is the sum of all counts the number of members.
type Histogram struct {
	// Counts is by value, or by the label of a band. Numbers are written with their scale, days as dates.
	Counts map[string]uint64
	// Missing counts members without a value; Other those whose value is in no band, in another currency, or a birth date
	// whose possible ages are in different bands.
	Missing, Other uint64
	// Members counts all.
	Members uint64
}

// Lister is a Block that knows which rows it has.
type Lister interface {
	// Rows yields the block's rows whose field begins with the prefix.
	Rows(prefix Field) iter.Seq[Field]
}

// Fields returns what Add reads for certain: the attribute's columns, presence, and the rows of known values.
func (d *Breakdown) Fields(s *Schema) ([]Field, error) {
	a, err := d.attribute(s)
	if err != nil {
		return nil, err
	}
	presence, _ := a.Presence()
	fields := []Field{presence}
	switch a.Kind {
	case KindBirth:
		fields = append(fields, a.last)
	case KindMoney:
		fields = append(fields, d.columnOf(s, a))
	default:
		fields = append(fields, a.fields...)
		for _, v := range d.Values {
			if _, ok := a.rank[v]; !ok {
				fields = append(fields, FactField(a.Name, v))
			}
		}
	}
	return fields, nil
}

func (d *Breakdown) currency(s *Schema) string {
	if d.Currency == "" {
		return s.Currency
	}
	return d.Currency
}

func (d *Breakdown) attribute(s *Schema) (*Attribute, error) {
	a, ok := s.Attribute(d.Attr)
	if !ok {
		return nil, fault.New(fault.Invalid, ReasonUnknownAttribute, "the schema has no attribute "+strconv.Quote(d.Attr)).With("attribute", d.Attr)
	}
	switch {
	case a.Kind == KindConsent:
		return nil, fault.New(fault.Invalid, ReasonInvalidPredicate, "a set is not divided by a consent; count who gave it instead")
	case a.Kind == KindBirth && len(d.Bands) == 0:
		return nil, fault.New(fault.Invalid, ReasonInvalidPredicate, "a breakdown by birth date needs bands of ages")
	}
	return a, nil
}

// Add adds the members of one block to the histogram. members must be live.
func (h *Histogram) Add(b Block, s *Schema, d Breakdown, members *Bits) error {
	a, err := d.attribute(s)
	if err != nil {
		return err
	}
	if h.Counts == nil {
		h.Counts = make(map[string]uint64)
	}
	switch a.Kind {
	case KindText, KindDate, KindDecimal:
		return h.addColumn(b, a, d, a.column, members)
	case KindBirth:
		return h.addAges(b, a, d, members)
	case KindMoney:
		present, err := rowOf(b, a.presence)
		if err != nil {
			return err
		}
		column := d.columnOf(s, a)
		if err := h.addColumn(b, a, d, column, members); err != nil {
			return err
		}
		// Whoever has money, but not in this currency, is not missing.
		c, err := columnOf(b, column)
		if err != nil {
			return err
		}
		other := present.AndCount(members)
		if c != nil {
			other -= members.AndCount(c.Present)
		}
		h.Missing -= uint64(other)
		h.Other += uint64(other)
		return nil
	}
	return h.addRows(b, a, d, members)
}

func (h *Histogram) addRows(b Block, a *Attribute, d Breakdown, members *Bits) error {
	n := members.Count()
	h.Members += uint64(n)
	if n == 0 {
		return nil
	}
	present, err := rowOf(b, a.presence)
	if err != nil {
		return err
	}
	h.Missing += uint64(n - present.AndCount(members))
	count := func(label string, f Field) error {
		row, err := rowOf(b, f)
		if err != nil {
			return err
		}
		if n := row.AndCount(members); n > 0 {
			h.Counts[label] += uint64(n)
		}
		return nil
	}
	switch {
	case a.Kind == KindBool:
		for i, f := range a.fields {
			if err := count([]string{"false", "true"}[i], f); err != nil {
				return err
			}
		}
		return nil
	case len(d.Values) > 0 || len(a.Values) > 0:
		values := d.Values
		if len(values) == 0 || a.Kind == KindEnum || a.Kind == KindOrdered {
			values = a.Values
		}
		for _, v := range values {
			if err := count(v, FactField(a.Name, v)); err != nil {
				return err
			}
		}
		return nil
	}
	rows, err := listed(b, a)
	if err != nil {
		return err
	}
	for value, f := range rows {
		if err := count(value, f); err != nil {
			return err
		}
	}
	return nil
}

// listed yields the values that a block has rows of, with these.
func listed(b Block, a *Attribute) (iter.Seq2[string, Field], error) {
	lister, ok := b.(Lister)
	if !ok {
		return nil, fault.New(fault.Invalid, ReasonInvalidPredicate, "a breakdown by "+a.Name+" needs the values to count here").With("attribute", a.Name)
	}
	return func(yield func(string, Field) bool) {
		for f := range lister.Rows(FactField(a.Name, "")) {
			if p, ok := ParseField(f); ok && !p.Exact && !yield(p.Value, f) {
				return
			}
		}
	}, nil
}

// addColumn counts by rank, and looks at each distinct value once.
func (h *Histogram) addColumn(b Block, a *Attribute, d Breakdown, f Field, members *Bits) error {
	n := uint64(members.Count())
	h.Members += n
	if n == 0 {
		return nil
	}
	c, err := columnOf(b, f)
	if err != nil {
		return err
	}
	if c == nil {
		h.Missing += n
		return nil
	}
	byRank := make([]uint32, c.Len())
	h.Missing += n - c.countRanks(members, byRank)
	for r, n := range byRank {
		if n == 0 {
			continue
		}
		if a.Kind == KindText {
			h.Counts[c.Texts[r]] += uint64(n)
			continue
		}
		v := c.Nums[r]
		label, ok := bandOf(d.Bands, v)
		switch {
		case len(d.Bands) > 0 && !ok:
			h.Other += uint64(n)
			continue
		case !ok:
			label = a.text(v)
		}
		h.Counts[label] += uint64(n)
	}
	return nil
}

// addAges finds the band of each distinct first and last possible birth date, and counts who is in one band whichever it was.
func (h *Histogram) addAges(b Block, a *Attribute, d Breakdown, members *Bits) error {
	n := uint64(members.Count())
	h.Members += n
	if n == 0 {
		return nil
	}
	first, err := columnOf(b, a.column)
	if err != nil {
		return err
	}
	last, err := columnOf(b, a.last)
	if err != nil {
		return err
	}
	if first == nil || last == nil {
		h.Missing += n
		return nil
	}
	bands := func(c *Column) []int {
		of := make([]int, len(c.Nums))
		for r, birth := range c.Nums {
			of[r] = bandIndex(d.Bands, AgeOn(birth, d.Day))
		}
		return of
	}
	in := make([]uint64, len(d.Bands))
	oldest := bands(first)
	if first == last {
		// Everybody's date is known: one look at each rank.
		byRank := make([]uint32, first.Len())
		h.Missing += n - first.countRanks(members, byRank)
		for r, n := range byRank {
			if oldest[r] < 0 {
				h.Other += uint64(n)
			} else {
				in[oldest[r]] += uint64(n)
			}
		}
	} else {
		youngest := bands(last)
		for i, w := range members {
			both := w & first.Present[i] & last.Present[i]
			h.Missing += uint64(bits.OnesCount64(w &^ both))
			for ; both != 0; both &= both - 1 {
				o := uint16(i<<6 | bits.TrailingZeros64(both))
				r1, r2 := int(first.Ranks.At(o)), int(last.Ranks.At(o))
				switch {
				case r1 >= len(oldest) || r2 >= len(youngest):
					h.Missing++
				case oldest[r1] < 0 || oldest[r1] != youngest[r2]:
					h.Other++
				default:
					in[oldest[r1]]++
				}
			}
		}
	}
	for i, n := range in {
		if n > 0 {
			h.Counts[d.Bands[i].Label] += n
		}
	}
	return nil
}

// countRanks adds to byRank, which is as long as there are values, how many members have each, and returns how many have any.
func (c *Column) countRanks(members *Bits, byRank []uint32) (counted uint64) {
	for i, w := range members {
		for w &= c.Present[i]; w != 0; w &= w - 1 {
			if r := int(c.Ranks.At(uint16(i<<6 | bits.TrailingZeros64(w)))); r < len(byRank) {
				byRank[r]++
				counted++
			}
		}
	}
	return counted
}

func bandOf(bands []Band, v int64) (string, bool) {
	i := bandIndex(bands, v)
	if i < 0 {
		return "", false
	}
	return bands[i].Label, true
}

func bandIndex(bands []Band, v int64) int {
	for i, b := range bands {
		if b.Min <= v && v <= b.Max {
			return i
		}
	}
	return -1
}
