package blocks_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cespare/xxhash/v2"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// bitsOf makes a row of ordinals.
func bitsOf(ordinals ...uint16) *audience.Bits {
	b := new(audience.Bits)
	for _, o := range ordinals {
		b.Set(o)
	}
	return b
}

// rows of every container type, with the sizes around the border between arrays and bitmaps.
func rows(tb testing.TB) map[string]*audience.Bits {
	tb.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	some := func(n int) *audience.Bits {
		b := new(audience.Bits)
		for _, o := range r.Perm(audience.BlockSize)[:n] {
			b.Set(uint16(o))
		}
		return b
	}
	full := new(audience.Bits)
	for i := range full {
		full[i] = math.MaxUint64
	}
	almost := *full
	almost.Unset(65535)
	runs := new(audience.Bits)
	for o := range audience.BlockSize {
		if o%1000 < 500 {
			runs.Set(uint16(o))
		}
	}
	return map[string]*audience.Bits{
		"list": some(audience.ListMax), "a little more": some(audience.ListMax + 1), "a little less": some(audience.ListMax - 1),
		"64 runs": stripes(audience.RunsMax), "65 runs": stripes(audience.RunsMax + 1), "pairs": stripes(300),
		"first": bitsOf(0), "last": bitsOf(65535), "ends": bitsOf(0, 65535), "word edges": bitsOf(63, 64, 127, 128),
		"4095": some(4095), "4096": some(4096), "4097": some(4097), "half": some(32768),
		"full": full, "all but the last": &almost, "runs": runs,
	}
}

// stripes is so many runs of three.
func stripes(n int) *audience.Bits {
	b := new(audience.Bits)
	for i := range n {
		b.SetRange(uint16(i*100), uint16(i*100+2))
	}
	return b
}

func TestRowsAreReadBackAndReadByTheLibrary(t *testing.T) {
	for name, row := range rows(t) {
		t.Run(name, func(t *testing.T) {
			data, n := blocks.EncodeRow(row)
			if n != row.Count() {
				t.Fatalf("EncodeRow: %d ordinals; want %d", n, row.Count())
			}
			theirs := roaring.FromDense(row[:], true)
			theirs.RunOptimize()
			if want, err := theirs.ToBytes(); err != nil || !bytes.Equal(data, want) {
				t.Fatalf("the library writes %d other bytes than these %d (%v)", len(want), len(data), err)
			}
			got, err := blocks.DecodeRow(data)
			if err != nil || *got.Bits() != *row || got.Count() != n {
				t.Fatalf("DecodeRow gives another row, or %v", err)
			}
			m := roaring.New()
			if err := m.UnmarshalBinary(data); err != nil || m.Validate() != nil {
				t.Fatalf("the library refuses the row: %v, %v", err, m.Validate())
			}
			if m.GetCardinality() != uint64(n) {
				t.Fatalf("the library finds %d ordinals, want %d", m.GetCardinality(), n)
			}
		})
	}
}

// TestRandomRowsAreWrittenAsTheLibraryWritesThem mixes runs and single ordinals of every density.
func TestRandomRowsAreWrittenAsTheLibraryWritesThem(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		row := new(audience.Bits)
		for range 1 + r.IntN(1+r.IntN(6000)) {
			first := r.IntN(audience.BlockSize)
			row.SetRange(uint16(first), uint16(min(audience.BlockSize-1, first+r.IntN(1+r.IntN(40)))))
		}
		theirs := roaring.FromDense(row[:], true)
		theirs.RunOptimize()
		want, err := theirs.ToBytes()
		if data, n := blocks.EncodeRow(row); err != nil || !bytes.Equal(data, want) || n != row.Count() {
			t.Fatalf("a row of %d is written in %d bytes, by the library in %d (%v)", row.Count(), len(data), len(want), err)
		}
	}
}

func TestAnEmptyRowHasNoBytes(t *testing.T) {
	for _, row := range []*audience.Bits{nil, {}} {
		if data, n := blocks.EncodeRow(row); data != nil || n != 0 {
			t.Errorf("EncodeRow = %v, %d", data, n)
		}
	}
}

func TestEveryContainerTypeOfOtherWritersIsRead(t *testing.T) {
	for name, row := range rows(t) {
		// Without RunOptimize the library writes the no-run header, with it the run header where that is smaller.
		m := roaring.FromDense(row[:], true)
		data, err := m.ToBytes()
		if err != nil {
			t.Fatal(err)
		}
		got, err := blocks.DecodeRow(data)
		if err != nil || *got.Bits() != *row {
			t.Errorf("%s: another row, or %v", name, err)
		}
	}
}

func TestRowsThatAreNoRowAreRefused(t *testing.T) {
	beyond := roaring.BitmapOf(1, 65536)
	other := roaring.BitmapOf(65536)
	huge := roaring.New()
	huge.AddRange(0, 1<<20)
	huge.RunOptimize()
	cases := map[string][]byte{"nothing": nil, "zeros": make([]byte, 64)}
	for name, m := range map[string]*roaring.Bitmap{"two containers": beyond, "another key": other, "sixteen containers": huge, "empty": roaring.New()} {
		data, err := m.ToBytes()
		if err != nil {
			t.Fatal(err)
		}
		cases[name] = data
	}
	for name, row := range rows(t) {
		data, _ := blocks.EncodeRow(row)
		cases[name+" cut"] = data[:len(data)-1]
		cases[name+" with more"] = append(bytes.Clone(data), 0)
	}
	for name, data := range cases {
		if _, err := blocks.DecodeRow(data); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzDecodeRow holds the decoder against the library: what it accepts the library must accept, as the same set.
func FuzzDecodeRow(f *testing.F) {
	for _, row := range rows(f) {
		data, _ := blocks.EncodeRow(row)
		f.Add(data)
		plain, err := roaring.FromDense(row[:], true).ToBytes()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := blocks.DecodeRow(data)
		if err != nil {
			return
		}
		m := roaring.New()
		if err := m.UnmarshalBinary(data); err != nil {
			t.Fatalf("the library cannot read it: %v", err)
		}
		if err := m.Validate(); err != nil {
			t.Fatalf("the library finds it invalid: %v", err)
		}
		if m.Maximum() > 65535 || m.GetCardinality() != uint64(got.Count()) {
			t.Fatalf("the library reads %d ordinals up to %d, we %d", m.GetCardinality(), m.Maximum(), got.Count())
		}
		for o := range got.All() {
			if !m.Contains(uint32(o)) {
				t.Fatalf("ordinal %d is not in the library's set", o)
			}
		}
	})
}

func columns() map[string]*audience.Column {
	r := rand.New(rand.NewPCG(3, 4))
	nums := func(n, distinct int) *audience.Column {
		at := r.Perm(audience.BlockSize)[:n]
		return audience.NewNumColumn(func(yield func(uint16, int64) bool) {
			for _, o := range at {
				if !yield(uint16(o), r.Int64N(int64(distinct))-int64(distinct/2)) {
					return
				}
			}
		})
	}
	texts := func(list ...string) *audience.Column {
		return audience.NewTextColumn(func(yield func(uint16, string) bool) {
			for i, s := range list {
				if !yield(uint16(i*7), s) {
					return
				}
			}
		})
	}
	edges := audience.NewNumColumn(func(yield func(uint16, int64) bool) {
		_ = yield(0, math.MinInt64) && yield(9, math.MaxInt64) && yield(65535, 0)
	})
	return map[string]*audience.Column{
		"one value": nums(100, 1), "256 values": nums(40000, 256), "257 values": nums(40000, 257), "all different": nums(65536, 1<<40),
		"edges": edges, "texts": texts("40100", "33000", "", "40100", "ü"), "an empty text": texts(""),
	}
}

// equal compares what columns say, not how they are kept.
func equal(a, b *audience.Column) bool {
	if !a.Present.Equal(b.Present) || !slices.Equal(a.Nums, b.Nums) || !slices.Equal(a.Texts, b.Texts) {
		return false
	}
	for o := range a.Present.All() {
		if a.Ranks.At(o) != b.Ranks.At(o) {
			return false
		}
	}
	return true
}

func TestColumnsAreReadBack(t *testing.T) {
	for name, c := range columns() {
		data, n, err := blocks.EncodeColumn(c)
		if err != nil || n != c.Present.Count() {
			t.Fatalf("%s: EncodeColumn: %d, %v", name, n, err)
		}
		got, err := blocks.DecodeColumn(data)
		if err != nil || !equal(got, c) || got.Validate() != nil {
			t.Errorf("%s: another column, or %v", name, err)
		}
		for cut := range min(len(data), 64) {
			if _, err := blocks.DecodeColumn(data[:len(data)-1-cut]); err == nil {
				t.Errorf("%s: accepted without its last %d bytes", name, cut+1)
			}
		}
	}
	if data, n, err := blocks.EncodeColumn(nil); data != nil || n != 0 || err != nil {
		t.Errorf("EncodeColumn(nil) = %v, %d, %v", data, n, err)
	}
}

func TestABrokenColumnIsNotWritten(t *testing.T) {
	c := &audience.Column{Present: bitsOf(1), Nums: []int64{2, 1}, Ranks: audience.MakeRanks(2, 2)}
	if _, _, err := blocks.EncodeColumn(c); err == nil {
		t.Error("numbers out of order were written")
	}
}

func FuzzDecodeColumn(f *testing.F) {
	for _, c := range columns() {
		data, _, err := blocks.EncodeColumn(c)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 1<<16 {
			f.Add(data)
		}
	}
	f.Add([]byte{2, 0xff, 0xff, 3, 1, 'a'}) // many values announced
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := blocks.DecodeColumn(data)
		if err != nil {
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("accepted, but: %v", err)
		}
		again, _, err := blocks.EncodeColumn(c)
		if err != nil {
			t.Fatalf("cannot be written again: %v", err)
		}
		back, err := blocks.DecodeColumn(again)
		if err != nil || !equal(back, c) {
			t.Fatalf("changed by writing it again: %v", err)
		}
	})
}

func directory() *blocks.Directory {
	return &blocks.Directory{
		Store: "store-1", Layout: 2, Block: 7, Epoch: blocks.Epoch{Number: 3, Random: math.MaxUint64}, Version: 11,
		Defs:    blocks.Position{Revision: 1 << 40, Definition: 9},
		Pending: []audience.Field{"f/custom.a=*", "p/custom.a"},
		Entries: []blocks.Listed{
			{Field: "c/postal_code", Entry: blocks.Entry{Cardinality: 65536, Checksum: 1, Size: 200000}},
			{Field: "f/region=FR", Entry: blocks.Entry{Cardinality: 5, Checksum: 2, Size: 26}},
			{Field: "f/region=FR-40", Entry: blocks.Entry{Cardinality: 1, Checksum: math.MaxUint64, Size: 18}},
			{Field: "live", Entry: blocks.Entry{}},
			{Field: "s/u@1", Entry: blocks.Entry{}},
		},
	}
}

func key(d *blocks.Directory) blocks.Key {
	return blocks.Key{Store: d.Store, Layout: d.Layout, Block: d.Block}
}

func TestMetaIsReadBack(t *testing.T) {
	d := directory()
	d.Entries = append(d.Entries, blocks.Listed{Field: audience.Field("s/" + strings.Repeat("x", 300) + "@1")},
		blocks.Listed{Field: audience.Field("s/" + strings.Repeat("x", 300) + "@2")})
	data, err := blocks.EncodeMeta(d)
	if err != nil {
		t.Fatal(err)
	}
	got, err := blocks.DecodeMeta(key(d), data)
	if err != nil {
		t.Fatal(err)
	}
	if got.Epoch != d.Epoch || got.Version != d.Version || got.Defs != d.Defs || !slices.Equal(got.Pending, d.Pending) || !slices.Equal(got.Entries, d.Entries) || key(got) != key(d) {
		t.Errorf("got %+v\nwant %+v", got, d)
	}
}

func TestMetaOfAnotherBlockOrWithAChangedByteIsRefused(t *testing.T) {
	d := directory()
	data, err := blocks.EncodeMeta(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []blocks.Key{{"store-2", 2, 7}, {"store-1", 3, 7}, {"store-1", 2, 8}} {
		if _, err := blocks.DecodeMeta(k, data); err == nil {
			t.Errorf("accepted as %s", k)
		}
	}
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 0x10
		if _, err := blocks.DecodeMeta(key(d), bad); err == nil {
			t.Errorf("accepted with byte %d changed", i)
		}
		if _, err := blocks.DecodeMeta(key(d), data[:i]); err == nil {
			t.Errorf("accepted after %d bytes", i)
		}
	}
}

func TestADirectoryThatBreaksItsRulesIsNotWritten(t *testing.T) {
	for name, spoil := range map[string]func(*blocks.Directory){
		"no store":          func(d *blocks.Directory) { d.Store = "" },
		"out of order":      func(d *blocks.Directory) { slices.Reverse(d.Entries) },
		"twice":             func(d *blocks.Directory) { d.Entries = append(d.Entries, d.Entries[len(d.Entries)-1]) },
		"empty facet":       func(d *blocks.Directory) { d.Entries[1].Entry = blocks.Entry{} },
		"no bytes":          func(d *blocks.Directory) { d.Entries[1].Size = 0 },
		"beyond the block":  func(d *blocks.Directory) { d.Entries[1].Cardinality = 65537 },
		"pending disorder":  func(d *blocks.Directory) { slices.Reverse(d.Pending) },
		"endless name":      func(d *blocks.Directory) { d.Entries[4].Field = audience.Field("s/" + strings.Repeat("x", 5000)) },
		"empty with a size": func(d *blocks.Directory) { d.Entries[4].Size = 1 },
	} {
		d := directory()
		spoil(d)
		if _, err := blocks.EncodeMeta(d); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

// FuzzDecodeMeta repairs the checksum, so that what is behind it is reached.
func FuzzDecodeMeta(f *testing.F) {
	d := directory()
	data, err := blocks.EncodeMeta(d)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[:len(data)-8])
	f.Fuzz(func(t *testing.T, body []byte) {
		data := binary.LittleEndian.AppendUint64(bytes.Clone(body), xxhash.Sum64(body))
		got, err := blocks.DecodeMeta(key(d), data)
		if err != nil {
			return
		}
		again, err := blocks.EncodeMeta(got)
		if err != nil {
			t.Fatalf("accepted what cannot be written: %v", err)
		}
		back, err := blocks.DecodeMeta(key(d), again)
		if err != nil || !slices.Equal(back.Entries, got.Entries) || !slices.Equal(back.Pending, got.Pending) || back.Version != got.Version {
			t.Fatalf("changed by writing it again: %v", err)
		}
	})
}

func TestUIDsAreReadBackWithoutBlankOnesAtTheEnd(t *testing.T) {
	uids := make([]audience.UID, blocks.ChunkSize)
	uids[1], uids[70] = audience.UID{1}, audience.UID{15: 9}
	data, n, err := blocks.EncodeUIDs(uids)
	if err != nil || n != 2 || len(data) != 71*16 {
		t.Fatalf("EncodeUIDs: %d uids in %d bytes, %v", n, len(data), err)
	}
	got, err := blocks.DecodeUIDs(data)
	if err != nil || !slices.Equal(got, uids[:71]) {
		t.Errorf("DecodeUIDs: %v", err)
	}
	if _, err := blocks.DecodeUIDs(data[:17]); err == nil {
		t.Error("a part of a uid was accepted")
	}
	if _, err := blocks.DecodeUIDs(make([]byte, 16*blocks.ChunkSize+16)); err == nil {
		t.Error("too many uids were accepted")
	}
	if _, _, err := blocks.EncodeUIDs(make([]audience.UID, blocks.ChunkSize+1)); err == nil {
		t.Error("too many uids were written")
	}
}

func FuzzDecodeUIDs(f *testing.F) {
	f.Add(make([]byte, 32))
	f.Fuzz(func(t *testing.T, data []byte) {
		uids, err := blocks.DecodeUIDs(data)
		if err != nil {
			return
		}
		again, _, err := blocks.EncodeUIDs(uids)
		if err != nil || !bytes.HasPrefix(data, again) {
			t.Fatalf("written again as other bytes: %v", err)
		}
	})
}

func TestTheChecksumBindsTheFieldsName(t *testing.T) {
	// Moving a byte from the name to the data must not go unnoticed either.
	a := blocks.Checksum("f/a=1", []byte("2x"))
	for _, b := range []uint64{blocks.Checksum("f/a=2", []byte("2x")), blocks.Checksum("f/a=12", []byte("x")), blocks.Checksum("f/a=1", []byte("2y"))} {
		if a == b {
			t.Error("another field or value has the same checksum")
		}
	}
}
