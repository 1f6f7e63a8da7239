package population

import "math/bits"

// draw is a stream of random numbers: SplitMix64, which is small, fast, and the same for ever whatever the standard library
// does. It is not for secrets.
type draw uint64

// stream returns the stream of one subject (a person, household or employer) under a seed.
func stream(seed, kind, index uint64) draw {
	d := draw(seed ^ kind*0x9e3779b97f4a7c15)
	d ^= draw(d.next() + index*0xd1342543de82ef95)
	d.next()
	return d
}

func (d *draw) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number from 0 to n-1; n must be positive.
func (d *draw) below(n int) int {
	hi, _ := bits.Mul64(d.next(), uint64(n))
	return int(hi)
}

// between returns a number from lo to hi, both included.
func (d *draw) between(lo, hi int) int { return lo + d.below(hi-lo+1) }

// unit returns a number in [0, 1).
func (d *draw) unit() float64 { return float64(d.next()>>11) / (1 << 53) }

// chance is true with probability p.
func (d *draw) chance(p float64) bool { return d.unit() < p }

// bell returns a number with mean 0 and standard deviation 1, about normal, never beyond 3.5: the sum of four uniform ones.
func (d *draw) bell() float64 {
	return (d.unit() + d.unit() + d.unit() + d.unit() - 2) * 1.7320508075688772
}

// pick returns one of the texts.
func (d *draw) pick(texts []string) string { return texts[d.below(len(texts))] }

// weighted holds cumulative weights, so that an index can be drawn in proportion to its weight. The table of slots makes
// the search start where it is likely to end.
type weighted struct {
	upTo  []float64
	slots []uint16
}

// slotCount is a power of two, so that its products with fractions are exact.
const slotCount = 1024

func weigh(weights []float64) weighted {
	w := weighted{upTo: make([]float64, len(weights)), slots: make([]uint16, slotCount)}
	sum := 0.0
	for i, x := range weights {
		sum += x
		w.upTo[i] = sum
	}
	for i := range w.upTo {
		w.upTo[i] /= sum
	}
	w.upTo[len(weights)-1] = 1
	at := 0
	for s := range w.slots {
		for w.upTo[at] <= float64(s)/slotCount {
			at++
		}
		w.slots[s] = uint16(at)
	}
	return w
}

func (w weighted) draw(d *draw) int {
	u := d.unit()
	i := int(w.slots[int(u*slotCount)])
	for w.upTo[i] <= u {
		i++
	}
	return i
}
