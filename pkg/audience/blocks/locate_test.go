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

// crowd is blocks of people as an index numbers them: an ordinal is one person's for ever, and blank when that one is deleted.
type crowd struct {
	s     *setting
	r     *rand.Rand
	uids  [][]audience.UID // by block and ordinal
	where map[audience.UID]uint32
	gone  []audience.UID
	next  uint64
}

func (c *crowd) add(block int) {
	c.next++
	var uid audience.UID
	binary.BigEndian.PutUint64(uid[8:], c.next)
	uid[0] = 1
	c.where[uid] = uint32(block)<<16 | uint32(len(c.uids[block]))
	c.uids[block] = append(c.uids[block], uid)
}

func (c *crowd) remove() {
	for uid, at := range c.where {
		c.uids[at>>16][at&0xffff] = audience.UID{}
		c.gone = append(c.gone, uid)
		delete(c.where, uid)
		return
	}
}

// publish writes some blocks and announces them.
func (c *crowd) publish(t *testing.T, revision uint64, list []int, reset bool) {
	t.Helper()
	var states []blocks.BlockState
	for _, n := range list {
		change := blocks.Change{
			Block: uint32(n), Defs: blocks.Position{Revision: 1, Definition: 1}, UIDs: make(map[int][]audience.UID),
			Rows: map[audience.Field]*audience.Bits{"live": {}, "f/gender=female": {}},
		}
		for o, uid := range c.uids[n] {
			if uid != (audience.UID{}) {
				change.Rows["live"].Set(uint16(o))
				if uid[15]%2 == 0 {
					change.Rows["f/gender=female"].Set(uint16(o))
				}
			}
		}
		for part := range slices.Chunk(c.uids[n], blocks.ChunkSize) {
			change.UIDs[len(change.UIDs)] = part
		}
		st, err := c.s.writer.Rewrite(t.Context(), change)
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, st)
	}
	u := blocks.Update{Reset: reset, Blocks: states, Through: at(revision), Asked: time.Now()}
	if reset {
		u.Definitions = &blocks.Definitions{}
	}
	publish(t, c.s.p, u)
	synctest.Wait()
}

// TestUIDsAreLocatedWhileTheyComeAndGo compares where uids are said to be with where they were put, after each of many frames.
func TestUIDsAreLocatedWhileTheyComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{s: set(t), r: rand.New(rand.NewPCG(9, 1)), uids: make([][]audience.UID, 3), where: make(map[audience.UID]uint32)}
		for n := range c.uids {
			for range 4090 + 10*n { // near the end of a part of the dictionary
				c.add(n)
			}
		}
		c.publish(t, 2, []int{0, 1, 2}, true)
		for round := range 30 {
			session, err := c.s.r.Begin(t.Context(), blocks.MinimizeLatency())
			if err != nil {
				t.Fatal(err)
			}
			c.compare(t, session)
			if round%7 == 6 {
				c.uids = append(c.uids, nil)
			}
			for range c.r.IntN(12) {
				c.add(c.r.IntN(len(c.uids)))
			}
			for range c.r.IntN(4) {
				c.remove()
			}
			// Who was removed may be in any block.
			list := make([]int, len(c.uids))
			for n := range list {
				list[n] = n
			}
			c.publish(t, uint64(3+round), list, false)
			// An answer that began before finds at most who was there then, and at its end.
			if err := session.Locate(t.Context(), c.gone[max(0, len(c.gone)-5):], session.View().Prepare(nil),
				func(int, uint32, audience.Block, uint16) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if len(c.gone) == 0 {
			t.Error("nobody was removed")
		}
	})
}

func (c *crowd) compare(t *testing.T, s *blocks.Session) {
	t.Helper()
	var asked []audience.UID
	for uid := range c.where {
		if asked = append(asked, uid); len(asked) == 200 {
			break
		}
	}
	living := len(asked)
	asked = append(append(asked, c.gone...), audience.UID{}, audience.UID{7})
	fields := s.View().Prepare([]audience.Field{"f/gender=female"})
	numbers := []int{fields.Number("f/gender=female")}
	found := make([]int, len(asked))
	err := s.Locate(t.Context(), asked, fields, func(at int, block uint32, b audience.Block, ordinal uint16) error {
		var in [1]bool
		if err := blocks.Holds(b, numbers, ordinal, in[:]); err != nil {
			return err
		}
		if want := asked[at][15]%2 == 0; in[0] != want {
			t.Errorf("the row says %v, want %v", in[0], want)
		}
		if place, ok := c.where[asked[at]]; !ok || place != block<<16|uint32(ordinal) {
			t.Errorf("somebody is said to be at %d of block %d, which is %v", ordinal, block, ok)
		}
		found[at]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range found {
		if want := i < living; (n == 1) != want || n > 1 {
			t.Errorf("uid %d was found %d times, lives %v", i, n, want)
		}
	}
}
