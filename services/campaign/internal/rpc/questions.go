package rpc

import (
	"context"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/fault"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/campaign"
	"github.com/narrowcast/narrowcast/services/campaign/internal/resolve"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// CountAudience counts an audience, with its narrowing.
func (s *Service) CountAudience(ctx context.Context, req *campaignv1.CountAudienceRequest) (*campaignv1.CountAudienceResponse, error) {
	spec, consistency, err := s.question(ctx, req.GetAudience(), req.GetConsistency())
	if err != nil {
		return nil, err
	}
	n, err := s.resolver.Count(ctx, spec, consistency)
	if err != nil {
		return nil, asked(req.GetAudience(), err)
	}
	res := &campaignv1.CountAudienceResponse{Count: n.Total(), Info: infoWire(n.Info)}
	for _, st := range n.Steps {
		res.Steps = append(res.Steps, &campaignv1.CountAudienceResponse_Step{Part: st.Part, Label: st.Label, Count: st.Count})
	}
	return res, nil
}

// ExplainProfile says of one profile which predicates of an audience hold.
func (s *Service) ExplainProfile(ctx context.Context, req *campaignv1.ExplainProfileRequest) (*campaignv1.ExplainProfileResponse, error) {
	uid, ok := wire.ParseProfileName(req.GetProfile())
	if !ok {
		return nil, fault.InvalidField(campaign.ReasonValidation, "profile", "a profile's name is profiles/ and a UUID in lower case")
	}
	spec, consistency, err := s.question(ctx, req.GetAudience(), req.GetConsistency())
	if err != nil {
		return nil, err
	}
	e, err := s.resolver.Explain(ctx, spec, consistency, uid, req.GetProfile())
	if err != nil {
		return nil, asked(req.GetAudience(), err)
	}
	res := &campaignv1.ExplainProfileResponse{Member: e.Member, Info: infoWire(e.Info)}
	for _, st := range e.Steps {
		res.Steps = append(res.Steps, &campaignv1.ExplainProfileResponse_Step{Part: st.Part, Label: st.Label, Verdict: verdicts[st.Truth]})
	}
	return res, nil
}

// question reads which audience a question is about and how fresh its answer has to be.
func (s *Service) question(ctx context.Context, ref *campaignv1.AudienceRef, c *typev1.Consistency) (campaign.Spec, resolve.Consistency, error) {
	consistency, err := consistencyOf(c)
	if err != nil {
		return campaign.Spec{}, consistency, err
	}
	if ref.GetName() != "" {
		a, err := s.store.Audience(ctx, ref.GetName())
		return a.Spec, consistency, err
	}
	spec, err := specOf(ref.GetSpec())
	if err != nil {
		_, err = s.checked(ctx, ref.GetSpec()) // to tell all that is wrong
	}
	return spec, consistency, err
}

// asked puts the violations of a spec where the request has it: under "audience", or at the name of the saved audience.
func asked(ref *campaignv1.AudienceRef, err error) error { return askedAt(ref, "audience", err) }

// askedAt is asked for a reference that the request has elsewhere.
func askedAt(ref *campaignv1.AudienceRef, path string, err error) error {
	f := fault.As(err)
	if f == nil || f.Kind != fault.Invalid {
		return err
	}
	g := *f
	g.Violations = nil
	for _, v := range f.Violations {
		v.Field = strings.TrimPrefix(v.Field, "audience.")
		if v.Field == "spec" || strings.HasPrefix(v.Field, "spec.") {
			if ref.GetName() != "" {
				v.Description = v.Field + " of the saved audience: " + v.Description
				v.Field = fault.Join(path, "name")
			} else {
				v.Field = fault.Join(path, v.Field)
			}
		}
		g.Violations = append(g.Violations, v)
	}
	return g.Wrap(err)
}
