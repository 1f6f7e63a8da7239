package bench

import (
	"math"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/region"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

func TestEveryRegionIsWhereTheEngineSaysItIs(t *testing.T) {
	sum := 0.0
	mid := 0.0
	for _, p := range regions {
		if !region.Valid(p.code) {
			t.Errorf("%s is no code", p.code)
		}
		for _, up := range p.up[1:] {
			if !region.Contains(up, p.code) {
				t.Errorf("%s does not lie in %s", p.code, up)
			}
		}
		if p.code == midRegion {
			mid = p.weight
		}
		sum += p.weight
	}
	if math.Abs(sum-1) > 1e-9 || mid < .008 || mid > .014 {
		t.Errorf("weights add up to %v; that of %s is %v", sum, midRegion, mid)
	}
}

func TestTheCrowdIsAFunctionOfSeedAndRank(t *testing.T) {
	const n = 50_000
	for _, layout := range []string{LayoutSorted, LayoutShuffled} {
		c, again, other := newCrowd(7, n, layout), newCrowd(7, n, layout), newCrowd(8, n, layout)
		uids := make(map[audience.UID]bool, n)
		positions := make([]bool, n)
		differ, moved := 0, 0
		last := person{}
		for rank := range n {
			p := c.at(rank, true)
			if p != again.at(rank, true) {
				t.Fatalf("%s: person %d is another one the second time", layout, rank)
			}
			if p != other.at(rank, true) {
				differ++
			}
			before := c.at(rank, false)
			if before.region != p.region {
				moved++
				if !c.moves(rank) {
					t.Fatalf("%s: person %d moved and should not have", layout, rank)
				}
			}
			if before.region < last.region || before.region == last.region && before.year != 0 && last.year > before.year {
				t.Fatalf("%s: person %d is out of order", layout, rank)
			}
			if before.year == 0 && before.region == last.region {
				before.year = last.year
			}
			last = before
			at := c.position(rank)
			if at < 0 || at >= n || positions[at] || c.rank(at) != rank {
				t.Fatalf("%s: rank %d has position %d, which has rank %d", layout, rank, at, c.rank(at))
			}
			positions[at] = true
			u := c.uid(rank)
			if again, ok := wire.ParseUID(wire.FormatUID(u)); !ok || again != u || u[6]>>4 != 7 || u[8]>>6 != 2 || uids[u] {
				t.Fatalf("%s: uid %x of person %d", layout, u, rank)
			}
			uids[u] = true
		}
		if differ < n*9/10 {
			t.Errorf("%s: another seed changed only %d people", layout, differ)
		}
		if want := map[string]int{LayoutSorted: 0, LayoutShuffled: n / 10}[layout]; math.Abs(float64(moved-want)) > n/100 {
			t.Errorf("%s: %d moved, about %d should", layout, moved, want)
		}
	}
}

func TestUidsFollowTheOrderOfTheImport(t *testing.T) {
	c := newCrowd(1, 10_000, LayoutShuffled)
	var last audience.UID
	for position := range c.n {
		u := c.uid(c.rank(position))
		if string(u[:7]) < string(last[:7]) {
			t.Fatalf("position %d: %x after %x", position, u, last)
		}
		last = u
	}
}

func TestAges(t *testing.T) {
	p := person{year: 2000, month: 2, day: 29}
	for _, c := range []struct {
		on   string
		want int
	}{{"2025-02-28", 24}, {"2025-03-01", 25}, {"2024-02-28", 23}, {"2024-02-29", 24}, {"2024-12-31", 24}} {
		on, err := time.Parse(time.DateOnly, c.on)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := p.age(dayOf(on)); !ok || got != c.want {
			t.Errorf("on %s: %d, %v", c.on, got, ok)
		}
	}
	if _, ok := (&person{}).age(day{2025, 1, 1}); ok {
		t.Error("an age without a birth")
	}
}

func TestSegmentsHaveTheSharesTheyAreMadeFor(t *testing.T) {
	const n = 200_000
	c := newCrowd(3, n, LayoutSorted)
	truth := c.count(day{2026, 6, 15})
	lists := 0
	for k := range segments {
		s := &segments[k]
		got := float64(truth.segments[k])
		if s.rule == "" {
			lists++
		}
		// The bands are coarse at the lower end and the bases are only roughly of their share.
		if want := s.target * n; got < want/4-10 || got > want*4+10 {
			t.Errorf("%s (%s) has %v members, made for %v", s.id, s.rule, got, want)
		}
	}
	if lists < 20 || len(segments) != segmentCount {
		t.Errorf("%d segments, %d static lists", len(segments), lists)
	}
	for name, want := range map[string]float64{nameQ1: 332. / 1e7, nameQ4: 631_349. / 1e7} {
		if got := float64(truth.total(name)) / n; got < want/3 || got > want*3 {
			t.Errorf("%s has a share of %v, the peers had %v", name, got, want)
		}
	}
	if five, ten := float64(truth.segments[segment5])/n, float64(truth.segments[segment10])/n; math.Abs(five-.05) > .01 || math.Abs(ten-.1) > .02 {
		t.Errorf("the segments that questions name have shares of %v and %v", five, ten)
	}
}
