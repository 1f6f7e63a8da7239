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

// CreateCampaign creates a campaign, as a draft.
func (s *Service) CreateCampaign(ctx context.Context, req *campaignv1.CreateCampaignRequest) (*campaignv1.Campaign, error) {
	if err := kit.CheckText(req); err != nil {
		return nil, err
	}
	c, err := checkedCampaign(req.GetCampaign())
	if err != nil {
		return nil, err
	}
	c.Name, c.UID, c.State = campaign.CampaignPrefix+req.GetCampaignId(), uuid.NewString(), campaign.StateDraft
	if c, err = s.store.CreateCampaign(ctx, c); err != nil {
		return nil, underCampaign(err)
	}
	return campaignWire(c), nil
}

// checkedCampaign reads a campaign and returns all that is wrong with it in one fault.
func checkedCampaign(in *campaignv1.Campaign) (campaign.Campaign, error) {
	c, unread := campaignOf(in)
	var v fault.Violations
	v.AddErr("campaign", unread)
	v.AddErr("campaign", c.Check())
	return c, v.Err()
}

// underCampaign nests the store's field paths below the request's field.
func underCampaign(err error) error {
	if f := fault.As(err); f != nil && f.Kind == fault.Invalid {
		return f.Under("campaign")
	}
	return err
}

// GetCampaign returns one campaign.
func (s *Service) GetCampaign(ctx context.Context, req *campaignv1.GetCampaignRequest) (*campaignv1.Campaign, error) {
	c, err := s.store.Campaign(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	return campaignWire(c), nil
}

// ListCampaigns lists campaigns by name.
func (s *Service) ListCampaigns(ctx context.Context, req *campaignv1.ListCampaignsRequest) (*campaignv1.ListCampaignsResponse, error) {
	sum := page.Checksum("campaigns")
	size, err := page.Size(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	after, err := page.Decode(req.GetPageToken(), sum)
	if err != nil {
		return nil, err
	}
	list, err := s.store.Campaigns(ctx, after, size+1)
	if err != nil {
		return nil, err
	}
	res := &campaignv1.ListCampaignsResponse{}
	if len(list) > size {
		list = list[:size]
		res.NextPageToken = page.Encode(list[size-1].Name, sum)
	}
	for _, c := range list {
		res.Campaigns = append(res.Campaigns, campaignWire(c))
	}
	return res, nil
}

// UpdateCampaign changes a campaign.
func (s *Service) UpdateCampaign(ctx context.Context, req *campaignv1.UpdateCampaignRequest) (*campaignv1.Campaign, error) {
	if err := kit.CheckText(req); err != nil {
		return nil, err
	}
	in := req.GetCampaign()
	change, err := kit.MaskedFields(req.GetUpdateMask(), in, "display_name", "objective", "value_proposition", "audience", "channel", "budget", "start_date", "end_date")
	if err != nil {
		return nil, err
	}
	given, unread := campaignOf(in)
	c, err := retried(in.GetEtag(), func() (campaign.Campaign, error) {
		c, err := s.store.Campaign(ctx, in.GetName())
		if err != nil {
			return c, err
		}
		if in.GetEtag() != "" {
			c.Etag = in.GetEtag()
		}
		for field, set := range map[string]func(){
			"display_name":      func() { c.DisplayName = given.DisplayName },
			"objective":         func() { c.Objective = given.Objective },
			"value_proposition": func() { c.ValueProposition = given.ValueProposition },
			"audience":          func() { c.Audience = given.Audience },
			"channel":           func() { c.Channel = given.Channel },
			"budget":            func() { c.Budget = given.Budget },
			"start_date":        func() { c.StartDay = given.StartDay },
			"end_date":          func() { c.EndDay = given.EndDay },
		} {
			if change[field] {
				set()
			}
		}
		// Rules between fields hold for what is stored, not for what was sent.
		var v fault.Violations
		v.AddErr("", unread)
		v.AddErr("", c.Check())
		if err := v.Err(); err != nil {
			return c, err
		}
		return s.store.UpdateCampaign(ctx, c)
	})
	if err != nil {
		return nil, underCampaign(err)
	}
	return campaignWire(c), nil
}

// DeleteCampaign deletes a campaign.
func (s *Service) DeleteCampaign(ctx context.Context, req *campaignv1.DeleteCampaignRequest) (*campaignv1.DeleteCampaignResponse, error) {
	if err := s.store.DeleteCampaign(ctx, req.GetName(), req.GetEtag()); err != nil {
		return nil, err
	}
	return &campaignv1.DeleteCampaignResponse{}, nil
}
