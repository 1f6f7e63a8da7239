package audience

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"
	"sort"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// NewNumColumn returns the column of the given ordinals' numbers. Of an ordinal given twice the last value stands.
func NewNumColumn(values iter.Seq2[uint16, int64]) *Column {
	c := &Column{}
	c.Nums = build(c, values)
	return c
}

// NewTextColumn returns the column of the given ordinals' texts. Of an ordinal given twice the last value stands.
func NewTextColumn(values iter.Seq2[uint16, string]) *Column {
	c := &Column{}
	c.Texts = build(c, values)
	return c
}

// build fills Present and Ranks of c, and returns the distinct values in ascending order.
func build[T cmp.Ordered](c *Column, values iter.Seq2[uint16, T]) []T {
	c.Present = new(Bits)
	var ordinals []uint16
	var all []T
	highest := -1
	for o, v := range values {
		if c.Present.Has(o) {
			all[slices.Index(ordinals, o)] = v
			continue
		}
		c.Present.Set(o)
		ordinals, all = append(ordinals, o), append(all, v)
		highest = max(highest, int(o))
	}
	distinct := slices.Clone(all)
	slices.Sort(distinct)
	distinct = slices.Clip(slices.Compact(distinct))
	c.Ranks = MakeRanks(highest+1, len(distinct))
	for i, o := range ordinals {
		rank, _ := slices.BinarySearch(distinct, all[i])
		c.Ranks.Set(o, uint16(rank))
	}
	return distinct
}

// Len returns the number of distinct values.
func (c *Column) Len() int { return max(len(c.Nums), len(c.Texts)) }

// Rank returns the index of ordinal o's value; false if it has none.
func (c *Column) Rank(o uint16) (uint16, bool) {
	if c == nil || !c.Present.Has(o) || int(o) >= c.Ranks.Len() {
		return 0, false
	}
	return c.Ranks.At(o), true
}

// Num returns ordinal o's number; false if it has none.
func (c *Column) Num(o uint16) (int64, bool) {
	r, ok := c.Rank(o)
	if !ok || int(r) >= len(c.Nums) {
		return 0, false
	}
	return c.Nums[r], true
}

// Text returns ordinal o's text; false if it has none.
func (c *Column) Text(o uint16) (string, bool) {
	r, ok := c.Rank(o)
	if !ok || int(r) >= len(c.Texts) {
		return "", false
	}
	return c.Texts[r], true
}

// NumRanks returns the ranks from, up to but not including to, of the numbers from lo to hi, both included.
func (c *Column) NumRanks(lo, hi int64) (from, to int) {
	if c == nil || lo > hi {
		return 0, 0
	}
	to = len(c.Nums)
	if lo > minInt64 {
		from = firstNotBelow(c.Nums, lo)
	}
	if hi < maxInt64 {
		to = firstNotBelow(c.Nums, hi+1)
	}
	return from, to
}

// firstNotBelow returns the index of the first number, of ascending ones, that is v or more. Numbers such as days lie evenly enough
// that a guess by proportion is near: then one or two places of a long list are looked at, where halving it looks at a dozen, each
// of them out of the processor's caches.
func firstNotBelow(nums []int64, v int64) int {
	const near = 16
	lo, hi := 0, len(nums) // nums[lo-1] is below v, nums[hi] is not
	for range 3 {
		if hi-lo <= 2*near {
			break
		}
		first, last := float64(nums[lo]), float64(nums[hi-1])
		share := (float64(v) - first) / (last - first)
		at := lo + int(max(0, min(1, share))*float64(hi-1-lo))
		if nums[at] < v {
			lo = at + 1
			if end := lo + near; end < hi && nums[end] >= v {
				hi = end
			}
		} else {
			hi = at
			if end := hi - near; end > lo && nums[end] < v {
				lo = end + 1
			}
		}
	}
	at, _ := slices.BinarySearch(nums[lo:hi], v)
	return lo + at
}

// TextRanks returns the ranks from, up to but not including to, of the texts from lo, up to but not including hi; without
// hi, where it is nil, to the last.
func (c *Column) TextRanks(lo string, hi *string) (from, to int) {
	if c == nil {
		return 0, 0
	}
	from, _ = slices.BinarySearch(c.Texts, lo)
	to = len(c.Texts)
	if hi != nil {
		to, _ = slices.BinarySearch(c.Texts, *hi)
	}
	return from, max(from, to)
}

// PrefixRanks returns the ranks from, up to but not including to, of the texts that begin with prefix.
func (c *Column) PrefixRanks(prefix string) (from, to int) {
	if c == nil {
		return 0, 0
	}
	from, _ = slices.BinarySearch(c.Texts, prefix)
	// Texts that begin with the prefix follow each other, so the first that does not ends the range.
	n := sort.Search(len(c.Texts)-from, func(i int) bool { return !strings.HasPrefix(c.Texts[from+i], prefix) })
	return from, from + n
}

// Equal reports whether both columns have the same values for the same ordinals.
func (c *Column) Equal(x *Column) bool {
	return c.Present.Equal(x.Present) && slices.Equal(c.Nums, x.Nums) && slices.Equal(c.Texts, x.Texts) && slices.Equal(c.Ranks.words, x.Ranks.words)
}

// Validate reports an error if c breaks a promise of Column, as bytes from outside may: values out of order or of both
// types, ranks without a value, present ordinals without a rank.
func (c *Column) Validate() error {
	broken := func(what string) error {
		return fault.New(fault.DataLoss, "BROKEN_COLUMN", "the column "+what+"; it must be built again")
	}
	switch {
	case c.Present == nil:
		return broken("has no presence row")
	case len(c.Nums) > 0 && len(c.Texts) > 0:
		return broken("holds both numbers and texts")
	case c.Ranks.Len() > BlockSize || c.Len() > BlockSize:
		return broken("is longer than a block")
	}
	for i := 1; i < len(c.Nums); i++ {
		if c.Nums[i-1] >= c.Nums[i] {
			return broken("is not in order")
		}
	}
	for i := 1; i < len(c.Texts); i++ {
		if c.Texts[i-1] >= c.Texts[i] {
			return broken("is not in order")
		}
	}
	for i, w := range c.Present {
		for ; w != 0; w &= w - 1 {
			o := i<<6 | bits.TrailingZeros64(w)
			if o >= c.Ranks.Len() || int(c.Ranks.At(uint16(o))) >= c.Len() {
				return broken("lacks the value of a present ordinal")
			}
		}
	}
	return nil
}
