package index_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/segment/internal/index"
)

// shares is where people live, by regions of very different sizes, some below the limit of a lane.
var shares = []struct {
	code   string
	people int
}{
	{"FR-40", 70_000}, {"FR-33", 12_000}, {"FR-64", 3000}, {"FR-24", 1200}, {"FR-NAQ", 500}, {"DE-BE", 14_000}, {"DE-HB", 9000},
	{"DE-SL", 700}, {"LU", 400}, {"MT-01", 300}, {"AD", 5}, {"", 9000}, {"ES-M", 180_000},
}

// settlers are everybody of shares, born in seven decades. Those who are alike share their facts.
func settlers(r *rand.Rand) []audience.Facts {
	type kind struct {
		code string
		year int64
	}
	kinds := make(map[kind]audience.Facts)
	var all []audience.Facts
	for _, s := range shares {
		for range s.people {
			k := kind{s.code, 1940 + r.Int64N(71)}
			f, ok := kinds[k]
			if !ok {
				f = audience.Facts{}
				if k.code != "" {
					f[audience.AttrRegion] = audience.Value{Text: k.code}
				}
				if day := audience.DayOf(k.year, 6, 1); k.year < 2010 { // the last year stands for nobody knows
					f[audience.AttrBirthDate] = audience.Value{Num: day, Last: day}
				}
				kinds[k] = f
			}
			all = append(all, f)
		}
	}
	return all
}

// numbered is what an assigner made of people who arrived one after the other.
type numbered struct {
	fill   []int
	blocks []int // of each person
}

func (n *numbered) number(t *testing.T, a index.Assigner, people []audience.Facts) {
	t.Helper()
	for _, f := range people {
		b := a.Block(audience.UID{}, f, n.fill)
		if b < 0 || b > len(n.fill) || b < len(n.fill) && n.fill[b] >= audience.BlockSize {
			t.Fatalf("block %d of %d is chosen, with %v taken", b, len(n.fill), n.fill)
		}
		if b == len(n.fill) {
			n.fill = append(n.fill, 0)
		}
		n.fill[b]++
		n.blocks = append(n.blocks, b)
	}
}

// regions are the blocks that each region touches.
func (n *numbered) regions(people []audience.Facts) map[string]map[int]bool {
	seen := make(map[string]map[int]bool)
	for i, f := range people {
		code := f[audience.AttrRegion].Text
		if seen[code] == nil {
			seen[code] = make(map[int]bool)
		}
		seen[code][n.blocks[i]] = true
	}
	return seen
}

// touched counts the blocks in which somebody fits.
func (n *numbered) touched(people []audience.Facts, fits func(audience.Facts) bool) int {
	seen := make(map[int]bool)
	for i, f := range people {
		if fits(f) {
			seen[n.blocks[i]] = true
		}
	}
	return len(seen)
}

func TestPeopleOfARegionShareBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	people := settlers(r)
	r.Shuffle(len(people), func(i, j int) { people[i], people[j] = people[j], people[i] })
	var lanes, dense numbered
	lanes.number(t, new(index.Lanes), people)
	dense.number(t, index.Dense{}, people)
	inLanes, inOrder := lanes.regions(people), dense.regions(people)
	for _, s := range shares {
		got, other := len(inLanes[s.code]), len(inOrder[s.code])
		t.Logf("%-6s %7d people in %2d blocks; in the order of arrival %2d", s.code, s.people, got, other)
		// Its own, one that is not full, and those that it shared before it had its own.
		if limit := s.people/audience.BlockSize + 3 + 7; s.code != "" && got > limit {
			t.Errorf("%s touches %d blocks", s.code, got)
		}
	}
	if got := len(inLanes["FR-40"]); got > 4 || got >= len(inOrder["FR-40"]) {
		t.Errorf("FR-40, whom one block would not hold, touches %d blocks", got)
	}
	// Blocks that are not full cost: at most one for each lane that has enough people, and the shared ones.
	if got, least := len(lanes.fill), len(dense.fill); got > least+25 {
		t.Errorf("%d blocks where %d would do", got, least)
	}
	sorted := slices.Clone(people)
	slices.SortStableFunc(sorted, new(index.Lanes).Compare)
	var line numbered
	line.number(t, new(index.Lanes), sorted)
	if got := len(line.regions(sorted)["FR-40"]); got > 4 {
		t.Errorf("FR-40 arrives together and touches %d blocks", got)
	}
}

// TestDecadesOfALargeRegionShareBlocks numbers a region whose decades are large enough to have blocks, without knowing how large.
func TestDecadesOfALargeRegionShareBlocks(t *testing.T) {
	const limit = audience.BlockSize / 2
	r := rand.New(rand.NewPCG(7, 8))
	var people []audience.Facts
	kinds := make(map[int64]audience.Facts)
	for range 6 * audience.BlockSize {
		day := audience.DayOf(1950+r.Int64N(40), 6, 1)
		if kinds[day] == nil {
			kinds[day] = audience.Facts{audience.AttrRegion: {Text: "ES-M"}, audience.AttrBirthDate: {Num: day, Last: day}}
		}
		people = append(people, kinds[day])
	}
	var n numbered
	n.number(t, index.SmallLanes(0, limit), people)
	eighties := n.touched(people, func(f audience.Facts) bool { return f[audience.AttrBirthDate].Num > audience.DayOf(1980, 3, 1) })
	if all := len(n.fill); eighties > all-3 || all > 6+4 { // a quarter of the people: two blocks, and those that they shared before
		t.Errorf("those born in the eighties touch %d of %d blocks", eighties, all)
	}
}

func TestLanesGoOnAfterARestart(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	people := settlers(r)
	r.Shuffle(len(people), func(i, j int) { people[i], people[j] = people[j], people[i] })
	half := len(people) / 2
	var straight numbered
	straight.number(t, new(index.Lanes), people)

	var n numbered
	lanes := new(index.Lanes)
	n.number(t, lanes, people[:half])
	lanes.Reset()
	for i, f := range people[:half] {
		lanes.Seen(n.blocks[i], f, 1)
	}
	n.number(t, lanes, people[half:])
	if got, want := len(n.fill), len(straight.fill); got > want+2 {
		t.Errorf("%d blocks after a restart, %d without one", got, want)
	}
	got, want := n.regions(people), straight.regions(people)
	for code := range want {
		if len(got[code]) > len(want[code])+2 {
			t.Errorf("%q touches %d blocks after a restart, %d without one", code, len(got[code]), len(want[code]))
		}
	}
}

func TestPeopleWhoArriveTogetherAreOrderedByRegionAndBirth(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	people := settlers(r)
	r.Shuffle(len(people), func(i, j int) { people[i], people[j] = people[j], people[i] })
	people = people[:5000]
	lanes := new(index.Lanes)
	slices.SortFunc(people, lanes.Compare)
	for i := 1; i < len(people); i++ {
		a, b := people[i-1], people[i]
		if lanes.Compare(a, b) > 0 || lanes.Compare(b, a) < 0 {
			t.Fatal("not an order")
		}
		x, y := a[audience.AttrRegion].Text, b[audience.AttrRegion].Text
		bx, by := a[audience.AttrBirthDate].Num, b[audience.AttrBirthDate].Num
		_, earlier := a[audience.AttrBirthDate]
		_, known := b[audience.AttrBirthDate]
		if x > y || x == y && earlier && (!known || bx > by) {
			t.Fatalf("%s %d stands before %s %d", x, bx, y, by)
		}
	}
}
