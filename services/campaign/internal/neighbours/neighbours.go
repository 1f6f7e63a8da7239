package neighbours

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/campaign/internal/resolve"
)

// reasonProfiles is the reason of a profile service that does not answer.
const reasonProfiles = "PROFILES_UNAVAILABLE"

// Neighbours implements resolve.Neighbours over connections.
type Neighbours struct {
	segments segmentv1.SegmentServiceClient
	profiles profilev1.ProfileServiceClient
}

var _ resolve.Neighbours = (*Neighbours)(nil)

// New returns neighbours behind the connections.
func New(segments, profiles grpc.ClientConnInterface) *Neighbours {
	return &Neighbours{segments: segmentv1.NewSegmentServiceClient(segments), profiles: profilev1.NewProfileServiceClient(profiles)}
}

// Segment returns a segment by its name.
func (n *Neighbours) Segment(ctx context.Context, name string) (resolve.Segment, error) {
	s, err := n.segments.GetSegment(ctx, &segmentv1.GetSegmentRequest{Name: name})
	if err != nil {
		return resolve.Segment{}, err
	}
	return resolve.Segment{UID: s.GetUid(), Owner: s.GetOwner(), Progress: int(s.GetProgressPercent())}, nil
}

// Head returns the newest position of the profile service. The definitions' part is left out: it has no head of its own to ask for.
func (n *Neighbours) Head(ctx context.Context) (blocks.Position, error) {
	head, err := n.profiles.GetHead(ctx, &profilev1.GetHeadRequest{})
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return blocks.Position{}, ctx.Err()
		}
		return blocks.Position{}, fault.New(fault.Unavailable, reasonProfiles,
			"the profile service does not answer; repeat the request, or ask with another consistency").Retry(time.Second).Wrap(err)
	}
	return blocks.Position{Revision: uint64(max(head.GetPosition().GetRevision(), 0))}, nil
}
