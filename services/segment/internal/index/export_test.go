package index

import "github.com/narrowcast/narrowcast/pkg/audience"

// Corrupt makes a segment's row of a block wrong, in memory and in the store, as a mistake of this program would.
func (x *Index) Corrupt(n uint32, f audience.Field) {
	x.mu.Lock()
	defer x.mu.Unlock()
	b := x.st.blocks[n]
	for o := range uint16(len(b.uids)) {
		if !b.segments[f].unset(o) {
			b.segments[f].set(o)
		}
	}
	b.touch(f)
}

// Waiting returns how many calls wait for refills.
func (x *Index) Waiting() int {
	x.refills.mu.Lock()
	defer x.refills.mu.Unlock()
	n := 0
	for _, r := range x.refills.waiting {
		n += r.callers
	}
	return n
}

// SmallLanes are lanes of few people.
func SmallLanes(region, decade int) *Lanes { return &Lanes{region: region, decade: decade} }

// SpotMost is how many changes of a block are evaluated one by one.
const SpotMost = spotMost

// Saving reports whether a checkpoint is under way.
func (x *Index) Saving() bool { return x.saver.run != nil }

// Abandon ends a checkpoint under way, as the end of Run does.
func (x *Index) Abandon() { x.saver.abandon() }
