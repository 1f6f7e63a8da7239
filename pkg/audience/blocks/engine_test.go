package blocks_test

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// derived turns people into what a writer takes, with a segment's row beside.
func derived(t *testing.T, s *audience.Schema, block uint32, people map[uint16]audience.Facts, segment *audience.Bits) blocks.Change {
	t.Helper()
	c := blocks.Change{Block: block, Rows: map[audience.Field]*audience.Bits{audience.FieldLive: {}, "s/seg@1": segment}, Columns: map[audience.Field]*audience.Column{}, Defs: blocks.Position{Revision: 9}}
	nums := map[audience.Field]map[uint16]int64{}
	texts := map[audience.Field]map[uint16]string{}
	for o, facts := range people {
		d, err := audience.Derive(s, facts)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range d.Rows {
			if c.Rows[f] == nil {
				c.Rows[f] = new(audience.Bits)
			}
			c.Rows[f].Set(o)
		}
		for _, v := range d.Columns {
			if v.IsText {
				if texts[v.Field] == nil {
					texts[v.Field] = map[uint16]string{}
				}
				texts[v.Field][o] = v.Text
				continue
			}
			if nums[v.Field] == nil {
				nums[v.Field] = map[uint16]int64{}
			}
			nums[v.Field][o] = v.Num
		}
	}
	for f, values := range nums {
		c.Columns[f] = audience.NewNumColumn(maps.All(values))
	}
	for f, values := range texts {
		c.Columns[f] = audience.NewTextColumn(maps.All(values))
	}
	return c
}

// TestTheEngineOverBlocksAgreesWithTheNaiveLoop asks random questions, with and without passing over blocks proven empty, from a
// store and from memory.
func TestTheEngineOverBlocksAgreesWithTheNaiveLoop(t *testing.T) {
	questions := 400
	if testing.Short() {
		questions = 50
	}
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		s := audiencetest.Schema(r)
		set := set(t)
		people := map[uint32]map[uint16]audience.Facts{1: {}, 2: {}, 4: {}}
		segment := map[uint32]*audience.Bits{1: {}, 2: {}, 4: {}}
		var states []blocks.BlockState
		for b := range people {
			for range []int{0, 60, 6, 0, 40}[b] {
				o := uint16(r.IntN(audience.BlockSize))
				people[b][o] = audiencetest.Facts(r, s)
				if b != 4 && r.IntN(2) == 0 {
					segment[b].Set(o)
				}
			}
			st, err := set.writer.Rewrite(t.Context(), derived(t, s, b, people[b], segment[b]))
			if err != nil {
				t.Fatal(err)
			}
			states = append(states, st)
		}
		defs := &blocks.Definitions{}
		for _, name := range s.Names() {
			if a, _ := s.Attribute(name); a != nil && len(name) > 7 && name[:7] == audience.AttrCustomPrefix {
				defs.Attributes = append(defs.Attributes, audience.Attribute{Name: name, Kind: a.Kind})
			}
		}
		slices.SortFunc(defs.Attributes, func(a, b audience.Attribute) int {
			if a.Name < b.Name {
				return -1
			}
			return 1
		})
		publish(t, set.p, blocks.Update{Definitions: defs, Blocks: states, Through: at(9), Asked: time.Now()})
		synctest.Wait()

		skipped := int64(0)
		for n := range questions {
			pred := audiencetest.Pred(r, s, []string{"seg"}, 3)
			e, err := audience.Compile(pred, audience.Env{Schema: s, Day: audiencetest.Day, Segment: func(string) (audience.SegmentRef, error) {
				return audience.SegmentRef{Field: "s/seg@1"}, nil
			}})
			if err != nil {
				continue // random predicates may be refused; the engine's own tests say when
			}
			for _, q := range []blocks.Query{{Fields: e.Fields()}, {Select: e}} {
				got := map[uint32]*audience.Bits{}
				var mu sync.Mutex
				err := set.r.Answer(t.Context(), blocks.MinimizeLatency().AllowStale(), func(session *blocks.Session) error {
					defer func() { skipped += session.Stats().BlocksSkipped }()
					return session.ForEachBlock(t.Context(), q, func(b uint32, block audience.Block) error {
						out := new(audience.Bits)
						err := e.Eval(block, nil, out)
						mu.Lock()
						defer mu.Unlock()
						got[b] = out
						return err
					})
				})
				if err != nil {
					t.Fatalf("question %d (%s): %v", n, e, err)
				}
				for b := range people {
					for o, facts := range people[b] {
						want := audiencetest.Eval(pred, facts, audiencetest.Day, s, func(string) bool { return segment[b].Has(o) }) == audience.True
						if got[b].Has(o) != want {
							t.Fatalf("question %d (%s): block %d, ordinal %d is %t, want %t", n, e, b, o, !want, want)
						}
					}
				}
			}
		}
		if skipped == 0 {
			t.Error("no block was ever passed over")
		}
	})
}

func TestAnErrorOfTheCallerEndsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := set(t)
		mine := errors.New("mine")
		tries := 0
		err := set.r.Answer(t.Context(), blocks.MinimizeLatency(), func(s *blocks.Session) error {
			tries++
			return s.ForEachBlock(t.Context(), blocks.Query{}, func(uint32, audience.Block) error { return mine })
		})
		if !errors.Is(err, mine) || tries != 1 {
			t.Errorf("%v after %d tries", err, tries)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s, err := set.r.Begin(t.Context(), blocks.MinimizeLatency())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.ForEachBlock(ctx, blocks.Query{}, func(uint32, audience.Block) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want context.Canceled", err)
		}
		tries = 0
		err = set.r.Answer(t.Context(), blocks.MinimizeLatency(), func(*blocks.Session) error {
			tries++
			return blocks.ErrDefinitionsMoved
		})
		if !errors.Is(err, blocks.ErrDefinitionsMoved) || tries < 2 || tries > 10 {
			t.Errorf("definitions that never rest: %v after %d tries", err, tries)
		}
	})
}
