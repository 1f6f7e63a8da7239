package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/fault"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
)

// SegmentsConfig says what to compare. All of it is needed.
type SegmentsConfig struct {
	Segments  segmentv1.SegmentServiceClient
	Audiences campaignv1.AudienceServiceClient
	Examples  int
}

// Segments counts every segment once more: those who are in its rows, those for whom its rule holds by their facts now, and those who are
// both must be as many. Of a static list, no more can be in it than were put on it. What is under way is looked at again, and left out if it
// does not end.
func Segments(ctx context.Context, cfg SegmentsConfig) []Result {
	r := newReport(cfg.Examples, CheckSegments)
	list, err := cfg.list(ctx)
	if err != nil {
		return r.fail(err)
	}
	moving := 0
	for _, s := range list {
		wrong, err := cfg.recount(ctx, s)
		switch {
		case errors.Is(err, errMoving):
			moving++
		case err != nil:
			return r.fail(fmt.Errorf("count %s: %w", s.GetName(), err))
		case wrong != "":
			r.differs(CheckSegments, "%s: %s", s.GetName(), wrong)
		}
	}
	r.at(CheckSegments).Note = fmt.Sprintf("%d segments", len(list)-moving)
	if moving > 0 {
		r.at(CheckSegments).Note += fmt.Sprintf("; %d changed all the time, or are being built, and were not counted", moving)
	}
	return r.list()
}

// errMoving is why a segment cannot be counted now.
var errMoving = errors.New("it changes")

func (cfg SegmentsConfig) list(ctx context.Context) (list []*segmentv1.Segment, err error) {
	for token := ""; ; {
		page, err := cfg.Segments.ListSegments(ctx, &segmentv1.ListSegmentsRequest{PageSize: 1000, PageToken: token})
		if err != nil {
			return nil, fmt.Errorf("list segments: %w", err)
		}
		list = append(list, page.GetSegments()...)
		if token = page.GetNextPageToken(); token == "" {
			return list, nil
		}
	}
}

// recount says what is wrong with a segment; nothing if all is well.
func (cfg SegmentsConfig) recount(ctx context.Context, s *segmentv1.Segment) (wrong string, err error) {
	for range rounds {
		if s.GetState() != segmentv1.Segment_STATE_ACTIVE {
			return "", errMoving
		}
		both, err := cfg.count(ctx, &campaignv1.AudienceSpec{AllSegments: []string{s.GetName()}, Filter: s.GetRule()})
		if err != nil {
			return "", err
		}
		var byRule *campaignv1.CountAudienceResponse
		if s.GetRule() != "" {
			if byRule, err = cfg.count(ctx, &campaignv1.AudienceSpec{Filter: s.GetRule()}); err != nil {
				return "", err
			}
		}
		if wrong = differs(s, both, byRule); wrong == "" {
			return "", nil
		}
		// Each answer is of the newest state: if that is the same before and after, both were of it.
		after, err := cfg.count(ctx, &campaignv1.AudienceSpec{})
		if err != nil {
			return "", err
		}
		now, err := cfg.Segments.GetSegment(ctx, &segmentv1.GetSegmentRequest{Name: s.GetName()})
		if err != nil {
			return "", fmt.Errorf("get the segment: %w", err)
		}
		if sameState(both, after) && now.GetVersion() == s.GetVersion() && now.GetState() == s.GetState() {
			return wrong, nil
		}
		s = now
	}
	return "", errMoving
}

func (cfg SegmentsConfig) count(ctx context.Context, spec *campaignv1.AudienceSpec) (*campaignv1.CountAudienceResponse, error) {
	res, err := cfg.Audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{
		Audience:    &campaignv1.AudienceRef{Audience: &campaignv1.AudienceRef_Spec{Spec: spec}},
		Consistency: &typev1.Consistency{Requirement: &typev1.Consistency_FullyConsistent{FullyConsistent: true}},
	})
	if fault.ReasonOf(err) == "SEGMENT_BUILDING" { // it, or one that its rule names
		return nil, errMoving
	}
	return res, err
}

func sameState(a, b *campaignv1.CountAudienceResponse) bool {
	return a.GetInfo().GetRevision() == b.GetInfo().GetRevision() && a.GetInfo().GetDefinitionRevision() == b.GetInfo().GetDefinitionRevision()
}

// differs compares counts. both has how many are in the segment's rows as its step before the last, where there is a rule.
func differs(s *segmentv1.Segment, both, byRule *campaignv1.CountAudienceResponse) string {
	if byRule == nil {
		if listed := s.GetStaticList().GetMemberCount(); both.GetCount() > listed {
			return fmt.Sprintf("%d are in it, and %d were put on its list", both.GetCount(), listed)
		}
		return ""
	}
	steps := both.GetSteps()
	if len(steps) < 2 {
		return "the services do not say how many are in it"
	}
	members := steps[len(steps)-2].GetCount()
	if members == byRule.GetCount() && members == both.GetCount() {
		return ""
	}
	return fmt.Sprintf("%d are in it, its rule holds of %d, and of %d of those who are in it", members, byRule.GetCount(), both.GetCount())
}
