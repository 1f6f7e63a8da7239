package delimited

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// encodings are the encodings that can be stated, beside UTF-8.
var encodings = map[string]encoding.Encoding{
	"utf-16":       unicode.UTF16(unicode.LittleEndian, unicode.UseBOM),
	"utf-16le":     unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM),
	"utf-16be":     unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
	"iso-8859-1":   charmap.ISO8859_1,
	"iso-8859-2":   charmap.ISO8859_2,
	"iso-8859-15":  charmap.ISO8859_15,
	"windows-1250": charmap.Windows1250,
	"windows-1251": charmap.Windows1251,
	"windows-1252": charmap.Windows1252,
	"koi8-r":       charmap.KOI8R,
}

// Encodings returns the names of the encodings that [Options] can state, sorted.
func Encodings() []string {
	names := []string{"utf-8"}
	for name := range encodings {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Text returns the text of a file in UTF-8 without a byte order mark. Gzip is recognised by its first bytes and unpacked;
// UTF-16 is recognised by its byte order mark. Encoding "" is UTF-8. What is plainly not text is refused with a sentence
// that says what to do.
func Text(file io.Reader, encodingName string) (io.Reader, error) {
	in := bufio.NewReaderSize(file, 64<<10)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("unpack gzip: %w", err)
		}
		in = bufio.NewReaderSize(unpacked, 64<<10)
	}
	head, err := in.Peek(1024)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("read the beginning of the file: %w", err)
	}
	name := strings.ToLower(encodingName)
	for _, packed := range []struct{ magic, name string }{
		{"PK\x03\x04", "zip (or an .xlsx workbook)"}, {"\x28\xb5\x2f\xfd", "zstandard"}, {"BZh", "bzip2"}, {"\xfd7zXZ", "xz"},
		{"PAR1", "Parquet"}, {"SQLite format 3", "SQLite"},
	} {
		if bytes.HasPrefix(head, []byte(packed.magic)) {
			return nil, fmt.Errorf("the file is %s, not text: unpack it or save it as CSV first (gzip is read as it is)", packed.name)
		}
	}
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe, 0, 0}), bytes.HasPrefix(head, []byte{0, 0, 0xfe, 0xff}):
		return nil, errors.New("the file is in UTF-32: save it as UTF-8")
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return transform.NewReader(in, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder()), nil
	case bytes.HasPrefix(head, []byte{0xef, 0xbb, 0xbf}):
		if name != "" && name != "utf-8" {
			return nil, fmt.Errorf("the file begins with the byte order mark of UTF-8, and the mapping says %s: take the encoding out of the mapping", name)
		}
		if _, err := in.Discard(3); err != nil {
			return nil, fmt.Errorf("skip the byte order mark: %w", err)
		}
		return in, nil
	case name == "" || name == "utf-8":
		if bytes.IndexByte(head, 0) >= 0 {
			return nil, errors.New("the file has zero bytes at its beginning: it is not UTF-8 text; if it is UTF-16 without a byte order mark, state encoding: utf-16le or utf-16be")
		}
		return in, nil
	}
	enc, known := encodings[name]
	if !known {
		return nil, fmt.Errorf("encoding %q is not known: use one of %s", encodingName, strings.Join(Encodings(), ", "))
	}
	return transform.NewReader(in, enc.NewDecoder()), nil
}
