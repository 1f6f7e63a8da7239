package audience_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
)

func TestOverlapCountsWhatPairsHaveInCommon(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 3))
	for range 4 {
		list := forms(r, r.Perm)
		rows := slices.Collect(all(list))
		n := len(rows)
		counts := make([]uint64, n*n)
		for i := range counts {
			counts[i] = 7
		}
		audience.Overlap(rows, counts)
		for i := range rows {
			for j := range rows {
				want := uint64(7)
				if i <= j {
					want += uint64(list[i].AndCount(list[j]))
				}
				if counts[i*n+j] != want {
					t.Fatalf("%d and %d have %d in common, want %d", rows[i].Count(), rows[j].Count(), counts[i*n+j]-7, want-7)
				}
			}
		}
	}
	audience.Overlap(nil, nil)
}

// BenchmarkOverlap compares 20 rows with each other, and prints the time of a pair beside that of ANDing two bitmaps.
func BenchmarkOverlap(b *testing.B) {
	const segments, many = 20, 16
	r := rand.New(rand.NewPCG(5, 5))
	held := make([][]audience.Row, many)
	for i := range held {
		for range segments {
			held[i] = append(held[i], audience.NewRow(scattered(r, 3277)))
		}
	}
	counts := make([]uint64, segments*segments)
	least, dense := 0.0, 0.0
	b.ReportAllocs()
	for b.Loop() {
		least = smaller(least, many*segments*(segments-1)/2, func() {
			for _, rows := range held {
				audience.Overlap(rows, counts)
			}
		})
		dense = smaller(dense, many*(segments-1), func() {
			for _, rows := range held {
				for i := 1; i < segments; i++ {
					counts[0] += uint64(rows[0].AndCount(rows[i].Bits()))
				}
			}
		})
	}
	b.ReportMetric(least, "ns/pair")
	b.ReportMetric(least/dense, "x-dense")
}

func TestOverlapOfExpressionsIsThatOfTheirMembers(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(6, 3))
	w := newWorld(t, r)
	env := w.env
	for range 40 {
		var exprs []*audience.Expr
		for range 1 + r.IntN(6) {
			e, err := audience.Compile(audiencetest.Pred(r, w.schema, w.segments, 2), env)
			if err != nil {
				t.Fatal(err)
			}
			exprs = append(exprs, e)
		}
		n := len(exprs)
		got, want := make([]uint64, n*n), make([]uint64, n*n)
		for _, b := range w.blocks {
			if err := audience.OverlapOf(exprs, b, got); err != nil {
				t.Fatal(err)
			}
			for i := range exprs {
				for j := i; j < n; j++ {
					var x, y audience.Bits
					if err := errors.Join(exprs[i].Eval(b, nil, &x), exprs[j].Eval(b, nil, &y)); err != nil {
						t.Fatal(err)
					}
					want[i*n+j] += uint64(x.AndCount(&y))
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v, want %v, of %v", got, want, exprs)
		}
	}
}
