package index

import (
	"iter"
	"slices"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// block is the content of one block and what of it is not yet in the store.
type block struct {
	n    uint32
	uids []audience.UID // by ordinal; blank: a deleted profile

	rows     map[audience.Field]*row // live, facts and presence; none is empty but live
	columns  map[audience.Field]*column
	segments map[audience.Field]*row // one for each rule row that the block has, empty or not

	changed moves // since the segments were evaluated

	dirty   map[audience.Field]struct{} // rows, columns and segments that differ from what the store acknowledged
	parts   [blocks.Chunks]bool         // parts of the dictionary that do
	removed []audience.Field            // segments' rows that the block no longer has
	defs    bool                        // the directory's definitions differ
	rewrite bool                        // the store must get the whole block
	loses   bool                        // somebody leaves a row

	unsaved  bool // it differs from what the checkpoint has
	restored bool // it came from a checkpoint
}

func newBlock(n uint32) *block {
	return &block{
		n:        n,
		rows:     map[audience.Field]*row{audience.FieldLive: {}},
		columns:  make(map[audience.Field]*column),
		segments: make(map[audience.Field]*row),
		dirty:    map[audience.Field]struct{}{audience.FieldLive: {}},
		rewrite:  true,
		unsaved:  true,
	}
}

func (b *block) live() *row { return b.rows[audience.FieldLive] }

// row returns a row, nil for facts that nobody has: they are known to be empty. A segment that the block has no row for is not known.
func (b *block) row(f audience.Field) (r *row, known bool) {
	if r, ok := b.segments[f]; ok {
		return r, true
	}
	return b.rows[f], !strings.HasPrefix(string(f), "s/")
}

func (b *block) touch(f audience.Field) {
	b.dirty[f] = struct{}{}
	b.unsaved = true
	b.changed.touch(f)
}

// put makes d all that the block has of an ordinal.
func (b *block) put(o uint16, d *audience.Derived) {
	if b.live().has(o) {
		b.strip(o, d)
	}
	for _, f := range d.Rows {
		r := b.rows[f]
		if r == nil {
			r = new(row)
			b.rows[f] = r
		}
		if r.set(o) {
			b.touch(f)
			if f == audience.FieldLive {
				b.parts[int(o)/blocks.ChunkSize] = true
			}
		}
	}
	for i := range d.Columns {
		v := &d.Columns[i]
		c := b.columns[v.Field]
		if c == nil {
			c = newColumn(v.IsText)
			b.columns[v.Field] = c
		}
		if c.set(o, v) {
			b.touch(v.Field)
		}
	}
	b.changed.add(o)
}

// remove takes an ordinal out of everything and blanks its uid.
func (b *block) remove(o uint16) {
	if b.live().has(o) {
		b.strip(o, &audience.Derived{})
		b.changed.add(o)
	}
	b.uids[o] = audience.UID{}
	b.unsaved = true
	b.parts[int(o)/blocks.ChunkSize] = true
}

// strip takes an ordinal out of the rows and columns that d does not have. No list of a profile's rows is kept: looking at
// each row of the block once is cheap beside the memory that such lists would take.
func (b *block) strip(o uint16, d *audience.Derived) {
	for f, r := range b.rows {
		if !r.has(o) || slices.Contains(d.Rows, f) {
			continue
		}
		r.unset(o)
		b.touch(f)
		b.loses = true
		if r.n == 0 && f != audience.FieldLive {
			delete(b.rows, f)
		}
	}
	for f, c := range b.columns {
		if !c.present().Has(o) || slices.ContainsFunc(d.Columns, func(v audience.ColumnValue) bool { return v.Field == f }) {
			continue
		}
		c.unset(o)
		b.touch(f)
		if c.count() == 0 {
			delete(b.columns, f)
		}
	}
}

// settle makes the shared forms of the columns that changed, so that who reads under the lock finds them made.
func (b *block) settle() {
	for _, c := range b.columns {
		c.snapshot()
	}
}

// drop forgets a segment's row.
func (b *block) drop(f audience.Field) {
	delete(b.segments, f)
	delete(b.dirty, f)
	b.removed = append(b.removed, f)
}

// clean reports whether the store has acknowledged all that the block is.
func (b *block) clean() bool {
	return !b.rewrite && !b.defs && len(b.dirty) == 0 && len(b.removed) == 0 && b.parts == [blocks.Chunks]bool{}
}

// change returns what the store has to be told: all of the block, or what differs.
func (b *block) change(whole bool, defs blocks.Position) blocks.Change {
	c := blocks.Change{
		Block: b.n, Defs: defs,
		Rows:    make(map[audience.Field]*audience.Bits, len(b.dirty)),
		Columns: make(map[audience.Field]*audience.Column),
		UIDs:    make(map[int][]audience.UID),
	}
	if whole {
		for f, r := range b.rows {
			c.Rows[f] = r.bits()
		}
		for f, r := range b.segments {
			c.Rows[f] = r.bits()
		}
		for f, col := range b.columns {
			c.Columns[f] = col.snapshot()
		}
	} else {
		c.Removed = b.removed
		for f := range b.dirty {
			if isColumn(f) {
				c.Columns[f] = b.columns[f].snapshot()
			} else if r, ok := b.segments[f]; ok {
				c.Rows[f] = r.bits()
			} else {
				c.Rows[f] = b.rows[f].bits()
			}
		}
	}
	for n, differs := range b.parts {
		if (whole || differs) && n*blocks.ChunkSize < len(b.uids) {
			c.UIDs[n] = b.part(n)
		}
	}
	return c
}

// part returns a part of the dictionary: the uids of those who live.
func (b *block) part(n int) []audience.UID {
	from := n * blocks.ChunkSize
	part := slices.Clone(b.uids[from:min(from+blocks.ChunkSize, len(b.uids))])
	for i := range part {
		if !b.live().has(uint16(from + i)) {
			part[i] = audience.UID{}
		}
	}
	return part
}

// written notes that the store has acknowledged all that the block is.
func (b *block) written() {
	clear(b.dirty)
	b.parts = [blocks.Chunks]bool{}
	b.removed, b.defs, b.rewrite, b.loses = nil, false, false, false
}

func isColumn(f audience.Field) bool { return strings.HasPrefix(string(f), "c/") }

// view is a block as evaluations read it. What it gives shares the memory of the rows, so it must not be used after they change.
type view struct{ b *block }

func (b *block) view() *view { return &view{b: b} }

// Row implements audience.Block.
func (v *view) Row(f audience.Field) (audience.Row, bool) {
	r, known := v.b.row(f)
	return r.shared(), known
}

// Column implements audience.Block.
func (v *view) Column(f audience.Field) (*audience.Column, bool) {
	return v.b.columns[f].snapshot(), true
}

// Cardinality implements audience.Block.
func (v *view) Cardinality(f audience.Field) (int, bool) {
	if isColumn(f) {
		if c := v.b.columns[f]; c != nil {
			return c.count(), true
		}
		return 0, true
	}
	r, known := v.b.row(f)
	if r == nil {
		return 0, known
	}
	return r.n, true
}

// Rows implements audience.Lister.
func (v *view) Rows(prefix audience.Field) iter.Seq[audience.Field] {
	return func(yield func(audience.Field) bool) {
		for f := range v.b.rows {
			if strings.HasPrefix(string(f), string(prefix)) && !yield(f) {
				return
			}
		}
	}
}
