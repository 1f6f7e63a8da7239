package audience

import (
	"math/bits"
	"slices"
)

// shape is how a set is kept.
type shape uint8

const (
	shapeAll   shape = iota // everybody: nothing was asked yet
	shapeList               // ordinals, ascending
	shapeRuns               // pairs, always another's
	shapeDense              // a bitmap, 0 outside of the words lo to hi
)

// set is what an evaluation narrows: those who are left. As long as it equals a row it borrows the row's memory; the first change
// goes into its own. Its shape follows what is left: candidates that are few become a list.
type set struct {
	shape shape
	live  bool // holds live ordinals only
	n     int  // ordinals
	list  []uint16
	bits  *Bits
	lo    int
	hi    int

	buf []uint16 // own memory of a list
	own *Bits    // own memory of a bitmap
}

// everyone makes s the set that nothing was asked of.
func (s *set) everyone() {
	s.shape, s.live, s.n, s.list, s.bits = shapeAll, false, BlockSize, nil, nil
}

func (s *set) empty() {
	s.shape, s.live, s.n, s.list, s.bits = shapeList, true, 0, nil, nil
}

// borrow makes s equal to a row.
func (s *set) borrow(r *Row) {
	s.n, s.list, s.bits = r.n, r.list, r.bits
	switch r.form {
	case formDense:
		s.shape, s.lo, s.hi = shapeDense, 0, Words
	case formRuns:
		s.shape = shapeRuns
	default:
		s.shape = shapeList
	}
}

// borrowBits makes s equal to a bitmap.
func (s *set) borrowBits(b *Bits) {
	s.shape, s.list, s.bits, s.lo, s.hi = shapeDense, nil, b, 0, Words
	s.trim()
	s.recount()
	if s.n == 0 {
		s.empty()
	}
}

// as makes s equal to x, whose memory it borrows.
func (s *set) as(x *set) {
	s.shape, s.live, s.n, s.list, s.bits, s.lo, s.hi = x.shape, x.live, x.n, x.list, x.bits, x.lo, x.hi
}

// into makes out the same set. out may be what s borrows.
func (s *set) into(out *Bits) {
	switch s.shape {
	case shapeAll:
		for i := range out {
			out[i] = ^uint64(0)
		}
	case shapeDense:
		if out != s.bits {
			*out = *s.bits
		}
	case shapeRuns:
		out.Clear()
		for i := 0; i+1 < len(s.list); i += 2 {
			out.SetRange(s.list[i], s.list[i+1])
		}
	default:
		out.Clear()
		for _, o := range s.list {
			out.Set(o)
		}
	}
}

// row returns a row of the same ordinals in memory of its own.
func (s *set) row() Row {
	switch s.shape {
	case shapeDense:
		if s.n <= ListMax {
			return Row{n: s.n, list: appendOrdinals(make([]uint16, 0, s.n), s.bits)}
		}
		b := *s.bits
		return DenseRow(&b, s.n)
	case shapeList:
		if s.n > ListMax {
			b := new(Bits)
			s.into(b)
			return DenseRow(b, s.n)
		}
		return Row{n: s.n, list: slices.Clone(s.list)}
	case shapeRuns:
		return Row{form: formRuns, n: s.n, list: slices.Clone(s.list)}
	}
	return RunsRow([]uint16{0, BlockSize - 1})
}

// lend returns the set as a row that shares its memory, good until the set changes.
func (s *set) lend() Row {
	switch s.shape {
	case shapeDense:
		return DenseRow(s.bits, s.n)
	case shapeList:
		return ListRow(s.list)
	case shapeRuns:
		return Row{form: formRuns, n: s.n, list: s.list}
	}
	return RunsRow([]uint16{0, BlockSize - 1})
}

// trim moves lo and hi to the first and last word in use.
func (s *set) trim() {
	for s.lo < s.hi && s.bits[s.lo] == 0 {
		s.lo++
	}
	for s.hi > s.lo && s.bits[s.hi-1] == 0 {
		s.hi--
	}
}

func (s *set) recount() {
	n := 0
	for _, w := range s.bits[s.lo:s.hi] {
		n += bits.OnesCount64(w)
	}
	s.n = n
}

// room returns own memory for a list of up to n ordinals. It may be where s.list is: a list is only ever made from one that is
// read ahead of it.
func (s *set) room(n int) []uint16 {
	if cap(s.buf) < n {
		s.buf = make([]uint16, max(n, 1024))
	}
	return s.buf[:n]
}

// keep makes s the first n of its own list.
func (s *set) keep(n int) {
	if n == 0 {
		live := s.live
		s.empty()
		s.live = live
		return
	}
	s.shape, s.list, s.n, s.bits = shapeList, s.buf[:n], n, nil
}

// target returns own memory for a bitmap that is made from s.bits word by word between lo and hi; outside it is 0 already.
func (s *set) target() *Bits {
	if s.own == nil {
		s.own = new(Bits)
		return s.own
	}
	if s.own != s.bits {
		clear(s.own[:s.lo])
		clear(s.own[s.hi:])
	}
	return s.own
}

// took makes s the n ordinals of its own bitmap.
func (s *set) took(n int) {
	if n == 0 {
		s.keep(0)
		return
	}
	s.shape, s.list, s.bits, s.n = shapeDense, nil, s.own, n
}

// dense makes s a bitmap of its own.
func (s *set) dense() {
	if s.shape == shapeDense {
		if s.bits != s.own {
			own := s.target()
			copy(own[s.lo:s.hi], s.bits[s.lo:s.hi])
			s.bits = own
		}
		return
	}
	if s.own == nil {
		s.own = new(Bits)
	}
	s.into(s.own)
	switch {
	case s.shape == shapeAll:
		s.lo, s.hi = 0, Words
	case len(s.list) == 0:
		s.lo, s.hi = 0, 0
	default:
		s.lo, s.hi = int(s.list[0]>>6), int(s.list[len(s.list)-1]>>6)+1
	}
	s.shape, s.list, s.bits = shapeDense, nil, s.own
}

// How many ordinals of a bitmap may be left, in 64 words, for a list to take less time, what making it costs included: for what looks
// at candidates one by one anyway, and for what ANDs words, which is cheap. From BenchmarkRange and BenchmarkIntersect.
const (
	fewToTest = 160
	fewToAnd  = 4
)

// thin makes a list of a bitmap that has at most few ordinals in 64 words.
func (s *set) thin(few int) {
	if s.shape != shapeDense || s.n*64 > (s.hi-s.lo)*few {
		return
	}
	list, n := s.room(s.n+1), 0
	words := s.bits[s.lo:s.hi]
	sparse := s.n*8 < len(words)
	for i := 0; i < len(words); i++ {
		if sparse && i+8 <= len(words) {
			if g := words[i : i+8 : i+8]; g[0]|g[1]|g[2]|g[3]|g[4]|g[5]|g[6]|g[7] == 0 {
				i += 7
				continue
			}
		}
		// Most words hold nobody or one: no branch depends on which.
		w := words[i]
		base := (s.lo + i) << 6
		list[n] = uint16(base | bits.TrailingZeros64(w)&63)
		n += int(b2i(w != 0))
		for w &= w - 1; w != 0; w &= w - 1 {
			list[n] = uint16(base | bits.TrailingZeros64(w))
			n++
		}
	}
	s.keep(n)
}

// and keeps what is in the row too.
func (ev *eval) and(s *set, r *Row) {
	switch {
	case r.n == 0:
		s.empty()
		return
	case s.shape == shapeAll:
		s.borrow(r)
		return
	case r.n == BlockSize || s.n == 0:
		return
	}
	s.thin(fewToAnd)
	if s.shape == shapeRuns && r.form != formRuns {
		runs := s.list
		s.borrow(r)
		s.andRuns(runs)
		return
	}
	switch {
	case r.form == formRuns:
		s.andRuns(r.list)
	case s.shape == shapeList && r.form == formDense:
		s.keep(filter(s.room(len(s.list)), s.list, r.bits))
	case s.shape == shapeList:
		ev.andList(s, r.list)
	case r.form == formDense:
		a, b := s.bits[s.lo:s.hi], r.bits[s.lo:s.hi]
		s.took(andWords(s.target()[s.lo:s.hi], a, b))
	default:
		s.keep(filter(s.room(len(r.list)), r.list, s.bits))
	}
}

// andRuns keeps what is in the runs.
func (s *set) andRuns(pairs []uint16) {
	if s.shape == shapeList {
		out := s.room(len(s.list))
		n := 0
		for _, o := range s.list {
			for len(pairs) > 0 && pairs[1] < o {
				pairs = pairs[2:]
			}
			if len(pairs) == 0 {
				break
			}
			out[n] = o
			n += int(b2i(pairs[0] <= o))
		}
		s.keep(n)
		return
	}
	// Only the words between the first run and the last are copied.
	lo, hi := s.lo, s.hi
	first, last := int(pairs[0]), int(pairs[len(pairs)-1])
	if s.shape == shapeDense {
		s.lo = min(max(lo, first>>6), hi)
		s.hi = max(s.lo, min(hi, last>>6+1))
		if s.bits == s.own {
			clear(s.own[lo:s.lo])
			clear(s.own[s.hi:hi])
		}
	}
	s.dense()
	s.clear(0, first-1)
	for i := 1; i+1 < len(pairs); i += 2 {
		s.clear(int(pairs[i])+1, int(pairs[i+1])-1)
	}
	s.clear(last+1, BlockSize-1)
	s.recount()
	s.took(s.n)
}

// clear removes a range of ordinals from a bitmap of its own, without touching words that are 0.
func (s *set) clear(first, last int) {
	first, last = max(first, s.lo<<6), min(last, s.hi<<6-1)
	if first <= last {
		s.own.unsetRange(uint16(first), uint16(last))
	}
}

// gallop is how much longer one list must be than another for searching in it.
const gallop = 32

// andList keeps what is in the list.
func (ev *eval) andList(s *set, list []uint16) {
	switch {
	case len(s.list)*gallop < len(list):
		out, n := s.room(len(s.list)), 0
		for _, o := range s.list {
			i, found := slices.BinarySearch(list, o)
			list = list[i:]
			out[n] = o
			n += int(b2i(found))
		}
		s.keep(n)
	case len(list)*gallop < len(s.list):
		out, n, rest := s.room(len(s.list)), 0, s.list
		for _, o := range list {
			i, found := slices.BinarySearch(rest, o)
			rest = rest[i:]
			if found { // what is not found must not be written: it may be over an ordinal still to be read
				out[n] = o
				n++
			}
		}
		s.keep(n)
	default:
		// Two lists that are merged make the processor guess at each step; a bitmap between them does not.
		m := ev.marked(list)
		n := filter(s.room(len(s.list)), s.list, m)
		unmark(m, list)
		s.keep(n)
	}
}

// marked returns a bitmap that holds the list and nothing else; unmark makes it empty again.
func (ev *eval) marked(list []uint16) *Bits {
	m := &ev.marks
	for _, o := range list {
		m[o>>6] |= 1 << (o & 63)
	}
	return m
}

func unmark(m *Bits, list []uint16) {
	for _, o := range list {
		m[o>>6] = 0
	}
}

// minus removes what is in the row.
func (ev *eval) minus(s *set, r *Row) {
	if r.n == 0 || s.n == 0 {
		return
	}
	s.thin(fewToAnd)
	if s.shape == shapeList {
		switch r.form {
		case formDense:
			s.keep(filterNot(s.room(len(s.list)), s.list, r.bits))
		case formRuns:
			out, n, pairs := s.room(len(s.list)), 0, r.list
			for _, o := range s.list {
				for len(pairs) > 0 && pairs[1] < o {
					pairs = pairs[2:]
				}
				out[n] = o
				n += int(b2i(len(pairs) == 0 || o < pairs[0]))
			}
			s.keep(n)
		default:
			m := ev.marked(r.list)
			n := filterNot(s.room(len(s.list)), s.list, m)
			unmark(m, r.list)
			s.keep(n)
		}
		return
	}
	switch r.form {
	case formDense:
		if s.shape != shapeDense {
			s.dense()
		}
		a, b := s.bits[s.lo:s.hi], r.bits[s.lo:s.hi]
		s.took(andNotWords(s.target()[s.lo:s.hi], a, b))
		return
	case formRuns:
		s.dense()
		for i := 0; i+1 < len(r.list); i += 2 {
			s.clear(int(r.list[i]), int(r.list[i+1]))
		}
		s.recount()
	default:
		s.dense()
		n := s.n
		for _, o := range r.list {
			w := s.own[o>>6]
			n -= int(w>>(o&63)) & 1
			s.own[o>>6] = w &^ (1 << (o & 63))
		}
		s.n = n
	}
	s.took(s.n)
}

// minusSet removes what is in x, which is no more than s.
func (ev *eval) minusSet(s, x *set) {
	r := Row{n: x.n, list: x.list, bits: x.bits}
	switch {
	case x.n == s.n:
		s.keep(0) // x is s, and may borrow its memory
		return
	case x.shape == shapeDense:
		r.form = formDense
	case x.shape == shapeRuns:
		r.form = formRuns
	}
	ev.minus(s, &r)
}

// orInto adds s, which is not everybody, to a bitmap.
func (s *set) orInto(out *Bits) {
	switch s.shape {
	case shapeDense:
		a, b := out[s.lo:s.hi], s.bits[s.lo:s.hi]
		for i := range a {
			a[i] |= b[i]
		}
	case shapeRuns:
		for i := 0; i+1 < len(s.list); i += 2 {
			out.SetRange(s.list[i], s.list[i+1])
		}
	default:
		for _, o := range s.list {
			out.Set(o)
		}
	}
}

func b2i(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// filter writes to dst the ordinals of src that are in b, without a branch, and returns how many. dst is as long as src, and may be
// src.
func filter(dst, src []uint16, b *Bits) int {
	n := 0
	for _, o := range src {
		dst[n] = o
		n += int(b[o>>6]>>(o&63)) & 1
	}
	return n
}

// filterNot is filter for those that are not in b.
func filterNot(dst, src []uint16, b *Bits) int {
	n := 0
	for _, o := range src {
		dst[n] = o
		n += int(^b[o>>6]>>(o&63)) & 1
	}
	return n
}

// andWords makes dst what is in a and b, all of one length, and returns how many ordinals that are. dst may be a.
func andWords(dst, a, b []uint64) int {
	b, dst = b[:len(a)], dst[:len(a)]
	n := 0
	for i, w := range a {
		w &= b[i]
		dst[i] = w
		n += bits.OnesCount64(w)
	}
	return n
}

// andNotWords is andWords for what is in a and not in b.
func andNotWords(dst, a, b []uint64) int {
	b, dst = b[:len(a)], dst[:len(a)]
	n := 0
	for i, w := range a {
		w &^= b[i]
		dst[i] = w
		n += bits.OnesCount64(w)
	}
	return n
}
