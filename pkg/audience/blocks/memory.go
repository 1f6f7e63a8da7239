package blocks

import (
	"sync"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// content is a decoded field: one of the three. It is shared and never changes.
type content struct {
	row    *audience.Bits
	column *audience.Column
	uids   []audience.UID
}

// memoryKey names a content. The checksum makes it a value and not a place: a content is used only while a directory in use has
// its checksum, so nothing ever has to be invalidated.
type memoryKey struct {
	block    uint32
	field    audience.Field
	checksum uint64
}

// memory keeps decoded fields within a number of bytes, those used last. It is safe for concurrent use.
type memory struct {
	mu    sync.Mutex
	limit int64
	used  int64
	items map[memoryKey]*memoryItem
	// ends is the ring's anchor: ends.next was used last, ends.prev longest ago.
	ends memoryItem
}

type memoryItem struct {
	key        memoryKey
	content    content
	size       int64
	prev, next *memoryItem
}

func newMemory(limit int64) *memory {
	m := &memory{limit: limit, items: make(map[memoryKey]*memoryItem)}
	m.ends.prev, m.ends.next = &m.ends, &m.ends
	return m
}

// get returns the content, if it is here, and marks it as used.
func (m *memory) get(key memoryKey) (content, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	it := m.items[key]
	if it == nil {
		return content{}, false
	}
	it.unlink()
	m.ends.link(it)
	return it.content, true
}

// put keeps the content, and drops what was used longest ago where there is no room.
func (m *memory) put(key memoryKey, c content) {
	size := c.size(key)
	m.mu.Lock()
	defer m.mu.Unlock()
	if size > m.limit || m.items[key] != nil {
		return
	}
	for m.used+size > m.limit {
		last := m.ends.prev
		last.unlink()
		delete(m.items, last.key)
		m.used -= last.size
	}
	it := &memoryItem{key: key, content: c, size: size}
	m.ends.link(it)
	m.items[key] = it
	m.used += size
}

func (m *memory) bytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

func (it *memoryItem) unlink() {
	it.prev.next, it.next.prev = it.next, it.prev
}

// link puts it behind the anchor.
func (ends *memoryItem) link(it *memoryItem) {
	it.prev, it.next = ends, ends.next
	it.prev.next, it.next.prev = it, it
}

// size is about what the content takes, its place in the memory included.
func (c content) size(key memoryKey) int64 {
	const bits = audience.BlockSize / 8
	n := int64(256 + len(key.field))
	if c.row != nil {
		n += bits
	}
	if col := c.column; col != nil {
		n += bits + int64(2*cap(col.Ranks)+8*cap(col.Nums)+16*cap(col.Texts))
		for _, t := range col.Texts {
			n += int64(len(t))
		}
	}
	return n + int64(16*len(c.uids))
}

// decode checks bytes from a store against their entry and takes them apart.
func decode(f audience.Field, e Entry, data []byte) (content, error) {
	var c content
	if uint64(len(data)) != uint64(e.Size) || Checksum(f, data) != e.Checksum {
		return c, errCorrupt
	}
	var err error
	var n int
	switch {
	case isColumn(f):
		if c.column, err = DecodeColumn(data); err == nil {
			n = c.column.Present.Count()
		}
	case isChunk(f):
		c.uids, err = DecodeUIDs(data)
		for i := range c.uids {
			if c.uids[i] != (audience.UID{}) {
				n++
			}
		}
	default:
		if c.row, err = DecodeRow(data); err == nil {
			n = c.row.Count()
		}
	}
	if err == nil && n != int(e.Cardinality) {
		err = errCorrupt
	}
	return c, err
}
