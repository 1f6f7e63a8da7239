package mapping

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/fault"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	"github.com/narrowcast/narrowcast/services/suite/internal/delimited"
)

// Row is one row of a file: a profile, or what is wrong with it.
type Row struct {
	Line     int   // on which the row begins in the file, from 1
	Number   int64 // among the data rows, broken ones included, from 1
	Profile  *profilev1.Profile
	Problems []Problem // none with a profile; valid until the next row
	Raw      string    // the row as it stands in the file
}

// Rows are the rows of a file, one after the other. It is for one goroutine.
type Rows struct {
	reader *delimited.Reader
	mapper *Mapper
	first  *delimited.Record // of a file without a header, read to count its columns
	number int64
}

// Open reads the beginning of a file and ties the mapping to it; known are the attributes declared in the store.
func (m *Mapping) Open(file io.Reader, known []*profilev1.Attribute) (*Rows, error) {
	text, err := delimited.Text(file, m.File.Encoding)
	if err != nil {
		return nil, err
	}
	reader, err := delimited.NewReader(text, m.File.Options)
	if err != nil {
		return nil, err
	}
	r := &Rows{reader: reader}
	for range m.File.Skip {
		var broken *delimited.RowError
		if _, err := reader.Read(); err != nil && !errors.As(err, &broken) {
			return nil, r.empty(err)
		}
	}
	head, err := reader.Read()
	if err != nil {
		return nil, r.empty(err)
	}
	if !m.File.Header {
		head.Fields = append([]string(nil), head.Fields...)
		r.first = &head
		r.mapper, err = m.Bind(nil, len(head.Fields), known)
		return r, err
	}
	header := make([]string, len(head.Fields))
	for i, name := range head.Fields {
		header[i] = strings.TrimSpace(name)
	}
	r.mapper, err = m.Bind(header, len(header), known)
	return r, err
}

// empty is the error about a file whose first record cannot be read.
func (r *Rows) empty(err error) error {
	if errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "FILE_EMPTY", "the file has no rows, not even a header")
	}
	return fmt.Errorf("read the header of the file: %w", err)
}

// Next returns the next row; io.EOF behind the last one. Any other error is of the file itself and final.
func (r *Rows) Next() (Row, error) {
	var rec delimited.Record
	var err error
	if r.first != nil {
		rec, r.first = *r.first, nil
	} else {
		rec, err = r.reader.Read()
	}
	var broken *delimited.RowError
	if errors.As(err, &broken) {
		r.number++
		return Row{
			Line: broken.Line, Number: r.number, Raw: broken.Raw,
			Problems: []Problem{{Reason: broken.Reason, Message: broken.Message}},
		}, nil
	}
	if err != nil {
		return Row{}, err
	}
	r.number++
	row := Row{Line: rec.Line, Number: r.number, Raw: rec.Raw}
	row.Profile, row.Problems = r.mapper.Map(rec.Fields, r.number)
	return row, nil
}
