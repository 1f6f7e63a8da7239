package audience

import (
	"strconv"
	"strings"
)

// operator is what a node of an expression does. Expressions are two-valued: a node is a set of ordinals.
type operator uint8

const (
	opConst   operator = iota // everybody or nobody
	opRow                     // the row field
	opPresent                 // who has a value in the column field
	opRange                   // who has a value of the column field inside the spans, or with neg outside
	opDiff                    // whose column to minus column field compares with n; who lacks one is not in it
	opAnd
	opOr
	opNot // the complement
)

// node is immutable once made: inlined segments share theirs.
type node struct {
	op    operator
	all   bool // opConst
	neg   bool // opRange
	heavy bool // some leaf below reads a column
	live  bool // holds live ordinals only, whoever is asked about
	cmp   Op   // opDiff
	size  int  // nodes of the tree below, counted as often as they occur
	n     int64
	field Field
	to    Field
	spans []span
	kids  []*node
}

// span is a range of a column's values. Numbers: from lo to hi, both included. Texts: from from, up to but not including
// until (nil: to the end), or those with the prefix from.
type span struct {
	lo, hi int64
	from   string
	until  *string
	kind   spanKind
}

type spanKind uint8

const (
	spanNums spanKind = iota
	spanTexts
	spanPrefix
)

// ranks returns the ranks of the values inside the span, from, up to but not including to.
func (s *span) ranks(c *Column) (from, to int) {
	switch s.kind {
	case spanTexts:
		return c.TextRanks(s.from, s.until)
	case spanPrefix:
		return c.PrefixRanks(s.from)
	}
	return c.NumRanks(s.lo, s.hi)
}

// interval returns the ranks of those who satisfy an opRange, if they follow each other.
func (n *node) interval(c *Column) (from, to int, ok bool) {
	if len(n.spans) != 1 {
		return 0, 0, false
	}
	from, to = n.spans[0].ranks(c)
	switch {
	case !n.neg:
		return from, to, true
	case from >= to:
		return 0, c.Len(), true
	case from == 0:
		return to, c.Len(), true
	case to >= c.Len():
		return 0, from, true
	}
	return 0, 0, false
}

var (
	everybody = &node{op: opConst, all: true, size: 1}
	nobody    = &node{op: opConst, size: 1, live: true}
)

func rowNode(f Field) *node { return &node{op: opRow, field: f, size: 1, live: f.onlyLive()} }
func presentNode(f Field) *node {
	return &node{op: opPresent, field: f, size: 1, heavy: true, live: true}
}

// rangeNode is who has a value inside the spans, or with neg a value outside all of them.
func rangeNode(f Field, neg bool, spans ...span) *node {
	if len(spans) == 0 {
		if neg {
			return presentNode(f)
		}
		return nobody
	}
	return &node{op: opRange, field: f, neg: neg, spans: spans, size: 1, heavy: true, live: true}
}

func notNode(x *node) *node {
	switch x.op {
	case opConst:
		if x.all {
			return nobody
		}
		return everybody
	case opNot:
		return x.kids[0]
	}
	return &node{op: opNot, kids: []*node{x}, size: x.size + 1, heavy: x.heavy}
}

func andNode(kids ...*node) *node { return join(opAnd, everybody, nobody, kids) }
func orNode(kids ...*node) *node  { return join(opOr, nobody, everybody, kids) }

// join makes an AND or OR of the kids, without the neutral ones, flat; the absorbing one stands for all.
func join(op operator, neutral, absorbing *node, kids []*node) *node {
	n := &node{op: op, size: 1, live: op == opOr}
	for _, k := range kids {
		switch {
		case k == neutral:
			continue
		case k == absorbing:
			return absorbing
		case k.op == op:
			n.kids = append(n.kids, k.kids...)
		default:
			n.kids = append(n.kids, k)
		}
	}
	switch len(n.kids) {
	case 0:
		return neutral
	case 1:
		return n.kids[0]
	}
	for _, k := range n.kids {
		n.size = min(n.size+k.size, 2*maxSize)
		n.heavy = n.heavy || k.heavy
		if op == opOr {
			n.live = n.live && k.live
		} else {
			n.live = n.live || k.live
		}
	}
	return n
}

// collect appends the fields below n that seen does not hold yet, in the order of the tree.
func (n *node) collect(fields []Field, seen map[Field]bool, visited map[*node]bool) []Field {
	if visited[n] {
		return fields
	}
	visited[n] = true
	for _, f := range [2]Field{n.field, n.to} {
		if f != "" && !seen[f] {
			seen[f] = true
			fields = append(fields, f)
		}
	}
	for _, k := range n.kids {
		fields = k.collect(fields, seen, visited)
	}
	return fields
}

// write prints n in the form of an S-expression.
func (n *node) write(b *strings.Builder) {
	switch n.op {
	case opConst:
		b.WriteString(strconv.FormatBool(n.all))
	case opRow:
		b.WriteString(strconv.Quote(string(n.field)))
	case opPresent:
		b.WriteString("(present " + strconv.Quote(string(n.field)) + ")")
	case opRange:
		b.WriteString("(in ")
		if n.neg {
			b.WriteString("not ")
		}
		b.WriteString(strconv.Quote(string(n.field)))
		for i := range n.spans {
			b.WriteByte(' ')
			n.spans[i].write(b)
		}
		b.WriteByte(')')
	case opDiff:
		b.WriteString("(days " + strconv.Quote(string(n.field)) + " " + strconv.Quote(string(n.to)) + " " + n.cmp.String() +
			" " + strconv.FormatInt(n.n, 10) + ")")
	default:
		b.WriteString(map[operator]string{opAnd: "(and", opOr: "(or", opNot: "(not"}[n.op])
		for _, k := range n.kids {
			b.WriteByte(' ')
			k.write(b)
		}
		b.WriteByte(')')
	}
}

func (s *span) write(b *strings.Builder) {
	switch s.kind {
	case spanNums:
		if s.lo != minInt64 {
			b.WriteString(strconv.FormatInt(s.lo, 10))
		}
		b.WriteString("..")
		if s.hi != maxInt64 {
			b.WriteString(strconv.FormatInt(s.hi, 10))
		}
	case spanTexts:
		b.WriteString(strconv.Quote(s.from) + "..")
		if s.until != nil {
			b.WriteString("<" + strconv.Quote(*s.until))
		}
	case spanPrefix:
		b.WriteString(strconv.Quote(s.from) + "*")
	}
}

// String returns the operator as rules write it.
func (o Op) String() string {
	switch o {
	case OpEQ:
		return "=="
	case OpNE:
		return "!="
	case OpLT:
		return "<"
	case OpLE:
		return "<="
	case OpGT:
		return ">"
	case OpGE:
		return ">="
	}
	return "?"
}

// Flip returns the operator that says the same with the operands swapped: 1 < x is x > 1.
func (o Op) Flip() Op {
	switch o {
	case OpLT:
		return OpGT
	case OpLE:
		return OpGE
	case OpGT:
		return OpLT
	case OpGE:
		return OpLE
	}
	return o
}

// Negate returns the operator that holds where o does not: not a < b is a >= b.
func (o Op) Negate() Op {
	switch o {
	case OpEQ:
		return OpNE
	case OpNE:
		return OpEQ
	case OpLT:
		return OpGE
	case OpLE:
		return OpGT
	case OpGT:
		return OpLE
	case OpGE:
		return OpLT
	}
	return o
}

// holds reports whether a value that compares with the literal as c does (-1, 0, 1) satisfies o.
func (o Op) holds(c int) bool {
	switch o {
	case OpEQ:
		return c == 0
	case OpNE:
		return c != 0
	case OpLT:
		return c < 0
	case OpLE:
		return c <= 0
	case OpGT:
		return c > 0
	case OpGE:
		return c >= 0
	}
	return false
}
