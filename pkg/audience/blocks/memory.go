package blocks

import (
	"sync"
	"sync/atomic"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// content is a decoded field: one of the three. It is shared and never changes.
type content struct {
	row audience.Row
	// starts are, of a row that is a list of more than a few, where the ordinals of each part of the block begin: looking for one ordinal
	// is looking through a few.
	starts *[listParts + 1]uint16
	column *audience.Column
	uids   []audience.UID
	// blank marks the places of uids that belong to nobody, those beyond its end included.
	blank *[ChunkSize / 64]uint64
	// shared says that the column is another content's too, which counts its size.
	shared bool
}

// cell is the place of one field's content under one checksum. The directories of a block that list the field with that checksum
// share it, so finding a content in memory is following a pointer, and nothing ever has to be invalidated: a directory leads to the
// contents that belong to it and to no others.
type cell struct {
	content atomic.Pointer[content]
	used    atomic.Bool // since the hand last passed
}

// get returns the content, nil if it is not in memory.
func (c *cell) get() *content {
	k := c.content.Load()
	if k != nil && !c.used.Load() {
		// Written only when it changes: readers on several processors share the cell.
		c.used.Store(true)
	}
	return k
}

// memory keeps decoded fields within a number of bytes. Where there is no room a hand goes round over what it keeps and drops what
// was not used since it last passed, which is nearly what was used longest ago and costs a reader nothing but a mark. It is safe for
// concurrent use; reading a cell takes no lock.
type memory struct {
	limit int64
	used  atomic.Int64

	mu   sync.Mutex
	ring []held
	hand int
}

type held struct {
	cell *cell
	size int64
}

func newMemory(limit int64) *memory { return &memory{limit: limit} }

// put keeps a content in its cell, unless it is larger than all the room, or the cell has one already.
func (m *memory) put(c *cell, k *content) {
	size := k.size()
	if size > m.limit {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !c.content.CompareAndSwap(nil, k) {
		return
	}
	// New is not the same as used: what is asked for once goes first.
	c.used.Store(false)
	for m.used.Load()+size > m.limit {
		m.drop()
	}
	m.ring = append(m.ring, held{c, size})
	m.used.Add(size)
}

// drop drops one content. Called with the lock held, when there is one.
func (m *memory) drop() {
	for {
		if m.hand >= len(m.ring) {
			m.hand = 0
		}
		h := m.ring[m.hand]
		if h.cell.used.Swap(false) {
			m.hand++
			continue
		}
		h.cell.content.Store(nil)
		m.used.Add(-h.size)
		last := len(m.ring) - 1
		m.ring[m.hand] = m.ring[last]
		m.ring[last] = held{}
		m.ring = m.ring[:last]
		return
	}
}

func (m *memory) bytes() int64 { return m.used.Load() }

// size is about what the content takes, its place in the memory included.
func (k *content) size() int64 {
	const bits, overhead = audience.BlockSize / 8, 160
	n := int64(overhead + k.row.Size())
	if c := k.column; c != nil && !k.shared {
		n += bits + int64(c.Ranks.Size()+8*cap(c.Nums)+16*cap(c.Texts))
		for _, t := range c.Texts {
			n += int64(len(t))
		}
	}
	if k.starts != nil {
		n += 2 * int64(len(k.starts))
	}
	if k.blank != nil {
		n += int64(16*len(k.uids) + len(k.blank)*8)
	}
	return n
}

// decode checks bytes from a store against their entry and takes them apart.
func decode(f *planField, e Entry, data []byte) (*content, error) {
	if uint64(len(data)) != uint64(e.Size) || Checksum(f.name, data) != e.Checksum {
		return nil, errCorrupt
	}
	k := new(content)
	var err error
	var n int
	switch {
	case f.column:
		if k.column, err = DecodeColumn(data); err == nil {
			n = k.column.Present.Count()
		}
	case f.chunk:
		if k.uids, err = DecodeUIDs(data); err == nil {
			n = k.findBlank()
		}
	default:
		if k.row, err = DecodeRow(data); err == nil {
			n = k.row.Count()
			k.findStarts()
		}
	}
	if err == nil && n != int(e.Cardinality) {
		err = errCorrupt
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// findBlank fills in blank, and returns how many uids are not.
func (k *content) findBlank() int {
	k.blank = new([ChunkSize / 64]uint64)
	n := 0
	for i := range ChunkSize {
		if i < len(k.uids) && k.uids[i] != (audience.UID{}) {
			n++
			continue
		}
		k.blank[i>>6] |= 1 << (i & 63)
	}
	return n
}

// Lists that are looked into part by part.
const (
	listParts     = 64
	listPartShift = 10 // 65536 / 64 ordinals
	shortList     = 12
)

// findStarts fills in starts.
func (k *content) findStarts() {
	list := k.row.List()
	if len(list) <= shortList {
		return
	}
	k.starts = new([listParts + 1]uint16)
	part := 0
	for i, o := range list {
		for ; part <= int(o)>>listPartShift; part++ {
			k.starts[part] = uint16(i)
		}
	}
	for ; part <= listParts; part++ {
		k.starts[part] = uint16(len(list))
	}
}

// near returns the part of a list, which the row is, that an ordinal can be in.
func (k *content) near(list []uint16, o uint16) []uint16 {
	if k.starts == nil {
		return list
	}
	part := o >> listPartShift
	return list[k.starts[part]:k.starts[part+1]]
}
