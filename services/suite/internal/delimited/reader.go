package delimited

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Options say how a file is written.
type Options struct {
	Separator rune // between fields; 0: comma
	Quote     rune // around fields; 0: the file knows no quotes
	Comment   rune // first character of lines to skip; 0: none
	Backslash bool // inside quotes a backslash escapes the next character; a doubled quote always stands for one
	Lazy      bool // quotes inside unquoted fields, and lone quotes inside quoted ones, are taken as they are
	Trim      bool // white space between separators and quotes is ignored; fields themselves are left as they are
	MaxRecord int  // longest record in bytes; 0: 1 MiB
}

// Record is one record. Fields are valid until the next Read; their texts stay.
type Record struct {
	Line   int // on which the record begins, from 1
	Fields []string
	Raw    string // as it stands in the file, without the line break
}

// Reasons of a RowError.
const (
	ReasonBrokenQuote   = "BROKEN_QUOTE"
	ReasonInvalidText   = "INVALID_ENCODING"
	ReasonRecordTooLong = "ROW_TOO_LONG"
)

// RowError is a record that cannot be read. The reader stands behind it; read on.
type RowError struct {
	Line    int
	Reason  string
	Message string // says what is wrong, without text of the record
	Raw     string // first line of the record
}

// Error says where and what.
func (e *RowError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Message) }

// Reader reads records. It is for one goroutine.
type Reader struct {
	in     io.Reader
	opts   Options
	sep    []byte
	quote  byte
	buf    []byte
	start  int
	eof    bool
	err    error
	line   int // lines already consumed
	fields []string
}

// NewReader returns a reader of UTF-8 text, as [Text] gives it.
func NewReader(text io.Reader, opts Options) (*Reader, error) {
	if opts.Separator == 0 {
		opts.Separator = ','
	}
	if opts.MaxRecord <= 0 {
		opts.MaxRecord = 1 << 20
	}
	for _, r := range []rune{opts.Separator, opts.Quote, opts.Comment} {
		if r == '\n' || r == '\r' || r == utf8.RuneError || !utf8.ValidRune(r) {
			return nil, errors.New("a separator, quote or comment character cannot be a line break or an invalid character")
		}
	}
	if opts.Quote >= utf8.RuneSelf {
		return nil, errors.New("a quote character must be an ASCII character")
	}
	if opts.Separator == opts.Quote || opts.Separator == opts.Comment || opts.Quote != 0 && opts.Quote == opts.Comment {
		return nil, errors.New("separator, quote and comment character must differ")
	}
	return &Reader{
		in: text, opts: opts, sep: utf8.AppendRune(nil, opts.Separator), quote: byte(opts.Quote), buf: make([]byte, 0, 64<<10),
	}, nil
}

// more reads more of the file behind what is in the buffer; what came before start is dropped.
func (r *Reader) more() {
	if r.start > 0 {
		r.buf = r.buf[:copy(r.buf, r.buf[r.start:])]
		r.start = 0
	}
	if len(r.buf) == cap(r.buf) {
		grown := make([]byte, len(r.buf), 2*cap(r.buf))
		copy(grown, r.buf)
		r.buf = grown
	}
	for range 100 { // a reader may return nothing and no error, but not for ever
		n, err := r.in.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		if err != nil {
			r.eof = true
			if !errors.Is(err, io.EOF) {
				r.err = err
			}
			return
		}
		if n > 0 {
			return
		}
	}
	r.eof, r.err = true, io.ErrNoProgress
}

// Read returns the next record; a *[RowError] for one that cannot be read, after which the caller reads on; io.EOF at the
// end; or the error of the file, which is final: the records before it are complete.
func (r *Reader) Read() (Record, error) {
	for {
		data := r.buf[r.start:]
		line, whole := r.firstLine(data)
		if !whole && !r.eof {
			if len(data) > r.opts.MaxRecord {
				return r.tooLong()
			}
			r.more()
			continue
		}
		if len(data) == 0 || r.eof && r.err != nil && !whole {
			if r.err != nil {
				return Record{}, fmt.Errorf("read the file behind line %d: %w", r.line, r.err)
			}
			return Record{}, io.EOF
		}
		if content := bytes.TrimRight(line, "\r\n"); len(content) == 0 || r.isComment(content) {
			r.consume(len(line))
			continue
		}
		size, problem := r.split(data, line)
		if size < 0 && !r.eof && len(data) <= r.opts.MaxRecord {
			r.more() // a quoted field goes on behind the buffer
			continue
		}
		at := r.line + 1
		if size < 0 {
			problem = "a quote that opens here is not closed"
		}
		if problem != "" {
			raw := strings.ToValidUTF8(string(bytes.TrimRight(line, "\r\n")), "\uFFFD")
			r.consume(len(line))
			return Record{}, &RowError{Line: at, Reason: ReasonBrokenQuote, Message: problem, Raw: raw}
		}
		if size > r.opts.MaxRecord {
			r.consume(size)
			return Record{}, r.longRow(at)
		}
		raw := string(bytes.TrimRight(data[:size], "\r\n"))
		r.consume(size)
		if !utf8.ValidString(raw) {
			return Record{}, &RowError{
				Line: at, Reason: ReasonInvalidText, Raw: strings.ToValidUTF8(raw, "\uFFFD"),
				Message: "the row has bytes that are not UTF-8; state the file's encoding in the mapping",
			}
		}
		return Record{Line: at, Fields: r.fields, Raw: raw}, nil
	}
}

// firstLine returns the first line of data with its line break, and whether it is complete.
func (r *Reader) firstLine(data []byte) ([]byte, bool) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return data[:i+1], true
	}
	return data, false
}

func (r *Reader) consume(n int) {
	r.line += bytes.Count(r.buf[r.start:r.start+n], []byte{'\n'})
	r.start += n
}

func (r *Reader) isComment(content []byte) bool {
	if r.opts.Comment == 0 {
		return false
	}
	first, _ := utf8.DecodeRune(content)
	return first == r.opts.Comment
}

// tooLong skips a line that is longer than any record may be.
func (r *Reader) tooLong() (Record, error) {
	at := r.line + 1
	for {
		if line, whole := r.firstLine(r.buf[r.start:]); whole || r.eof {
			r.consume(len(line))
			return Record{}, r.longRow(at)
		}
		r.start = len(r.buf)
		r.more()
	}
}

func (r *Reader) longRow(line int) *RowError {
	return &RowError{Line: line, Reason: ReasonRecordTooLong, Message: fmt.Sprintf("the row is longer than %d bytes", r.opts.MaxRecord)}
}

// split cuts the record at the beginning of data into r.fields. It returns the record's length with its line break, or -1
// if the record does not end in data, and what is wrong with it. line is the first line of data.
func (r *Reader) split(data, line []byte) (size int, problem string) {
	r.fields = r.fields[:0]
	if r.quote == 0 || bytes.IndexByte(line, r.quote) < 0 {
		text := string(bytes.TrimRight(line, "\r\n"))
		sep := string(r.sep)
		for {
			field, rest, more := strings.Cut(text, sep)
			r.fields = append(r.fields, field)
			if !more {
				return len(line), ""
			}
			text = rest
		}
	}
	at := 0
	for {
		field, next, problem := r.field(data, at)
		if next < 0 || problem != "" {
			return next, problem
		}
		r.fields = append(r.fields, field)
		switch {
		case bytes.HasPrefix(data[next:], r.sep):
			at = next + len(r.sep)
		default:
			return next + lineBreak(data[next:]), ""
		}
	}
}

// lineBreak returns the length of the line break at the beginning of data, 0 at its end.
func lineBreak(data []byte) int {
	switch {
	case len(data) == 0:
		return 0
	case data[0] == '\n':
		return 1
	}
	return min(2, len(data)) // \r\n, or a \r that ends the file
}

// ends reports whether a field ends at the beginning of data: at a separator, a line break or the end of the file.
func (r *Reader) ends(data []byte) bool {
	return len(data) == 0 || data[0] == '\n' || bytes.HasPrefix(data, r.sep) || data[0] == '\r' && (len(data) == 1 || data[1] == '\n')
}

// field returns the field at data[at:] and the position behind it; -1 if data ends inside it.
func (r *Reader) field(data []byte, at int) (text string, next int, problem string) {
	first := at
	if r.opts.Trim {
		for first < len(data) && (data[first] == ' ' || data[first] == '\t') && !bytes.HasPrefix(data[first:], r.sep) {
			first++
		}
	}
	if first >= len(data) || data[first] != r.quote {
		return r.bare(data, at)
	}
	var out []byte // nil while the field is a plain piece of data
	from := first + 1
	for i := from; ; {
		stop := i
		for stop < len(data) && data[stop] != r.quote && (!r.opts.Backslash || data[stop] != '\\') {
			stop++
		}
		if stop+1 >= len(data) && (stop >= len(data) || !r.eof) {
			if r.eof && r.opts.Lazy {
				return string(append(out, data[from:]...)), len(data), ""
			}
			return "", -1, ""
		}
		behind := data[stop+1:]
		switch {
		case data[stop] == '\\':
			if len(behind) == 0 {
				return "", -1, ""
			}
			out = append(append(out, data[from:stop]...), behind[0])
			i = stop + 2
			from = i
			continue
		case len(behind) > 0 && behind[0] == r.quote:
			out = append(out, data[from:stop+1]...)
			i = stop + 2
			from = i
			continue
		}
		end := stop + 1
		if r.opts.Trim {
			for end < len(data) && (data[end] == ' ' || data[end] == '\t') && !bytes.HasPrefix(data[end:], r.sep) {
				end++
			}
		}
		if r.ends(data[end:]) {
			if end == len(data) && !r.eof {
				return "", -1, ""
			}
			if out == nil {
				return string(data[from:stop]), end, ""
			}
			return string(append(out, data[from:stop]...)), end, ""
		}
		if !r.opts.Lazy {
			return "", end, "text follows a closing quote; double a quote that belongs to a value, or state lazy_quotes: true"
		}
		i = stop + 1
	}
}

// bare returns a field without quotes.
func (r *Reader) bare(data []byte, at int) (text string, next int, problem string) {
	end := at
	for !r.ends(data[end:]) {
		if data[end] == r.quote && !r.opts.Lazy {
			return "", end, "a quote stands inside a value without quotes; put the value in quotes, or state lazy_quotes: true"
		}
		end++
	}
	if end == len(data) && !r.eof {
		return "", -1, ""
	}
	return string(data[at:end]), end, ""
}
