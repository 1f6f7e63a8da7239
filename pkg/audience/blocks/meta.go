package blocks

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Meta is written as: magic and format; store, layout, block, epoch, version; defs; pending fields; entries (name as the length
// shared with the one before, and the rest; cardinality; size; checksum); and the checksum of all that precedes. The identity
// being inside, the checksum binds the directory to it.
const metaMagic = "NCM\x01"

// maxShared bounds how much of a name is taken from the one before, so that few bytes never make much memory.
const maxShared = 64

// EncodeMeta returns the directory's bytes. A directory that breaks a rule of its type is refused.
func EncodeMeta(d *Directory) ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("encode meta: %w", err)
	}
	b := make([]byte, 0, 128+32*len(d.Entries))
	b = append(b, metaMagic...)
	b = binary.AppendUvarint(b, uint64(len(d.Store)))
	b = append(b, d.Store...)
	le := binary.LittleEndian
	b = le.AppendUint32(b, d.Layout)
	b = le.AppendUint32(b, d.Block)
	b = le.AppendUint64(b, d.Epoch.Number)
	b = le.AppendUint64(b, d.Epoch.Random)
	b = le.AppendUint64(b, d.Version)
	b = le.AppendUint64(b, d.Defs.Revision)
	b = le.AppendUint64(b, d.Defs.Definition)
	b = binary.AppendUvarint(b, uint64(len(d.Pending)))
	last := ""
	for _, f := range d.Pending {
		b = appendName(b, last, string(f))
		last = string(f)
	}
	b = binary.AppendUvarint(b, uint64(len(d.Entries)))
	last = ""
	for _, l := range d.Entries {
		b = appendName(b, last, string(l.Field))
		b = binary.AppendUvarint(b, uint64(l.Cardinality))
		b = binary.AppendUvarint(b, uint64(l.Size))
		b = le.AppendUint64(b, l.Checksum)
		last = string(l.Field)
	}
	return le.AppendUint64(b, xxhash.Sum64(b)), nil
}

func appendName(b []byte, last, name string) []byte {
	shared := 0
	for shared < min(len(last), len(name), maxShared) && last[shared] == name[shared] {
		shared++
	}
	b = binary.AppendUvarint(b, uint64(shared))
	b = binary.AppendUvarint(b, uint64(len(name)-shared))
	return append(b, name[shared:]...)
}

// DecodeMeta reads a directory's bytes, which may come from anywhere: what fails its checksum, belongs to another key, or breaks
// a rule of Directory is refused. Epoch and version are for the caller to judge.
func DecodeMeta(key Key, data []byte) (*Directory, error) {
	if len(data) < 8 {
		return nil, fmt.Errorf("decode meta: %d bytes: %w", len(data), errCorrupt)
	}
	body := data[:len(data)-8]
	if xxhash.Sum64(body) != binary.LittleEndian.Uint64(data[len(body):]) {
		return nil, fmt.Errorf("decode meta: wrong checksum: %w", errCorrupt)
	}
	r := reader{data: body}
	if string(r.bytes(len(metaMagic))) != metaMagic {
		r.fail("meta of another format")
	}
	d := &Directory{Store: string(r.bytes(r.count(maxStoreBytes)))}
	d.Layout, d.Block = r.uint32(), r.uint32()
	d.Epoch = Epoch{Number: r.uint64(), Random: r.uint64()}
	d.Version = r.uint64()
	d.Defs = Position{Revision: r.uint64(), Definition: r.uint64()}
	if r.err == nil && (Key{d.Store, d.Layout, d.Block}) != key {
		r.fail("meta of another block")
	}
	last := audience.Field("")
	for range r.count(maxFields) {
		last = r.name(last)
		if r.err != nil {
			break
		}
		d.Pending = append(d.Pending, last)
	}
	last = ""
	n := r.count(maxFields)
	// An entry takes at least twelve bytes, so no count makes more memory than the data justifies.
	d.Entries = slices.Grow(d.Entries, min(n, len(r.data)/12+1))
	for range n {
		l := Listed{Field: r.name(last)}
		l.Cardinality = uint32(r.count(audience.BlockSize))
		l.Size = uint32(r.count(1<<32 - 1))
		l.Checksum = r.uint64()
		if r.err != nil {
			break
		}
		d.Entries = append(d.Entries, l)
		last = l.Field
	}
	if r.err == nil && len(r.data) > 0 {
		r.fail("%d bytes after the end", len(r.data))
	}
	if r.err != nil {
		return nil, fmt.Errorf("decode meta: %w", r.err)
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("decode meta: %w", err)
	}
	d.sum = binary.LittleEndian.Uint64(data[len(body):])
	return d, nil
}

// decodedFrom reports whether these bytes are the ones that the directory was decoded from, without taking them apart again.
func (d *Directory) decodedFrom(data []byte) bool {
	if d == nil || d.sum == 0 || len(data) < 8 {
		return false
	}
	body := data[:len(data)-8]
	return binary.LittleEndian.Uint64(data[len(body):]) == d.sum && xxhash.Sum64(body) == d.sum
}

// name reads a name that shares its beginning with the one before.
func (r *reader) name(last audience.Field) audience.Field {
	shared := r.count(min(len(last), maxShared))
	rest := r.bytes(r.count(maxFieldBytes))
	if r.err != nil {
		return ""
	}
	if shared+len(rest) == 0 || shared+len(rest) > maxFieldBytes {
		r.fail("name of %d bytes", shared+len(rest))
		return ""
	}
	return last[:shared] + audience.Field(rest)
}
