package rpc

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
)

// defaultBuckets is how many values of an attribute are told unless the caller says.
const defaultBuckets = 50

// BreakdownSegment counts a segment, or everybody, by the values of attributes.
func (s *Service) BreakdownSegment(ctx context.Context, req *segmentv1.BreakdownSegmentRequest) (*segmentv1.BreakdownSegmentResponse, error) {
	subject, err := s.subject(ctx, req)
	if err != nil {
		return nil, err
	}
	schema := s.cfg.Index.Schema()
	if schema == nil {
		return nil, notReady()
	}
	dimensions := make([]audience.Breakdown, len(req.GetDimensions()))
	for i, d := range req.GetDimensions() {
		if dimensions[i], err = dimension(schema, d, fault.Index("dimensions", i)); err != nil {
			return nil, err
		}
	}
	div, err := s.cfg.Index.Breakdown(ctx, subject, dimensions)
	if err != nil {
		return nil, fmt.Errorf("break down: %w", at(err, "rule"))
	}
	if len(div.Subject) != len(dimensions) || len(div.Everybody) != len(dimensions) {
		return nil, fmt.Errorf("break down: %d and %d histograms of %d dimensions", len(div.Subject), len(div.Everybody), len(dimensions))
	}
	res := &segmentv1.BreakdownSegmentResponse{Count: int64(div.Members), Base: int64(div.Base)}
	for i, d := range req.GetDimensions() {
		res.Distributions = append(res.Distributions, distribution(d, dimensions[i].Bands, &div.Subject[i], &div.Everybody[i]))
	}
	res.Info, err = s.info(ctx, div.Answer)
	return res, err
}

// subject returns who is broken down, nil for everybody, when the index is fresh enough to be asked.
func (s *Service) subject(ctx context.Context, req *segmentv1.BreakdownSegmentRequest) (audience.Pred, error) {
	switch who := req.GetSubject().(type) {
	case *segmentv1.BreakdownSegmentRequest_Rule:
		return s.question(ctx, who.Rule, "rule", req.GetConsistency())
	case *segmentv1.BreakdownSegmentRequest_Segment:
		id, err := idOf(who.Segment, "segment")
		if err != nil {
			return nil, err
		}
		seg, err := s.cfg.Store.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		return audience.Member{Segment: seg.UID}, s.fresh(ctx, req.GetConsistency())
	}
	return nil, s.fresh(ctx, req.GetConsistency())
}

// distribution orders the counts of one attribute: bands as they follow each other, values by how frequent they are in the
// subject (or, where it has none of them, in everybody).
func distribution(d *segmentv1.BreakdownSegmentRequest_Dimension, bands []audience.Band, subject, everybody *audience.Histogram) *segmentv1.BreakdownSegmentResponse_Distribution {
	out := &segmentv1.BreakdownSegmentResponse_Distribution{
		Attribute:        d.GetAttribute(),
		OtherCount:       int64(subject.Other),
		MissingCount:     int64(subject.Missing),
		BaseMissingCount: int64(everybody.Missing),
	}
	known, baseKnown := float64(subject.Members-subject.Missing), float64(everybody.Members-everybody.Missing)
	add := func(value string) {
		b := &segmentv1.BreakdownSegmentResponse_Bucket{
			Value: value, Count: int64(subject.Counts[value]), BaseCount: int64(everybody.Counts[value]),
		}
		b.Share, b.BaseShare = ratio(float64(b.GetCount()), known), ratio(float64(b.GetBaseCount()), baseKnown)
		b.Lift = ratio(b.GetShare(), b.GetBaseShare())
		out.Buckets = append(out.Buckets, b)
	}
	if len(bands) > 0 {
		for _, b := range bands {
			add(b.Label)
		}
		return out
	}
	values := make([]string, 0, len(everybody.Counts))
	for v := range everybody.Counts {
		values = append(values, v)
	}
	for v := range subject.Counts {
		if _, ok := everybody.Counts[v]; !ok {
			values = append(values, v) // whoever came in between
		}
	}
	slices.SortFunc(values, func(a, b string) int {
		return cmp.Or(
			-cmp.Compare(subject.Counts[a], subject.Counts[b]),
			-cmp.Compare(everybody.Counts[a], everybody.Counts[b]),
			cmp.Compare(a, b))
	})
	limit := cmp.Or(int(d.GetLimit()), defaultBuckets)
	left := uint64(0)
	for i, v := range values {
		if i < limit {
			add(v)
		} else {
			left += subject.Counts[v]
		}
	}
	// Somebody with several values on a list is counted under each of them, but is one person.
	out.OtherCount = min(out.GetOtherCount()+int64(left), int64(subject.Members-subject.Missing))
	return out
}

// ratio is a / b, and 0 where there is nothing to divide by.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
