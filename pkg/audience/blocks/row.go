package blocks

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// The portable roaring format, as far as a block needs it: at most one container, whose key is 0.
const (
	cookieNoRun = 12346
	cookieRun   = 12347
	// arrayMax is the largest cardinality that is written as an array; above it a container without runs is a bitmap.
	arrayMax = 4096
)

// EncodeRow returns a row as portable roaring bytes, in the smallest of the three container types, and its cardinality. An
// empty (or nil) row has no bytes.
func EncodeRow(b *audience.Bits) (data []byte, cardinality int, err error) {
	n := b.Count()
	if n == 0 {
		return nil, 0, nil
	}
	m := roaring.FromDense(b[:], false)
	m.RunOptimize()
	data, err = m.ToBytes()
	if err != nil {
		return nil, 0, fmt.Errorf("encode row: %w", err)
	}
	return data, n, nil
}

// DecodeRow reads portable roaring bytes of one block. The bytes may come from anywhere: what is not a valid bitmap of at least
// one ordinal below 65536, exactly as long as the data, is refused. It takes time linear in the data and no memory beyond the
// row.
func DecodeRow(data []byte) (*audience.Bits, error) {
	out := new(audience.Bits)
	if err := decodeRow(out, data); err != nil {
		return nil, err
	}
	return out, nil
}

// decodeRow is written out here, rather than left to the library, because a block's row is a single container: it can then
// be filled in directly, and checked in linear time (the library compares runs pairwise). Tests hold it against the library.
func decodeRow(out *audience.Bits, data []byte) error {
	if len(data) < 4 {
		return fmt.Errorf("row of %d bytes: %w", len(data), errCorrupt)
	}
	le := binary.LittleEndian
	cookie, rest := le.Uint32(data), data[4:]
	var run bool
	var header, body []byte // key and cardinality; the container
	switch {
	case cookie == cookieNoRun:
		// Count of containers, key and cardinality of each, offset of each.
		if len(rest) < 12 || le.Uint32(rest) != 1 || le.Uint32(rest[8:]) != 16 {
			return fmt.Errorf("row is not one container: %w", errCorrupt)
		}
		header, body = rest[4:8], rest[12:]
	case cookie&0xffff == cookieRun:
		// Count minus one is in the cookie; a bit for each container says whether it holds runs; no offsets below four.
		if cookie>>16 != 0 || len(rest) < 5 || rest[0] > 1 {
			return fmt.Errorf("row is not one container: %w", errCorrupt)
		}
		run, header, body = rest[0] == 1, rest[1:5], rest[5:]
	default:
		return fmt.Errorf("row has no cookie: %w", errCorrupt)
	}
	if le.Uint16(header) != 0 {
		return fmt.Errorf("row has ordinals beyond its block: %w", errCorrupt)
	}
	cardinality := int(le.Uint16(header[2:])) + 1
	switch {
	case run:
		return decodeRuns(out, body, cardinality)
	case cardinality <= arrayMax:
		return decodeArray(out, body, cardinality)
	}
	if len(body) != len(out)*8 {
		return fmt.Errorf("bitmap of %d bytes: %w", len(body), errCorrupt)
	}
	n := 0
	for i := range out {
		out[i] = le.Uint64(body[i*8:])
		n += bits.OnesCount64(out[i])
	}
	if n != cardinality {
		return fmt.Errorf("bitmap of %d ordinals says %d: %w", n, cardinality, errCorrupt)
	}
	return nil
}

func decodeArray(out *audience.Bits, body []byte, cardinality int) error {
	if len(body) != 2*cardinality {
		return fmt.Errorf("array of %d bytes for %d ordinals: %w", len(body), cardinality, errCorrupt)
	}
	last := -1
	for i := 0; i < len(body); i += 2 {
		o := binary.LittleEndian.Uint16(body[i:])
		if int(o) <= last {
			return fmt.Errorf("array out of order: %w", errCorrupt)
		}
		out.Set(o)
		last = int(o)
	}
	return nil
}

func decodeRuns(out *audience.Bits, body []byte, cardinality int) error {
	if len(body) < 2 || len(body) != 2+4*int(binary.LittleEndian.Uint16(body)) {
		return fmt.Errorf("runs of %d bytes: %w", len(body), errCorrupt)
	}
	next, n := 0, 0 // the first ordinal that the next run may begin with
	for body = body[2:]; len(body) > 0; body = body[4:] {
		first := int(binary.LittleEndian.Uint16(body))
		last := first + int(binary.LittleEndian.Uint16(body[2:]))
		if first < next || last >= audience.BlockSize {
			return fmt.Errorf("runs out of order or beyond the block: %w", errCorrupt)
		}
		setRange(out, first, last)
		// Two runs that touch would be one.
		n, next = n+last-first+1, last+2
	}
	if n != cardinality {
		return fmt.Errorf("runs of %d ordinals say %d: %w", n, cardinality, errCorrupt)
	}
	return nil
}

// setRange sets the ordinals first to last, both included.
func setRange(b *audience.Bits, first, last int) {
	lo, hi := first>>6, last>>6
	from, to := ^uint64(0)<<(first&63), ^uint64(0)>>(63-last&63)
	if lo == hi {
		b[lo] |= from & to
		return
	}
	b[lo] |= from
	for i := lo + 1; i < hi; i++ {
		b[i] = ^uint64(0)
	}
	b[hi] |= to
}
