package eventfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/narrowcast/narrowcast/pkg/fault"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	"github.com/narrowcast/narrowcast/services/suite/internal/delimited"
	"github.com/narrowcast/narrowcast/services/suite/internal/mapping"
)

// Reasons of problems and faults.
const (
	ReasonFile    = "EVENT_FILE_INVALID" // Invalid: the columns of the file are not those of events
	ReasonEmpty   = "FILE_EMPTY"         // Invalid: the file has no header
	ReasonFields  = "WRONG_FIELD_COUNT"
	ReasonTime    = "INVALID_DATE"
	ReasonValue   = "UNKNOWN_VALUE"
	ReasonMissing = "MISSING_VALUE"
	ReasonJSON    = "INVALID_JSON"
	ReasonTooLong = delimited.ReasonRecordTooLong
	ReasonText    = delimited.ReasonInvalidText
)

// Options say how a file is to be read.
type Options struct {
	// Lines says that each line is an Event in JSON; nothing below holds then.
	Lines bool
	// Separator is between fields; 0: a comma.
	Separator rune
	// Columns says which column of the file a field is read from, where it has another name.
	Columns map[string]string
	// Values are those of fields that the file has no column for.
	Values map[string]string
	// Rest leaves out columns that stand for no field, rather than refusing the file.
	Rest bool
	// IDPrefix makes ids for a file that has none: the prefix, a colon and the number of the row.
	IDPrefix string
	// Zone is that of times without one; nil: UTC.
	Zone *time.Location
}

// Row is one row of a file: an event, or what is wrong with it.
type Row struct {
	Line     int // on which it begins in the file, from 1
	Event    *profilev1.Event
	Problems []mapping.Problem // none with an event
	Raw      string            // the row as it stands in the file
}

// Rows are the rows of a file, one after the other. They are for one goroutine.
type Rows struct {
	opts Options
	// Of separated values.
	records *delimited.Reader
	columns []column
	width   int
	number  int64
	// Of lines.
	lines *bufio.Reader
	line  int
}

// column is a field and where it is read from.
type column struct {
	field field
	name  string // of the field
	at    int    // in the record; -1: value is for all rows
	value string
}

// maxLine is the longest line of JSON.
const maxLine = 1 << 20

// Open reads the beginning of a file.
func Open(file io.Reader, opts Options) (*Rows, error) {
	if opts.Zone == nil {
		opts.Zone = time.UTC
	}
	text, err := delimited.Text(file, "")
	if err != nil {
		return nil, err
	}
	r := &Rows{opts: opts}
	if opts.Lines {
		r.lines = bufio.NewReaderSize(text, maxLine)
		return r, nil
	}
	if r.records, err = delimited.NewReader(text, delimited.Options{Separator: opts.Separator, Quote: '"'}); err != nil {
		return nil, err
	}
	head, err := r.records.Read()
	if errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, ReasonEmpty, "the file has no rows, not even a header")
	}
	if err != nil {
		return nil, fmt.Errorf("read the header of the file: %w", err)
	}
	return r, r.bind(head.Fields)
}

// bind finds a field for each column of the header.
func (r *Rows) bind(header []string) error {
	r.width = len(header)
	wrong := &fault.Violations{}
	refuse := func(at, message string) { wrong.Add(at, ReasonFile, message) }
	taken := make([]bool, len(header))
	bound := make(map[string]bool)
	take := func(name string, at int, value string) {
		f, ok := fieldOf(name)
		switch {
		case !ok:
			refuse(name, "an event has no such field; the fields are "+strings.Join(Fields(), ", ")+" and details.KEY")
		case bound[name]:
			refuse(name, "this field is given twice")
		default:
			r.columns = append(r.columns, column{field: f, name: name, at: at, value: value})
			bound[name] = true
		}
	}
	find := func(name string) int {
		return slices.IndexFunc(header, func(h string) bool { return strings.TrimSpace(h) == name })
	}
	for _, name := range sortedKeys(r.opts.Columns) {
		at := find(r.opts.Columns[name])
		if at < 0 {
			refuse(name, "the file has no column of the name that was given for it")
			continue
		}
		taken[at] = true
		take(name, at, "")
	}
	for _, name := range sortedKeys(r.opts.Values) {
		take(name, -1, r.opts.Values[name])
	}
	for at, title := range header {
		name := strings.TrimSpace(title)
		if _, isField := fieldOf(name); !taken[at] && isField && !bound[name] {
			taken[at] = true
			take(name, at, "")
		}
	}
	for at := range header {
		if !taken[at] && !r.opts.Rest {
			refuse("column "+strconv.Itoa(at+1), "it stands for no field, or for one that is given already; say which field it is, or that such columns are left out")
		}
	}
	if r.opts.IDPrefix != "" {
		if bound["event_id"] {
			refuse("event_id", "the file has ids; give no prefix to make some")
		}
		bound["event_id"] = true
	}
	for _, name := range []string{"event_id", "kind", "time"} {
		if !bound[name] {
			refuse(name, "every event has one; name its column, or a value for all rows")
		}
	}
	if !bound["profile"] && !bound["identifier"] {
		refuse("profile", "an event is somebody's; name the column of the profile, or of an identifier")
	}
	return wrong.Err()
}

// Next returns the next row; io.EOF behind the last one. Any other error is of the file itself and final.
func (r *Rows) Next() (Row, error) {
	if r.lines != nil {
		return r.nextLine()
	}
	rec, err := r.records.Read()
	var broken *delimited.RowError
	switch {
	case errors.As(err, &broken):
		r.number++
		return Row{Line: broken.Line, Raw: broken.Raw, Problems: []mapping.Problem{{Reason: broken.Reason, Message: broken.Message}}}, nil
	case err != nil:
		return Row{}, err
	}
	r.number++
	row := Row{Line: rec.Line, Raw: rec.Raw}
	if len(rec.Fields) != r.width {
		row.Problems = []mapping.Problem{{Reason: ReasonFields, Message: fmt.Sprintf("the row has %d fields, the file %d columns", len(rec.Fields), r.width)}}
		return row, nil
	}
	row.Event, row.Problems = r.event(rec.Fields)
	return row, nil
}

// event makes the event of a record.
func (r *Rows) event(fields []string) (*profilev1.Event, []mapping.Problem) {
	d := draft{event: &profilev1.Event{}, identifier: &profilev1.Identifier{}, zone: r.opts.Zone}
	if r.opts.IDPrefix != "" {
		d.event.EventId = r.opts.IDPrefix + ":" + strconv.FormatInt(r.number, 10)
	}
	for _, c := range r.columns {
		text := c.value
		if c.at >= 0 {
			text = strings.TrimSpace(fields[c.at])
		}
		if text != "" { // an empty field is not known
			d.at = c.name
			c.field(&d, text)
		}
	}
	return d.done()
}

// nextLine reads one line of JSON; empty ones are passed over.
func (r *Rows) nextLine() (Row, error) {
	for {
		text, err := r.lines.ReadSlice('\n')
		if len(text) > 0 || err == nil {
			r.line++
		}
		row := Row{Line: r.line}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = r.lines.ReadSlice('\n')
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return Row{}, fmt.Errorf("read the file behind line %d: %w", r.line, err)
			}
			row.Problems = []mapping.Problem{{Reason: ReasonTooLong, Message: fmt.Sprintf("the line is longer than %d bytes", maxLine)}}
			return row, nil
		case err != nil && !errors.Is(err, io.EOF):
			return Row{}, fmt.Errorf("read the file behind line %d: %w", r.line, err)
		}
		text = bytes.TrimSpace(text)
		switch {
		case len(text) == 0 && err != nil:
			return Row{}, io.EOF
		case len(text) == 0:
			continue
		}
		row.Raw = strings.ToValidUTF8(string(text), "\uFFFD")
		event := &profilev1.Event{}
		switch {
		case !utf8.Valid(text):
			row.Problems = []mapping.Problem{{Reason: ReasonText, Message: "the line has bytes that are not UTF-8"}}
		case protojson.Unmarshal(text, event) != nil: // its error may repeat a value
			row.Problems = []mapping.Problem{{Reason: ReasonJSON, Message: "the line is not an Event in JSON, such as event list -o json prints"}}
		default:
			row.Event = event
		}
		return row, nil
	}
}
