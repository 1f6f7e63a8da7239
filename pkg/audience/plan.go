package audience

// cost ranks the operands of an AND by the block's directory, without loading anything: first those that nobody satisfies,
// then rows by how few they leave, then what reads columns, whose work grows with the candidates that are left.
func (ev *eval) cost(n *node) int {
	size := ev.size(n)
	if n.heavy && size > 0 {
		size += BlockSize + 1
	}
	return size
}

// size estimates how many ordinals of the block satisfy n: never 0 unless nobody does.
func (ev *eval) size(n *node) int {
	switch n.op {
	case opConst:
		if n.all {
			return BlockSize
		}
		return 0
	case opRow, opPresent:
		return ev.cardinality(n.field)
	case opRange:
		// How the values are spread is in the column, which is not loaded for a guess.
		return (ev.cardinality(n.field) + 1) / 2
	case opDiff:
		return (min(ev.cardinality(n.field), ev.cardinality(n.to)) + 1) / 2
	case opNot:
		return max(1, BlockSize-ev.size(n.kids[0]))
	case opAnd:
		least := BlockSize
		for _, k := range n.kids {
			least = min(least, ev.size(k))
		}
		return least
	}
	sum := 0
	for _, k := range n.kids {
		if sum += ev.size(k); sum >= BlockSize {
			return BlockSize
		}
	}
	return sum
}

// cardinality takes an unknown field for a large one: its error comes when it is needed, and may be spared.
func (ev *eval) cardinality(f Field) int {
	n, ok := ev.block.Cardinality(f)
	if !ok {
		return BlockSize
	}
	return n
}
