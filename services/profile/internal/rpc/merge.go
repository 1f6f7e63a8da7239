package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/services/profile"
)

// MergeProfiles makes one profile of two.
func (s *Service) MergeProfiles(ctx context.Context, req *profilev1.MergeProfilesRequest) (*profilev1.MergeProfilesResponse, error) {
	survivor, err := uidOf(req.GetName(), "name")
	if err != nil {
		return nil, err
	}
	merged, err := uidOf(req.GetMerged(), "merged")
	if err != nil {
		return nil, err
	}
	want := profile.MergeOptions{Etag: req.GetEtag(), MergedEtag: req.GetMergedEtag(), Trust: s.opts.Trust}
	if req.GetPolicy() == profilev1.MergeProfilesRequest_POLICY_MOST_TRUSTED {
		want.Policy = profile.MergeMostTrusted
	}
	p, until, at, err := s.store.Merge(ctx, survivor, merged, want)
	if err != nil {
		return nil, err
	}
	return &profilev1.MergeProfilesResponse{Profile: s.written(p, at), UndoExpireTime: timestamppb.New(until)}, nil
}

// UnmergeProfiles takes a merge back.
func (s *Service) UnmergeProfiles(ctx context.Context, req *profilev1.UnmergeProfilesRequest) (*profilev1.UnmergeProfilesResponse, error) {
	merged, err := uidOf(req.GetName(), "name")
	if err != nil {
		return nil, err
	}
	restored, remaining, at, err := s.store.Unmerge(ctx, merged)
	if err != nil {
		return nil, err
	}
	return &profilev1.UnmergeProfilesResponse{Profile: s.written(restored, at), Remaining: s.written(remaining, at)}, nil
}
