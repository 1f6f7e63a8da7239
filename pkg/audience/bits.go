package audience

import (
	"iter"
	"math/bits"
)

// Has reports whether ordinal o is set. A nil Bits is empty.
func (b *Bits) Has(o uint16) bool {
	return b != nil && b[o>>6]&(1<<(o&63)) != 0
}

// Set sets ordinal o.
func (b *Bits) Set(o uint16) { b[o>>6] |= 1 << (o & 63) }

// Unset clears ordinal o.
func (b *Bits) Unset(o uint16) { b[o>>6] &^= 1 << (o & 63) }

// Clear empties b.
func (b *Bits) Clear() { *b = Bits{} }

// And keeps what is in x too. A nil x is empty.
func (b *Bits) And(x *Bits) {
	if x == nil {
		b.Clear()
		return
	}
	for i := range b {
		b[i] &= x[i]
	}
}

// AndNot removes what is in x. A nil x is empty.
func (b *Bits) AndNot(x *Bits) {
	if x == nil {
		return
	}
	for i := range b {
		b[i] &^= x[i]
	}
}

// Or adds what is in x. A nil x is empty.
func (b *Bits) Or(x *Bits) {
	if x == nil {
		return
	}
	for i := range b {
		b[i] |= x[i]
	}
}

// Xor keeps what is in exactly one of b and x. A nil x is empty.
func (b *Bits) Xor(x *Bits) {
	if x == nil {
		return
	}
	for i := range b {
		b[i] ^= x[i]
	}
}

// Count returns the number of ordinals that are set, 0 to BlockSize. A nil Bits is empty.
func (b *Bits) Count() int {
	if b == nil {
		return 0
	}
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// IsEmpty reports whether no ordinal is set. A nil Bits is empty.
func (b *Bits) IsEmpty() bool {
	if b == nil {
		return true
	}
	for _, w := range b {
		if w != 0 {
			return false
		}
	}
	return true
}

// Equal reports whether b and x hold the same ordinals. A nil Bits is empty.
func (b *Bits) Equal(x *Bits) bool {
	if b == nil || x == nil {
		return b.IsEmpty() && x.IsEmpty()
	}
	return *b == *x
}

// Intersects reports whether an ordinal is in both. A nil Bits is empty.
func (b *Bits) Intersects(x *Bits) bool {
	if b == nil || x == nil {
		return false
	}
	for i := range b {
		if b[i]&x[i] != 0 {
			return true
		}
	}
	return false
}

// AndCount returns the number of ordinals in both. A nil Bits is empty.
func (b *Bits) AndCount(x *Bits) int {
	if b == nil || x == nil {
		return 0
	}
	n := 0
	for i := range b {
		n += bits.OnesCount64(b[i] & x[i])
	}
	return n
}

// All yields the ordinals that are set, in ascending order. A nil Bits is empty. b must not change meanwhile.
func (b *Bits) All() iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		if b == nil {
			return
		}
		for i, w := range b {
			for ; w != 0; w &= w - 1 {
				if !yield(uint16(i<<6 | bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}
