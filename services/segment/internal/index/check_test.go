package index_test

import (
	"maps"
	"slices"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// shown is what a reader finds in the store of blocks.
type shown struct {
	frame    blocks.Frame
	ordinals map[audience.UID]place
}

type place struct {
	block   uint32
	ordinal uint16
}

// check compares everything that a reader finds with the truth: facts one by one, segments with the naive twin.
func (w *world) check() shown {
	w.t.Helper()
	f := w.frame()
	got := shown{frame: f, ordinals: make(map[audience.UID]place)}
	if want := w.point(); f.Through.Profiles != want {
		w.t.Errorf("the manifest is at %+v, want %+v", f.Through.Profiles, want)
	}
	head, err := w.store.Head(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if f.Through.Definitions != blocks.Point(head) {
		w.t.Errorf("the manifest has definitions up to %+v, want %+v", f.Through.Definitions, head)
	}
	for i := range f.Blocks {
		w.checkBlock(&f, &f.Blocks[i], got.ordinals)
	}
	if len(got.ordinals) != len(w.people) {
		w.t.Errorf("%d profiles live in the blocks, want %d", len(got.ordinals), len(w.people))
	}
	for uid := range w.people {
		if _, ok := got.ordinals[uid]; !ok {
			w.t.Errorf("a profile is in no block")
		}
	}
	if len(f.Definitions.Attributes) != len(w.declared) || len(f.Definitions.Segments) != len(w.uids) {
		w.t.Errorf("definitions of %d attributes and %d segments, want %d and %d",
			len(f.Definitions.Attributes), len(f.Definitions.Segments), len(w.declared), len(w.uids))
	}
	return got
}

func (w *world) checkBlock(f *blocks.Frame, state *blocks.BlockState, ordinals map[audience.UID]place) {
	w.t.Helper()
	key := blocks.Key{Store: f.Store, Layout: f.Layout, Block: state.Block}
	meta, _, err := w.bytes.Read(w.t.Context(), key, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	dir, err := blocks.DecodeMeta(key, meta)
	if err != nil {
		w.t.Fatalf("block %d: %v", state.Block, err)
	}
	if dir.Epoch != state.Epoch || dir.Epoch != blocks.Epoch(w.lease) || dir.Version != state.Version {
		w.t.Errorf("block %d is %v %d, the manifest says %v %d", state.Block, dir.Epoch, dir.Version, state.Epoch, state.Version)
	}
	if len(w.declared) > 0 && dir.Defs.Revision < slices.MaxFunc(w.declared, func(a, b audience.Attribute) int { return int(a.Revision) - int(b.Revision) }).Revision {
		w.t.Errorf("block %d represents attributes up to %d only", state.Block, dir.Defs.Revision)
	}
	names := make([]audience.Field, len(dir.Entries))
	for i, e := range dir.Entries {
		names[i] = e.Field
	}
	_, values, err := w.bytes.Read(w.t.Context(), key, names)
	if err != nil {
		w.t.Fatal(err)
	}
	rows, columns, uids := w.decode(dir, names, values)

	people := make(map[uint16]audience.Facts)
	byOrdinal := make(map[uint16]audience.UID)
	for o, uid := range uids {
		facts, ok := w.people[uid]
		if !ok {
			w.t.Errorf("block %d names a profile that does not exist", state.Block)
			continue
		}
		people[o], byOrdinal[o] = facts, uid
		if _, twice := ordinals[uid]; twice {
			w.t.Errorf("a profile has two ordinals")
		}
		ordinals[uid] = place{state.Block, o}
	}
	w.checkFacts(rows, columns, people)
	w.checkSegments(f, rows, byOrdinal)
}

// decode reads a block's fields by the codec, as a reader does.
func (w *world) decode(dir *blocks.Directory, names []audience.Field, values [][]byte) (map[audience.Field]*audience.Bits, map[audience.Field]*audience.Column, map[uint16]audience.UID) {
	w.t.Helper()
	rows := make(map[audience.Field]*audience.Bits)
	columns := make(map[audience.Field]*audience.Column)
	uids := make(map[uint16]audience.UID)
	for i, f := range names {
		data, entry := values[i], dir.Entries[i].Entry
		if entry.Cardinality == 0 {
			if data != nil {
				w.t.Errorf("%s is empty and has bytes", f)
			}
			rows[f] = new(audience.Bits)
			continue
		}
		if blocks.Checksum(f, data) != entry.Checksum {
			w.t.Errorf("%s fails its checksum", f)
			continue
		}
		var err error
		switch {
		case strings.HasPrefix(string(f), "c/"):
			columns[f], err = blocks.DecodeColumn(data)
		case strings.HasPrefix(string(f), "u/"):
			var part []audience.UID
			part, err = blocks.DecodeUIDs(data)
			first := 0
			for f != blocks.UIDField(first) {
				first++
			}
			for j, uid := range part {
				if uid != (audience.UID{}) {
					uids[uint16(first*blocks.ChunkSize+j)] = uid
				}
			}
		default:
			var row audience.Row
			row, err = blocks.DecodeRow(data)
			rows[f] = row.Bits()
		}
		if err != nil {
			w.t.Errorf("%s: %v", f, err)
		}
	}
	return rows, columns, uids
}

// checkFacts holds the rows and columns against each person's own.
func (w *world) checkFacts(rows map[audience.Field]*audience.Bits, columns map[audience.Field]*audience.Column, people map[uint16]audience.Facts) {
	w.t.Helper()
	type cell struct {
		field   audience.Field
		ordinal uint16
	}
	wantRows := make(map[cell]bool)
	wantCells := make(map[cell]audience.ColumnValue)
	for o, facts := range people {
		d, err := audience.Derive(w.schema, facts)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, f := range d.Rows {
			wantRows[cell{f, o}] = true
		}
		for _, v := range d.Columns {
			wantCells[cell{v.Field, o}] = v
		}
	}
	gotRows, gotCells := make(map[cell]bool), make(map[cell]audience.ColumnValue)
	for f, bits := range rows {
		if strings.HasPrefix(string(f), "s/") {
			continue
		}
		for o := range bits.All() {
			gotRows[cell{f, o}] = true
		}
	}
	for f, c := range columns {
		for o := range c.Present.All() {
			v := audience.ColumnValue{Field: f, IsText: len(c.Texts) > 0}
			if v.IsText {
				v.Text, _ = c.Text(o)
			} else {
				v.Num, _ = c.Num(o)
			}
			gotCells[cell{f, o}] = v
		}
	}
	if !maps.Equal(gotRows, wantRows) {
		w.t.Errorf("rows hold %d facts, want %d, or others", len(gotRows), len(wantRows))
	}
	if !maps.Equal(gotCells, wantCells) {
		w.t.Errorf("columns hold %d values, want %d, or others", len(gotCells), len(wantCells))
	}
}

// checkSegments holds the rows of the segments that answer against the naive twin, on every day that is named, and allows no
// others.
func (w *world) checkSegments(f *blocks.Frame, rows map[audience.Field]*audience.Bits, uids map[uint16]audience.UID) {
	w.t.Helper()
	listed := make(map[audience.Field]bool)
	for i := range f.Definitions.Segments {
		d := &f.Definitions.Segments[i]
		if d.State() != blocks.SegmentActive {
			w.t.Errorf("%s is in state %d", d.Name, d.State())
			continue
		}
		for _, day := range f.Definitions.Days {
			field := d.Field(day)
			listed[field] = true
			row, ok := rows[field]
			if !ok {
				w.t.Errorf("%s of day %d is not listed", d.Name, day)
				continue
			}
			want := new(audience.Bits)
			for o, uid := range uids {
				if w.member(d.UID, uid, day) {
					want.Set(o)
				}
			}
			if !row.Equal(want) {
				w.t.Errorf("%s on day %d has %d members, want %d, or others: %s", d.Name, day, row.Count(), want.Count(), w.rules[d.UID])
			}
		}
	}
	for field := range rows {
		if strings.HasPrefix(string(field), "s/") && !listed[field] {
			w.t.Errorf("%s is still there", field)
		}
	}
}
