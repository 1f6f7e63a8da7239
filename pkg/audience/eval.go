package audience

import (
	"math/bits"
	"slices"
	"sync"
)

// eval is the working memory of one evaluation. It narrows a set in place: node leaves of it those for whom a node holds.
// All work is on the words lo up to but not including hi, outside which the set is empty.
type eval struct {
	block  Block
	lo, hi int
	free   []*Bits
	order  []ranked
}

// ranked is an operand and how soon to evaluate it: smaller first.
type ranked struct {
	n    *node
	cost int
}

var evals = sync.Pool{New: func() any { return new(eval) }}

func newEval(b Block) *eval {
	ev := evals.Get().(*eval)
	ev.block, ev.lo, ev.hi = b, 0, Words
	return ev
}

// release gives the memory back. It keeps no reference to the block or to nodes.
func (ev *eval) release() {
	ev.block = nil
	clear(ev.order[:cap(ev.order)])
	ev.order = ev.order[:0]
	evals.Put(ev)
}

func (ev *eval) scratch() *Bits {
	if n := len(ev.free); n > 0 {
		b := ev.free[n-1]
		ev.free = ev.free[:n-1]
		return b
	}
	return new(Bits)
}

func (ev *eval) giveBack(b *Bits) { ev.free = append(ev.free, b) }

// start sets out to the live ordinals of within, and the words to work on.
func (ev *eval) start(within, out *Bits) error {
	live, err := rowOf(ev.block, FieldLive)
	if err != nil {
		return err
	}
	switch {
	case live == nil:
		out.Clear()
	case within == nil:
		*out = *live
	default:
		for i := range out {
			out[i] = within[i] & live[i]
		}
	}
	for ev.lo < ev.hi && out[ev.lo] == 0 {
		ev.lo++
	}
	for ev.hi > ev.lo && out[ev.hi-1] == 0 {
		ev.hi--
	}
	return nil
}

// node leaves in cur those for whom n holds, and reports whether anybody is left.
func (ev *eval) node(n *node, cur *Bits) (bool, error) {
	switch n.op {
	case opConst:
		if !n.all {
			ev.clear(cur)
		}
		return n.all && ev.any(cur), nil
	case opRow:
		row, err := rowOf(ev.block, n.field)
		if err != nil {
			return false, err
		}
		return ev.and(cur, row), nil
	case opPresent:
		c, err := columnOf(ev.block, n.field)
		if err != nil || c == nil {
			ev.clear(cur)
			return false, err
		}
		return ev.and(cur, c.Present), nil
	case opRange:
		return ev.ranged(n, cur)
	case opDiff:
		return ev.diff(n, cur)
	case opNot:
		return ev.not(n.kids[0], cur)
	case opAnd:
		return ev.all(n, cur)
	}
	return ev.either(n, cur)
}

func (ev *eval) all(n *node, cur *Bits) (bool, error) {
	base := len(ev.order)
	for _, k := range n.kids {
		ev.order = append(ev.order, ranked{k, ev.cost(k)})
	}
	slices.SortStableFunc(ev.order[base:], func(a, b ranked) int { return a.cost - b.cost })
	left := ev.any(cur)
	for i := range n.kids {
		if !left {
			break
		}
		var err error
		if left, err = ev.node(ev.order[base+i].n, cur); err != nil {
			return false, err
		}
	}
	ev.order = ev.order[:base]
	return left, nil
}

// either collects in acc who satisfies an operand, and asks each operand only about the rest. Rows come first: they are
// cheap, and leave fewer to the columns.
func (ev *eval) either(n *node, cur *Bits) (bool, error) {
	acc, rest := ev.scratch(), ev.scratch()
	defer func() { ev.giveBack(acc); ev.giveBack(rest) }()
	ev.clear(acc)
	others := 0
	for _, k := range n.kids {
		if k.op != opRow {
			others++
			continue
		}
		row, err := rowOf(ev.block, k.field)
		if err != nil {
			return false, err
		}
		if row != nil {
			a, r := acc[ev.lo:ev.hi], row[ev.lo:ev.hi]
			for i := range a {
				a[i] |= r[i]
			}
		}
	}
	if others == 0 {
		return ev.and(cur, acc), nil
	}
	ev.and(acc, cur)
	ev.copy(rest, cur)
	ev.andNot(rest, acc)
	tmp := ev.scratch()
	defer ev.giveBack(tmp)
	// Light operands before those that read columns.
	for _, heavy := range [2]bool{false, true} {
		for _, k := range n.kids {
			if k.op == opRow || k.heavy != heavy {
				continue
			}
			if !ev.any(rest) {
				break
			}
			ev.copy(tmp, rest)
			found, err := ev.node(k, tmp)
			if err != nil {
				return false, err
			}
			if found {
				ev.or(acc, tmp)
				ev.andNot(rest, tmp)
			}
		}
	}
	ev.copy(cur, acc)
	return ev.any(cur), nil
}

func (ev *eval) not(x *node, cur *Bits) (bool, error) {
	if x.op == opRow {
		row, err := rowOf(ev.block, x.field)
		if err != nil {
			return false, err
		}
		return ev.andNot(cur, row), nil
	}
	tmp := ev.scratch()
	defer ev.giveBack(tmp)
	ev.copy(tmp, cur)
	found, err := ev.node(x, tmp)
	if err != nil {
		return false, err
	}
	if !found {
		return ev.any(cur), nil
	}
	return ev.andNot(cur, tmp), nil
}

// ranged turns the spans into ranks of this block's column, and tests each candidate's rank.
func (ev *eval) ranged(n *node, cur *Bits) (bool, error) {
	c, err := columnOf(ev.block, n.field)
	if err != nil || c == nil {
		ev.clear(cur)
		return false, err
	}
	if len(n.spans) == 1 {
		from, to := n.spans[0].ranks(c)
		switch {
		case (from >= to) != n.neg && (from >= to || from == 0 && to >= c.Len()):
			ev.clear(cur) // nobody inside, or nobody outside
			return false, nil
		case from >= to || from == 0 && to >= c.Len():
			return ev.and(cur, c.Present), nil
		}
		return ev.inRanks(cur, c, uint32(from), uint32(to-from), n.neg), nil
	}
	set := ev.scratch()
	defer ev.giveBack(set)
	set.Clear()
	for i := range n.spans {
		from, to := n.spans[i].ranks(c)
		for r := from; r < to; r++ {
			set.Set(uint16(r))
		}
	}
	ranks := c.Ranks
	return ev.test(cur, c, func(o int) bool { return set.Has(ranks[o]) != n.neg }), nil
}

// dense is the number of candidates in a word from which testing all 64 ordinals without a branch is faster than testing
// the candidates one after the other.
const dense = 16

// inRanks keeps the candidates whose rank is one of n from from on, or with neg none of them.
func (ev *eval) inRanks(cur *Bits, c *Column, from, n uint32, neg bool) bool {
	var flip, left uint64
	if neg {
		flip = ^uint64(0)
	}
	for i := ev.lo; i < ev.hi; i++ {
		w := cur[i] & c.Present[i]
		if w == 0 {
			cur[i] = 0
			continue
		}
		base := i << 6
		var inside uint64
		if base+64 <= len(c.Ranks) && bits.OnesCount64(w) >= dense {
			for j, r := range c.Ranks[base : base+64 : base+64] {
				// The distance to from, as an unsigned number, is below n exactly for the ranks inside: then the
				// difference borrows, into the high half.
				inside |= ((uint64(uint32(r)-from) - uint64(n)) >> 63) << j
			}
		} else {
			for rest := w; rest != 0; rest &= rest - 1 {
				j := bits.TrailingZeros64(rest)
				if base+j >= len(c.Ranks) {
					w &= 1<<j - 1
					break
				}
				inside |= ((uint64(uint32(c.Ranks[base+j])-from) - uint64(n)) >> 63) << j
			}
		}
		w &= inside ^ flip
		cur[i] = w
		left |= w
	}
	return left != 0
}

// test keeps the candidates with a value whose ordinal satisfies keep.
func (ev *eval) test(cur *Bits, c *Column, keep func(o int) bool) bool {
	var left uint64
	for i := ev.lo; i < ev.hi; i++ {
		w := cur[i] & c.Present[i]
		for rest := w; rest != 0; rest &= rest - 1 {
			j := bits.TrailingZeros64(rest)
			if o := i<<6 | j; o >= len(c.Ranks) || !keep(o) {
				w &^= 1 << j
			}
		}
		cur[i] = w
		left |= w
	}
	return left != 0
}

func (ev *eval) diff(n *node, cur *Bits) (bool, error) {
	from, err := columnOf(ev.block, n.field)
	if err != nil || from == nil {
		ev.clear(cur)
		return false, err
	}
	to, err := columnOf(ev.block, n.to)
	if err != nil || to == nil {
		ev.clear(cur)
		return false, err
	}
	return ev.test(cur, from, func(o int) bool {
		x, ok := from.Num(uint16(o))
		y, ok2 := to.Num(uint16(o))
		return ok && ok2 && n.cmp.holds(sign(y-x-n.n))
	}), nil
}

func (ev *eval) and(cur, x *Bits) bool {
	if x == nil {
		ev.clear(cur)
		return false
	}
	var left uint64
	c, y := cur[ev.lo:ev.hi], x[ev.lo:ev.hi]
	for i := range c {
		c[i] &= y[i]
		left |= c[i]
	}
	return left != 0
}

func (ev *eval) andNot(cur, x *Bits) bool {
	if x == nil {
		return ev.any(cur)
	}
	var left uint64
	c, y := cur[ev.lo:ev.hi], x[ev.lo:ev.hi]
	for i := range c {
		c[i] &^= y[i]
		left |= c[i]
	}
	return left != 0
}

func (ev *eval) or(cur, x *Bits) {
	c, y := cur[ev.lo:ev.hi], x[ev.lo:ev.hi]
	for i := range c {
		c[i] |= y[i]
	}
}

func (ev *eval) any(cur *Bits) bool {
	for _, w := range cur[ev.lo:ev.hi] {
		if w != 0 {
			return true
		}
	}
	return false
}

func (ev *eval) clear(cur *Bits)     { clear(cur[ev.lo:ev.hi]) }
func (ev *eval) copy(dst, src *Bits) { copy(dst[ev.lo:ev.hi], src[ev.lo:ev.hi]) }
