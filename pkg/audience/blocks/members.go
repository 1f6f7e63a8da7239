package blocks

import (
	"context"
	"errors"
	"fmt"
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
	l, err := s.block(ctx, block, plan(Query{Select: protect}))
	if err != nil {
		return 0, err
	}
	kept := *members
	if protect == nil {
		kept.And(l.live())
	} else if err := protect.Eval(l, members, &kept); err != nil {
		return 0, fmt.Errorf("apply protective rows again: %w", err)
	}
	held = members.Count() - kept.Count()
	*members = kept
	return held, nil
}

// UIDs appends to dst the uids of the block's ordinals set in members, in their order, without those that no longer exist, and
// returns how many these were. Errors as for ForEachBlock; dst is then returned as it was.
func (s *Session) UIDs(ctx context.Context, block uint32, members *audience.Bits, dst []audience.UID) (uids []audience.UID, gone int, err error) {
	l, err := s.block(ctx, block, plan(Query{Fields: chunkFields(members)}))
	if err != nil {
		return dst, 0, err
	}
	uids = dst
	for o := range members.All() {
		if !l.live().Has(o) {
			gone++
			continue
		}
		uid := l.uid(o)
		if uid == (audience.UID{}) {
			// A writer changes the live row and the dictionary together.
			return dst, 0, ErrBlockUnknown.With("block", block).Wrap(errors.New("a live ordinal without a uid"))
		}
		uids = append(uids, uid)
	}
	return uids, gone, nil
}

// uid returns the uid of an ordinal, or a blank one.
func (l *loaded) uid(o uint16) audience.UID {
	k, ok := l.get(UIDField(int(o) / ChunkSize))
	if i := int(o) % ChunkSize; ok && i < len(k.content.uids) {
		return k.content.uids[i]
	}
	return audience.UID{}
}

// Find returns where a live profile is, by searching the dictionaries of all blocks. Errors as for ForEachBlock: only with no
// error is a miss an answer.
func (s *Session) Find(ctx context.Context, uid audience.UID) (block uint32, ordinal uint16, found bool, err error) {
	fields := make([]audience.Field, Chunks)
	for n := range fields {
		fields[n] = UIDField(n)
	}
	var mu sync.Mutex
	err = s.ForEachBlock(ctx, Query{Fields: fields}, func(b uint32, held audience.Block) error {
		l := held.(*loaded) //nolint:forcetypeassert // ForEachBlock hands out nothing else
		for n, f := range fields {
			k, _ := l.get(f)
			for i := range k.content.uids {
				o := uint16(n*ChunkSize + i)
				if k.content.uids[i] != uid || !l.live().Has(o) {
					continue
				}
				mu.Lock()
				block, ordinal, found = b, o, true
				mu.Unlock()
				return errFound
			}
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return block, ordinal, found && err == nil, err
}

// errFound ends a search.
var errFound = errors.New("found")
