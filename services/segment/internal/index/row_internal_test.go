package index

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// TestRowsKeepTheirOrdinalsAcrossForms sets and clears ordinals around the limit at which a row changes its form, beside a plain
// set: rows of large blocks cross it, rows of small tests never do.
func TestRowsKeepTheirOrdinalsAcrossForms(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, space := range []int{3 * sparseMax / 2, 4 * sparseMax, audience.BlockSize} {
		r, want := new(row), map[uint16]bool{}
		check := func() {
			t.Helper()
			if got, want := slices.Collect(r.bitsOrEmpty().All()), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
				t.Fatalf("space %d: row has %d ordinals, want %d", space, len(got), len(want))
			}
			if r.n != len(want) {
				t.Fatalf("space %d: row counts %d, want %d", space, r.n, len(want))
			}
		}
		for i := range 6 * sparseMax {
			o := uint16(rng.IntN(space))
			// Mostly growing, then mostly shrinking.
			if grow := rng.IntN(10) < 7; grow == (i < 4*sparseMax) {
				if r.set(o) == want[o] {
					t.Fatalf("set(%d) reports a change wrongly", o)
				}
				want[o] = true
			} else {
				if r.unset(o) != want[o] {
					t.Fatalf("unset(%d) reports a change wrongly", o)
				}
				delete(want, o)
			}
			if r.has(o) != want[o] {
				t.Fatalf("has(%d) = %v", o, r.has(o))
			}
			if n := len(want); n >= sparseMax-1 && n <= sparseMax+2 || i%997 == 0 {
				check()
			}
		}
		check()
	}
}

func (r *row) bitsOrEmpty() *audience.Bits {
	if b := r.bits(); b != nil {
		return b
	}
	return new(audience.Bits)
}

func TestPurityCountsEachProfileInItsNarrowestRegion(t *testing.T) {
	b := newBlock(0)
	schema, err := audience.NewSchema("EUR", nil)
	if err != nil {
		t.Fatal(err)
	}
	var d audience.Derived
	for o, code := range []string{"FR-40", "FR-40", "FR-33", "FR-NAQ", "FR", "LU", ""} {
		facts := audience.Facts{}
		if code != "" {
			facts[audience.AttrRegion] = audience.Value{Text: code}
		}
		if err := d.Set(schema, facts); err != nil {
			t.Fatal(err)
		}
		b.put(uint16(o), &d)
	}
	if all, most := b.regions(); all != 6 || most != 2 {
		t.Errorf("%d have a region, %d the commonest; want 6 and 2", all, most)
	}
}
