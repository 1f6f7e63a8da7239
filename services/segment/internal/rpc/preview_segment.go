package rpc

import (
	"context"
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/segment"
)

// PreviewSegment counts who a rule would hold, before it is saved.
func (s *Service) PreviewSegment(ctx context.Context, req *segmentv1.PreviewSegmentRequest) (*segmentv1.PreviewSegmentResponse, error) {
	p, err := s.question(ctx, req.GetRule(), "rule", req.GetConsistency())
	if err != nil {
		return nil, err
	}
	n, err := s.cfg.Index.Preview(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("preview: %w", at(err, "rule"))
	}
	info, err := s.info(ctx, n.Answer)
	if err != nil {
		return nil, err
	}
	return &segmentv1.PreviewSegmentResponse{Count: int64(n.Members), Base: int64(n.Base), Info: info}, nil
}

// question reads a rule that is asked about and not stored, and waits until the index can answer it as freshly as is asked for.
func (s *Service) question(ctx context.Context, text, field string, c *typev1.Consistency) (audience.Pred, error) {
	u, err := s.compile(ctx, text, field, segment.Reference{})
	if err != nil {
		return nil, err
	}
	if u.revision > 0 {
		// The rule names an attribute that the index had not read: it is answered when it has.
		if err := s.wait(ctx, blocks.Position{Revision: u.revision}); err != nil {
			return nil, err
		}
	}
	return u.Pred, s.fresh(ctx, c)
}
