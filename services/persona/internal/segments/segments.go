package segments

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/narrowcast/narrowcast/pkg/fault"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/persona"
	"github.com/narrowcast/narrowcast/services/persona/internal/generate"
)

// ownerKey is the metadata key under which a caller says for which resource it changes a segment.
const ownerKey = "narrowcast-owner"

// Reasons of the segment service that are looked at here.
const (
	reasonExists   = "SEGMENT_EXISTS"
	reasonNotFound = "SEGMENT_NOT_FOUND"
)

// Client speaks with the segment service.
type Client struct {
	segments segmentv1.SegmentServiceClient
	insight  segmentv1.InsightServiceClient
}

// New returns a client of the segment service behind a connection.
func New(conn grpc.ClientConnInterface) *Client {
	return &Client{segments: segmentv1.NewSegmentServiceClient(conn), insight: segmentv1.NewInsightServiceClient(conn)}
}

// consistency asks for an answer that includes a token's state; any, for "".
func consistency(token string) *typev1.Consistency {
	if token == "" {
		return nil
	}
	return &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: token}}
}

// Statistics asks for the statistics of a segment that generate.Make needs. The token is that of the state they were made from.
func (c *Client) Statistics(ctx context.Context, segment, token string) (*generate.Statistics, string, error) {
	req := &segmentv1.BreakdownSegmentRequest{
		Subject: &segmentv1.BreakdownSegmentRequest_Segment{Segment: segment}, Consistency: consistency(token),
	}
	for _, d := range generate.Dimensions() {
		req.Dimensions = append(req.Dimensions, &segmentv1.BreakdownSegmentRequest_Dimension{Attribute: d.Attribute, Bounds: d.Bounds, Limit: d.Limit})
	}
	res, err := c.insight.BreakdownSegment(ctx, req)
	if err != nil {
		return nil, "", translate(err)
	}
	s := &generate.Statistics{Count: res.GetCount(), Base: res.GetBase()}
	for _, d := range res.GetDistributions() {
		out := generate.Distribution{Attribute: d.GetAttribute(), Missing: d.GetMissingCount()}
		for _, b := range d.GetBuckets() {
			out.Buckets = append(out.Buckets, generate.Bucket{
				Value: b.GetValue(), Count: b.GetCount(), BaseCount: b.GetBaseCount(), Share: b.GetShare(), BaseShare: b.GetBaseShare(), Lift: b.GetLift(),
			})
		}
		s.Distributions = append(s.Distributions, out)
	}
	return s, res.GetInfo().GetConsistencyToken(), nil
}

// Preview counts whom a rule would hold, in a state that includes the token's.
func (c *Client) Preview(ctx context.Context, rule, token string) (int64, error) {
	res, err := c.segments.PreviewSegment(ctx, &segmentv1.PreviewSegmentRequest{Rule: rule, Consistency: consistency(token)})
	if err != nil {
		return 0, translate(err)
	}
	return res.GetCount(), nil
}

// Check has a rule checked without storing anything.
func (c *Client) Check(ctx context.Context, p persona.Persona) error {
	_, err := c.segments.CreateSegment(as(ctx, p.Name), &segmentv1.CreateSegmentRequest{
		Segment: wire(p), SegmentId: persona.SegmentID(p.Name), ValidateOnly: true,
	})
	if fault.ReasonOf(err) == reasonExists {
		return nil // one left behind, which Create adopts; or another's, which it refuses
	}
	return translate(err)
}

// Create makes the segment that a persona owns, or adopts the one that an interrupted creation of this persona left behind. It returns a
// consistency token that includes it. Precondition if the name is taken by a segment that the persona does not own.
func (c *Client) Create(ctx context.Context, p persona.Persona) (token string, err error) {
	s, err := c.segments.CreateSegment(as(ctx, p.Name), &segmentv1.CreateSegmentRequest{Segment: wire(p), SegmentId: persona.SegmentID(p.Name)})
	if fault.ReasonOf(err) == reasonExists {
		return c.Update(ctx, p)
	}
	if err != nil {
		return "", translate(err)
	}
	return s.GetConsistencyToken(), nil
}

// updateTries bounds how often an update is begun again because the segment changed in between.
const updateTries = 3

// Update gives the segment that a persona owns the persona's rule and name, and returns a consistency token that includes it.
// Precondition if the segment is not the persona's.
func (c *Client) Update(ctx context.Context, p persona.Persona) (token string, err error) {
	for try := 1; ; try++ {
		was, err := c.owned(ctx, p)
		if err != nil {
			return "", err
		}
		s := wire(p)
		s.Name, s.Etag = p.Segment, was.GetEtag()
		mask := []string{"display_name"}
		// A rule that is the same is left alone: it would be a new version, and be built again.
		if was.GetRule() != p.Rule {
			mask = append(mask, "rule")
		}
		now, err := c.segments.UpdateSegment(as(ctx, p.Name), &segmentv1.UpdateSegmentRequest{Segment: s, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
		if fault.ReasonOf(err) == persona.ReasonEtagMismatch && try < updateTries {
			continue
		}
		if err != nil {
			return "", translate(err)
		}
		return now.GetConsistencyToken(), nil
	}
}

// owned returns the persona's segment, if it is the persona's.
func (c *Client) owned(ctx context.Context, p persona.Persona) (*segmentv1.Segment, error) {
	s, err := c.segments.GetSegment(ctx, &segmentv1.GetSegmentRequest{Name: p.Segment})
	if err != nil {
		return nil, translate(err)
	}
	if s.GetOwner() != p.Name {
		return nil, fault.New(fault.Precondition, reasonExists, p.Segment+" exists and is not this persona's; choose another id for the persona").
			With("name", p.Segment).Unmet(reasonExists, p.Segment, "choose another id for the persona, or delete the segment")
	}
	return s, nil
}

// Delete deletes the segment that a persona owns and returns a consistency token that includes its deletion; "" if it was gone.
func (c *Client) Delete(ctx context.Context, p persona.Persona) (token string, err error) {
	if _, err := c.owned(ctx, p); err != nil {
		if fault.ReasonOf(err) == reasonNotFound {
			return "", nil
		}
		return "", err
	}
	res, err := c.segments.DeleteSegment(as(ctx, p.Name), &segmentv1.DeleteSegmentRequest{Name: p.Segment})
	if fault.ReasonOf(err) == reasonNotFound {
		return "", nil
	}
	if err != nil {
		return "", translate(err)
	}
	return res.GetConsistencyToken(), nil
}

// as says for which resource the segment is changed.
func as(ctx context.Context, owner string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, ownerKey, owner)
}

// wire is the segment that a persona owns.
func wire(p persona.Persona) *segmentv1.Segment {
	return &segmentv1.Segment{
		DisplayName: p.DisplayName, Description: "Whom " + p.Name + " stands for.", Owner: p.Name,
		Definition: &segmentv1.Segment_Rule{Rule: p.Rule},
	}
}

// reasonUnreachable is what the client gives a connection that is not there.
const reasonUnreachable = "SERVER_UNREACHABLE"

// translate turns the segment service's faults into this service's.
func translate(err error) error {
	f := fault.As(err)
	if f == nil {
		return err
	}
	if f.Kind == fault.Unavailable && (f.Reason == reasonUnreachable || f.Reason == "" || f.Reason == "STORE_UNAVAILABLE" || f.Reason == "SERVER_GOING_AWAY") {
		return fault.New(fault.Unavailable, persona.ReasonSegmentsUnavailable, "the segment service does not answer; repeat the request").
			Retry(time.Second).Wrap(err)
	}
	if len(f.Violations) == 0 {
		return err
	}
	// The caller named no segment: what is wrong with its rule is wrong with the persona's.
	g := *f
	g.Violations = nil
	for _, v := range f.Violations {
		if v.Field == "segment.rule" || v.Field == "rule" || strings.HasPrefix(v.Field, "segment.rule.") {
			v.Field = "persona.rule"
		}
		g.Violations = append(g.Violations, v)
	}
	return g.Wrap(err)
}
