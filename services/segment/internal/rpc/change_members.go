package rpc

import (
	"context"

	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
)

// AddSegmentMembers puts profiles on a static list. They need not be known.
func (s *Service) AddSegmentMembers(ctx context.Context, req *segmentv1.AddSegmentMembersRequest) (*segmentv1.Segment, error) {
	return s.changeMembers(ctx, req.GetName(), req.GetProfiles(), nil)
}

// RemoveSegmentMembers takes profiles off a static list.
func (s *Service) RemoveSegmentMembers(ctx context.Context, req *segmentv1.RemoveSegmentMembersRequest) (*segmentv1.Segment, error) {
	return s.changeMembers(ctx, req.GetName(), nil, req.GetProfiles())
}

func (s *Service) changeMembers(ctx context.Context, name string, add, remove []string) (*segmentv1.Segment, error) {
	id, err := idOf(name, "name")
	if err != nil {
		return nil, err
	}
	on, err := profiles(add)
	if err != nil {
		return nil, err
	}
	off, err := profiles(remove)
	if err != nil {
		return nil, err
	}
	store, err := s.storeID(ctx)
	if err != nil {
		return nil, err
	}
	seg, p, err := s.cfg.Store.ChangeMembers(ctx, id, ownerOf(ctx), on, off)
	if err != nil {
		return nil, err
	}
	return s.written(store, &seg, p), nil
}
