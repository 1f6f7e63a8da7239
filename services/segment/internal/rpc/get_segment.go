package rpc

import (
	"context"

	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
)

// GetSegment returns one segment (AIP-131).
func (s *Service) GetSegment(ctx context.Context, req *segmentv1.GetSegmentRequest) (*segmentv1.Segment, error) {
	id, err := idOf(req.GetName(), "name")
	if err != nil {
		return nil, err
	}
	seg, err := s.cfg.Store.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.message(&seg), nil
}
