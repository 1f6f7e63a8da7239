package audience

// cost ranks the operands of an AND by the block's directory, without loading anything: first those that nobody satisfies,
// then rows by how few they leave, then what reads columns, whose work grows with the candidates that are left.
func (ev *eval) cost(n *node) int {
	size := n.guess(ev.block)
	if n.heavy && size > 0 {
		size += BlockSize + 1
	}
	return size
}

// Guess estimates how many ordinals of the block are members, from cardinalities alone. It is 0 only if nobody can be: then the
// block need not be looked at.
func (e *Expr) Guess(b Block) int { return e.pos.guess(b) }

// guess estimates how many ordinals of the block satisfy n: never 0 unless nobody does.
func (n *node) guess(b Block) int {
	switch n.op {
	case opConst:
		if n.all {
			return BlockSize
		}
		return 0
	case opRow, opPresent:
		return cardinality(b, n.field)
	case opRange:
		// How the values are spread is in the column, which is not loaded for a guess.
		return (cardinality(b, n.field) + 1) / 2
	case opDiff:
		return (min(cardinality(b, n.field), cardinality(b, n.to)) + 1) / 2
	case opNot:
		return max(1, BlockSize-n.kids[0].guess(b))
	case opAnd:
		least := BlockSize
		for _, k := range n.kids {
			if least = min(least, k.guess(b)); least == 0 {
				return 0
			}
		}
		return least
	}
	sum := 0
	for _, k := range n.kids {
		if sum += k.guess(b); sum >= BlockSize {
			return BlockSize
		}
	}
	return sum
}

// counted returns the field whose cardinality is the number of members, if there is one: a row or a presence that holds live
// ordinals only.
func (n *node) counted() (Field, bool) {
	return n.field, (n.op == opRow || n.op == opPresent) && n.live
}

// cardinality takes an unknown field for a large one: its error comes when it is needed, and may be spared.
func cardinality(b Block, f Field) int {
	n, ok := b.Cardinality(f)
	if !ok {
		return BlockSize
	}
	return n
}
