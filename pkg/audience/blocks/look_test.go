package blocks_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// TestOnlyBlocksThatChangedAreLookedAtAgain scans after each of several frames with the looks of before, and holds what it is told
// against a scan that keeps nothing.
func TestOnlyBlocksThatChangedAreLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t)
		r := rand.New(rand.NewPCG(7, 7))
		const count = 300
		list := s.fill(t, r, count)
		const field = audience.Field("f/interests=a")
		var kept blocks.Looks
		scan := func(looks *blocks.Looks) (told [2]uint64, calls, done int) {
			session, err := s.r.Begin(t.Context(), blocks.MinimizeLatency())
			if err != nil {
				t.Fatal(err)
			}
			told, err = session.Scan(t.Context(), blocks.Scan{
				Fields: session.View().Prepare([]audience.Field{field}),
				Look: func(b audience.Block) blocks.Look {
					calls++
					live, _ := b.Cardinality(audience.FieldLive)
					n, ok := b.Cardinality(field)
					return blocks.Look{Done: ok && n < 20, Found: n > 0, Told: [2]uint32{uint32(live), uint32(n)}}
				},
				Looks: looks,
				Do:    func(int, int, audience.Block) error { return nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			stats := session.Stats()
			return told, calls, int(stats.BlocksEvaluated)<<16 | int(stats.BlocksSkipped)
		}
		// Full frames carry no directories here, so at first nothing is known; the scan reads them, and then looks.
		if _, calls, _ := scan(&kept); calls != count {
			t.Errorf("%d blocks looked at after their directories were read, want all %d", calls, count)
		}
		if _, calls, _ := scan(&kept); calls != 0 {
			t.Errorf("%d blocks looked at again", calls)
		}
		for round := range 5 {
			changed := map[int]bool{}
			var states []blocks.BlockState
			for range round * 3 {
				i := r.IntN(count)
				if changed[i] {
					continue
				}
				changed[i] = true
				row := list[i].Rows[field]
				if row.Has(1) {
					row.Unset(1)
				} else {
					row.Set(1)
				}
				st, _, err := s.writer.Apply(t.Context(), blocks.Change{Block: uint32(i), Rows: map[audience.Field]*audience.Bits{field: row}, Defs: list[i].Defs})
				if err != nil {
					t.Fatal(err)
				}
				states = append(states, st)
			}
			publish(t, s.p, blocks.Update{Blocks: states, Through: at(uint64(3 + round)), Asked: time.Now()})
			synctest.Wait()
			told, calls, stats := scan(&kept)
			if calls != len(changed) {
				t.Errorf("%d blocks looked at, %d changed", calls, len(changed))
			}
			want, _, wantStats := scan(nil)
			if told != want || stats != wantStats || told[0] == 0 {
				t.Errorf("told %v (%x), want %v (%x)", told, stats, want, wantStats)
			}
		}
		s.fill(t, r, count) // a whole frame
		if told, _, _ := scan(&kept); told == [2]uint64{} {
			t.Error("nothing is told after a whole frame")
		} else if want, _, _ := scan(nil); told != want {
			t.Errorf("told %v after a whole frame, want %v", told, want)
		}
	})
}
