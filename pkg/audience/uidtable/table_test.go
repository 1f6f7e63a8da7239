package uidtable_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/uidtable"
)

func uid(n uint64) (u audience.UID) {
	binary.BigEndian.PutUint64(u[8:], n)
	return u
}

// twin is a table as a map keeps it.
type twin map[audience.UID][]uint32

// agree compares what the table shows of a uid: all of the twin's and perhaps others.
func agree(t *testing.T, table *uidtable.Table, w twin, u audience.UID) {
	t.Helper()
	var shown []uint32
	if ref, ok := table.Find(u, func(ref uint32) bool { shown = append(shown, ref); return false }); ok {
		t.Fatalf("found %d, which was not it", ref)
	}
	for _, ref := range w[u] {
		if !slices.Contains(shown, ref) {
			t.Fatalf("%d of %x is not shown, only %d", ref, u, shown)
		}
		if got, ok := table.Find(u, func(r uint32) bool { return r == ref }); !ok || got != ref {
			t.Fatalf("%d of %x is not found", ref, u)
		}
	}
}

func run(t *testing.T, r *rand.Rand, steps, uids int) {
	t.Helper()
	table, w, n := uidtable.New(0), twin{}, 0
	for step := range steps {
		u := uid(r.Uint64N(uint64(uids)))
		if list := w[u]; len(list) > 0 && r.IntN(3) == 0 {
			i := r.IntN(len(list))
			if !table.Remove(u, list[i]) {
				t.Fatalf("step %d: %d is not there", step, list[i])
			}
			w[u] = slices.Delete(list, i, i+1)
			n--
		} else {
			ref := r.Uint32()
			table.Add(u, ref)
			w[u] = append(w[u], ref)
			n++
		}
		if slices.Contains(w[u], 7) != table.Remove(u, 7) {
			t.Fatalf("step %d: removed what was not there", step)
		}
		if table.Len() != n {
			t.Fatalf("step %d: %d references, want %d", step, table.Len(), n)
		}
		if step%64 == 0 || step == steps-1 {
			for i := range min(uids, 200) {
				agree(t, table, w, uid(uint64(i)))
			}
		}
	}
	if used := float64(table.Len()) / float64(table.Size()/8); used > .81 {
		t.Errorf("%.2f of the places are used", used)
	}
}

func TestATableShowsWhatWasAdded(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 9))
	for _, uids := range []int{1, 3, 50, 4000} {
		run(t, r, 5000, uids)
	}
}

func FuzzTable(f *testing.F) {
	f.Add(uint64(1), 10)
	f.Fuzz(func(t *testing.T, seed uint64, uids int) { run(t, rand.New(rand.NewPCG(seed, 1)), 300, 1+uids&63) })
}

func TestFewOthersAreShown(t *testing.T) {
	t.Parallel()
	const n = 300_000
	table := uidtable.New(n)
	before := table.Size()
	for i := range uint64(n) {
		table.Add(uid(i), uint32(i))
	}
	if table.Size() != before {
		t.Error("the table grew although it had room")
	}
	others := 0
	for i := range uint64(n) {
		table.Find(uid(i), func(ref uint32) bool {
			if ref != uint32(i) {
				others++
			}
			return ref == uint32(i)
		})
	}
	if others > n/100 {
		t.Errorf("%d others are shown for %d", others, n)
	}
}

func BenchmarkTable(b *testing.B) {
	const n = 1 << 20
	table, twin := uidtable.New(0), make(map[audience.UID]uint32)
	for i := range uint64(n) {
		table.Add(uid(i), uint32(i))
		twin[uid(i)] = uint32(i)
	}
	b.Run("find", func(b *testing.B) {
		for i := uint64(0); b.Loop(); i++ {
			at := i * 2654435761 % n
			if _, ok := table.Find(uid(at), func(ref uint32) bool { return ref == uint32(at) }); !ok {
				b.Fatal("not found")
			}
		}
		b.ReportMetric(float64(table.Size())/n, "bytes/uid")
	})
	b.Run("map", func(b *testing.B) {
		for i := uint64(0); b.Loop(); i++ {
			if _, ok := twin[uid(i*2654435761%n)]; !ok {
				b.Fatal("not found")
			}
		}
	})
}
