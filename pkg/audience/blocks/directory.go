package blocks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Entry describes one field of a block: the ordinals in a row, those with a value in a column, the uids in a dictionary part.
type Entry struct {
	// Cardinality is 0 to 65536. Only segment rows and the live row are listed with 0; they have no bytes then.
	Cardinality uint32
	// Checksum is that of the encoded bytes, bound to the field's name; 0 where there are none.
	Checksum uint64
	// Size is the number of encoded bytes.
	Size uint32
}

// Listed is an entry under its name.
type Listed struct {
	Field audience.Field
	Entry
}

// Presence is what a directory knows of a field.
type Presence uint8

// What a directory knows of a field. The zero value is the safe one.
const (
	// Unknown: nothing may be concluded; above all not that the field is empty.
	Unknown Presence = iota
	// Empty: no profile of the block is in the row or has a value in the column.
	Empty
	// Present: the field has bytes in the store.
	Present
)

// String returns the word for p.
func (p Presence) String() string { return [...]string{"unknown", "empty", "present"}[min(p, Present)] }

// Directory is the content of a block's meta: what the block holds at one version. A Directory is immutable once shared.
type Directory struct {
	Store   string
	Layout  uint32
	Block   uint32
	Epoch   Epoch
	Version uint64
	// Defs is the position up to which every facet (Revision) and segment (Definition) is represented in the block.
	Defs Position
	// Pending are fields that are not represented although Defs would say so; one that ends in "*" stands for all fields that
	// begin with what is before it. Sorted.
	Pending []audience.Field
	// Entries are sorted by field, each field once.
	Entries []Listed

	// index is made by prepare; sum is the checksum of the meta's bytes that this was decoded from, 0 if it was not.
	index *index
	sum   uint64
}

// Find returns the entry of a field, if it is listed.
func (d *Directory) Find(f audience.Field) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(d.Entries, f, func(l Listed, f audience.Field) int { return strings.Compare(string(l.Field), string(f)) })
	if !ok {
		return Entry{}, false
	}
	return d.Entries[i].Entry, true
}

// Lookup says what the directory knows of a field. attrRevision is the profile store's revision at which the attribute of a
// facet, presence row or column was declared (0 for built-in ones); it is ignored for other fields.
//
// A segment's row, or the live row, that is not listed is unknown. A facet or column that is not listed is empty if its
// attribute was declared at or before Defs. What is pending is unknown, listed or not.
func (d *Directory) Lookup(f audience.Field, attrRevision uint64) (Entry, Presence) {
	if d.pending(f) {
		return Entry{}, Unknown
	}
	if e, ok := d.Find(f); ok {
		if e.Cardinality == 0 {
			return e, Empty
		}
		return e, Present
	}
	p := newPlanField(f, attrRevision)
	return Entry{}, d.unlisted(&p)
}

// check refuses a directory that no writer makes.
func (d *Directory) check() error {
	if d.Store == "" || len(d.Store) > maxStoreBytes {
		return fmt.Errorf("store id of %d bytes: %w", len(d.Store), errCorrupt)
	}
	if !increasing(d.Pending, func(f audience.Field) audience.Field { return f }) {
		return fmt.Errorf("pending fields out of order: %w", errCorrupt)
	}
	if !increasing(d.Entries, func(l Listed) audience.Field { return l.Field }) {
		return fmt.Errorf("entries out of order: %w", errCorrupt)
	}
	for _, l := range d.Entries {
		if err := l.check(); err != nil {
			return err
		}
	}
	return nil
}

func (l Listed) check() error {
	switch {
	case l.Field == "" || len(l.Field) > maxFieldBytes:
		return fmt.Errorf("field name of %d bytes: %w", len(l.Field), errCorrupt)
	case l.Cardinality > audience.BlockSize:
		return fmt.Errorf("cardinality %d: %w", l.Cardinality, errCorrupt)
	case l.Cardinality == 0 && (l.Size != 0 || l.Checksum != 0 || !explicit(l.Field)):
		return fmt.Errorf("an empty field with bytes, or listed without need: %w", errCorrupt)
	case l.Cardinality > 0 && l.Size == 0:
		return fmt.Errorf("a field without bytes: %w", errCorrupt)
	}
	return nil
}

func increasing[T any](list []T, field func(T) audience.Field) bool {
	for i := 1; i < len(list); i++ {
		if field(list[i-1]) >= field(list[i]) {
			return false
		}
	}
	return true
}

// merge returns entries with changes put in (a changed field replaces its entry) and lost fields taken out. All three are
// sorted by field.
func merge(entries, changes []Listed, lost []audience.Field) []Listed {
	out := make([]Listed, 0, len(entries)+len(changes))
	keep := func(l Listed) {
		for len(lost) > 0 && lost[0] < l.Field {
			lost = lost[1:]
		}
		if len(lost) > 0 && lost[0] == l.Field {
			return
		}
		out = append(out, l)
	}
	for _, e := range entries {
		for len(changes) > 0 && changes[0].Field < e.Field {
			out = append(out, changes[0])
			changes = changes[1:]
		}
		if len(changes) > 0 && changes[0].Field == e.Field {
			out = append(out, changes[0])
			changes = changes[1:]
			continue
		}
		keep(e)
	}
	return append(out, changes...)
}

// difference returns what merge needs to make now out of old.
func difference(old, now []Listed) (changes []Listed, lost []audience.Field) {
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].Field < now[0].Field:
			lost = append(lost, old[0].Field)
			old = old[1:]
		case len(old) == 0 || now[0].Field < old[0].Field:
			changes = append(changes, now[0])
			now = now[1:]
		default:
			if old[0].Entry != now[0].Entry {
				changes = append(changes, now[0])
			}
			old, now = old[1:], now[1:]
		}
	}
	return changes, lost
}
