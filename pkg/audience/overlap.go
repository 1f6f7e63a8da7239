package audience

import "math/bits"

// Overlap adds to counts how many ordinals of one block are in each pair of rows: counts[i*len(rows)+j], for i up to j, is how many are
// in rows[i] and rows[j], for i = j how many are in the row. What lies below that diagonal is left as it is. Segments' rows may hold
// ordinals that are not live; who does not want them counted cuts the rows first.
//
// Bitmaps are compared a few kilobytes of all of them at a time, so that each is read from memory once and not once for every other.
func Overlap(rows []Row, counts []uint64) {
	n := len(rows)
	counts = counts[:n*n]
	var marks Bits
	for i := range rows {
		a := &rows[i]
		counts[i*n+i] += uint64(a.n)
		if a.n == 0 {
			continue
		}
		// What is no bitmap is made one for as long as the others are compared with it.
		bitmap := a.bits
		if a.form != formDense {
			bitmap = &marks
			a.Into(bitmap)
		}
		for j := i + 1; j < n; j++ {
			if b := &rows[j]; a.form != formDense || b.form != formDense {
				if b.form == formDense {
					counts[i*n+j] += uint64(a.AndCount(b.bits))
				} else {
					counts[i*n+j] += uint64(b.AndCount(bitmap))
				}
			}
		}
		if a.form != formDense {
			a.outOf(bitmap)
		}
	}
	const strip = 128
	for lo := 0; lo < Words; lo += strip {
		for i := range rows {
			if rows[i].form != formDense {
				continue
			}
			a := rows[i].bits[lo : lo+strip : lo+strip]
			for j := i + 1; j < n; j++ {
				if rows[j].form != formDense {
					continue
				}
				b := rows[j].bits[lo : lo+strip : lo+strip]
				both := 0
				for k, w := range a {
					both += bits.OnesCount64(w & b[k])
				}
				counts[i*n+j] += uint64(both)
			}
		}
	}
}

// outOf takes the row's ordinals out of b, of a row that is no bitmap.
func (r *Row) outOf(b *Bits) {
	if r.form == formRuns {
		for i := 0; i+1 < len(r.list); i += 2 {
			b.unsetRange(r.list[i], r.list[i+1])
		}
		return
	}
	for _, o := range r.list {
		b[o>>6] = 0
	}
}

// OverlapOf is Overlap for the members of expressions in one block. After an error counts are undefined.
func OverlapOf(exprs []*Expr, b Block, counts []uint64) error {
	ev := newEval(b)
	defer ev.release()
	rows := make([]Row, len(exprs))
	sets := make([]*set, 0, len(exprs))
	defer func() {
		for _, s := range sets {
			ev.giveBack(s)
		}
	}()
	for i, e := range exprs {
		if e.pos.guess(b) == 0 {
			continue
		}
		s := ev.begin(nil)
		sets = append(sets, s)
		if err := ev.node(e.pos, s); err != nil {
			return err
		}
		if err := ev.ground(s); err != nil {
			return err
		}
		rows[i] = s.lend()
	}
	Overlap(rows, counts)
	return nil
}
