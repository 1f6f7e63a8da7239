package audience

import (
	"iter"
	"math/bits"
	"slices"
)

// form is how a Row is kept. The zero form with no ordinals is the empty row.
type form uint8

const (
	formList  form = iota // ordinals, ascending
	formRuns              // first and last ordinal of each run, ascending
	formDense             // a bitmap
)

// Limits of the forms that NewRow and the codec choose. By BenchmarkIntersect up to 500 ordinals in a list are tested against a
// bitmap in less time than two bitmaps take; up to ListMax it takes little more, a fraction of the memory, and is ready for what looks
// at candidates one by one, as columns do. RunsMax runs are a few hundred bytes.
const (
	ListMax = 768
	RunsMax = 64
)

// Row is a set of ordinals of one block in the form that is intersected fastest: nothing, runs, a short sorted list, or a bitmap.
// It is a small value, immutable once made; the zero Row is empty.
type Row struct {
	form form
	n    int
	list []uint16
	bits *Bits
}

// NewRow returns b's ordinals as a row. It may keep b, which must not change afterwards. A nil b is empty.
func NewRow(b *Bits) Row {
	n := b.Count()
	if n == 0 {
		return Row{}
	}
	if runs := countRuns(b); runs <= RunsMax && 2*runs < n {
		return Row{form: formRuns, n: n, list: appendRuns(make([]uint16, 0, 2*runs), b)}
	}
	if n <= ListMax {
		return Row{n: n, list: appendOrdinals(make([]uint16, 0, n), b)}
	}
	return DenseRow(b, n)
}

// ListRow returns the row of a list, which must be ascending without repetition. It keeps the list, whatever its length.
func ListRow(list []uint16) Row { return Row{n: len(list), list: list} }

// RunsRow returns the row of runs: pairs of first and last ordinal, ascending, that neither overlap nor touch. It keeps the slice.
func RunsRow(pairs []uint16) Row {
	n := 0
	for i := 0; i+1 < len(pairs); i += 2 {
		n += int(pairs[i+1]) - int(pairs[i]) + 1
	}
	return Row{form: formRuns, n: n, list: pairs}
}

// DenseRow returns the row of a bitmap that holds n ordinals, in that form. It keeps b. A nil b is empty.
func DenseRow(b *Bits, n int) Row {
	if b == nil || n == 0 {
		return Row{}
	}
	return Row{form: formDense, n: n, bits: b}
}

// Count returns the number of ordinals, 0 to BlockSize.
func (r Row) Count() int { return r.n }

// IsEmpty reports whether there is no ordinal.
func (r Row) IsEmpty() bool { return r.n == 0 }

// Has reports whether ordinal o is in the row.
func (r Row) Has(o uint16) bool {
	switch r.form {
	case formDense:
		return r.bits.Has(o)
	case formRuns:
		i, found := slices.BinarySearch(r.list, o)
		return found || i%2 == 1
	}
	_, found := slices.BinarySearch(r.list, o)
	return found
}

// Dense returns the bitmap of a row that is kept as one, else nil. The caller must not change it.
func (r *Row) Dense() *Bits {
	if r.form == formDense {
		return r.bits
	}
	return nil
}

// List returns the ordinals of a row that is kept as a list, ascending, else nil. The caller must not change it.
func (r *Row) List() []uint16 {
	if r.form == formList {
		return r.list
	}
	return nil
}

// All yields the ordinals in ascending order.
func (r Row) All() iter.Seq[uint16] {
	switch r.form {
	case formDense:
		return r.bits.All()
	case formRuns:
		return func(yield func(uint16) bool) {
			for i := 0; i+1 < len(r.list); i += 2 {
				for o := int(r.list[i]); o <= int(r.list[i+1]); o++ {
					if !yield(uint16(o)) {
						return
					}
				}
			}
		}
	}
	return slices.Values(r.list)
}

// Bits returns the row as a bitmap, which the caller must not change: it may be the row itself. Nil if it is empty.
func (r Row) Bits() *Bits {
	switch {
	case r.n == 0:
		return nil
	case r.form == formDense:
		return r.bits
	}
	out := new(Bits)
	r.Into(out)
	return out
}

// Into adds the row's ordinals to out.
func (r Row) Into(out *Bits) {
	switch r.form {
	case formDense:
		out.Or(r.bits)
	case formRuns:
		for i := 0; i+1 < len(r.list); i += 2 {
			out.SetRange(r.list[i], r.list[i+1])
		}
	default:
		for _, o := range r.list {
			out.Set(o)
		}
	}
}

// AndCount returns the number of ordinals that are in x too. A nil x is empty.
func (r Row) AndCount(x *Bits) int {
	if x == nil {
		return 0
	}
	n := 0
	switch r.form {
	case formDense:
		return r.bits.AndCount(x)
	case formRuns:
		for i := 0; i+1 < len(r.list); i += 2 {
			n += x.countRange(r.list[i], r.list[i+1])
		}
	default:
		for _, o := range r.list {
			n += int(x[o>>6]>>(o&63)) & 1
		}
	}
	return n
}

// Equal reports whether both hold the same ordinals, in whatever form.
func (r Row) Equal(x Row) bool {
	if r.n != x.n {
		return false
	}
	if r.form == x.form && r.form != formDense {
		return slices.Equal(r.list, x.list)
	}
	return r.Bits().Equal(x.Bits())
}

// Size returns about how many bytes of memory the row takes beside the value itself.
func (r Row) Size() int {
	if r.form == formDense {
		return BlockSize / 8
	}
	return 2 * cap(r.list)
}

// SetRange sets the ordinals first to last, both included.
func (b *Bits) SetRange(first, last uint16) {
	lo, hi, from, to := rangeWords(first, last)
	if lo == hi {
		b[lo] |= from & to
		return
	}
	b[lo] |= from
	for i := lo + 1; i < hi; i++ {
		b[i] = ^uint64(0)
	}
	b[hi] |= to
}

// unsetRange clears the ordinals first to last, both included.
func (b *Bits) unsetRange(first, last uint16) {
	lo, hi, from, to := rangeWords(first, last)
	if lo == hi {
		b[lo] &^= from & to
		return
	}
	b[lo] &^= from
	clear(b[lo+1 : hi])
	b[hi] &^= to
}

func (b *Bits) countRange(first, last uint16) int {
	lo, hi, from, to := rangeWords(first, last)
	if lo == hi {
		return bits.OnesCount64(b[lo] & from & to)
	}
	n := bits.OnesCount64(b[lo]&from) + bits.OnesCount64(b[hi]&to)
	for _, w := range b[lo+1 : hi] {
		n += bits.OnesCount64(w)
	}
	return n
}

// rangeWords returns the first and last word of a range of ordinals, and the bits of it in each.
func rangeWords(first, last uint16) (lo, hi int, from, to uint64) {
	return int(first >> 6), int(last >> 6), ^uint64(0) << (first & 63), ^uint64(0) >> (63 - last&63)
}

// countRuns counts the ordinals that are in b and whose predecessor is not.
func countRuns(b *Bits) int {
	n, carry := 0, uint64(0)
	for _, w := range b {
		n += bits.OnesCount64(w &^ (w<<1 | carry))
		carry = w >> 63
	}
	return n
}

func appendRuns(pairs []uint16, b *Bits) []uint16 {
	open, carry := false, uint64(0)
	for i, w := range b {
		// A bit is set where membership differs from that of the ordinal before.
		for edges := w ^ (w<<1 | carry); edges != 0; edges &= edges - 1 {
			o := i<<6 | bits.TrailingZeros64(edges)
			if open {
				o--
			}
			pairs = append(pairs, uint16(o))
			open = !open
		}
		carry = w >> 63
	}
	if open {
		pairs = append(pairs, BlockSize-1)
	}
	return pairs
}

func appendOrdinals(list []uint16, b *Bits) []uint16 {
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			list = append(list, uint16(i<<6|bits.TrailingZeros64(w)))
		}
	}
	return list
}
