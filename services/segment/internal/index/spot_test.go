package index_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/narrowcast/narrowcast/services/segment/internal/index"
)

// TestManyChangesOfABlockAtOnceAreEvaluatedAsFewAre crosses the number of changes from which whole words are evaluated.
func TestManyChangesOfABlockAtOnceAreEvaluatedAsFewAre(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, 25, index.Dense{})
	w.add(900)
	known := slices.SortedFunc(maps.Keys(w.people), compareUIDs)
	w.list("listed", append(known[:200:200], w.newUID())...)
	w.replay()
	w.segment("base", w.randomRule(3))
	w.segment("above", w.randomRule(3, "base", "listed"))
	w.tick()
	w.check()
	for _, n := range []int{index.SpotMost - 1, index.SpotMost, index.SpotMost + 1, 700, 3} {
		w.offer(w.alter(n, 0)...)
		w.tick()
		w.check()
		w.offer(w.alter(0, n/4)...)
		w.offer(w.add(n)...)
		w.tick()
		w.check()
	}
}
