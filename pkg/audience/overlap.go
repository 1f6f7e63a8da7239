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
	for i := range rows {
		counts[i*n+i] += uint64(rows[i].n)
		for j := i + 1; j < n; j++ {
			if a, b := &rows[i], &rows[j]; a.form != formDense || b.form != formDense {
				counts[i*n+j] += uint64(a.inBoth(b))
			}
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

// inBoth counts the ordinals in both rows, of which at most one is a bitmap.
func (r *Row) inBoth(x *Row) int {
	switch {
	case r.n == 0 || x.n == 0:
		return 0
	case x.form == formDense:
		return r.AndCount(x.bits)
	case r.form == formDense:
		return x.AndCount(r.bits)
	}
	// Lists and runs alike are walked as runs; of a list each is one ordinal.
	both := 0
	for i, j := 0, 0; i < r.spans() && j < x.spans(); {
		first, last := r.span(i)
		from, to := x.span(j)
		if lo, hi := max(first, from), min(last, to); lo <= hi {
			both += int(hi-lo) + 1
		}
		if last <= to {
			i++
		}
		if to <= last {
			j++
		}
	}
	return both
}

// spans is the number of runs of a row that is no bitmap.
func (r *Row) spans() int {
	if r.form == formRuns {
		return len(r.list) / 2
	}
	return len(r.list)
}

func (r *Row) span(i int) (first, last uint16) {
	if r.form == formRuns {
		return r.list[2*i], r.list[2*i+1]
	}
	return r.list[i], r.list[i]
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
