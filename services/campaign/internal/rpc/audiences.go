package rpc

import (
	"context"

	"github.com/google/uuid"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/page"
	kit "github.com/narrowcast/narrowcast/pkg/rpc"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	"github.com/narrowcast/narrowcast/services/campaign"
)

// CreateAudience saves an audience.
func (s *Service) CreateAudience(ctx context.Context, req *campaignv1.CreateAudienceRequest) (*campaignv1.Audience, error) {
	if err := kit.CheckText(req); err != nil {
		return nil, err
	}
	in := req.GetAudience()
	spec, err := s.checked(ctx, in.GetSpec())
	if err != nil {
		return nil, err
	}
	a, err := s.store.CreateAudience(ctx, campaign.Audience{
		Name: campaign.AudiencePrefix + req.GetAudienceId(), UID: uuid.NewString(),
		DisplayName: in.GetDisplayName(), Description: in.GetDescription(), Owner: in.GetOwner(), Spec: spec,
	})
	if err != nil {
		return nil, err
	}
	return audienceWire(a), nil
}

// checked reads a spec of the request's audience and returns all that is wrong with it, by wire and meaning, in one fault.
func (s *Service) checked(ctx context.Context, in *campaignv1.AudienceSpec) (campaign.Spec, error) {
	if in == nil {
		// An empty spec asks for everybody; one that was forgotten must not.
		return campaign.Spec{}, fault.InvalidField(campaign.ReasonValidation, "audience.spec", "an audience needs a spec; an empty one asks for everybody")
	}
	spec, unread := specOf(in)
	var v fault.Violations
	v.AddErr("audience", unread)
	err := s.resolver.Check(ctx, spec)
	if v.Len() == 0 {
		if f := fault.As(err); f != nil && f.Kind == fault.Invalid {
			return spec, f.Under("audience")
		}
		return spec, err
	}
	v.AddErr("audience", err) // what is not about the request can wait until it is right
	return spec, v.Err()
}

// GetAudience returns one saved audience.
func (s *Service) GetAudience(ctx context.Context, req *campaignv1.GetAudienceRequest) (*campaignv1.Audience, error) {
	a, err := s.store.Audience(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	return audienceWire(a), nil
}

// ListAudiences lists saved audiences by name.
func (s *Service) ListAudiences(ctx context.Context, req *campaignv1.ListAudiencesRequest) (*campaignv1.ListAudiencesResponse, error) {
	sum := page.Checksum("audiences")
	size, err := page.Size(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	after, err := page.Decode(req.GetPageToken(), sum)
	if err != nil {
		return nil, err
	}
	// One more than the page says whether there is another one.
	list, err := s.store.Audiences(ctx, after, size+1)
	if err != nil {
		return nil, err
	}
	res := &campaignv1.ListAudiencesResponse{}
	if len(list) > size {
		list = list[:size]
		res.NextPageToken = page.Encode(list[size-1].Name, sum)
	}
	for _, a := range list {
		res.Audiences = append(res.Audiences, audienceWire(a))
	}
	return res, nil
}

// UpdateAudience changes a saved audience.
func (s *Service) UpdateAudience(ctx context.Context, req *campaignv1.UpdateAudienceRequest) (*campaignv1.Audience, error) {
	if err := kit.CheckText(req); err != nil {
		return nil, err
	}
	in := req.GetAudience()
	change, err := kit.MaskedFields(req.GetUpdateMask(), in, "display_name", "description", "owner", "spec")
	if err != nil {
		return nil, err
	}
	var spec campaign.Spec
	if change["spec"] {
		if spec, err = s.checked(ctx, in.GetSpec()); err != nil {
			return nil, err
		}
	}
	a, err := retried(in.GetEtag(), func() (campaign.Audience, error) {
		a, err := s.store.Audience(ctx, in.GetName())
		if err != nil {
			return a, err
		}
		if in.GetEtag() != "" {
			a.Etag = in.GetEtag()
		}
		if change["display_name"] {
			a.DisplayName = in.GetDisplayName()
		}
		if change["description"] {
			a.Description = in.GetDescription()
		}
		if change["owner"] {
			a.Owner = in.GetOwner()
		}
		if change["spec"] {
			a.Spec = spec
		}
		return s.store.UpdateAudience(ctx, a)
	})
	if err != nil {
		return nil, err
	}
	return audienceWire(a), nil
}

// DeleteAudience deletes a saved audience.
func (s *Service) DeleteAudience(ctx context.Context, req *campaignv1.DeleteAudienceRequest) (*campaignv1.DeleteAudienceResponse, error) {
	if err := s.store.DeleteAudience(ctx, req.GetName(), req.GetEtag()); err != nil {
		return nil, err
	}
	return &campaignv1.DeleteAudienceResponse{}, nil
}
