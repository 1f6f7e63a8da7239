package blocks

import (
	"slices"
	"sync/atomic"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Look is what the directory of a block alone tells of it. The zero Look says that the block has to be evaluated.
type Look struct {
	// Done says that the block need not be evaluated, Found that it has members, so that it counts as evaluated and not as skipped.
	Done, Found bool
	// Told are numbers to be added up over all blocks that are Done.
	Told [2]uint32
}

// Looks keeps what was said of each block, for a question that is asked again and again: of a hundred blocks a narrow audience is in
// two or three, and between two answers few directories change. It is safe for concurrent use; the zero value is ready.
type Looks struct{ last atomic.Pointer[looked] }

// BytesPerLook is about how much memory Looks take for each block.
const BytesPerLook = 28

// looked is what was said of the blocks of one view. It is immutable once shared, and holds on to nothing of the view, whose directories
// are large.
type looked struct {
	slots              uint64 // the view's
	blocks             []blockLook
	told               [2]uint64
	hot, cold          []int32 // places of blocks to evaluate, and of those whose directory was not known
	skipped, evaluated int64
}

type blockLook struct {
	slot uint64
	told [2]uint32
	what lookState
}

type lookState uint8

const (
	notLooked lookState = iota
	toEvaluate
	doneFound
	doneEmpty
)

// of returns what is said of the blocks of the scan's view.
func (k *Looks) of(w *scan) (*looked, error) {
	last := k.last.Load()
	if last != nil && last.slots == w.view.slotsID && !last.knowsMore(w.view) {
		return last, nil
	}
	now := new(looked)
	if err := now.make(w, last); err != nil {
		return nil, err
	}
	k.last.Store(now)
	return now, nil
}

// knowsMore reports whether a directory that was not known is known now.
func (l *looked) knowsMore(v *View) bool {
	return slices.ContainsFunc(l.cold, func(at int32) bool { return v.slots[at].dir.Load() != nil })
}

// make looks at the blocks of the scan's view, but for those that last has looked at.
func (l *looked) make(w *scan, last *looked) error {
	slots := w.view.slots
	*l = looked{
		slots: w.view.slotsID, blocks: slices.Grow(l.blocks[:0], len(slots))[:len(slots)], hot: l.hot[:0], cold: l.cold[:0],
	}
	var known []blockLook
	if last != nil {
		known = last.blocks
	}
	for at, sl := range slots {
		if at&255 == 255 {
			if err := w.ctx.Err(); err != nil {
				return err
			}
		}
		b := &l.blocks[at]
		if at < len(known) && known[at].slot == sl.id && known[at].what != notLooked {
			// A frame that changes a block replaces its slot.
			*b = known[at]
		} else {
			*b = w.lookAt(sl)
			b.slot = sl.id
		}
		switch b.what {
		case notLooked:
			l.cold = append(l.cold, int32(at))
		case toEvaluate:
			l.hot = append(l.hot, int32(at))
		case doneFound:
			l.evaluated++
		case doneEmpty:
			l.skipped++
		}
		l.told[0] += uint64(b.told[0])
		l.told[1] += uint64(b.told[1])
	}
	return nil
}

// lookAt asks the directory of one block.
func (w *scan) lookAt(sl *slot) blockLook {
	dir := sl.dir.Load()
	if dir == nil {
		return blockLook{}
	}
	if w.Look == nil {
		return blockLook{what: toEvaluate}
	}
	b := &w.list.b
	b.dir = dir
	switch look := w.Look(b); {
	case !look.Done:
		return blockLook{what: toEvaluate}
	case look.Found:
		return blockLook{told: look.Told, what: doneFound}
	default:
		return blockLook{told: look.Told, what: doneEmpty}
	}
}

// Absent looks whether an expression can have members at all.
func Absent(e Expression) func(b audience.Block) Look {
	return func(b audience.Block) Look { return Look{Done: e.Guess(b) == 0} }
}
