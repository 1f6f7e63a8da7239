package blocks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// A column's bytes: kind; count of distinct values; the values (numbers: the first as it is, then the distances, which are
// unsigned and so never overflow; texts: length and bytes); length and portable roaring bytes of the presence row; then, in the
// order of ordinals, the ranks of those present, in no byte if there is one value, one byte each up to 256 values, else two.
// Counts and lengths are uvarints.
const (
	columnNums  = 1
	columnTexts = 2
)

// EncodeColumn returns a column's bytes and the number of ordinals that have a value. An empty (or nil) column has no bytes. A
// column that breaks a promise of audience.Column is refused.
func EncodeColumn(c *audience.Column) (data []byte, cardinality int, err error) {
	if c == nil || c.Present.IsEmpty() {
		return nil, 0, nil
	}
	if err := c.Validate(); err != nil {
		return nil, 0, fmt.Errorf("encode column: %w", err)
	}
	present, n := EncodeRow(c.Present)
	b := make([]byte, 0, len(present)+2*n+9*len(c.Nums)+16*len(c.Texts)+16)
	if len(c.Texts) > 0 {
		b = append(b, columnTexts)
		b = binary.AppendUvarint(b, uint64(len(c.Texts)))
		for _, t := range c.Texts {
			b = binary.AppendUvarint(b, uint64(len(t)))
			b = append(b, t...)
		}
	} else {
		b = append(b, columnNums)
		b = binary.AppendUvarint(b, uint64(len(c.Nums)))
		b = binary.AppendVarint(b, c.Nums[0])
		for i := 1; i < len(c.Nums); i++ {
			b = binary.AppendUvarint(b, uint64(c.Nums[i])-uint64(c.Nums[i-1]))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(present)))
	b = append(b, present...)
	return c.Ranks.Append(b, c.Present, rankWidth(c.Len())), n, nil
}

func rankWidth(distinct int) int {
	switch {
	case distinct <= 1:
		return 0
	case distinct <= 256:
		return 1
	}
	return 2
}

// DecodeColumn reads a column's bytes, which may come from anywhere: what EncodeColumn would not write is refused, and memory is
// taken in proportion to the data.
func DecodeColumn(data []byte) (*audience.Column, error) {
	r := reader{data: data}
	kind, distinct := r.byte(), r.count(audience.BlockSize)
	if r.err == nil && (distinct == 0 || kind != columnNums && kind != columnTexts) {
		r.fail("column of kind %d with %d values", kind, distinct)
	}
	c := new(audience.Column)
	if kind == columnTexts {
		c.Texts = r.texts(distinct)
	} else {
		c.Nums = r.nums(distinct)
	}
	present := r.bytes(r.count(len(data)))
	if r.err != nil {
		return nil, fmt.Errorf("decode column: %w", r.err)
	}
	c.Present = new(audience.Bits)
	if err := decodeBits(c.Present, present); err != nil {
		return nil, fmt.Errorf("decode column: %w", err)
	}
	width := rankWidth(distinct)
	if len(r.data) != width*c.Present.Count() {
		return nil, fmt.Errorf("decode column: ranks of %d bytes: %w", len(r.data), errCorrupt)
	}
	highest := 0
	for i := len(c.Present) - 1; i >= 0; i-- {
		if w := c.Present[i]; w != 0 {
			highest = i<<6 | 63 - bits.LeadingZeros64(w)
			break
		}
	}
	c.Ranks = audience.MakeRanks(highest+1, distinct)
	if width == 0 {
		return c, nil
	}
	data = r.data
	for i, w := range c.Present {
		for ; w != 0; w &= w - 1 {
			rank := uint16(data[0])
			if width == 2 {
				rank = binary.LittleEndian.Uint16(data)
			}
			if int(rank) >= distinct {
				return nil, fmt.Errorf("decode column: rank %d of %d values: %w", rank, distinct, errCorrupt)
			}
			c.Ranks.Set(uint16(i<<6|bits.TrailingZeros64(w)), rank)
			data = data[width:]
		}
	}
	return c, nil
}

func (r *reader) nums(n int) []int64 {
	nums := make([]int64, 0, min(n, len(r.data)))
	last := r.varint()
	for i := range n {
		if i > 0 {
			d := r.uvarint()
			next := int64(uint64(last) + d)
			if next <= last {
				r.fail("numbers out of order")
			}
			last = next
		}
		if r.err != nil {
			return nil
		}
		nums = append(nums, last)
	}
	return nums
}

func (r *reader) texts(n int) []string {
	texts := make([]string, 0, min(n, len(r.data)))
	for i := range n {
		t := string(r.bytes(r.count(len(r.data))))
		if i > 0 && r.err == nil && t <= texts[i-1] {
			r.fail("texts out of order")
		}
		if r.err != nil {
			return nil
		}
		texts = append(texts, t)
	}
	return texts
}

// reader takes untrusted bytes apart. After the first error it yields zeros.
type reader struct {
	data []byte
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = errors.Join(fmt.Errorf(format, args...), errCorrupt)
	}
	r.data = nil
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.data) {
		r.fail("data ends early")
		return nil
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 {
		r.fail("bad number")
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.data)
	if n <= 0 {
		r.fail("bad number")
		return 0
	}
	r.data = r.data[n:]
	return v
}

// count reads a number of things that is at most limit.
func (r *reader) count(limit int) int {
	v := r.uvarint()
	if r.err == nil && v > uint64(limit) {
		r.fail("count %d over its limit %d", v, limit)
		return 0
	}
	return int(v)
}
