package index

import (
	"slices"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// sparseMax is the number of ordinals up to which a row is kept as a sorted list: 4 KiB, half of what its bitmap takes. Most
// rows of a block (an interest, a department) are far below it.
const sparseMax = 2048

// row is one row of a block in the form in which it changes. The zero row is empty.
type row struct {
	sparse []uint16       // sorted; used while dense is nil
	dense  *audience.Bits // once there are more than sparseMax
	n      int
}

// has reports whether ordinal o is set. A nil row is empty.
func (r *row) has(o uint16) bool {
	if r == nil {
		return false
	}
	if r.dense != nil {
		return r.dense.Has(o)
	}
	_, ok := slices.BinarySearch(r.sparse, o)
	return ok
}

// set sets ordinal o and reports whether that changed the row.
func (r *row) set(o uint16) bool {
	if r.dense != nil {
		if r.dense.Has(o) {
			return false
		}
		r.dense.Set(o)
		r.n++
		return true
	}
	// Profiles mostly arrive in the order of their ordinals, so that the end is the place.
	if len(r.sparse) > 0 && r.sparse[len(r.sparse)-1] >= o {
		i, ok := slices.BinarySearch(r.sparse, o)
		if ok {
			return false
		}
		r.sparse = slices.Insert(r.sparse, i, o)
	} else {
		r.sparse = append(r.sparse, o)
	}
	r.n++
	if r.n > sparseMax {
		dense := new(audience.Bits)
		r.into(dense)
		r.dense, r.sparse = dense, nil
	}
	return true
}

// unset clears ordinal o and reports whether that changed the row. A row does not become sparse again before it is empty, or
// one at the limit would go back and forth.
func (r *row) unset(o uint16) bool {
	if r.dense != nil {
		if !r.dense.Has(o) {
			return false
		}
		r.dense.Unset(o)
		if r.n--; r.n == 0 {
			r.dense = nil
		}
		return true
	}
	i, ok := slices.BinarySearch(r.sparse, o)
	if !ok {
		return false
	}
	r.sparse = slices.Delete(r.sparse, i, i+1)
	r.n--
	return true
}

// into adds the row's ordinals to out.
func (r *row) into(out *audience.Bits) {
	if r.dense != nil {
		out.Or(r.dense)
		return
	}
	for _, o := range r.sparse {
		out.Set(o)
	}
}

// bits returns the row as a bitmap, which the caller must not change: it may be the row itself. Nil if it is empty.
func (r *row) bits() *audience.Bits {
	switch {
	case r == nil || r.n == 0:
		return nil
	case r.dense != nil:
		return r.dense
	}
	out := new(audience.Bits)
	r.into(out)
	return out
}

// shared returns the row as evaluations read it, in the memory of the row.
func (r *row) shared() audience.Row {
	switch {
	case r == nil || r.n == 0:
		return audience.Row{}
	case r.dense != nil:
		return audience.DenseRow(r.dense, r.n)
	}
	return audience.ListRow(r.sparse)
}

// replace makes the row's ordinals inside the words of within those of now, and reports whether that changed the row.
// Outside of them it stays as it is. within is a set of words: one bit for each of the block's 1,024.
func (r *row) replace(within *wordSet, now *audience.Bits) bool {
	changed := false
	for w := range within.all() {
		was := r.word(w)
		for diff := was ^ now[w]; diff != 0; diff &= diff - 1 {
			o := uint16(w<<6 | trailing(diff))
			if now.Has(o) {
				r.set(o)
			} else {
				r.unset(o)
			}
			changed = true
		}
	}
	return changed
}

// word returns word w of the row as a bitmap.
func (r *row) word(w int) uint64 {
	if r.dense != nil {
		return r.dense[w]
	}
	var word uint64
	i, _ := slices.BinarySearch(r.sparse, uint16(w<<6))
	for ; i < len(r.sparse) && int(r.sparse[i])>>6 == w; i++ {
		word |= 1 << (r.sparse[i] & 63)
	}
	return word
}

// rowOf makes a row of a bitmap, which it takes over. A nil bitmap is empty.
func rowOf(b *audience.Bits) *row {
	r := &row{n: b.Count()}
	if r.n > sparseMax {
		r.dense = b
		return r
	}
	r.sparse = slices.Collect(b.All())
	return r
}
