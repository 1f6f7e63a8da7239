package rpc

import (
	"context"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
)

// DeleteSegment deletes a segment that no rule names (AIP-135).
func (s *Service) DeleteSegment(ctx context.Context, req *segmentv1.DeleteSegmentRequest) (*segmentv1.DeleteSegmentResponse, error) {
	id, err := idOf(req.GetName(), "name")
	if err != nil {
		return nil, err
	}
	store, err := s.storeID(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.cfg.Store.Delete(ctx, id, req.GetEtag(), ownerOf(ctx))
	if err != nil {
		return nil, err
	}
	s.cfg.Index.DefinitionsChanged()
	return &segmentv1.DeleteSegmentResponse{ConsistencyToken: token(store, blocks.Point{}, blocks.Point(p))}, nil
}
