package sqldb

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// A dump is a line that names the format, then frames: a byte that says what the frame is, the length of what it holds as a varint,
// what it holds, and the CRC-32C of all three. The first frame is the head; each table has a frame of its own, frames of rows and a
// frame that closes it; the last frame has the SHA-256 of every byte before it. Integers are varints, texts and bytes come after
// their length. A reader believes nothing before it has checked it.
const (
	dumpLine   = "narrowcast dump 1\n"
	dumpFamily = "narrowcast dump "

	frameHead  = 'H' // schema version, number of tables
	frameTable = 'T' // name, last number given out, columns (kind, name) by name
	frameRows  = 'R' // number of rows, then each row's values in the order of the columns
	frameClose = 'C' // number of the table's rows
	frameEnd   = 'E' // number of all rows, SHA-256

	// frameBytes is when a frame of rows is closed; a row may be longer.
	frameBytes = 128 << 10
	// maxFrame bounds what a reader takes into memory.
	maxFrame = 256 << 20
	// maxTables and maxColumns bound what a head may promise.
	maxTables, maxColumns = 10_000, 2_000
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged is what is wrong with a dump that is none, or not whole any more.
func errDamaged(at int64, what string) *fault.Error {
	return fault.Newf(fault.DataLoss, ReasonDumpDamaged, "the dump is damaged or cut short (byte %d: %s); nothing was restored, take another copy", at, what).
		With("byte", at)
}

// dumpWriter writes frames.
type dumpWriter struct {
	to   *bufio.Writer
	sum  hash.Hash
	head []byte
}

func newDumpWriter(w io.Writer) (*dumpWriter, error) {
	d := &dumpWriter{to: bufio.NewWriterSize(w, 256<<10), sum: sha256.New()}
	return d, d.write([]byte(dumpLine))
}

func (d *dumpWriter) write(p []byte) error {
	d.sum.Write(p) // it never fails
	_, err := d.to.Write(p)
	return err
}

func (d *dumpWriter) frame(kind byte, payload []byte) error {
	d.head = binary.AppendUvarint(append(d.head[:0], kind), uint64(len(payload)))
	crc := crc32.Update(crc32.Checksum(d.head, castagnoli), castagnoli, payload)
	for _, part := range [][]byte{d.head, payload, binary.LittleEndian.AppendUint32(nil, crc)} {
		if err := d.write(part); err != nil {
			return err
		}
	}
	return nil
}

// end writes the last frame.
func (d *dumpWriter) end(rows int64) error {
	payload := binary.AppendUvarint(nil, uint64(rows))
	if err := d.frame(frameEnd, d.sum.Sum(payload)); err != nil {
		return err
	}
	return d.to.Flush()
}

func appendBytes(to []byte, value []byte) []byte {
	return append(binary.AppendUvarint(to, uint64(len(value))), value...)
}

// appendValue appends a value: 0 for null, 1 and the value otherwise.
func appendValue(to []byte, kind valueKind, value any) ([]byte, error) {
	if value == nil {
		return append(to, 0), nil
	}
	to = append(to, 1)
	switch v := value.(type) {
	case int64:
		if kind == kindInteger {
			return binary.AppendVarint(to, v), nil
		}
	case string:
		if kind != kindInteger {
			return append(binary.AppendUvarint(to, uint64(len(v))), v...), nil
		}
	case []byte:
		if kind != kindInteger { // SQLite keeps what it was given, and gives it back as that
			return appendBytes(to, v), nil
		}
	}
	return nil, fmt.Errorf("a value of Go type %T does not fit a column of kind %q", value, kind)
}

// dumpReader reads frames and checks each before it hands it on.
type dumpReader struct {
	from *bufio.Reader
	sum  hash.Hash
	at   int64 // bytes read
	// before is the checksum of everything before the newest frame.
	before []byte
}

func newDumpReader(r io.Reader) (*dumpReader, error) {
	d := &dumpReader{from: bufio.NewReaderSize(r, 256<<10), sum: sha256.New()}
	line, err := d.take(len(dumpLine))
	switch {
	case err != nil:
		return nil, err
	case string(line) == dumpLine:
		return d, nil
	case bytes.HasPrefix(line, []byte(dumpFamily)):
		return nil, fault.New(fault.Precondition, ReasonDumpVersion, "the dump is of a format that this program does not know; use the program that wrote it, or a newer one")
	}
	return nil, errDamaged(0, "no dump begins so")
}

// take reads n bytes. Memory grows with what is there, not with what was promised.
func (d *dumpReader) take(n int) ([]byte, error) {
	var b bytes.Buffer
	got, err := io.CopyN(&b, d.from, int64(n))
	d.at += got
	d.sum.Write(b.Bytes())
	switch {
	case errors.Is(err, io.EOF):
		return nil, errDamaged(d.at, "the end came too early")
	case err != nil:
		return nil, fmt.Errorf("read dump: %w", err)
	}
	return b.Bytes(), nil
}

// frame reads the next frame.
func (d *dumpReader) frame() (kind byte, payload []byte, err error) {
	d.before = d.sum.Sum(d.before[:0])
	began := d.at
	var head []byte
	for more := true; more; {
		if len(head) > 1+binary.MaxVarintLen64 {
			return 0, nil, errDamaged(began, "a length is too long")
		}
		b, err := d.take(1)
		if err != nil {
			return 0, nil, err
		}
		head = append(head, b[0])
		more = len(head) == 1 || b[0] >= 0x80
	}
	size, n := binary.Uvarint(head[1:])
	if n <= 0 || size > maxFrame {
		return 0, nil, errDamaged(began, "a frame is too long")
	}
	if payload, err = d.take(int(size)); err != nil {
		return 0, nil, err
	}
	check, err := d.take(4)
	if err != nil {
		return 0, nil, err
	}
	crc := crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, payload)
	if binary.LittleEndian.Uint32(check) != crc {
		return 0, nil, errDamaged(began, "a checksum is wrong")
	}
	return head[0], payload, nil
}

// finish checks the last frame and that nothing follows it.
func (d *dumpReader) finish(payload []byte, rows int64) error {
	f := fields{rest: payload}
	if n := f.uint(); f.bad || n != uint64(rows) || !bytes.Equal(f.rest, d.before) {
		return errDamaged(d.at, "the checksum of the whole is wrong")
	}
	if _, err := d.from.ReadByte(); !errors.Is(err, io.EOF) {
		if err != nil {
			return fmt.Errorf("read dump: %w", err)
		}
		return errDamaged(d.at, "something follows the end")
	}
	return nil
}

// fields reads what a frame holds; bad says that it did not hold what was asked for.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) uint() uint64 {
	v, n := binary.Uvarint(f.rest)
	if n <= 0 {
		f.bad, n = true, 0
	}
	f.rest = f.rest[n:]
	return v
}

func (f *fields) int() int64 {
	v, n := binary.Varint(f.rest)
	if n <= 0 {
		f.bad, n = true, 0
	}
	f.rest = f.rest[n:]
	return v
}

func (f *fields) bytes() []byte {
	n := f.uint()
	if f.bad || n > uint64(len(f.rest)) {
		f.bad = true
		return nil
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) byte() byte {
	if len(f.rest) == 0 {
		f.bad = true
		return 0
	}
	b := f.rest[0]
	f.rest = f.rest[1:]
	return b
}

// value reads one value: nil, int64, string, or bytes that are not nil.
func (f *fields) value(kind valueKind) any {
	switch f.byte() {
	case 0:
		return nil
	case 1:
	default:
		f.bad = true
		return nil
	}
	switch kind {
	case kindInteger:
		return f.int()
	case kindText:
		return string(f.bytes())
	}
	if b := f.bytes(); b != nil {
		return b
	}
	return []byte{}
}
