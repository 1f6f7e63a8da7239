package rpc

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/segment"
)

// newUID draws a UUID of version 7: 48 bits of milliseconds, then random ones around version and variant.
func newUID(now time.Time) audience.UID {
	var u audience.UID
	rand.Read(u[:]) // it never fails
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(now.UnixMilli()))
	copy(u[:6], at[2:])
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	return u
}

// CreateSegment creates a segment (AIP-133).
func (s *Service) CreateSegment(ctx context.Context, req *segmentv1.CreateSegmentRequest) (*segmentv1.Segment, error) {
	if err := rpc.CheckText(req); err != nil {
		return nil, err
	}
	in := req.GetSegment()
	if !segment.ValidID(req.GetSegmentId()) {
		return nil, fault.InvalidField(reasonValidation, "segment_id",
			"an id is lower-case letters, digits and hyphens, begins with a letter and has at most 63 characters")
	}
	seg := segment.Segment{
		ID: req.GetSegmentId(), UID: wire.FormatUID(newUID(s.cfg.Now())), DisplayName: in.GetDisplayName(), Description: in.GetDescription(), Owner: in.GetOwner(),
	}
	switch d := in.GetDefinition().(type) {
	case *segmentv1.Segment_Rule:
		u, err := s.compile(ctx, d.Rule, "segment.rule", segment.Reference{ID: seg.ID, UID: seg.UID})
		if err != nil {
			return nil, err
		}
		seg.Rule, seg.References = d.Rule, u.references
	case *segmentv1.Segment_StaticList_:
		seg.Static = true
	default:
		return nil, fault.InvalidField(reasonValidation, "segment.rule", "a segment needs a rule or a static list; set one of them")
	}
	// The token needs the installation's id: without it nothing is written.
	store, err := s.storeID(ctx)
	if err != nil {
		return nil, err
	}
	created, p, err := s.cfg.Store.Create(ctx, seg, req.GetValidateOnly())
	if err != nil {
		return nil, at(err, "segment.rule")
	}
	return s.written(store, &created, p), nil
}
