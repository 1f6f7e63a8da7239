package rpc

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/segment"
)

// OwnerKey is the key of the request metadata that names the resource on whose word an owned segment is changed or deleted, such
// as "personas/commuter". It keeps people from changing a persona's segment by accident; who may send it is not checked here.
const OwnerKey = "narrowcast-owner"

// ownerOf returns the owner named by the request's metadata, or "".
func ownerOf(ctx context.Context) string {
	if v := metadata.ValueFromIncomingContext(ctx, OwnerKey); len(v) > 0 {
		return v[0]
	}
	return ""
}

// idOf returns the id in the resource name of a segment.
func idOf(name, field string) (string, error) {
	id, ok := segment.ParseName(name)
	if !ok || !strings.Contains(name, "/") {
		return "", fault.InvalidField(reasonValidation, field, "a segment's name is segments/ and its id, such as segments/young-directors")
	}
	return id, nil
}

// message returns a segment as callers see it, with the state of its rows.
func (s *Service) message(seg *segment.Segment) *segmentv1.Segment {
	m := &segmentv1.Segment{
		Name:        seg.Name(),
		Uid:         seg.UID,
		DisplayName: seg.DisplayName,
		Description: seg.Description,
		Owner:       seg.Owner,
		Version:     seg.Version,
		Etag:        seg.ETag,
		CreateTime:  timestamppb.New(seg.CreateTime),
		UpdateTime:  timestamppb.New(seg.UpdateTime),
	}
	if seg.Static {
		m.Definition = &segmentv1.Segment_StaticList_{StaticList: &segmentv1.Segment_StaticList{MemberCount: seg.Members}}
	} else {
		m.Definition = &segmentv1.Segment_Rule{Rule: seg.Rule}
	}
	for _, r := range seg.References {
		m.References = append(m.References, segment.Name(r.ID))
	}
	// They are kept by uid, which says nothing to a caller and differs from one installation to the next.
	slices.Sort(m.References)
	m.State, m.ProgressPercent = s.state(seg)
	return m
}

func (s *Service) state(seg *segment.Segment) (segmentv1.Segment_State, int32) {
	st, ok := s.cfg.Index.SegmentState(seg.UID)
	switch {
	case !ok:
		return segmentv1.Segment_STATE_BUILDING, 0
	case st.DefinitionRevision < seg.DefinitionRevision:
		// The index has not heard of the newest definition: of that nothing is built.
		if st.State == blocks.SegmentBuilding {
			return segmentv1.Segment_STATE_BUILDING, 0
		}
		return segmentv1.Segment_STATE_REBUILDING, 0
	}
	switch st.State {
	case blocks.SegmentActive:
		return segmentv1.Segment_STATE_ACTIVE, 100
	case blocks.SegmentRebuilding:
		return segmentv1.Segment_STATE_REBUILDING, int32(st.Progress)
	}
	return segmentv1.Segment_STATE_BUILDING, int32(st.Progress)
}

// written returns a segment with the token of the write that made it so, and wakes the index.
func (s *Service) written(store string, seg *segment.Segment, p segment.Position) *segmentv1.Segment {
	m := s.message(seg)
	if p == (segment.Position{}) {
		return m // it was only checked
	}
	s.cfg.Index.DefinitionsChanged()
	m.ConsistencyToken = token(store, blocks.Point{}, blocks.Point(p))
	return m
}

// profiles returns the uids in profile names.
func profiles(names []string) ([]audience.UID, error) {
	uids := make([]audience.UID, len(names))
	for i, name := range names {
		var ok bool
		if uids[i], ok = wire.ParseProfileName(name); !ok {
			return nil, fault.InvalidField(reasonValidation, fault.Index("profiles", i), "a profile's name is profiles/ and its uid in lower-case")
		}
	}
	return uids, nil
}
