package blocks

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Refresh returns a session on the newest view, under the same bound of staleness, or s itself if its view is the newest. It is
// for long answers, such as member streams, that have evaluated everything and now go on under what is current.
//
// Errors: ErrStale; ErrLayoutGone if the ordinals found so far mean nobody any more.
func (s *Session) Refresh() (*Session, error) {
	v := s.r.cfg.Follower.View()
	if v.Store != s.view.Store || v.Layout != s.view.Layout {
		return nil, ErrLayoutGone
	}
	return s.r.session(v, s.consistency, s.bound, s.counters)
}

// Reapply removes from members those for whom the protective expression no longer holds, or who no longer exist, under this
// session's view or a later state, and returns how many that were. Before each message of a member stream call it on a
// refreshed session. protect may be nil; it must be compiled under the definitions of this session's view.
//
// Errors as for ForEachBlock; members are then unchanged.
func (s *Session) Reapply(ctx context.Context, block uint32, protect Expression, members *audience.Bits) (held int, err error) {
	var kept audience.Bits
	err = s.with(ctx, block, s.view.plan(Query{Select: protect}), func(b audience.Block) error {
		if protect != nil {
			return protect.Eval(b, members, &kept)
		}
		live, ok := b.Row(audience.FieldLive)
		if !ok {
			return &audience.UnknownError{Field: audience.FieldLive}
		}
		kept = *members
		kept.And(live.Bits())
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("apply protective rows again: %w", err)
	}
	held = members.Count() - kept.Count()
	*members = kept
	return held, nil
}

// with calls f with one block as it is in memory, and again with the block loaded where that was not enough.
func (s *Session) with(ctx context.Context, block uint32, p *fieldPlan, f func(b audience.Block) error) error {
	if sl := s.view.slot(block); sl != nil {
		if dir := sl.dir.Load(); dir != nil {
			b := &hot{ctx: ctx, plan: p, dir: dir}
			err := f(b)
			if err == nil || !b.missed || !errors.Is(err, audience.ErrUnknown) {
				s.counters.evaluated.Add(1)
				s.remembered(b.hits)
				return gone(ctx, err)
			}
		}
	}
	l, err := s.block(ctx, block, p)
	if err != nil {
		return err
	}
	return f(l)
}

// dictionary are the live row and all parts of the uid dictionary. Their absence means the same under all definitions.
var dictionary = sync.OnceValue(func() *fieldPlan {
	p := &fieldPlan{fields: []planField{newPlanField(audience.FieldLive, 0)}}
	for n := range Chunks {
		p.fields = append(p.fields, newPlanField(UIDField(n), 0))
	}
	return p
})

// Warm sees to it that the parts of the dictionary that hold the uids of members are in memory, so that UIDs will not wait for them
// if they do not change. Errors as for ForEachBlock.
func (s *Session) Warm(ctx context.Context, block uint32, members *audience.Bits) error {
	if sl := s.view.slot(block); sl != nil {
		if dir := sl.dir.Load(); dir != nil && remembersUIDs(dir, members) {
			return nil
		}
	}
	_, err := s.block(ctx, block, s.view.plan(Query{Fields: chunkFields(members)}))
	return err
}

func remembersUIDs(dir *Directory, members *audience.Bits) bool {
	for n, f := range dictionary().fields[1:] {
		if !anySet(members[n*chunkWords : (n+1)*chunkWords]) {
			continue
		}
		if _, c, presence := dir.look(&f); presence == Unknown || presence == Present && c.get() == nil {
			return false
		}
	}
	return true
}

// UIDs appends to dst the uids of the block's ordinals set in members, in their order, without those that no longer exist, and
// returns how many these were. Errors as for ForEachBlock; dst is then returned as it was.
func (s *Session) UIDs(ctx context.Context, block uint32, members *audience.Bits, dst []audience.UID) (uids []audience.UID, gone int, err error) {
	if sl := s.view.slot(block); sl != nil {
		if dir := sl.dir.Load(); dir != nil {
			var parts [Chunks]*content
			if live, ok := partsInMemory(dir, members, &parts); ok {
				s.counters.evaluated.Add(1)
				return appendUIDs(block, live, &parts, members, dst)
			}
		}
	}
	fields := chunkFields(members)
	l, err := s.block(ctx, block, s.view.plan(Query{Fields: fields}))
	if err != nil {
		return dst, 0, err
	}
	var parts [Chunks]*content
	for n := range parts {
		parts[n], _ = l.get(UIDField(n))
	}
	return appendUIDs(block, l.live(), &parts, members, dst)
}

// partsInMemory finds the live row and the parts that hold the uids of members; false if something is not in memory.
func partsInMemory(dir *Directory, members *audience.Bits, parts *[Chunks]*content) (live audience.Row, ok bool) {
	fields := dictionary().fields
	for i := range fields {
		if i > 0 && !anySet(members[(i-1)*chunkWords:i*chunkWords]) {
			continue
		}
		_, c, presence := dir.look(&fields[i])
		if presence == Empty {
			continue
		}
		if presence == Unknown {
			return live, false
		}
		k := c.get()
		switch {
		case k == nil:
			return live, false
		case i == 0:
			live = k.row
		default:
			parts[i-1] = k
		}
	}
	return live, true
}

// appendUIDs copies uids word by word: what is looked at of each ordinal is looked at for 64 of them.
func appendUIDs(block uint32, live audience.Row, parts *[Chunks]*content, members *audience.Bits, dst []audience.UID) (uids []audience.UID, gone int, err error) {
	alive := live.Bits()
	if alive == nil {
		return dst, members.Count(), nil
	}
	uids = dst
	for n, part := range parts {
		words := members[n*chunkWords : (n+1)*chunkWords]
		for i, w := range words {
			if w == 0 {
				continue
			}
			lost := w &^ alive[n*chunkWords+i]
			gone += bits.OnesCount64(lost)
			if w &^= lost; w == 0 {
				continue
			}
			if part == nil || w&part.blank[i] != 0 {
				// A writer changes the live row and the dictionary together.
				return dst, 0, ErrBlockUnknown.With("block", block).Wrap(errors.New("a live ordinal without a uid"))
			}
			if w == ^uint64(0) {
				uids = append(uids, part.uids[i<<6:i<<6+64]...)
				continue
			}
			of := part.uids[i<<6:]
			for ; w != 0; w &= w - 1 {
				uids = append(uids, of[bits.TrailingZeros64(w)])
			}
		}
	}
	return uids, gone, nil
}
