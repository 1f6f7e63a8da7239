package index

import (
	"cmp"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// column is one column of a block in the form in which it changes: of numbers or of texts.
type column struct {
	nums  *values[int64]
	texts *values[string]
}

func newColumn(isText bool) *column {
	if isText {
		return &column{texts: newValues[string]()}
	}
	return &column{nums: newValues[int64]()}
}

// set gives ordinal o a value, and reports whether that changed the column.
func (c *column) set(o uint16, v *audience.ColumnValue) bool {
	if c.texts != nil {
		return c.texts.set(o, v.Text)
	}
	return c.nums.set(o, v.Num)
}

// unset takes ordinal o's value away, and reports whether that changed the column.
func (c *column) unset(o uint16) bool {
	if c.texts != nil {
		return c.texts.unset(o)
	}
	return c.nums.unset(o)
}

func (c *column) present() *audience.Bits {
	if c.texts != nil {
		return &c.texts.present
	}
	return &c.nums.present
}

func (c *column) count() int {
	if c.texts != nil {
		return c.texts.n
	}
	return c.nums.n
}

// snapshot returns the column as evaluations and the codec want it. It is made anew after a change and shared until the next;
// it never changes. Nil if no ordinal has a value.
func (c *column) snapshot() *audience.Column {
	if c == nil || c.count() == 0 {
		return nil
	}
	if c.texts != nil {
		v := c.texts
		if v.shared == nil {
			v.shared = &audience.Column{}
			v.shared.Texts = v.build(v.shared)
		}
		return v.shared
	}
	v := c.nums
	if v.shared == nil {
		v.shared = &audience.Column{}
		v.shared.Nums = v.build(v.shared)
	}
	return v.shared
}

// values maps ordinals to values by small ids that are handed out as values appear, so that a new value in the midst of the
// sorted ones moves nothing. The sorted form is made when it is asked for; between two times only the new values are sorted.
type values[T cmp.Ordered] struct {
	present audience.Bits
	n       int      // ordinals with a value
	ids     []uint16 // by ordinal; means nothing where present is clear
	of      []T      // by id
	refs    []uint32 // by id: ordinals with the value; 0: the id is free
	free    []uint16
	index   map[T]uint16
	sorted  []uint16 // ids by value, as they were when shared was last made; some may be free or mean another value by now
	fresh   []uint16 // ids given out since
	shared  *audience.Column
}

func newValues[T cmp.Ordered]() *values[T] { return &values[T]{index: make(map[T]uint16)} }

func (v *values[T]) set(o uint16, x T) bool {
	if v.present.Has(o) {
		if v.of[v.ids[o]] == x {
			return false
		}
		v.drop(v.ids[o])
	} else {
		v.present.Set(o)
		v.n++
	}
	if int(o) >= len(v.ids) {
		v.ids = append(v.ids, make([]uint16, int(o)+1-len(v.ids))...)
	}
	id, ok := v.index[x]
	if !ok {
		id = v.take(x)
	}
	v.refs[id]++
	v.ids[o] = id
	v.shared = nil
	return true
}

func (v *values[T]) unset(o uint16) bool {
	if !v.present.Has(o) {
		return false
	}
	v.drop(v.ids[o])
	v.present.Unset(o)
	v.n--
	v.shared = nil
	return true
}

// take gives a new value an id. There are never more values than ordinals with one, so 16 bits suffice.
func (v *values[T]) take(x T) uint16 {
	var id uint16
	if last := len(v.free) - 1; last >= 0 {
		id, v.free = v.free[last], v.free[:last]
		v.of[id] = x
	} else {
		id = uint16(len(v.of))
		v.of = append(v.of, x)
		v.refs = append(v.refs, 0)
	}
	v.index[x] = id
	v.fresh = append(v.fresh, id)
	return id
}

func (v *values[T]) drop(id uint16) {
	if v.refs[id]--; v.refs[id] > 0 {
		return
	}
	var zero T
	delete(v.index, v.of[id])
	v.of[id] = zero
	v.free = append(v.free, id)
}

// build returns the distinct values in ascending order and fills c's presence and ranks.
func (v *values[T]) build(c *audience.Column) []T {
	v.sort()
	distinct := make([]T, len(v.sorted))
	rank := make([]uint16, len(v.of))
	for i, id := range v.sorted {
		distinct[i] = v.of[id]
		rank[id] = uint16(i)
	}
	present := v.present
	c.Present = &present
	end := len(v.ids)
	for end > 0 && !present.Has(uint16(end-1)) {
		end--
	}
	c.Ranks = audience.MakeRanks(end, len(distinct))
	c.Ranks.Fill(v.ids[:end], rank)
	return distinct
}

// sort brings sorted up to date: what is new is sorted and merged with what was, without the ids that were given up since.
func (v *values[T]) sort() {
	if len(v.fresh) == 0 && len(v.sorted) == len(v.index) {
		return
	}
	isFresh := make([]bool, len(v.of))
	fresh := v.fresh[:0]
	for _, id := range v.fresh {
		if !isFresh[id] && v.refs[id] > 0 {
			isFresh[id] = true
			fresh = append(fresh, id)
		}
	}
	slices.SortFunc(fresh, func(a, b uint16) int { return cmp.Compare(v.of[a], v.of[b]) })
	merged := make([]uint16, 0, len(v.index))
	for _, id := range v.sorted {
		if v.refs[id] == 0 || isFresh[id] {
			continue
		}
		for len(fresh) > 0 && v.of[fresh[0]] < v.of[id] {
			merged = append(merged, fresh[0])
			fresh = fresh[1:]
		}
		merged = append(merged, id)
	}
	v.sorted = append(merged, fresh...)
	v.fresh = nil
}
