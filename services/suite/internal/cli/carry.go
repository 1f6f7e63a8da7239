package cli

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"google.golang.org/protobuf/proto"

	"github.com/narrowcast/narrowcast/services/suite/internal/mapping"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
	"github.com/narrowcast/narrowcast/services/suite/internal/upload"
)

// carry is a file on its way to the profile service.
type carry[R proto.Message] struct {
	what    string // in front of errors
	id      string // of the import
	file    *countingReader
	size    int64
	reject  string
	rows    bool // the reject file holds the refused rows themselves
	dryRun  bool
	writing writing
	// next reads one row, and what it became unless it has problems; io.EOF after the last.
	next func() (mapping.Row, R, error)
	// upload sends rows; options are ready but for what is the command's own.
	upload func(rows iter.Seq2[upload.Item[R], error], options upload.Options) (upload.Result, error)
}

// run reads and uploads. refused is how many rows the file itself did not allow.
func (c *carry[R]) run(s *session) (result upload.Result, refused int64, err error) {
	rejects, err := newRejects(c.reject, c.rows)
	if err != nil {
		return result, 0, err
	}
	bar := s.progress("importing", c.size)
	progress := func(upload.Result) { bar.at(c.file.n.Load()) }
	rows := c.items(rejects, &refused)
	if c.dryRun {
		result, err = dryRun(rows, progress)
	} else {
		result, err = c.send(s, rows, rejects, progress)
	}
	bar.end()
	if err = errors.Join(err, rejects.close()); err != nil {
		if result.Committed > 0 {
			s.note("%s rows are stored; the same command goes on where it stopped (import id %s)\n", table.Int(result.Committed), c.id)
		}
		return result, refused, fmt.Errorf("%s: %w", c.what, err)
	}
	if !c.dryRun {
		s.settle(c.writing, result.Token)
	}
	return result, refused, nil
}

// items yields the rows that can be sent, and writes the others to the reject file.
func (c *carry[R]) items(rejects *rejects, refused *int64) iter.Seq2[upload.Item[R], error] {
	return func(yield func(upload.Item[R], error) bool) {
		for {
			row, item, err := c.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil && len(row.Problems) > 0 {
				*refused++
				if err = rejects.mapped(row); err == nil {
					continue
				}
			}
			if !yield(upload.Item[R]{Line: row.Line, Row: item}, err) || err != nil {
				return
			}
		}
	}
}

func (c *carry[R]) send(s *session, rows iter.Seq2[upload.Item[R], error], rejects *rejects, progress func(upload.Result)) (upload.Result, error) {
	var failed error
	result, err := c.upload(rows, upload.Options{
		ImportID: c.id, OnProgress: progress, Wait: s.away,
		OnReject: func(r upload.Rejection) { failed = errors.Join(failed, rejects.refused(r)) },
	})
	return result, errors.Join(err, failed)
}

// dryRun reads all rows and sends none.
func dryRun[R proto.Message](rows iter.Seq2[upload.Item[R], error], progress func(upload.Result)) (r upload.Result, err error) {
	for _, err := range rows {
		if err != nil {
			return r, err
		}
		if r.Committed++; r.Committed%1000 == 0 {
			progress(r)
		}
	}
	return r, nil
}
