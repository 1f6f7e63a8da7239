package audience

import (
	"math/bits"
	"slices"
)

// Ranks holds for each ordinal the rank of its value, packed into words: eight to a word where there are at most 256 ranks, else
// four. So a range is compared with a whole word of ranks at a time. The zero Ranks is empty.
//
// The ranks of 64 ordinals lie in 8 (or 16) words such that neighbours are in neighbouring words: ordinal o is in word o%8 (o%16) at
// place o%64/8 (o%64/16). One bit from each place of each word, the words shifted by their number, are then the 64 ordinals in order.
type Ranks struct {
	words []uint64
	n     int
	// wide says that there are four ranks to a word; spare that the highest bit of every rank is 0.
	wide, spare bool
}

// MakeRanks returns the ranks of n ordinals, all 0, of a column of that many distinct values. Numbers out of range are taken for
// the nearest in range.
func MakeRanks(n, distinct int) Ranks {
	n, distinct = max(0, min(n, BlockSize)), max(0, min(distinct, BlockSize))
	r := Ranks{n: n, wide: distinct > 256}
	// Whole words of a bitmap always have all their ranks.
	if r.wide {
		r.spare = distinct <= 1<<15
		r.words = make([]uint64, (n+63)/64*16)
	} else {
		r.spare = distinct <= 1<<7
		r.words = make([]uint64, (n+63)/64*8)
	}
	return r
}

// Len returns the number of ordinals.
func (r *Ranks) Len() int { return r.n }

// Set makes the rank of an ordinal below Len what it is given; the ordinal must not have been set before.
func (r *Ranks) Set(o, rank uint16) {
	if r.wide {
		r.words[wideAt(o)] |= uint64(rank) << wideShift(o)
	} else {
		r.words[narrowAt(o)] |= uint64(uint8(rank)) << narrowShift(o)
	}
}

// At returns the rank of an ordinal, 0 for those beyond Len.
func (r *Ranks) At(o uint16) uint16 {
	switch {
	case int(o) >= r.n:
		return 0
	case r.wide:
		return uint16(r.words[wideAt(o)] >> wideShift(o))
	}
	return uint16(uint8(r.words[narrowAt(o)] >> narrowShift(o)))
}

func wideAt(o uint16) int       { return int(o>>6)<<4 | int(o&15) }
func wideShift(o uint16) uint   { return uint(o>>4&3) << 4 }
func narrowAt(o uint16) int     { return int(o>>6)<<3 | int(o&7) }
func narrowShift(o uint16) uint { return uint(o>>3&7) << 3 }

// Size returns about how many bytes of memory the ranks take.
func (r *Ranks) Size() int { return 8 * cap(r.words) }

// rankTest is a range of ranks made ready for comparing whole words.
type rankTest struct {
	ranks   *Ranks
	from, n uint32
	lo, hi  uint64 // from and to in each place of a word
	flip    uint64 // all bits, where those outside are wanted
	open    bool   // to is beyond the highest rank
	nothing bool   // no rank is inside
}

// The highest bit of each place.
const (
	narrowHigh uint64 = 0x8080808080808080
	wideHigh   uint64 = 0x8000800080008000
)

// inside returns a test for ranks from from, up to but not including to, or with neg for all others.
func (r *Ranks) inside(from, to int, neg bool) rankTest {
	t := rankTest{ranks: r, from: uint32(from), n: uint32(max(0, to-from)), nothing: from >= to}
	if neg {
		t.flip = ^uint64(0)
	}
	places, top := uint64(0x0101010101010101), 1<<8
	if r.wide {
		places, top = 0x0001000100010001, 1<<16
	}
	if r.spare {
		top /= 2
	}
	t.lo = uint64(from) * places
	if t.open = to >= top; !t.open {
		t.hi = uint64(to) * places
	}
	return t
}

// one reports, as a 0 or 1, whether one rank is inside.
func (t *rankTest) one(rank uint16) uint64 {
	// The distance to from, as an unsigned number, is below n exactly for the ranks inside: then the difference borrows, into the
	// high half.
	return ((uint64(uint32(rank)-t.from) - uint64(t.n)) >> 63) ^ (t.flip & 1)
}

// filter writes to dst the ordinals of src, which are ascending, that are in present and whose rank is inside, and returns how many.
// dst is as long as src, and may be src.
func (t *rankTest) filter(dst, src []uint16, present *Bits) int {
	end, _ := slices.BinarySearchFunc(src, t.ranks.n, func(o uint16, n int) int { return int(o) - n })
	n, words := 0, t.ranks.words
	if t.ranks.wide {
		for _, o := range src[:end] {
			rank := uint16(words[wideAt(o)] >> wideShift(o))
			dst[n] = o
			n += int(present[o>>6] >> (o & 63) & t.one(rank) & 1)
		}
		return n
	}
	for _, o := range src[:end] {
		rank := uint16(uint8(words[narrowAt(o)] >> narrowShift(o)))
		dst[n] = o
		n += int(present[o>>6] >> (o & 63) & t.one(rank) & 1)
	}
	return n
}

// word returns which of the 64 ordinals of word i are inside. Those that have no value may be in it or not.
func (t *rankTest) word(i int) uint64 {
	r := t.ranks
	switch {
	case t.nothing:
		return t.flip
	case r.wide:
		if (i+1)*16 > len(r.words) {
			return 0
		}
		w := (*[16]uint64)(r.words[i*16:])
		if r.spare && !t.open {
			return t.wide(w) ^ t.flip
		}
		return t.anyWide(w) ^ t.flip
	case (i+1)*8 > len(r.words):
		return 0
	}
	w := (*[8]uint64)(r.words[i*8:])
	if r.spare && !t.open {
		return t.narrow(w) ^ t.flip
	}
	return t.anyNarrow(w) ^ t.flip
}

// In the comparisons below the difference in each place keeps the place's highest bit exactly where the rank is not below the
// bound: that bit is set before, so no place borrows from the next. Where ranks use that bit themselves, it is compared apart.

// between has the highest bit of each place set where x is not below lo and below hi; no place of the three uses that bit.
func between(x, high, lo, hi uint64) uint64 {
	x |= high
	return (x - lo) &^ (x - hi) & high
}

// Written out, so that every shift is by a constant.

func (t *rankTest) narrow(w *[8]uint64) uint64 {
	lo, hi := t.lo, t.hi
	return between(w[0], narrowHigh, lo, hi)>>7 |
		between(w[1], narrowHigh, lo, hi)>>6 |
		between(w[2], narrowHigh, lo, hi)>>5 |
		between(w[3], narrowHigh, lo, hi)>>4 |
		between(w[4], narrowHigh, lo, hi)>>3 |
		between(w[5], narrowHigh, lo, hi)>>2 |
		between(w[6], narrowHigh, lo, hi)>>1 |
		between(w[7], narrowHigh, lo, hi)
}

func (t *rankTest) wide(w *[16]uint64) uint64 {
	lo, hi := t.lo, t.hi
	return between(w[0], wideHigh, lo, hi)>>15 |
		between(w[1], wideHigh, lo, hi)>>14 |
		between(w[2], wideHigh, lo, hi)>>13 |
		between(w[3], wideHigh, lo, hi)>>12 |
		between(w[4], wideHigh, lo, hi)>>11 |
		between(w[5], wideHigh, lo, hi)>>10 |
		between(w[6], wideHigh, lo, hi)>>9 |
		between(w[7], wideHigh, lo, hi)>>8 |
		between(w[8], wideHigh, lo, hi)>>7 |
		between(w[9], wideHigh, lo, hi)>>6 |
		between(w[10], wideHigh, lo, hi)>>5 |
		between(w[11], wideHigh, lo, hi)>>4 |
		between(w[12], wideHigh, lo, hi)>>3 |
		between(w[13], wideHigh, lo, hi)>>2 |
		between(w[14], wideHigh, lo, hi)>>1 |
		between(w[15], wideHigh, lo, hi)
}

func (t *rankTest) anyNarrow(w *[8]uint64) (inside uint64) {
	for i, x := range w {
		d := notBelow(x, t.lo, narrowHigh)
		if !t.open {
			d &^= notBelow(x, t.hi, narrowHigh)
		}
		inside |= d & narrowHigh >> (7 - i)
	}
	return inside
}

func (t *rankTest) anyWide(w *[16]uint64) (inside uint64) {
	for i, x := range w {
		d := notBelow(x, t.lo, wideHigh)
		if !t.open {
			d &^= notBelow(x, t.hi, wideHigh)
		}
		inside |= d & wideHigh >> (15 - i)
	}
	return inside
}

// notBelow has the highest bit of each place set where x is not below bound, as unsigned numbers; other bits mean nothing.
func notBelow(x, bound, high uint64) uint64 {
	low := (x | high) - (bound &^ high)
	return x&^bound | ^(x^bound)&low
}

// Fill makes the rank of every ordinal rank[ids[o]]; ids is Len long. An id beyond rank has rank 0: it is that of an ordinal without a value.
func (r *Ranks) Fill(ids, rank []uint16) {
	if r.wide {
		for o, id := range ids {
			if int(id) < len(rank) {
				r.words[wideAt(uint16(o))] |= uint64(rank[id]) << wideShift(uint16(o))
			}
		}
		return
	}
	for o, id := range ids {
		if int(id) < len(rank) {
			r.words[narrowAt(uint16(o))] |= uint64(uint8(rank[id])) << narrowShift(uint16(o))
		}
	}
}

// Append appends the ranks of the ordinals in present, in their order, to data: nothing, one byte or two bytes (the lower one first)
// for each, as width says. present must hold ordinals below Len only.
func (r *Ranks) Append(data []byte, present *Bits, width int) []byte {
	if width == 0 {
		return data
	}
	for i, w := range present {
		for ; w != 0; w &= w - 1 {
			o := uint16(i<<6 | bits.TrailingZeros64(w))
			var rank uint64
			if r.wide {
				rank = r.words[wideAt(o)] >> wideShift(o)
			} else {
				rank = r.words[narrowAt(o)] >> narrowShift(o) & 0xff
			}
			if width == 1 {
				data = append(data, byte(rank))
			} else {
				data = append(data, byte(rank), byte(rank>>8))
			}
		}
	}
	return data
}
