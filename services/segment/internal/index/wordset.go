package index

import (
	"iter"
	"math/bits"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// wordSet is a set of the 64-ordinal words of a block: those that hold a changed profile.
type wordSet [audience.Words / 64]uint64

// add adds the word of ordinal o.
func (s *wordSet) add(o uint16) { s[o>>12] |= 1 << (o >> 6 & 63) }

func (s *wordSet) empty() bool { return *s == wordSet{} }

// all yields the words in ascending order.
func (s *wordSet) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, w := range s {
			for ; w != 0; w &= w - 1 {
				if !yield(i<<6 | bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}

// fill sets in out all ordinals of the words, and no others.
func (s *wordSet) fill(out *audience.Bits) {
	out.Clear()
	for w := range s.all() {
		out[w] = ^uint64(0)
	}
}

func trailing(w uint64) int { return bits.TrailingZeros64(w) }
