package blocks_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// fill writes many blocks with random rows, and returns what is in them.
func (s *setting) fill(t *testing.T, r *rand.Rand, count int) []blocks.Change {
	t.Helper()
	list := make([]blocks.Change, count)
	var states []blocks.BlockState
	for i := range list {
		c := blocks.Change{Block: uint32(i), Rows: map[audience.Field]*audience.Bits{}, Defs: blocks.Position{Revision: 1, Definition: 1}}
		for _, f := range []audience.Field{"live", "f/interests=a", "f/interests=b", "s/a@1"} {
			row := new(audience.Bits)
			for range r.IntN(60) {
				row.Set(uint16(r.IntN(500)))
			}
			if f != "live" && f != "s/a@1" {
				row.And(c.Rows["live"])
			}
			c.Rows[f] = row
		}
		list[i] = c
		st, err := s.writer.Rewrite(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, st)
	}
	publish(t, s.p, blocks.Update{Reset: true, Blocks: states, Definitions: &blocks.Definitions{}, Through: at(2), Asked: time.Now()})
	synctest.Wait()
	return list
}

func TestAScanAgreesWithTheNaiveLoopColdAndWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t)
		r := rand.New(rand.NewPCG(2, 3))
		list := s.fill(t, r, 150)
		schema, err := audience.NewSchema("EUR", nil)
		if err != nil {
			t.Fatal(err)
		}
		e := audience.MustCompile(audience.And{
			audience.Contains{Attr: audience.AttrInterests, Texts: []string{"a"}}, audience.Not{X: audience.Member{Segment: "a"}},
		}, audience.Env{Schema: schema, Segment: func(string) (audience.SegmentRef, error) { return audience.SegmentRef{Field: "s/a@1"}, nil }})
		for round := range 3 {
			session, err := s.r.Begin(t.Context(), blocks.MinimizeLatency())
			if err != nil {
				t.Fatal(err)
			}
			got := make([]audience.Row, len(list))
			var calls atomic.Int64
			reads := s.store.reads.Load()
			_, err = session.Scan(t.Context(), blocks.Scan{
				Fields: session.View().Prepare(e.Fields()),
				Look:   blocks.Absent(e),
				Do: func(scanner, at int, b audience.Block) error {
					if scanner < 0 || scanner >= session.Scanners() {
						t.Errorf("scanner %d of %d", scanner, session.Scanners())
					}
					members, err := e.Members(b)
					if err != nil {
						return err
					}
					calls.Add(1)
					got[at] = members
					return nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range list {
				want := *c.Rows["f/interests=a"]
				want.AndNot(c.Rows["s/a@1"])
				want.And(c.Rows["live"])
				if !got[i].Bits().Equal(&want) {
					t.Fatalf("round %d: block %d has %d members, want %d", round, i, got[i].Count(), want.Count())
				}
			}
			stats := session.Stats()
			if n := calls.Load(); n != stats.BlocksEvaluated || n+stats.BlocksSkipped != int64(len(list)) {
				t.Errorf("round %d: %d calls, %+v", round, n, stats)
			}
			// Cold, each directory is read, and then what is needed of those blocks for which it was not enough.
			want := int64(0)
			if round == 0 {
				want = int64(len(list)) + stats.BlocksEvaluated
			}
			if got := s.store.reads.Load() - reads; got != want || stats.BlocksSkipped == 0 {
				t.Errorf("round %d: %d reads, want %d, %+v", round, got, want, stats)
			}
		}
	})
}

func TestAScanReadsNothingThatItDoesNotReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t)
		s.fill(t, rand.New(rand.NewPCG(2, 4)), 20)
		scan := func(list []audience.Field, ask audience.Field) int64 {
			session, err := s.r.Begin(t.Context(), blocks.MinimizeLatency())
			if err != nil {
				t.Fatal(err)
			}
			reads := s.store.reads.Load()
			if _, err := session.Scan(t.Context(), blocks.Scan{Fields: session.View().Prepare(list), Do: func(_, _ int, b audience.Block) error {
				if _, ok := b.Row(ask); !ok {
					return audience.ErrUnknown
				}
				return nil
			}}); err != nil {
				t.Fatal(err)
			}
			return s.store.reads.Load() - reads
		}
		if n := scan([]audience.Field{"f/interests=a"}, "f/interests=a"); n != 20 {
			t.Errorf("cold: %d reads, want one of each block", n)
		}
		// A field that is not in memory and is not asked for costs nothing, and neither does one that no block could know.
		if n := scan([]audience.Field{"f/interests=a", "f/interests=b", "s/unknown@1"}, "f/interests=a"); n != 0 {
			t.Errorf("%d reads, want none", n)
		}
	})
}

func TestAScanEndsWithTheFirstErrorOrItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t)
		s.fill(t, rand.New(rand.NewPCG(2, 5)), 120)
		mine := errors.New("mine")
		for range 2 { // cold and warm
			session, err := s.r.Begin(t.Context(), blocks.MinimizeLatency())
			if err != nil {
				t.Fatal(err)
			}
			fields := session.View().Prepare([]audience.Field{"f/interests=a"})
			if _, err := session.Scan(t.Context(), blocks.Scan{Fields: fields, Do: func(int, int, audience.Block) error { return nil }}); err != nil {
				t.Fatal(err)
			}
			if _, err := session.Scan(t.Context(), blocks.Scan{Fields: fields, Do: func(_, at int, _ audience.Block) error {
				if at == 70 {
					return mine
				}
				return nil
			}}); !errors.Is(err, mine) {
				t.Errorf("%v, want the error of the block", err)
			}
			// In the middle of a block: an evaluation that asks is told.
			ctx, cancel := context.WithCancel(t.Context())
			_, err = session.Scan(ctx, blocks.Scan{Fields: fields, Do: func(_, at int, b audience.Block) error {
				if at == 3 {
					cancel()
				}
				return b.(audience.Stopper).Stopped() //nolint:forcetypeassert // it is one
			}})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want context.Canceled", err)
			}
		}
	})
}

// TestAPreparedQuestionOfOtherDefinitionsIsMadeReadyAgain asks with fields prepared before an attribute was declared.
func TestAPreparedQuestionOfOtherDefinitionsIsMadeReadyAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t)
		s.fail.Store(true)
		ask := func(p *blocks.Prepared) error {
			session, err := s.r.Begin(t.Context(), blocks.MinimizeLatency().AllowStale())
			if err != nil {
				t.Fatal(err)
			}
			_, err = session.Scan(t.Context(), blocks.Scan{Fields: p, Do: func(_, _ int, b audience.Block) error {
				if _, ok := b.Row("f/custom.late=x"); !ok {
					return audience.ErrUnknown
				}
				return nil
			}})
			return err
		}
		before := s.f.View().Prepare([]audience.Field{"f/custom.late=x"})
		if err := ask(before); !errors.Is(err, blocks.ErrBlockUnknown) {
			t.Errorf("before it is declared: %v", err)
		}
		defs := &blocks.Definitions{Attributes: []audience.Attribute{{Name: "custom.late", Revision: 1}}}
		publish(t, s.p, blocks.Update{Definitions: defs, Through: at(3), Asked: time.Now()})
		synctest.Wait()
		if err := ask(before); err != nil {
			t.Errorf("after it was declared, at a revision that the block has: %v", err)
		}
		if !slices.Equal(s.f.View().Blocks(), []uint32{1}) || s.f.View().Len() != 1 || s.f.View().Block(0) != 1 {
			t.Errorf("blocks %v", s.f.View().Blocks())
		}
	})
}
