package blocks_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// uidOf is the uid of an ordinal of the tests below.
func uidOf(o uint16) audience.UID {
	u := audience.UID{0: 1}
	binary.BigEndian.PutUint16(u[14:], o)
	return u
}

// TestUIDsAreThoseOfTheOrdinals copies the uids of members in whole words, single ones, and across parts, cold and warm.
func TestUIDsAreThoseOfTheOrdinals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t)
		r := rand.New(rand.NewPCG(1, 6))
		live := new(audience.Bits)
		live.SetRange(0, 50_000)
		for range 3000 {
			live.Unset(uint16(r.IntN(50_000)))
		}
		c := blocks.Change{
			Block: 1, Rows: map[audience.Field]*audience.Bits{"live": live}, UIDs: map[int][]audience.UID{}, Defs: blocks.Position{Revision: 2, Definition: 1},
		}
		for n := range blocks.Chunks {
			part := make([]audience.UID, blocks.ChunkSize)
			for i := range part {
				if o := uint16(n*blocks.ChunkSize + i); live.Has(o) {
					part[i] = uidOf(o)
				}
			}
			c.UIDs[n] = part
		}
		st, err := s.writer.Rewrite(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		publish(t, s.p, blocks.Update{Blocks: []blocks.BlockState{st}, Through: at(2), Asked: time.Now()})
		session, err := s.r.Begin(t.Context(), blocks.AtLeast(blocks.Position{Revision: 2}))
		if err != nil {
			t.Fatal(err)
		}
		before := uidOf(7)
		for round := range 60 {
			members := new(audience.Bits)
			for range r.IntN(5) {
				first := r.IntN(audience.BlockSize)
				members.SetRange(uint16(first), uint16(min(audience.BlockSize-1, first+r.IntN(9000))))
			}
			for range r.IntN(200) {
				members.Set(uint16(r.IntN(audience.BlockSize)))
			}
			want, missing := []audience.UID{before}, 0
			for o := range members.All() {
				if live.Has(o) {
					want = append(want, uidOf(o))
				} else {
					missing++
				}
			}
			if round%3 == 0 {
				if err := session.Warm(t.Context(), 1, members); err != nil {
					t.Fatal(err)
				}
				s.store.down = blocks.ErrStoreUnreachable // the live row is in memory since the first round
			}
			got, gone, err := session.UIDs(t.Context(), 1, members, []audience.UID{before})
			s.store.down = nil
			if round == 0 && err != nil {
				got, gone, err = session.UIDs(t.Context(), 1, members, []audience.UID{before})
			}
			if err != nil || gone != missing || !slices.Equal(got, want) {
				t.Fatalf("round %d: %d uids and %d gone, want %d and %d (%v)", round, len(got), gone, len(want), missing, err)
			}
		}
		if _, gone, err := session.UIDs(t.Context(), 99, bitsOf(1, 2), nil); err != nil || gone != 2 {
			t.Errorf("a block that is not there: %d gone, %v", gone, err)
		}
	})
}
