package audience

import (
	"math/bits"
	"sync"
)

// eval is the working memory of one evaluation. It narrows a set: node leaves in it those for whom a node holds.
type eval struct {
	block Block
	stop  Stopper
	steps int // nodes since the last look at stop
	free  []*set
	order []ranked
	marks Bits // empty but while two lists are compared
	hits  []uint8
}

// ranked is an operand and how soon to evaluate it: smaller first.
type ranked struct {
	n    *node
	cost int
}

var evals = sync.Pool{New: func() any { return new(eval) }}

func newEval(b Block) *eval {
	ev := evals.Get().(*eval)
	ev.block = b
	ev.stop, _ = b.(Stopper)
	return ev
}

// release gives the memory back. It keeps no reference to the block, its rows, or nodes.
func (ev *eval) release() {
	ev.block, ev.stop, ev.steps = nil, nil, 0
	clear(ev.order[:cap(ev.order)])
	ev.order = ev.order[:0]
	evals.Put(ev)
}

// scratch returns a set that is whatever it was.
func (ev *eval) scratch() *set {
	if n := len(ev.free); n > 0 {
		s := ev.free[n-1]
		ev.free = ev.free[:n-1]
		return s
	}
	return new(set)
}

func (ev *eval) giveBack(s *set) {
	s.empty()
	ev.free = append(ev.free, s)
}

// begin returns the set of everybody among within (nil: all).
func (ev *eval) begin(within *Bits) *set {
	s := ev.scratch()
	s.everyone()
	if within != nil {
		s.borrowBits(within)
		s.live = false
	}
	return s
}

// ground makes s hold live ordinals only.
func (ev *eval) ground(s *set) error {
	if s.live {
		return nil
	}
	live, err := rowOf(ev.block, FieldLive)
	if err != nil {
		return err
	}
	ev.and(s, &live)
	s.live = true
	return nil
}

// interrupted asks now and then whether the evaluation is to stop: always before a column is read, which takes longest.
func (ev *eval) interrupted(n *node) error {
	if ev.stop == nil {
		return nil
	}
	if ev.steps++; ev.steps < 64 && n.op != opRange && n.op != opDiff {
		return nil
	}
	ev.steps = 0
	return ev.stop.Stopped()
}

// node leaves in cur those for whom n holds. What bounds n to the living makes cur hold live ordinals only.
func (ev *eval) node(n *node, cur *set) error {
	if err := ev.interrupted(n); err != nil {
		return err
	}
	if cur.shape == shapeAll && !n.live {
		if err := ev.ground(cur); err != nil {
			return err
		}
	}
	var err error
	switch n.op {
	case opConst:
		if !n.all {
			cur.empty()
		}
	case opRow:
		var row Row
		if row, err = rowOf(ev.block, n.field); err == nil {
			ev.and(cur, &row)
		}
	case opPresent:
		var c *Column
		if c, err = columnOf(ev.block, n.field); err == nil {
			ev.present(cur, c)
		}
	case opRange:
		err = ev.ranged(n, cur)
	case opDiff:
		err = ev.diff(n, cur)
	case opNot:
		err = ev.not(n.kids[0], cur)
	case opAnd:
		err = ev.all(n, cur)
	default:
		err = ev.either(n, cur)
	}
	cur.live = cur.live || n.live
	return err
}

func (ev *eval) all(n *node, cur *set) error {
	base := len(ev.order)
	for _, k := range n.kids {
		r := ranked{k, ev.cost(k)}
		ev.order = append(ev.order, r)
		// There are few: each is put before those that cost more.
		for i := len(ev.order) - 1; i > base && ev.order[i-1].cost > r.cost; i-- {
			ev.order[i], ev.order[i-1] = ev.order[i-1], r
		}
	}
	for i := range n.kids {
		if cur.n == 0 {
			break
		}
		k := ev.order[base+i].n
		var err error
		switch {
		case k == nil: // done with another
		case k.op == opRange && i+1 < len(n.kids):
			err = ev.ranges(ev.order[base+i:], cur)
		default:
			err = ev.node(k, cur)
		}
		if err != nil {
			return err
		}
	}
	ev.order = ev.order[:base]
	return nil
}

// ranges evaluates the first operand, a range, together with all others that are ranges of the same column: both ends of an interval
// take one pass over the candidates. Those are taken out of the list.
func (ev *eval) ranges(order []ranked, cur *set) error {
	first := order[0].n
	if err := ev.interrupted(first); err != nil {
		return err
	}
	c, err := ev.column(first.field, cur)
	if c == nil {
		return err
	}
	from, to, ok := first.interval(c)
	if !ok {
		return ev.node(first, cur)
	}
	for i := 1; i < len(order); i++ {
		k := order[i].n
		if k == nil || k.op != opRange || !ev.sameColumn(first.field, k.field, c) {
			continue
		}
		if lo, hi, ok := k.interval(c); ok {
			from, to = max(from, lo), min(to, hi)
			order[i].n = nil
		}
	}
	ev.between(cur, c, from, to, false)
	cur.live = true
	return nil
}

// sameColumn reports whether the columns of two fields are one: the first and last possible days of birth mostly are, and then kept
// once.
func (ev *eval) sameColumn(f, g Field, c *Column) bool {
	if f == g {
		return true
	}
	if g.birthLast() != f && f.birthLast() != g {
		return false
	}
	other, ok := ev.block.Column(g)
	return ok && other == c
}

// either asks the operands that are rows about everybody at once, and each of the others only about the rest.
func (ev *eval) either(n *node, cur *set) error {
	others := 0
	for _, k := range n.kids {
		if k.op != opRow {
			others++
		}
	}
	if others == 0 {
		return ev.anyRow(n, cur)
	}
	// Everybody is a bitmap like any other here: what is found is taken out of it.
	rest, found, tmp := ev.scratch(), ev.scratch(), ev.scratch()
	defer func() { ev.giveBack(rest); ev.giveBack(found); ev.giveBack(tmp) }()
	rest.as(cur)
	acc := ev.scratch()
	defer ev.giveBack(acc)
	if acc.own == nil {
		acc.own = new(Bits)
	}
	acc.own.Clear()
	total := 0
	collect := func(s *set) {
		s.orInto(acc.own)
		total += s.n
		ev.minusSet(rest, s)
	}
	if others < len(n.kids) {
		found.as(rest)
		if err := ev.anyRow(n, found); err != nil {
			return err
		}
		if found.n > 0 {
			collect(found)
		}
	}
	// Light operands before those that read columns.
	for _, heavy := range [2]bool{false, true} {
		for _, k := range n.kids {
			if k.op == opRow || k.heavy != heavy {
				continue
			}
			if rest.n == 0 {
				break
			}
			tmp.as(rest)
			if err := ev.node(k, tmp); err != nil {
				return err
			}
			if tmp.n == 0 {
				continue
			}
			collect(tmp)
		}
	}
	// What was found becomes cur's own.
	cur.own, acc.own = acc.own, cur.own
	cur.bits, cur.lo, cur.hi = cur.own, 0, Words
	cur.took(total)
	if cur.shape == shapeDense {
		cur.trim()
	}
	return nil
}

// anyRow keeps those who are in one of the rows among n's operands.
func (ev *eval) anyRow(n *node, cur *set) error {
	cur.thin(fewToAnd)
	if cur.shape == shapeList {
		return ev.anyRowOf(n, cur)
	}
	tmp := ev.scratch()
	defer ev.giveBack(tmp)
	if tmp.own == nil {
		tmp.own = new(Bits)
	}
	tmp.own.Clear()
	lo, hi := 0, Words
	if cur.shape == shapeDense {
		lo, hi = cur.lo, cur.hi
	}
	var only Row
	used := 0
	for _, k := range n.kids {
		if k.op != opRow {
			continue
		}
		row, err := rowOf(ev.block, k.field)
		if err != nil {
			return err
		}
		if row.n == 0 {
			continue
		}
		used++
		only = row
		if row.form != formDense {
			row.Into(tmp.own)
			continue
		}
		a, b := tmp.own[lo:hi], row.bits[lo:hi]
		for i := range a {
			a[i] |= b[i]
		}
	}
	switch used {
	case 0:
		cur.empty()
		return nil
	case 1:
		ev.and(cur, &only)
		return nil
	}
	all := DenseRow(tmp.own, tmp.own.Count())
	if cur.shape != shapeAll {
		ev.and(cur, &all)
		return nil
	}
	// Not borrowed: the memory is given back.
	cur.own, tmp.own = tmp.own, cur.own
	cur.bits, cur.lo, cur.hi = cur.own, 0, Words
	cur.took(all.n)
	cur.trim()
	return nil
}

// anyRowOf is anyRow for a list of candidates.
func (ev *eval) anyRowOf(n *node, cur *set) error {
	if cap(ev.hits) < len(cur.list) {
		ev.hits = make([]uint8, max(1024, len(cur.list)))
	}
	hits := ev.hits[:len(cur.list)]
	clear(hits)
	for _, k := range n.kids {
		if k.op != opRow {
			continue
		}
		row, err := rowOf(ev.block, k.field)
		if err != nil {
			return err
		}
		switch row.form {
		case formDense:
			for i, o := range cur.list {
				hits[i] |= uint8(row.bits[o>>6]>>(o&63)) & 1
			}
		case formRuns:
			pairs := row.list
			for i, o := range cur.list {
				for len(pairs) > 0 && pairs[1] < o {
					pairs = pairs[2:]
				}
				if len(pairs) == 0 {
					break
				}
				hits[i] |= uint8(b2i(pairs[0] <= o))
			}
		default:
			if row.n == 0 {
				continue
			}
			m := ev.marked(row.list)
			for i, o := range cur.list {
				hits[i] |= uint8(m[o>>6]>>(o&63)) & 1
			}
			unmark(m, row.list)
		}
	}
	out, kept := cur.room(len(cur.list)), 0
	for i, o := range cur.list {
		out[kept] = o
		kept += int(hits[i])
	}
	cur.keep(kept)
	return nil
}

func (ev *eval) not(x *node, cur *set) error {
	if x.op == opRow {
		row, err := rowOf(ev.block, x.field)
		if err != nil {
			return err
		}
		ev.minus(cur, &row)
		return nil
	}
	tmp := ev.scratch()
	defer ev.giveBack(tmp)
	tmp.as(cur)
	if err := ev.node(x, tmp); err != nil {
		return err
	}
	if tmp.n > 0 {
		ev.minusSet(cur, tmp)
	}
	return nil
}

// column returns a column of the block. Without one, nil, nobody has a value: then cur is empty, unless the column is unknown.
func (ev *eval) column(f Field, cur *set) (*Column, error) {
	c, err := columnOf(ev.block, f)
	if err == nil && c == nil {
		cur.empty()
	}
	return c, err
}

// present keeps those who have a value. A nil column is empty.
func (ev *eval) present(cur *set, c *Column) {
	if c == nil {
		cur.empty()
		return
	}
	if cur.shape == shapeAll {
		cur.borrowBits(c.Present)
		return
	}
	row := Row{form: formDense, n: -1, bits: c.Present}
	ev.and(cur, &row)
}

// ranged turns the spans into ranks of this block's column, and tests each candidate's rank.
func (ev *eval) ranged(n *node, cur *set) error {
	c, err := ev.column(n.field, cur)
	if c == nil {
		return err
	}
	if len(n.spans) == 1 {
		from, to := n.spans[0].ranks(c)
		ev.between(cur, c, from, to, n.neg)
		return nil
	}
	set := ev.scratch()
	defer ev.giveBack(set)
	if set.own == nil {
		set.own = new(Bits)
	}
	set.own.Clear()
	for i := range n.spans {
		if from, to := n.spans[i].ranks(c); from < to {
			set.own.SetRange(uint16(from), uint16(to-1))
		}
	}
	ranks, in, neg := &c.Ranks, set.own, n.neg
	ev.test(cur, c, func(o uint16) bool { return in.Has(ranks.At(o)) != neg })
	return nil
}

// between keeps the candidates whose rank is from from up to but not including to, or with neg all others that have a value.
func (ev *eval) between(cur *set, c *Column, from, to int, neg bool) {
	none, all := from >= to, from == 0 && to >= c.Len()
	switch {
	case none && !neg || all && neg:
		cur.empty() // nobody inside, or nobody outside
	case none || all:
		ev.present(cur, c)
	default:
		ev.inRanks(cur, c, from, to, neg)
	}
}

// wholeWord is the number of candidates in a word from which comparing all 64 ranks of it, several at a time, is faster than looking
// the candidates up one after the other.
const wholeWord = 4

// inRanks is between for a range that is neither empty nor everything.
func (ev *eval) inRanks(cur *set, c *Column, from, to int, neg bool) {
	t := c.Ranks.inside(from, to, neg)
	if cur.shape == shapeAll {
		cur.borrowBits(c.Present)
	}
	cur.thin(fewToTest)
	switch cur.shape {
	case shapeList:
		cur.keep(t.filter(cur.room(len(cur.list)), cur.list, c.Present))
		return
	case shapeRuns:
		cur.dense()
	}
	dst := cur.target()
	left := 0
	for i := cur.lo; i < cur.hi; i++ {
		w := cur.bits[i] & c.Present[i]
		if w == 0 {
			dst[i] = 0
			continue
		}
		if bits.OnesCount64(w) >= wholeWord {
			w &= t.word(i)
		} else {
			var inside uint64
			for rest := w; rest != 0; rest &= rest - 1 {
				j := bits.TrailingZeros64(rest)
				inside |= t.one(c.Ranks.At(uint16(i<<6|j))) << j
			}
			w = inside
		}
		dst[i] = w
		left += bits.OnesCount64(w)
	}
	cur.took(left)
}

// test keeps the candidates with a value whose ordinal satisfies keep.
func (ev *eval) test(cur *set, c *Column, keep func(o uint16) bool) {
	ev.present(cur, c)
	cur.thin(fewToTest)
	if cur.shape == shapeList {
		out, n := cur.room(len(cur.list)), 0
		for _, o := range cur.list {
			out[n] = o
			n += int(b2i(keep(o)))
		}
		cur.keep(n)
		return
	}
	cur.dense()
	left := 0
	for i := cur.lo; i < cur.hi; i++ {
		w := cur.own[i]
		for rest := w; rest != 0; rest &= rest - 1 {
			if j := bits.TrailingZeros64(rest); !keep(uint16(i<<6 | j)) {
				w &^= 1 << j
			}
		}
		cur.own[i] = w
		left += bits.OnesCount64(w)
	}
	cur.took(left)
}

func (ev *eval) diff(n *node, cur *set) error {
	from, err := ev.column(n.field, cur)
	if from == nil {
		return err
	}
	to, err := ev.column(n.to, cur)
	if to == nil {
		return err
	}
	ev.test(cur, from, func(o uint16) bool {
		x, ok := from.Num(o)
		y, ok2 := to.Num(o)
		return ok && ok2 && n.cmp.holds(sign(y-x-n.n))
	})
	return nil
}
