package rpc

import (
	"context"

	"github.com/narrowcast/narrowcast/pkg/fault"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	"github.com/narrowcast/narrowcast/services/campaign"
	"github.com/narrowcast/narrowcast/services/campaign/internal/resolve"
)

// BreakdownAudience counts an audience by the values of several attributes at once.
func (s *Service) BreakdownAudience(ctx context.Context, req *campaignv1.BreakdownAudienceRequest) (*campaignv1.BreakdownAudienceResponse, error) {
	spec, consistency, err := s.question(ctx, req.GetAudience(), req.GetConsistency())
	if err != nil {
		return nil, err
	}
	by := make([]resolve.Dimension, 0, len(req.GetDimensions()))
	for _, d := range req.GetDimensions() {
		by = append(by, resolve.Dimension{Attribute: d.GetAttribute(), Bounds: d.GetBounds(), Values: d.GetValues()})
	}
	d, err := s.resolver.Breakdown(ctx, spec, consistency, by)
	if err != nil {
		return nil, asked(req.GetAudience(), err)
	}
	res := &campaignv1.BreakdownAudienceResponse{Count: d.Members, Counts: make([]int64, len(d.Counts)), Info: infoWire(d.Info)}
	for _, a := range d.Axes {
		res.Axes = append(res.Axes, &campaignv1.BreakdownAudienceResponse_Axis{Attribute: a.Attribute, Values: a.Values})
	}
	for i, n := range d.Counts {
		res.Counts[i] = int64(n)
	}
	return res, nil
}

// OverlapAudiences counts what each two of several audiences have in common.
func (s *Service) OverlapAudiences(ctx context.Context, req *campaignv1.OverlapAudiencesRequest) (*campaignv1.OverlapAudiencesResponse, error) {
	consistency, err := consistencyOf(req.GetConsistency())
	if err != nil {
		return nil, err
	}
	wrong := func(at int, err error) error {
		return askedAt(req.GetAudiences()[at], fault.Index("audiences", at), err)
	}
	specs := make([]campaign.Spec, len(req.GetAudiences()))
	for i, ref := range req.GetAudiences() {
		if specs[i], _, err = s.question(ctx, ref, nil); err != nil {
			return nil, wrong(i, err)
		}
	}
	o, err := s.resolver.Overlap(ctx, specs, consistency, wrong)
	if err != nil {
		return nil, err
	}
	n := len(specs)
	res := &campaignv1.OverlapAudiencesResponse{
		Counts: make([]int64, n), Pairs: make([]*campaignv1.OverlapAudiencesResponse_Pair, 0, n*(n-1)/2), Base: o.Base, Info: infoWire(o.Info),
	}
	pairs := make([]campaignv1.OverlapAudiencesResponse_Pair, n*(n-1)/2)
	for i := range specs {
		res.Counts[i] = int64(o.Common[i*n+i])
	}
	for i := range specs {
		for j := i + 1; j < n; j++ {
			p := &pairs[len(res.GetPairs())]
			both, a, b := float64(o.Common[i*n+j]), float64(res.GetCounts()[i]), float64(res.GetCounts()[j])
			p.First, p.Second, p.Count = int32(i), int32(j), int64(o.Common[i*n+j])
			p.Similarity = ratio(both, a+b-both)
			p.Lift = ratio(both*float64(o.Base), a*b)
			res.Pairs = append(res.Pairs, p)
		}
	}
	return res, nil
}

// ratio is a / b, and 0 where there is nothing to divide by.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
