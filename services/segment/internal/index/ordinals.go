package index

import (
	"context"
	"fmt"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/segment"
)

// Assigner says in which block a new profile is numbered; within the block it takes the next ordinal.
type Assigner interface {
	// Block returns a block's number; fill holds how many ordinals each block has given out, of at most audience.BlockSize. It
	// returns len(fill) for a new block. An answer that has no room is replaced by the last block that has.
	Block(uid audience.UID, facts audience.Facts, fill []int) int
}

// Dense fills one block after the other, in the order in which profiles arrive.
type Dense struct{}

// Block implements Assigner.
func (Dense) Block(_ audience.UID, _ audience.Facts, fill []int) int {
	last := len(fill) - 1
	if last < 0 || fill[last] == audience.BlockSize {
		return len(fill)
	}
	return last
}

// arrival is a profile that has no ordinal yet.
type arrival struct {
	uid   audience.UID
	facts audience.Facts
}

// arrange numbers the profiles that arrive with the batches, whoever is alike beside each other, and tells of those that a layout begun
// earlier has numbered.
func (st *state) arrange(assign Arranger, batches []Batch) {
	var fresh []arrival
	for i := range batches {
		for _, c := range batches[i].Changes {
			if c.Attribute != nil || c.Facts == nil {
				continue
			}
			if at, ok := st.where(c.UID); !ok {
				fresh = append(fresh, arrival{c.UID, c.Facts})
			} else if !st.replayed && !st.blocks[at.block].restored {
				assign.Seen(int(at.block), c.Facts, 1)
			}
		}
	}
	slices.SortStableFunc(fresh, func(a, b arrival) int { return assign.Compare(a.facts, b.facts) })
	for _, a := range fresh {
		st.place(assign, a.uid, a.facts)
	}
}

// place is an ordinal of a layout: the block's number and the ordinal within it.
type place struct {
	block   uint32
	ordinal uint16
}

// ref is the place as the table of uids keeps it.
func (p place) ref() uint32 { return p.block<<16 | uint32(p.ordinal) }

// where returns the place of a profile that has one.
func (st *state) where(uid audience.UID) (place, bool) {
	ref, ok := st.places.Find(uid, func(ref uint32) bool { return st.blocks[ref>>16].uids[uint16(ref)] == uid })
	return place{ref >> 16, uint16(ref)}, ok
}

// place returns the place of a profile, giving it one if it has none.
func (st *state) place(assign Assigner, uid audience.UID, facts audience.Facts) place {
	if at, ok := st.where(uid); ok {
		return at
	}
	n := assign.Block(uid, facts, st.fill)
	if n < 0 || n > len(st.fill) || n < len(st.fill) && st.fill[n] >= audience.BlockSize {
		n = Dense{}.Block(uid, facts, st.fill)
	}
	b := st.block(uint32(n))
	at := place{uint32(n), uint16(len(b.uids))}
	st.number(b, uid)
	if last := len(st.fresh) - 1; last >= 0 && st.fresh[last].Block == at.block {
		st.fresh[last].UIDs = append(st.fresh[last].UIDs, uid)
	} else {
		st.fresh = append(st.fresh, segment.OrdinalRun{Block: at.block, First: uint32(at.ordinal), UIDs: []audience.UID{uid}})
	}
	return at
}

// number gives the next ordinal of a block to a uid, which may be blank.
func (st *state) number(b *block, uid audience.UID) {
	at := place{b.n, uint16(len(b.uids))}
	b.uids = append(b.uids, uid)
	b.unsaved = true
	st.fill[b.n] = len(b.uids)
	if uid != (audience.UID{}) {
		st.places.Add(uid, at.ref())
	}
}

// loadOrdinals reads the ordinals that were given in the layout.
func (st *state) loadOrdinals(ctx context.Context, store segment.Store) error {
	for run, err := range store.LoadOrdinals(ctx, st.layout) {
		if err != nil {
			return fmt.Errorf("load ordinals: %w", err)
		}
		b := st.block(run.Block)
		if int(run.First) != len(b.uids) || len(b.uids)+len(run.UIDs) > audience.BlockSize {
			return fmt.Errorf("load ordinals: block %d has a gap at ordinal %d", run.Block, run.First)
		}
		for _, uid := range run.UIDs {
			st.number(b, uid)
		}
	}
	return nil
}

// storeOrdinals stores what was given out since it last succeeded. Until it has, no block may be written.
func (x *Index) storeOrdinals(ctx context.Context, st *state) error {
	if len(st.fresh) == 0 {
		return nil
	}
	if err := x.store.AppendOrdinals(ctx, x.lease, st.layout, joinRuns(st.fresh)); err != nil {
		return fmt.Errorf("append ordinals: %w", err)
	}
	st.fresh = nil
	return nil
}

// joinRuns makes one run of all that follow each other in a block.
func joinRuns(runs []segment.OrdinalRun) []segment.OrdinalRun {
	at := make(map[uint32]int, 8)
	var joined []segment.OrdinalRun
	for _, r := range runs {
		if i, ok := at[r.Block]; ok {
			joined[i].UIDs = append(joined[i].UIDs, r.UIDs...)
			continue
		}
		at[r.Block] = len(joined)
		joined = append(joined, r)
	}
	return joined
}

// blankOrdinals removes the uids of deleted profiles from the store of ordinals.
func (x *Index) blankOrdinals(ctx context.Context, st *state) error {
	if len(st.blank) == 0 {
		return nil
	}
	if err := x.store.BlankOrdinals(ctx, x.lease, st.layout, st.blank); err != nil {
		return fmt.Errorf("blank ordinals: %w", err)
	}
	st.blank = nil
	return nil
}
