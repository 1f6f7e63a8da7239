package uidtable

import (
	"hash/maphash"
	"math/bits"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Table maps uids to references, which mean something to their owner. The same uid may have several.
type Table struct {
	seed maphash.Seed
	at   []place // a power of two of them; at most four fifths are used
	n    int
}

// place is a used place of the table if its hash is not 0.
type place struct{ hash, ref uint32 }

const least = 16

// New returns an empty table with room for n.
func New(n int) *Table {
	return &Table{seed: maphash.MakeSeed(), at: make([]place, size(n))}
}

// size is how many places n take.
func size(n int) int {
	return 1 << bits.Len(uint(max(least, n+n/4)-1))
}

// hash is never 0. Its low bits say where a uid's places begin.
func (t *Table) hash(uid audience.UID) uint32 {
	h := uint32(maphash.Bytes(t.seed, uid[:]))
	if h == 0 {
		return 1
	}
	return h
}

// Len returns how many references the table has.
func (t *Table) Len() int { return t.n }

// Size returns how many bytes of memory the table takes.
func (t *Table) Size() int { return 8 * len(t.at) }

// Find calls is with each reference that may be the uid's until it says that one is, and returns that one.
func (t *Table) Find(uid audience.UID, is func(ref uint32) bool) (ref uint32, ok bool) {
	h, mask := t.hash(uid), uint32(len(t.at)-1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch p := t.at[i]; {
		case p.hash == 0:
			return 0, false
		case p.hash == h && is(p.ref):
			return p.ref, true
		}
	}
}

// Add adds a reference under a uid, whatever is there.
func (t *Table) Add(uid audience.UID, ref uint32) {
	if t.n++; t.n > len(t.at)/5*4 {
		t.grow()
	}
	t.put(place{t.hash(uid), ref})
}

func (t *Table) put(p place) {
	mask := uint32(len(t.at) - 1)
	i := p.hash & mask
	for t.at[i].hash != 0 {
		i = (i + 1) & mask
	}
	t.at[i] = p
}

func (t *Table) grow() {
	was := t.at
	t.at = make([]place, 2*len(was))
	for _, p := range was {
		if p.hash != 0 {
			t.put(p)
		}
	}
}

// Remove takes away a reference that was added under a uid, and reports whether it was there.
func (t *Table) Remove(uid audience.UID, ref uint32) bool {
	h, mask := t.hash(uid), uint32(len(t.at)-1)
	i := h & mask
	for t.at[i] != (place{h, ref}) {
		if t.at[i].hash == 0 {
			return false
		}
		i = (i + 1) & mask
	}
	t.n--
	// Those behind it move up, unless they would come to lie before where their uid's places begin.
	for j := (i + 1) & mask; t.at[j].hash != 0; j = (j + 1) & mask {
		if begin := t.at[j].hash & mask; (j-begin)&mask >= (j-i)&mask {
			t.at[i] = t.at[j]
			i = j
		}
	}
	t.at[i] = place{}
	return true
}
