package blocks

import (
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"unique"

	"github.com/cespare/xxhash/v2"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// planField is one field of a question with all that looking it up in a directory needs.
type planField struct {
	name audience.Field
	id   id
	hash uint32
	// declared is the revision at which the field's attribute was declared.
	declared                uint64
	explicit, chunk, column bool
}

func newPlanField(f audience.Field, declared uint64) planField {
	return planField{
		name: f, id: idOf(f), hash: hashOf(f), declared: declared, explicit: explicit(f), chunk: isChunk(f), column: isColumn(f),
	}
}

// id is a field's name in a form that is compared in one step, without looking at the name.
type id = unique.Handle[audience.Field]

func idOf(f audience.Field) id { return unique.Make(f) }

func hashOf(f audience.Field) uint32 {
	h := xxhash.Sum64String(string(f))
	return uint32(h ^ h>>32)
}

// index is what a directory held by a reader has beside its entries: where each field is, and the cell of its content. Versions of
// a block that list the same fields share the table, and those that list a field with the same entry share its cell.
type index struct {
	table []place
	cells []*cell
	// live is how many are live, -1 where that is not known: every question asks it of every block.
	live int
	// gathered are the cells of the fields that were asked for together last.
	gathered atomic.Pointer[gathered]
}

// gathered are the cells of some fields of a plan in one directory; nil for those that are empty.
type gathered struct {
	plan    *fieldPlan
	numbers []int
	cells   []*cell
}

// gather returns the cells of some fields of a plan, nil for those that are empty; false if one is not known. Questions that read hundreds of
// rows for one ordinal ask for the same ones again and again: they are looked up once in each directory.
func (d *Directory) gather(p *fieldPlan, numbers []int) ([]*cell, bool) {
	if g := d.index.gathered.Load(); g != nil && g.plan == p && len(g.numbers) == len(numbers) && &g.numbers[0] == &numbers[0] {
		return g.cells, true
	}
	cells := make([]*cell, len(numbers))
	for i, n := range numbers {
		_, c, presence := d.look(&p.fields[n])
		if presence == Unknown {
			return nil, false
		}
		cells[i] = c
	}
	d.index.gathered.Store(&gathered{p, numbers, cells})
	return cells, true
}

// place is a place of the table: open addressing, a power of two of them, at most half used. at is the entry's number plus one; 0: the
// place is free.
type place struct {
	id id
	at uint32
}

// prepare makes the directory's index, sharing what it can with that of another version of the block (nil: there is none). It must
// be called before the directory is shared, and may be called again.
func (d *Directory) prepare(was *Directory) {
	if d.index != nil {
		return
	}
	x := &index{cells: make([]*cell, len(d.Entries))}
	var old []Listed
	related := was != nil && was.index != nil && was.Block == d.Block && was.Layout == d.Layout && was.Store == d.Store
	if related {
		old = was.Entries
	}
	same, fresh, j := related && len(old) == len(d.Entries), 0, 0
	for i := range d.Entries {
		l := &d.Entries[i]
		for j < len(old) && old[j].Field < l.Field {
			j++
		}
		if j == len(old) || old[j].Field != l.Field {
			same = false
			fresh++
			continue
		}
		same = same && i == j
		if old[j].Entry == l.Entry {
			x.cells[i] = was.index.cells[j]
		} else {
			fresh++
		}
	}
	cells := make([]cell, fresh)
	for i, c := range x.cells {
		if c == nil {
			x.cells[i], cells = &cells[0], cells[1:]
		}
	}
	if same {
		x.table = was.index.table
	} else {
		x.table = newTable(d.Entries)
	}
	x.live = -1
	if e, presence := d.Lookup(audience.FieldLive, 0); presence != Unknown {
		x.live = int(e.Cardinality)
	}
	d.index = x
}

func newTable(entries []Listed) []place {
	n := 2
	for n < 2*len(entries) {
		n *= 2
	}
	table := make([]place, n)
	for i := range entries {
		at := hashOf(entries[i].Field) & uint32(n-1)
		for table[at].at != 0 {
			at = (at + 1) & uint32(n-1)
		}
		table[at] = place{idOf(entries[i].Field), uint32(i + 1)}
	}
	return table
}

// find returns the number of a field's entry, or -1. The directory must be prepared.
func (d *Directory) find(f *planField) int {
	table := d.index.table
	mask := uint32(len(table) - 1)
	for at := f.hash & mask; ; at = (at + 1) & mask {
		p := &table[at]
		if p.at == 0 {
			return -1
		}
		if p.id == f.id {
			return int(p.at - 1)
		}
	}
}

// look is Lookup for a prepared directory, with the cell of a field that is present.
func (d *Directory) look(f *planField) (Entry, *cell, Presence) {
	if len(d.Pending) > 0 && d.pending(f.name) {
		return Entry{}, nil, Unknown
	}
	i := d.find(f)
	if i < 0 {
		return Entry{}, nil, d.unlisted(f)
	}
	e := d.Entries[i].Entry
	if e.Cardinality == 0 {
		return e, nil, Empty
	}
	return e, d.index.cells[i], Present
}

// unlisted says what the absence of a field from the entries means.
func (d *Directory) unlisted(f *planField) Presence {
	if !f.chunk && (f.explicit || f.declared > d.Defs.Revision) {
		return Unknown
	}
	return Empty
}

func (d *Directory) pending(f audience.Field) bool {
	for _, p := range d.Pending {
		if prefix, ok := strings.CutSuffix(string(p), "*"); p == f || ok && strings.HasPrefix(string(f), prefix) {
			return true
		}
	}
	return false
}

// rows yields the fields that begin with the prefix and have, or may have, ordinals.
func (d *Directory) rows(prefix audience.Field) iter.Seq[audience.Field] {
	return func(yield func(audience.Field) bool) {
		if d == nil {
			return
		}
		for _, f := range d.Pending {
			if strings.HasPrefix(string(f), string(prefix)) && !yield(f) {
				return
			}
		}
		at, _ := slices.BinarySearchFunc(d.Entries, prefix, func(l Listed, f audience.Field) int { return strings.Compare(string(l.Field), string(f)) })
		for ; at < len(d.Entries) && strings.HasPrefix(string(d.Entries[at].Field), string(prefix)); at++ {
			if !yield(d.Entries[at].Field) {
				return
			}
		}
	}
}

// Rows implements audience.Lister.
func (h *hot) Rows(prefix audience.Field) iter.Seq[audience.Field] { return h.dir.rows(prefix) }

// Rows implements audience.Lister.
func (l *loaded) Rows(prefix audience.Field) iter.Seq[audience.Field] { return l.dir.rows(prefix) }
