package index

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// spotMost is how many changed profiles of a block are looked at one by one; where more changed at once, whole words of the block are.
const spotMost = 256

// moves is what changed in a block since its segments were evaluated.
type moves struct {
	words    wordSet  // words that hold a changed profile
	ordinals []uint16 // of the changed profiles; those that changed twice may occur twice
	many     bool     // there are more than spotMost, and ordinals are not kept
	fields   map[audience.Field]struct{}
}

func (m *moves) add(o uint16) {
	m.words.add(o)
	switch {
	case m.many:
	case len(m.ordinals) < spotMost:
		m.ordinals = append(m.ordinals, o)
	default:
		m.many, m.ordinals = true, nil
	}
}

func (m *moves) touch(f audience.Field) {
	if m.fields == nil {
		m.fields = make(map[audience.Field]struct{})
	}
	m.fields[f] = struct{}{}
}

func (m *moves) empty() bool { return m.words.empty() }

func (m *moves) clear() {
	clear(m.fields)
	*m = moves{fields: m.fields, ordinals: m.ordinals[:0]}
}

// spot is some ordinals of a block as a block of their own, in which each has the number of its place: what evaluations read for few
// changed profiles. Nothing of the whole block has to be made for it.
type spot struct {
	b        *block
	ordinals []uint16
	rows     map[audience.Field]audience.Row
	columns  map[audience.Field]*audience.Column
	presents []*audience.Bits // to be used again
	used     int
}

// look makes the spot that of some ordinals of a block, at most spotMost.
func (s *spot) look(b *block, ordinals []uint16) {
	if s.rows == nil {
		s.rows, s.columns = make(map[audience.Field]audience.Row), make(map[audience.Field]*audience.Column)
	}
	s.b, s.ordinals, s.used = b, ordinals, 0
	clear(s.rows)
	clear(s.columns)
}

// Row implements audience.Block.
func (s *spot) Row(f audience.Field) (audience.Row, bool) {
	if r, ok := s.rows[f]; ok {
		return r, true
	}
	r, known := s.b.row(f)
	if !known {
		return audience.Row{}, false
	}
	var list []uint16
	for i, o := range s.ordinals {
		if r.has(o) {
			list = append(list, uint16(i))
		}
	}
	row := audience.ListRow(list)
	s.rows[f] = row
	return row, true
}

// Column implements audience.Block.
func (s *spot) Column(f audience.Field) (*audience.Column, bool) {
	c, ok := s.columns[f]
	if !ok {
		if of := s.b.columns[f]; of != nil {
			c = s.column(of)
		}
		s.columns[f] = c
	}
	return c, true
}

func (s *spot) column(of *column) *audience.Column {
	if s.used == len(s.presents) {
		s.presents = append(s.presents, new(audience.Bits))
	}
	present := s.presents[s.used]
	clear(present[:spotMost/64])
	c := &audience.Column{Present: present}
	if of.texts != nil {
		c.Texts = part(of.texts, c, s.ordinals)
	} else {
		c.Nums = part(of.nums, c, s.ordinals)
	}
	if len(c.Texts) == 0 && len(c.Nums) == 0 {
		return nil
	}
	s.used++
	return c
}

// part fills c's presence and ranks for some ordinals, and returns their distinct values in ascending order.
func part[T cmp.Ordered](v *values[T], c *audience.Column, ordinals []uint16) []T {
	var distinct []T
	for _, o := range ordinals {
		if v.present.Has(o) {
			distinct = append(distinct, v.of[v.ids[o]])
		}
	}
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	c.Ranks = audience.MakeRanks(len(ordinals), len(distinct))
	for i, o := range ordinals {
		if v.present.Has(o) {
			rank, _ := slices.BinarySearch(distinct, v.of[v.ids[o]])
			c.Present.Set(uint16(i))
			c.Ranks.Set(uint16(i), uint16(rank))
		}
	}
	return distinct
}

// Cardinality implements audience.Block.
func (s *spot) Cardinality(f audience.Field) (int, bool) {
	if isColumn(f) {
		c, ok := s.Column(f)
		if c == nil {
			return 0, ok
		}
		return c.Present.Count(), ok
	}
	r, ok := s.Row(f)
	return r.Count(), ok
}

// evaluate implements evaluator.
func (s *spot) evaluate(r *ruleRow, row *row) (bool, error) {
	members, err := s.members(r)
	if err != nil {
		return false, err
	}
	changed := row.replaceAt(s.ordinals, members)
	if changed {
		delete(s.rows, r.field)
	}
	return changed, nil
}

// members returns which of the ordinals are members of a rule row, by their places.
func (s *spot) members(r *ruleRow) (audience.Row, error) {
	if r.expr != nil {
		members, err := r.expr.Members(s)
		if err != nil {
			return members, fmt.Errorf("evaluate %s: %w", r.version.name, err)
		}
		return members, nil
	}
	var list []uint16
	live, _ := s.Row(audience.FieldLive)
	for i := range live.All() {
		if _, ok := r.version.members[s.b.uids[s.ordinals[i]]]; ok {
			list = append(list, i)
		}
	}
	return audience.ListRow(list), nil
}

// replaceAt makes some ordinals members or not, by their places in now, and reports whether that changed the row.
func (r *row) replaceAt(ordinals []uint16, now audience.Row) bool {
	changed := false
	for i, o := range ordinals {
		if now.Has(uint16(i)) {
			changed = r.set(o) || changed
		} else {
			changed = r.unset(o) || changed
		}
	}
	return changed
}
