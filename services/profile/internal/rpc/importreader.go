package rpc

import (
	"context"
	"errors"
	"fmt"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
)

// importReader receives the chunks of one stream and checks their rows.
type importReader[Q, A, R any] struct {
	s       *Service
	kind    importKind[Q, A, R]
	stream  interface{ Recv() (*Q, error) }
	through int64 // committed when the stream began
	next    int64 // number of the first row not yet received
}

// run hands over batches until one has an error or ctx ends.
func (r *importReader[Q, A, R]) run(ctx context.Context, to chan<- batch[R]) {
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

func (r *importReader[Q, A, R]) read(ctx context.Context) batch[R] {
	req, err := r.stream.Recv()
	if err != nil {
		return batch[R]{err: err}
	}
	offset, n, ok := r.kind.chunk(req)
	if !ok {
		return batch[R]{err: protocolFault("chunk", "after the start message an import has chunks only")}
	}
	message, ok := any(req).(proto.Message)
	if !ok {
		return batch[R]{err: fmt.Errorf("a chunk is a %T, which is no message", req)}
	}
	// The rules of the contract on the chunk itself; its rows are left to the kind.
	if err := r.s.validate(message); err != nil {
		return batch[R]{err: err}
	}
	if offset > r.next {
		return batch[R]{err: fault.New(fault.OutOfRange, profile.ReasonImportGap,
			"rows are missing before this chunk; go on from committed_through").With("committed_through", r.through).With("expected", r.next)}
	}
	// Rows that are there already, from an earlier stream or sent twice in this one.
	known := int(min(r.next-offset, int64(n)))
	r.next += int64(n - known)
	b := batch[R]{rows: make([]R, n-known), rejections: make(map[int]*rejection)}
	if n > known {
		b.bytes = proto.Size(message)
	}
	if err := r.kind.read(ctx, req, known, &b); err != nil {
		return batch[R]{err: err}
	}
	return b
}

// validate holds a message to the contract's rules, and names the first one that it breaks.
func (s *Service) validate(m proto.Message) error {
	err := s.validator.Validate(m)
	if err == nil {
		return nil
	}
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) || len(invalid.Violations) == 0 {
		return fmt.Errorf("validate: %w", err)
	}
	one := invalid.Violations[0].Proto
	return fault.InvalidField(profile.ReasonValidationFailed, protovalidate.FieldPathString(one.GetField()), one.GetMessage())
}

// emptyRow is the fault about an element that was not set.
func emptyRow() error {
	return fault.New(fault.Invalid, profile.ReasonValidationFailed, "the row is empty")
}

// rejectionOf tells why a row was refused: by its first wrong field, where it has several.
func rejectionOf(err error) *rejection {
	f := fault.As(err)
	if f == nil {
		return &rejection{Reason: profile.ReasonInternal}
	}
	r := &rejection{Reason: f.Reason, Message: f.Message}
	if len(f.Violations) > 0 {
		one := f.Violations[0]
		r.Field, r.Message = one.Field, one.Description
		if one.Reason != "" {
			r.Reason = one.Reason
		}
	}
	switch f.Reason {
	case profile.ReasonProfileNotFound, profile.ReasonNotOneProfile:
		r.Field = "profile"
	case profile.ReasonExternalIDTaken:
		r.Field = "identifiers"
	case profile.ReasonProfileExists:
		r.Field = "name"
	case profile.ReasonEtagMismatch:
		r.Field = "etag"
	}
	return r
}
