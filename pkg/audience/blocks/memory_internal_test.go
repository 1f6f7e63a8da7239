package blocks

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

func listOf(n int) *content {
	list := make([]uint16, n)
	for i := range list {
		list[i] = uint16(i)
	}
	return &content{row: audience.ListRow(list)}
}

func TestMemoryKeepsWhatIsUsedWithinItsBytes(t *testing.T) {
	one := listOf(100).size()
	m := newMemory(10 * one)
	cells := make([]cell, 40)
	for i := range cells {
		m.put(&cells[i], listOf(100))
		cells[0].get() // always in use
		if m.bytes() > 10*one {
			t.Fatalf("%d bytes of %d", m.bytes(), 10*one)
		}
	}
	kept := 0
	for i := range cells {
		if cells[i].content.Load() != nil {
			kept++
		}
	}
	if kept != 10 || m.bytes() != 10*one || cells[0].get() == nil {
		t.Errorf("%d kept in %d bytes, the one in use %t; want 10", kept, m.bytes(), cells[0].get() != nil)
	}
	// A content that is there is not put again; one that never fits is not kept.
	was := cells[0].get()
	m.put(&cells[0], listOf(100))
	if cells[0].get() != was || m.bytes() != 10*one {
		t.Error("the same content is kept twice")
	}
	var large cell
	m.put(&large, listOf(5000))
	if large.get() != nil || m.bytes() != 10*one {
		t.Error("a content larger than all the room is kept")
	}
	// What was dropped can come back.
	for i := range cells {
		m.put(&cells[i], listOf(100))
	}
	if m.bytes() > 10*one {
		t.Errorf("%d bytes", m.bytes())
	}
}

func TestMemoryUnderConcurrentUse(t *testing.T) {
	one := listOf(10).size()
	m := newMemory(16 * one)
	cells := make([]cell, 64)
	var users sync.WaitGroup
	for u := range uint64(4) {
		users.Go(func() {
			r := rand.New(rand.NewPCG(u, 3))
			for range 5000 {
				c := &cells[r.IntN(len(cells))]
				if k := c.get(); k == nil {
					m.put(c, listOf(10))
				} else if k.row.Count() != 10 {
					t.Error("another content")
				}
			}
		})
	}
	users.Wait()
	kept := int64(0)
	for i := range cells {
		if cells[i].content.Load() != nil {
			kept++
		}
	}
	if m.bytes() != kept*one || kept > 16 || kept == 0 {
		t.Errorf("%d kept, %d bytes of %d", kept, m.bytes(), 16*one)
	}
}

// TestAPreparedDirectoryAnswersAsThePlainOneDoes holds look against Lookup, over versions that gain, lose and change fields.
func TestAPreparedDirectoryAnswersAsThePlainOneDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	name := func() audience.Field {
		kind := []string{"f/interests=%d", "f/custom.x=%d", "s/seg%d@1", "c/custom.y%d", "u/%d"}[r.IntN(5)]
		return audience.Field(fmt.Sprintf(kind, r.IntN(60)))
	}
	var was *Directory
	shared, tables := 0, 0
	for version := range uint64(200) {
		d := &Directory{Store: "s", Layout: 1, Block: 3, Version: version + 1, Defs: Position{Revision: 5}}
		if was != nil {
			d.Entries = slices.Clone(was.Entries)
		}
		for range r.IntN(4) {
			if len(d.Entries) > 0 && r.IntN(3) > 0 {
				d.Entries[r.IntN(len(d.Entries))].Checksum++
				continue
			}
			f := name()
			i, found := slices.BinarySearchFunc(d.Entries, f, func(l Listed, f audience.Field) int { return compare(l.Field, f) })
			if found {
				d.Entries = slices.Delete(d.Entries, i, i+1)
			} else {
				d.Entries = slices.Insert(d.Entries, i, Listed{Field: f, Entry: Entry{Cardinality: uint32(r.IntN(3)), Checksum: r.Uint64(), Size: 1}})
			}
		}
		if r.IntN(5) == 0 {
			d.Pending = []audience.Field{"f/interests=1*", name()}
			slices.Sort(d.Pending)
		}
		d.prepare(was)
		for range 200 {
			f, declared := name(), uint64(r.IntN(10))
			p := newPlanField(f, declared)
			e, c, presence := d.look(&p)
			want, wantPresence := d.Lookup(f, declared)
			if e != want || presence != wantPresence || (c != nil) != (presence == Present) {
				t.Fatalf("version %d, %s declared at %d: %v %v, want %v %v", version, f, declared, e, presence, want, wantPresence)
			}
			if was == nil || c == nil {
				continue
			}
			old, ok := was.Find(f)
			i := was.find(&p)
			if ok != (i >= 0) {
				t.Fatalf("version %d: %s is found %t", version, f, ok)
			}
			if same := ok && old == e; same != (ok && was.index.cells[i] == c) {
				t.Fatalf("version %d: the cell of %s is shared %t", version, f, !same)
			} else if same {
				shared++
			}
		}
		if was != nil && &was.index.table[0] == &d.index.table[0] {
			tables++
		}
		was = d
	}
	if shared < 1000 || tables < 10 {
		t.Errorf("%d cells and %d tables were shared: the test no longer reaches it", shared, tables)
	}
}

func compare(a, b audience.Field) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestListsAreLookedIntoPartByPart(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for _, n := range []int{1, shortList, shortList + 1, 100, 700, audience.ListMax} {
		var row audience.Bits
		for row.Count() < n {
			row.Set(uint16(r.IntN(audience.BlockSize)))
		}
		row.Set(0)
		row.Set(audience.BlockSize - 1)
		list := slices.Collect(row.All())
		k := &content{row: audience.ListRow(list)}
		k.findStarts()
		if (k.starts != nil) != (len(list) > shortList) {
			t.Errorf("%d ordinals: starts %v", len(list), k.starts != nil)
		}
		for o := range audience.BlockSize {
			if slices.Contains(k.near(list, uint16(o)), uint16(o)) != row.Has(uint16(o)) {
				t.Fatalf("ordinal %d of %d", o, len(list))
			}
		}
	}
}
