package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
)

type campaignCommands struct {
	Create campaignCreate `cmd:"" help:"Create a campaign, as a draft."`
	List   campaignList   `cmd:"" help:"List the campaigns."`
	Get    campaignGet    `cmd:"" help:"Show a campaign."`
	Update campaignUpdate `cmd:"" help:"Change a campaign."`
	Delete campaignDelete `cmd:"" help:"Delete a campaign."`
}

type campaignFields struct {
	DisplayName      *string `help:"Name for people."`
	Objective        *string `help:"awareness, consideration, acquisition, growth, retention or win_back."`
	ValueProposition *string `help:"What is offered to these people, and why it is for them."`
	Audience         *string `help:"Saved audience."`
	Channel          *string `help:"email, sms, phone, post, push, messaging, web or in_person."`
	Budget           *string `help:"Budget with its currency, such as EUR:5000." placeholder:"CUR:AMOUNT"`
	Start            *string `help:"First day." placeholder:"DAY"`
	End              *string `help:"Last day." placeholder:"DAY"`
}

func (f *campaignFields) campaign() (*campaignv1.Campaign, error) {
	wrong := &fault.Violations{}
	c := &campaignv1.Campaign{
		DisplayName: deref(f.DisplayName), ValueProposition: deref(f.ValueProposition), Audience: resource("audiences", deref(f.Audience)),
		Channel:   enum(wrong, "campaign.channel", reasonUnknownValue, wire.Channels, audience.Channels, deref(f.Channel)),
		StartDate: day(wrong, "campaign.start_date", deref(f.Start)), EndDate: day(wrong, "campaign.end_date", deref(f.End)),
	}
	if o := deref(f.Objective); o != "" {
		value := campaignv1.Campaign_Objective_value["OBJECTIVE_"+strings.ToUpper(o)]
		if value == 0 {
			wrong.Add("campaign.objective", reasonUnknownValue, fmt.Sprintf("%q is not one of awareness, consideration, acquisition, growth, retention, win_back", o))
		}
		c.Objective = campaignv1.Campaign_Objective(value)
	}
	c.Budget = moneyOf(wrong, "campaign.budget", deref(f.Budget))
	return c, wrong.Err()
}

type campaignCreate struct {
	ID string `arg:"" help:"Id: lower-case letters, digits and hyphens."`
	campaignFields
}

func (c *campaignCreate) run(s *session) error {
	if c.Objective == nil || c.Audience == nil {
		return usage("a campaign needs --objective and --audience")
	}
	m, err := c.campaign()
	if err != nil {
		return err
	}
	ctx, cancel := s.call()
	defer cancel()
	if m, err = s.client.Campaigns.CreateCampaign(ctx, &campaignv1.CreateCampaignRequest{Campaign: m, CampaignId: c.ID}); err != nil {
		return err
	}
	return s.showCampaign(m)
}

type campaignUpdate struct {
	Name string `arg:"" help:"The campaign."`
	campaignFields
	Etag string `help:"Change it only if it still has this etag."`
}

func (c *campaignUpdate) run(s *session) error {
	m, err := c.campaign()
	if err != nil {
		return err
	}
	m.Name, m.Etag = resource("campaigns", c.Name), c.Etag
	mask := masked("display_name", c.DisplayName != nil, "objective", c.Objective != nil, "value_proposition", c.ValueProposition != nil,
		"audience", c.Audience != nil, "channel", c.Channel != nil, "budget", c.Budget != nil, "start_date", c.Start != nil, "end_date", c.End != nil)
	if len(mask.GetPaths()) == 0 {
		return usage("nothing to change; give flags")
	}
	ctx, cancel := s.call()
	defer cancel()
	if c.Objective == nil || c.Audience == nil {
		// The contract requires both in every message, whatever the mask says.
		now, err := s.client.Campaigns.GetCampaign(ctx, &campaignv1.GetCampaignRequest{Name: m.GetName()})
		if err != nil {
			return err
		}
		if c.Objective == nil {
			m.Objective = now.GetObjective()
		}
		if c.Audience == nil {
			m.Audience = now.GetAudience()
		}
	}
	if m, err = s.client.Campaigns.UpdateCampaign(ctx, &campaignv1.UpdateCampaignRequest{Campaign: m, UpdateMask: mask}); err != nil {
		return err
	}
	return s.showCampaign(m)
}

type campaignList struct{}

func (c *campaignList) run(s *session) error {
	all := &campaignv1.ListCampaignsResponse{}
	err := pages(s, func(ctx context.Context, token string) (string, error) {
		page, err := s.client.Campaigns.ListCampaigns(ctx, &campaignv1.ListCampaignsRequest{PageSize: 1000, PageToken: token})
		all.Campaigns = append(all.Campaigns, page.GetCampaigns()...)
		return page.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	if s.json() {
		return s.message(all)
	}
	t := table.New("campaign", "state", "objective", "audience", "channel", ">budget", "days")
	for _, m := range all.GetCampaigns() {
		t.Row(short(m.GetName()), campaignState(m), objective(m), short(m.GetAudience()), wire.Channels.Text(m.GetChannel()), money(m.GetBudget()), days(m))
	}
	return s.table(t)
}

func campaignState(m *campaignv1.Campaign) string {
	return strings.ToLower(strings.TrimPrefix(m.GetState().String(), "STATE_"))
}

func objective(m *campaignv1.Campaign) string {
	return strings.ToLower(strings.TrimPrefix(m.GetObjective().String(), "OBJECTIVE_"))
}

// moneyOf reads an amount with its currency; "" is none.
func moneyOf(wrong *fault.Violations, path, text string) *typev1.Money {
	if text == "" {
		return nil
	}
	currency, amount, both := strings.Cut(text, ":")
	if !both {
		wrong.Add(path, reasonInvalidNumber, fmt.Sprintf("%q is not a currency and an amount such as EUR:5000", text))
	}
	return &typev1.Money{CurrencyCode: strings.ToUpper(currency), Amount: amount}
}

func money(m *typev1.Money) string {
	if m == nil {
		return ""
	}
	return m.GetAmount() + " " + m.GetCurrencyCode()
}

func days(m *campaignv1.Campaign) string {
	from, to := calendar(m.GetStartDate()), calendar(m.GetEndDate())
	if from == "" && to == "" {
		return ""
	}
	return from + " to " + to
}

type campaignGet struct {
	Name string `arg:"" help:"The campaign."`
}

func (c *campaignGet) run(s *session) error {
	ctx, cancel := s.call()
	defer cancel()
	m, err := s.client.Campaigns.GetCampaign(ctx, &campaignv1.GetCampaignRequest{Name: resource("campaigns", c.Name)})
	if err != nil {
		return err
	}
	return s.showCampaign(m)
}

func (s *session) showCampaign(m *campaignv1.Campaign) error {
	if s.json() {
		return s.message(m)
	}
	return s.facts("name", m.GetName(), "display name", m.GetDisplayName(), "state", campaignState(m), "objective", objective(m),
		"value proposition", m.GetValueProposition(), "audience", m.GetAudience(), "channel", wire.Channels.Text(m.GetChannel()),
		"budget", money(m.GetBudget()), "days", days(m), "etag", m.GetEtag())
}

type campaignDelete struct {
	Name string `arg:"" help:"The campaign."`
	Etag string `help:"Delete it only if it still has this etag."`
}

func (c *campaignDelete) run(s *session) error {
	ctx, cancel := s.call()
	defer cancel()
	name := resource("campaigns", c.Name)
	answer, err := s.client.Campaigns.DeleteCampaign(ctx, &campaignv1.DeleteCampaignRequest{Name: name, Etag: c.Etag})
	if err != nil {
		return err
	}
	if s.json() {
		return s.message(answer)
	}
	return s.print("%s is deleted\n", name)
}
