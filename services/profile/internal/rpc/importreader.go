package rpc

import (
	"context"
	"errors"
	"fmt"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
)

// importReader receives the chunks of one stream and checks their rows.
type importReader struct {
	s      *Service
	stream interface {
		Recv() (*profilev1.ImportProfilesRequest, error)
	}
	source  string // that the rows come from
	through int64  // committed when the stream began
	next    int64  // number of the first row not yet received
}

// run hands over batches until one has an error or ctx ends.
func (r *importReader) run(ctx context.Context, to chan<- batch) {
	for {
		b := r.read(ctx)
		select {
		case to <- b:
		case <-ctx.Done():
			return
		}
		if b.err != nil {
			return
		}
	}
}

func (r *importReader) read(ctx context.Context) batch {
	req, err := r.stream.Recv()
	if err != nil {
		return batch{err: err}
	}
	chunk := req.GetChunk()
	if chunk == nil {
		return batch{err: protocolFault("chunk", "after the start message an import has chunks only")}
	}
	// The rules of the contract on the chunk itself; its rows are left to us.
	if err := r.s.validate(req); err != nil {
		return batch{err: err}
	}
	if chunk.GetOffset() > r.next {
		return batch{err: fault.New(fault.OutOfRange, profile.ReasonImportGap,
			"rows are missing before this chunk; go on from committed_through").With("committed_through", r.through).With("expected", r.next)}
	}
	// Rows that are there already, from an earlier stream or sent twice in this one.
	known := min(r.next-chunk.GetOffset(), int64(len(chunk.GetProfiles())))
	messages := chunk.GetProfiles()[known:]
	r.next += int64(len(messages))
	// Declarations are only added to, so what a schema read now allows is allowed when the rows are written.
	schema, err := r.s.store.Schema(ctx)
	if err != nil {
		return batch{err: err}
	}
	b := batch{rows: make([]profile.Row, len(messages)), rejections: make(map[int]*profilev1.ImportProfilesResponse_Rejection)}
	if len(messages) > 0 {
		b.bytes = proto.Size(chunk)
	}
	for i, m := range messages {
		p, err := r.s.row(m, schema)
		if err != nil {
			if fault.As(err) == nil {
				return batch{err: err}
			}
			b.rejections[i] = rejection(err)
			continue
		}
		b.rows[i] = profile.Row{Profile: p, Etag: m.GetEtag(), Source: r.source}
	}
	return b
}

// row checks one row by the contract's rules and by its meaning.
func (s *Service) row(m *profilev1.Profile, schema profile.Schema) (*profile.Profile, error) {
	if m == nil { // an element that was not set
		return nil, fault.New(fault.Invalid, profile.ReasonValidationFailed, "the row is empty")
	}
	if err := s.validate(m); err != nil {
		return nil, err
	}
	return s.canonical(m, schema)
}

// validate checks a message of an import by the contract's rules, and tells the first that is broken.
func (s *Service) validate(m proto.Message) error {
	err := s.validator.Validate(m)
	if err == nil {
		return nil
	}
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) || len(invalid.Violations) == 0 {
		return fmt.Errorf("validate import: %w", err)
	}
	one := invalid.Violations[0].Proto
	return fault.InvalidField(profile.ReasonValidationFailed, protovalidate.FieldPathString(one.GetField()), one.GetMessage())
}

// rejection tells why a row was refused: by its first wrong field, where it has several.
func rejection(err error) *profilev1.ImportProfilesResponse_Rejection {
	f := fault.As(err)
	if f == nil {
		return &profilev1.ImportProfilesResponse_Rejection{Reason: profile.ReasonInternal}
	}
	r := &profilev1.ImportProfilesResponse_Rejection{Reason: f.Reason, Message: f.Message}
	if len(f.Violations) > 0 {
		one := f.Violations[0]
		r.Field, r.Message = one.Field, one.Description
		if one.Reason != "" {
			r.Reason = one.Reason
		}
	}
	switch f.Reason {
	case profile.ReasonExternalIDTaken:
		r.Field = "identifiers"
	case profile.ReasonProfileExists:
		r.Field = "name"
	case profile.ReasonEtagMismatch:
		r.Field = "etag"
	}
	return r
}
