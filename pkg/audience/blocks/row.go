package blocks

import (
	"encoding/binary"
	"fmt"
	"math/bits"

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
//
// It is written out here as decoding is, for the same reason: a change of one profile writes whole columns, and with them this row.
func EncodeRow(b *audience.Bits) (data []byte, cardinality int) {
	n := b.Count()
	if n == 0 {
		return nil, 0
	}
	runs := 0
	var before uint64 // the highest bit of the word before
	for _, w := range b {
		runs += bits.OnesCount64(w &^ (w<<1 | before))
		before = w >> 63
	}
	plain := min(2*n, audience.BlockSize/8)
	le := binary.LittleEndian
	if 2+4*runs < plain {
		data = make([]byte, 0, 11+4*runs)
		data = le.AppendUint32(data, cookieRun)
		data = append(data, 1)
		data = le.AppendUint16(le.AppendUint16(data, 0), uint16(n-1))
		data = le.AppendUint16(data, uint16(runs))
		return appendRuns(data, b), n
	}
	data = make([]byte, 0, 16+plain)
	data = le.AppendUint32(le.AppendUint32(data, cookieNoRun), 1)
	data = le.AppendUint16(le.AppendUint16(data, 0), uint16(n-1))
	data = le.AppendUint32(data, 16)
	if n > arrayMax {
		for _, w := range b {
			data = le.AppendUint64(data, w)
		}
		return data, n
	}
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			data = le.AppendUint16(data, uint16(i<<6|bits.TrailingZeros64(w)))
		}
	}
	return data, n
}

// appendRuns appends the first ordinal and the length less one of each run.
func appendRuns(data []byte, b *audience.Bits) []byte {
	le := binary.LittleEndian
	for at := 0; at < audience.BlockSize; {
		w := b[at>>6] >> (at & 63)
		if w == 0 {
			at = at&^63 + 64
			continue
		}
		first := at + bits.TrailingZeros64(w)
		end := first // the first ordinal behind the run
		for end < audience.BlockSize {
			ones := bits.TrailingZeros64(^(b[end>>6] >> (end & 63)))
			end += ones
			if ones == 0 || end&63 != 0 {
				break
			}
		}
		data = le.AppendUint16(le.AppendUint16(data, uint16(first)), uint16(end-first-1))
		at = end
	}
	return data
}

// DecodeRow reads portable roaring bytes of one block, in the form in which it is evaluated fastest. The bytes may come from
// anywhere: what is not a valid bitmap of at least one ordinal below 65536, exactly as long as the data, is refused. It takes time
// linear in the data and no memory beyond the row.
func DecodeRow(data []byte) (audience.Row, error) {
	c, err := containerOf(data)
	if err != nil {
		return audience.Row{}, err
	}
	switch {
	case c.run && len(c.body) <= 2+4*audience.RunsMax:
		pairs, err := c.pairs()
		if err != nil {
			return audience.Row{}, err
		}
		return audience.RunsRow(pairs), nil
	case !c.run && c.cardinality <= audience.ListMax:
		list, err := c.list()
		if err != nil {
			return audience.Row{}, err
		}
		return audience.ListRow(list), nil
	}
	out := new(audience.Bits)
	if err := c.into(out); err != nil {
		return audience.Row{}, err
	}
	if c.cardinality <= audience.ListMax {
		return audience.NewRow(out), nil // many short runs
	}
	return audience.DenseRow(out, c.cardinality), nil
}

// decodeBits is DecodeRow into a bitmap, which must be empty.
func decodeBits(out *audience.Bits, data []byte) error {
	c, err := containerOf(data)
	if err != nil {
		return err
	}
	return c.into(out)
}

// container is what a row's bytes hold, its body unread.
type container struct {
	run         bool
	cardinality int
	body        []byte
}

// containerOf is written out here, rather than left to the library, because a block's row is a single container: it can then
// be read directly, and checked in linear time (the library compares runs pairwise). Tests hold it against the library.
func containerOf(data []byte) (c container, err error) {
	if len(data) < 4 {
		return c, fmt.Errorf("row of %d bytes: %w", len(data), errCorrupt)
	}
	le := binary.LittleEndian
	cookie, rest := le.Uint32(data), data[4:]
	var header []byte // key and cardinality
	switch {
	case cookie == cookieNoRun:
		// Count of containers, key and cardinality of each, offset of each.
		if len(rest) < 12 || le.Uint32(rest) != 1 || le.Uint32(rest[8:]) != 16 {
			return c, fmt.Errorf("row is not one container: %w", errCorrupt)
		}
		header, c.body = rest[4:8], rest[12:]
	case cookie&0xffff == cookieRun:
		// Count minus one is in the cookie; a bit for each container says whether it holds runs; no offsets below four.
		if cookie>>16 != 0 || len(rest) < 5 || rest[0] > 1 {
			return c, fmt.Errorf("row is not one container: %w", errCorrupt)
		}
		c.run, header, c.body = rest[0] == 1, rest[1:5], rest[5:]
	default:
		return c, fmt.Errorf("row has no cookie: %w", errCorrupt)
	}
	if le.Uint16(header) != 0 {
		return c, fmt.Errorf("row has ordinals beyond its block: %w", errCorrupt)
	}
	c.cardinality = int(le.Uint16(header[2:])) + 1
	return c, nil
}

// into fills an empty bitmap.
func (c *container) into(out *audience.Bits) error {
	switch {
	case c.run:
		pairs, err := c.pairs()
		if err != nil {
			return err
		}
		for i := 0; i < len(pairs); i += 2 {
			out.SetRange(pairs[i], pairs[i+1])
		}
		return nil
	case c.cardinality <= arrayMax:
		list, err := c.list()
		if err != nil {
			return err
		}
		for _, o := range list {
			out.Set(o)
		}
		return nil
	}
	if len(c.body) != len(out)*8 {
		return fmt.Errorf("bitmap of %d bytes: %w", len(c.body), errCorrupt)
	}
	n := 0
	for i := range out {
		out[i] = binary.LittleEndian.Uint64(c.body[i*8:])
		n += bits.OnesCount64(out[i])
	}
	if n != c.cardinality {
		return fmt.Errorf("bitmap of %d ordinals says %d: %w", n, c.cardinality, errCorrupt)
	}
	return nil
}

// list returns the ordinals of an array.
func (c *container) list() ([]uint16, error) {
	if c.cardinality > arrayMax || len(c.body) != 2*c.cardinality {
		return nil, fmt.Errorf("array of %d bytes for %d ordinals: %w", len(c.body), c.cardinality, errCorrupt)
	}
	list := make([]uint16, c.cardinality)
	last := -1
	for i := range list {
		o := binary.LittleEndian.Uint16(c.body[2*i:])
		if int(o) <= last {
			return nil, fmt.Errorf("array out of order: %w", errCorrupt)
		}
		list[i] = o
		last = int(o)
	}
	return list, nil
}

// pairs returns the first and last ordinals of runs.
func (c *container) pairs() ([]uint16, error) {
	body := c.body
	if len(body) < 2 || len(body) != 2+4*int(binary.LittleEndian.Uint16(body)) {
		return nil, fmt.Errorf("runs of %d bytes: %w", len(body), errCorrupt)
	}
	pairs := make([]uint16, 0, len(body)/2)
	next, n := 0, 0 // the first ordinal that the next run may begin with
	for body = body[2:]; len(body) > 0; body = body[4:] {
		first := int(binary.LittleEndian.Uint16(body))
		last := first + int(binary.LittleEndian.Uint16(body[2:]))
		if first < next || last >= audience.BlockSize {
			return nil, fmt.Errorf("runs out of order or beyond the block: %w", errCorrupt)
		}
		pairs = append(pairs, uint16(first), uint16(last))
		// Two runs that touch would be one.
		n, next = n+last-first+1, last+2
	}
	if n != c.cardinality {
		return nil, fmt.Errorf("runs of %d ordinals say %d: %w", n, c.cardinality, errCorrupt)
	}
	return pairs, nil
}
