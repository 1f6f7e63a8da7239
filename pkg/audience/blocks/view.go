package blocks

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// View is the manifest as of one frame. What it says never changes; directories that are read from the store later only fill in
// what it left open.
type View struct {
	Store       string
	Layout      uint32
	Definitions *Definitions
	Through     Through

	// sent is when this reader sent the number that Through.Echo is, or a moment before the frame can have been sent. With
	// Through.Age it bounds the age of the view, by this reader's monotonic clock alone.
	sent  time.Time
	slots []*slot // sorted by block
	// slotsID is the same for views with the same slots, and never used again.
	slotsID uint64
}

// ids numbers slots and lists of slots.
var ids atomic.Uint64

// slot is what the manifest says of one block. Views share the slots that a frame did not change.
type slot struct {
	id      uint64 // never used again
	block   uint32
	epoch   Epoch
	version uint64
	// dir is the directory at version, or at a later one of the same epoch that was read from the store; nil: to be read.
	dir atomic.Pointer[Directory]
}

// Age returns the most time that can have passed, until now, since every change then committed was in this view.
func (v *View) Age(now time.Time) time.Duration {
	return v.Through.Age + max(0, now.Sub(v.sent))
}

// Blocks returns the numbers of all blocks, ascending.
func (v *View) Blocks() []uint32 {
	blocks := make([]uint32, len(v.slots))
	for i, s := range v.slots {
		blocks[i] = s.block
	}
	return blocks
}

// Len returns the number of blocks.
func (v *View) Len() int { return len(v.slots) }

// Block returns the number of the block at a place of Blocks, 0 to Len-1.
func (v *View) Block(at int) uint32 { return v.slots[at].block }

// Segment returns the definition of a segment, or nil.
func (v *View) Segment(uid string) *SegmentDefinition {
	list := v.Definitions.Segments
	i, ok := slices.BinarySearchFunc(list, uid, func(s SegmentDefinition, uid string) int { return strings.Compare(s.UID, uid) })
	if !ok {
		return nil
	}
	return &list[i]
}

// Directory returns the block's directory as far as it is known without reading the store, or nil. It serves planners: what is
// evaluated may be a later version.
func (v *View) Directory(block uint32) *Directory {
	if s := v.slot(block); s != nil {
		return s.dir.Load()
	}
	return nil
}

func (v *View) slot(block uint32) *slot {
	i, ok := slices.BinarySearchFunc(v.slots, block, func(s *slot, b uint32) int { return cmp.Compare(s.block, b) })
	if !ok {
		return nil
	}
	return v.slots[i]
}

// declared returns the revision at which the attribute of a field was declared: 0 for built-in ones and fields without an
// attribute, the highest number for what the definitions do not know, so that its absence is never taken for emptiness.
func (v *View) declared(f audience.Field) uint64 {
	name, ok := customAttribute(f)
	if !ok {
		return math.MaxUint64
	}
	if name == "" {
		return 0
	}
	list := v.Definitions.Attributes
	i, ok := slices.BinarySearchFunc(list, name, func(a audience.Attribute, name string) int { return strings.Compare(a.Name, name) })
	if !ok {
		return math.MaxUint64
	}
	return list[i].Revision
}

// learn keeps a directory that was read from the store, if it is newer than what the slot has, and returns it, or the one of the same
// version that the slot has: then what is decoded for one answer is in memory for all.
func (s *slot) learn(d *Directory) *Directory {
	for {
		was := s.dir.Load()
		if was != nil && was.Epoch == d.Epoch && was.Version == d.Version {
			return was
		}
		d.prepare(was)
		if d.Epoch != s.epoch || d.Version < s.version || was != nil && was.Version >= d.Version {
			return d
		}
		if s.dir.CompareAndSwap(was, d) {
			return d
		}
	}
}

// next returns the view after a frame, or nil if the frame does not continue this view (nil: none yet).
func (v *View) next(f *Frame, sent time.Time) *View {
	n := &View{Store: f.Store, Layout: f.Layout, Definitions: f.Definitions, Through: f.Through, sent: sent}
	switch {
	case !f.Full && (v == nil || v.Store != f.Store || v.Layout != f.Layout):
		return nil
	case f.Full && (v == nil || v.Store != f.Store || v.Layout != f.Layout):
		v = &View{} // nothing of it is of use
	}
	if n.Definitions == nil {
		n.Definitions = v.Definitions
	}
	if !f.Full && len(f.Blocks) == 0 {
		n.slots, n.slotsID = v.slots, v.slotsID
		return n
	}
	n.slotsID = ids.Add(1)
	if f.Full {
		n.slots = make([]*slot, 0, len(f.Blocks))
	} else {
		n.slots = slices.Clone(v.slots)
	}
	for i := range f.Blocks {
		st := &f.Blocks[i]
		s := &slot{id: ids.Add(1), block: st.Block, epoch: st.Epoch, version: st.Version}
		// A full frame voids the versions held, but a directory that the new ones confirm is still right.
		var held *Directory
		if was := v.slot(st.Block); was != nil {
			held = was.dir.Load()
		}
		if d := st.apply(held, f.Store, f.Layout); d != nil {
			d.prepare(held)
			s.dir.Store(d)
		}
		if f.Full {
			n.slots = append(n.slots, s)
			continue
		}
		at, found := slices.BinarySearchFunc(n.slots, st.Block, func(s *slot, b uint32) int { return cmp.Compare(s.block, b) })
		if found {
			n.slots[at] = s
		} else {
			n.slots = slices.Insert(n.slots, at, s)
		}
	}
	return n
}
