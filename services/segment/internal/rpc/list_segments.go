package rpc

import (
	"context"

	"github.com/narrowcast/narrowcast/pkg/page"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
)

// ListSegments returns a page of the segments, by id (AIP-132, AIP-158).
func (s *Service) ListSegments(ctx context.Context, req *segmentv1.ListSegmentsRequest) (*segmentv1.ListSegmentsResponse, error) {
	size, err := page.Size(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	sum := page.Checksum("ListSegments")
	after, err := page.Decode(req.GetPageToken(), sum)
	if err != nil {
		return nil, err
	}
	// One more than asked for tells whether there is another page.
	list, err := s.cfg.Store.List(ctx, after, size+1)
	if err != nil {
		return nil, err
	}
	res := new(segmentv1.ListSegmentsResponse)
	if len(list) > size {
		list = list[:size]
		res.NextPageToken = page.Encode(list[size-1].ID, sum)
	}
	for i := range list {
		res.Segments = append(res.Segments, s.message(&list[i]))
	}
	return res, nil
}
