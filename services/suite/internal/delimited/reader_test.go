package delimited_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/narrowcast/narrowcast/services/suite/internal/delimited"
)

// readAll returns records as "line:field|field" and broken rows as "line!REASON".
func readAll(t *testing.T, in io.Reader, opts delimited.Options) []string {
	t.Helper()
	r, err := delimited.NewReader(in, opts)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		rec, err := r.Read()
		var row *delimited.RowError
		switch {
		case errors.Is(err, io.EOF):
			return got
		case errors.As(err, &row):
			got = append(got, fmt.Sprintf("%d!%s", row.Line, row.Reason))
		case err != nil:
			t.Fatal(err)
		default:
			got = append(got, fmt.Sprintf("%d:%s", rec.Line, strings.Join(rec.Fields, "|")))
		}
		if len(got) > 1_000_000 {
			t.Fatal("the reader does not end")
		}
	}
}

func TestQuirksOfFiles(t *testing.T) {
	quoted := delimited.Options{Quote: '"'}
	for name, c := range map[string]struct {
		in   string
		opts delimited.Options
		want []string
	}{
		"plain":                  {"a,b\n1,2\n", quoted, []string{"1:a|b", "2:1|2"}},
		"crlf":                   {"a,b\r\n1,2\r\n", quoted, []string{"1:a|b", "2:1|2"}},
		"crlf with quotes":       {"\"a\",b\r\n1,\"2\"\r\n", quoted, []string{"1:a|b", "2:1|2"}},
		"no final newline":       {"a,b\n1,2", quoted, []string{"1:a|b", "2:1|2"}},
		"no final newline quote": {"a,b\n1,\"2\"", quoted, []string{"1:a|b", "2:1|2"}},
		"final carriage return":  {"a,b\n1,\"2\"\r", quoted, []string{"1:a|b", "2:1|2"}},
		"empty lines":            {"a\n\n\r\nb\n", quoted, []string{"1:a", "4:b"}},
		"empty fields":           {",,\n\"\",,\"\"\n", quoted, []string{"1:||", "2:||"}},
		"semicolons":             {"a;b,c\n", delimited.Options{Separator: ';', Quote: '"'}, []string{"1:a|b,c"}},
		"tabs":                   {"a\tb\n", delimited.Options{Separator: '\t'}, []string{"1:a|b"}},
		"wide separator":         {"a¦b¦\"c¦d\"\n", delimited.Options{Separator: '¦', Quote: '"'}, []string{"1:a|b|c¦d"}},
		"line break in quotes":   {"a,\"b\nc\"\nd,e\n", quoted, []string{"1:a|b\nc", "3:d|e"}},
		"doubled quote":          {"\"a\"\"b\",\"\"\"\"\n", quoted, []string{"1:a\"b|\""}},
		"single quotes":          {"'a,b',c\"d\n", delimited.Options{Quote: '\''}, []string{"1:a,b|c\"d"}},
		"no quotes known":        {"\"a,b\"\n", delimited.Options{}, []string{"1:\"a|b\""}},
		"backslash":              {`"a\"b","c\\"` + "\n", delimited.Options{Quote: '"', Backslash: true}, []string{`1:a"b|c\`}},
		"comment":                {"# x\na\n#\"\n", delimited.Options{Quote: '"', Comment: '#'}, []string{"2:a"}},
		"spaces around quotes":   {"a, \"b\" ,c\n", delimited.Options{Quote: '"', Trim: true}, []string{"1:a|b|c"}},
		"bare quote":             {"a,b\"c\nd,e\n", quoted, []string{"1!BROKEN_QUOTE", "2:d|e"}},
		"bare quote lazy":        {"a,b\"c\n", delimited.Options{Quote: '"', Lazy: true}, []string{"1:a|b\"c"}},
		"text behind quote":      {"\"a\"b,c\nd,e\n", quoted, []string{"1!BROKEN_QUOTE", "2:d|e"}},
		"text behind quote lazy": {"\"a\"b\",c\n", delimited.Options{Quote: '"', Lazy: true}, []string{"1:a\"b|c"}},
		"open to the end":        {"a,b\n\"c,d\ne,f\ng,h\n", quoted, []string{"1:a|b", "2!BROKEN_QUOTE", "3:e|f", "4:g|h"}},
		"open and closed later":  {"\"a,b\n\"c\",d\n", quoted, []string{"1!BROKEN_QUOTE", "2:c|d"}},
		"invalid utf-8":          {"a\xff,b\nc,d\n", quoted, []string{"1!INVALID_ENCODING", "2:c|d"}},
		"too long": {
			"a,b\n" + strings.Repeat("x", 300) + "\nc,d\n", delimited.Options{MaxRecord: 100},
			[]string{"1:a|b", "2!ROW_TOO_LONG", "3:c|d"},
		},
		"nothing": {"", quoted, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := readAll(t, strings.NewReader(c.in), c.opts); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			// The same through a reader that gives one byte at a time: what is a record must not depend on buffers.
			if got := readAll(t, iotest.OneByteReader(strings.NewReader(c.in)), c.opts); !reflect.DeepEqual(got, c.want) {
				t.Errorf("byte by byte: got %q, want %q", got, c.want)
			}
		})
	}
}

func TestEndlessLineIsRefusedAndSkipped(t *testing.T) {
	in := "a,b\n" + strings.Repeat("x", 1<<20) + "\nc,\"d\"\n\"" + strings.Repeat("y\n", 1<<17) + "\n"
	got := readAll(t, strings.NewReader(in), delimited.Options{Quote: '"', MaxRecord: 100_000})
	want := []string{"1:a|b", "2!ROW_TOO_LONG", "3:c|d", "4!BROKEN_QUOTE", "5:y"}
	if len(got) < len(want) || !reflect.DeepEqual(got[:len(want)], want) {
		t.Errorf("got %d records, beginning %.200q", len(got), got[:min(len(got), 5)])
	}
}

func TestLinesAreCountedAcrossBuffers(t *testing.T) {
	var in strings.Builder
	var want []string
	line := 1
	for i := range 8000 {
		if i%3 == 0 {
			fmt.Fprintf(&in, "%d,\"x\ny%d\"\r\n", i, i)
			want = append(want, fmt.Sprintf("%d:%d|x\ny%d", line, i, i))
			line += 2
		} else {
			fmt.Fprintf(&in, "%d,plain\r\n", i)
			want = append(want, fmt.Sprintf("%d:%d|plain", line, i))
			line++
		}
	}
	if got := readAll(t, strings.NewReader(in.String()), delimited.Options{Quote: '"'}); !reflect.DeepEqual(got, want) {
		t.Error("records or line numbers differ")
	}
}

func TestEncodingsAreReadAsUTF8(t *testing.T) {
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := zip.Write([]byte("\xef\xbb\xbfné\n")); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ in, encoding, want string }{
		"utf-8":            {"né", "", "né"},
		"utf-8 bom":        {"\xef\xbb\xbfné", "", "né"},
		"utf-16le bom":     {"\xff\xfen\x00\xe9\x00", "", "né"},
		"utf-16be bom":     {"\xfe\xff\x00n\x00\xe9", "", "né"},
		"utf-16le stated":  {"n\x00\xe9\x00", "utf-16le", "né"},
		"latin 1":          {"n\xe9", "ISO-8859-1", "né"},
		"windows-1252":     {"\x80", "windows-1252", "€"},
		"gzip and bom":     {packed.String(), "", "né\n"},
		"empty":            {"", "", ""},
		"shorter than bom": {"n", "", "n"},
	} {
		text, err := delimited.Text(strings.NewReader(c.in), c.encoding)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := io.ReadAll(text)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, c.want)
		}
	}
	for name, c := range map[string]struct{ in, encoding, want string }{
		"utf-32":            {"\xff\xfe\x00\x00n\x00\x00\x00", "", "UTF-32"},
		"utf-16 unmarked":   {"n\x00e\x00", "", "utf-16le"},
		"workbook":          {"PK\x03\x04....", "", "save it as CSV"},
		"unknown":           {"n", "ebcdic", "one of"},
		"contradicting bom": {"\xef\xbb\xbfn", "windows-1252", "byte order mark"},
	} {
		if _, err := delimited.Text(strings.NewReader(c.in), c.encoding); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.want)
		}
	}
}

func TestTruncatedFileEndsInAnErrorBehindWholeRecords(t *testing.T) {
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	for i := range 5000 {
		fmt.Fprintf(zip, "%d,%d\n", i, i*7919%10007)
	}
	zip.Close()
	text, err := delimited.Text(bytes.NewReader(packed.Bytes()[:packed.Len()/2]), "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := delimited.NewReader(text, delimited.Options{Quote: '"'})
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		rec, err := r.Read()
		if err != nil {
			if !errors.Is(err, io.ErrUnexpectedEOF) || n == 0 {
				t.Errorf("after %d records: %v", n, err)
			}
			return
		}
		if want := fmt.Sprintf("%d,%d", n, n*7919%10007); rec.Raw != want {
			t.Fatalf("record %d is %q, want %q: half of it was lost", n, rec.Raw, want)
		}
	}
}

func TestCharactersThatCannotWorkAreRefused(t *testing.T) {
	for _, opts := range []delimited.Options{
		{Separator: '\n'}, {Separator: ';', Quote: ';'}, {Quote: '«'}, {Comment: ','}, {Quote: '#', Comment: '#'},
	} {
		if _, err := delimited.NewReader(strings.NewReader(""), opts); err == nil {
			t.Errorf("%+v was accepted", opts)
		}
	}
}

// FuzzReader compares with the standard library wherever that accepts a file, and always demands an end and no panic.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "\"a\"\"b\",c\r\n", "a,\"b\nc\"\n", "\"a\n\"b\",c\n", "\r\r\n,\"\"", "\"\r\n\""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got := readAll(t, strings.NewReader(in), delimited.Options{Quote: '"'})
		std := csv.NewReader(strings.NewReader(in))
		std.FieldsPerRecord = -1
		records, err := std.ReadAll()
		if err != nil || strings.Contains(in, "\r") || strings.ToValidUTF8(in, "") != in {
			return // broken, or line breaks that the standard library normalises and this reader keeps
		}
		if len(got) != len(records) {
			t.Fatalf("%d records, the standard library reads %d", len(got), len(records))
		}
		for i, rec := range records {
			if _, fields, _ := strings.Cut(got[i], ":"); fields != strings.Join(rec, "|") {
				t.Fatalf("record %d is %q, the standard library reads %q", i, fields, rec)
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	row := "58;\"management\";\"married\";\"tertiary\";\"no\";2143;\"yes\";\"no\";\"unknown\";5;\"may\";261;1;-1;0;\"unknown\";\"no\"\n"
	in := strings.Repeat(row, 10_000)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		r, err := delimited.NewReader(strings.NewReader(in), delimited.Options{Separator: ';', Quote: '"'})
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := r.Read(); err != nil {
				break
			}
		}
	}
}
