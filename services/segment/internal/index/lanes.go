package index

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/region"
)

// Arranger is an Assigner that goes by what profiles have in common. Answers never depend on it, only how many blocks they touch.
type Arranger interface {
	Assigner
	// Reset forgets everything: another layout begins.
	Reset()
	// Seen tells of a profile that has its ordinal from before: the index has started with a layout that was begun earlier.
	Seen(block int, facts audience.Facts, people int)
	// Compare orders profiles that arrive together, before they are numbered: whoever is alike comes to stand together.
	Compare(a, b audience.Facts) int
}

// From how many profiles a part of the world has blocks of its own, and those of one decade of birth within it. Below, they share
// those of the next larger part. A block costs some kilobytes of directory however few it holds, so it must not be opened for a few.
const (
	laneRegion = audience.BlockSize / 8
	laneDecade = 2 * audience.BlockSize
)

// Lanes numbers the profiles of a region in blocks of that region, as soon as there are enough of them, and those of a large one by their
// decade of birth: a question about a region then touches few blocks. Small regions share the blocks of what they lie in. Who moves
// keeps the ordinal. The zero value is ready.
type Lanes struct {
	region, decade int // instead of laneRegion and laneDecade, unless 0

	world  *area
	areas  map[string]*area // by code
	blocks []laneBlock      // by number
	taken  map[int]*lane    // the lanes of blocks that are open
	chain  []*lane          // reused
}

// area is a part of the world: everybody, or a country or subdivision.
type area struct {
	lanes   []*lane // those of all that it lies in, the widest first, and its own
	decades map[int16]*lane
}

// lane is the people of an area, or those of them born in one decade, who may have blocks of their own.
type lane struct {
	depth  int // how narrow it is
	least  int // how many it must have had before it has blocks
	people int // seen or numbered
	open   int // the block that takes the next of them; below 0 there is none
}

// laneBlock is what is known of one block.
type laneBlock struct {
	people int
	in     map[*lane]int
}

// Reset implements Arranger.
func (l *Lanes) Reset() { *l = Lanes{region: l.region, decade: l.decade} }

// area returns the area of a code; what is no code is anywhere in the world.
func (l *Lanes) area(code string) *area {
	if a := l.areas[code]; a != nil {
		return a
	}
	if l.world == nil {
		l.world = l.within(nil, 0)
		l.areas, l.taken = make(map[string]*area), make(map[int]*lane)
	}
	if !region.Valid(code) {
		return l.world
	}
	over := l.world
	if above := region.Ancestors(code); len(above) > 0 {
		over = l.area(above[0])
	}
	a := l.within(over.lanes, cmp.Or(l.region, laneRegion))
	l.areas[code] = a
	return a
}

func (l *Lanes) within(over []*lane, least int) *area {
	own := &lane{depth: 2 * len(over), least: least, open: -1}
	return &area{lanes: append(slices.Clone(over), own), decades: make(map[int16]*lane)}
}

// lanes returns the lanes that a profile belongs to, the widest first. The result is valid until the next call.
func (l *Lanes) lanes(facts audience.Facts) []*lane {
	a := l.area(facts[audience.AttrRegion].Text)
	l.chain = append(l.chain[:0], a.lanes...)
	if birth, ok := facts[audience.AttrBirthDate]; ok {
		of := decade(birth.Num)
		d := a.decades[of]
		if d == nil {
			d = &lane{depth: a.lanes[len(a.lanes)-1].depth + 1, least: cmp.Or(l.decade, laneDecade), open: -1}
			a.decades[of] = d
		}
		l.chain = append(l.chain, d)
	}
	return l.chain
}

// decade is the decade in which a day lies, by years of mean length: at its edges it may be wrong by a day.
func decade(day int64) int16 {
	const meanYear = 365.2425
	return int16(math.Floor((1970 + float64(day)/meanYear) / 10))
}

// Block implements Assigner.
func (l *Lanes) Block(_ audience.UID, facts audience.Facts, fill []int) int {
	chain := l.lanes(facts)
	own := chain[0]
	for _, c := range chain {
		c.people++
		if c.people > c.least {
			own = c
		}
	}
	if own.open < 0 || own.open >= len(fill) || fill[own.open] >= audience.BlockSize {
		l.reopen(own, fill)
	}
	l.tally(own.open, chain, 1)
	return own.open
}

// reopen opens a block for the next profiles of a lane: one with room that was the lane's before a restart, or a new one.
func (l *Lanes) reopen(own *lane, fill []int) {
	delete(l.taken, own.open)
	n := len(fill)
	for i := range min(len(l.blocks), len(fill)) {
		if l.taken[i] == nil && fill[i] < audience.BlockSize && l.blocks[i].lane() == own {
			n = i
			break
		}
	}
	own.open, l.taken[n] = n, own
}

// lane is the narrowest lane that most of the block's people belong to; nil for a block without people.
func (b *laneBlock) lane() (own *lane) {
	for c, n := range b.in {
		if 4*n >= 3*b.people && (own == nil || c.depth > own.depth) {
			own = c
		}
	}
	return own
}

func (l *Lanes) tally(block int, chain []*lane, people int) {
	for len(l.blocks) <= block {
		l.blocks = append(l.blocks, laneBlock{in: make(map[*lane]int)})
	}
	b := &l.blocks[block]
	b.people += people
	for _, c := range chain {
		b.in[c] += people
	}
}

// Seen implements Arranger.
func (l *Lanes) Seen(block int, facts audience.Facts, people int) {
	chain := l.lanes(facts)
	for _, c := range chain {
		c.people += people
	}
	l.tally(block, chain, people)
}

// Compare implements Arranger: by region, and within one by birth. Unknown ones come first.
func (*Lanes) Compare(a, b audience.Facts) int {
	if c := strings.Compare(a[audience.AttrRegion].Text, b[audience.AttrRegion].Text); c != 0 {
		return c
	}
	x, ok := a[audience.AttrBirthDate]
	y, ok2 := b[audience.AttrBirthDate]
	if ok != ok2 {
		if ok {
			return 1
		}
		return -1
	}
	return cmp.Compare(x.Num, y.Num)
}
