package rpc

import (
	"context"

	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
)

// RefillBlock has the holder of the lease write a block again, whole.
func (s *Service) RefillBlock(ctx context.Context, req *segmentv1.RefillBlockRequest) (*segmentv1.RefillBlockResponse, error) {
	epoch, version, err := s.cfg.Index.Refill(ctx, req.GetLayout(), req.GetBlock())
	if err != nil {
		return nil, err
	}
	return &segmentv1.RefillBlockResponse{Epoch: &segmentv1.Epoch{Number: epoch.Number, Random: epoch.Random}, Version: version}, nil
}
