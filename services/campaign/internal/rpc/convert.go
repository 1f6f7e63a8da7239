package rpc

import (
	"slices"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/revision"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/campaign"
	"github.com/narrowcast/narrowcast/services/campaign/internal/resolve"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

func audienceWire(a campaign.Audience) *campaignv1.Audience {
	return &campaignv1.Audience{
		Name: a.Name, Uid: a.UID, DisplayName: a.DisplayName, Description: a.Description, Spec: specWire(a.Spec), Version: a.Version, Owner: a.Owner,
		Etag: a.Etag, CreateTime: timestamppb.New(a.CreateTime), UpdateTime: timestamppb.New(a.UpdateTime),
	}
}

// campaignOf reads what a caller can set of a campaign. What cannot be read is an Invalid fault with field paths relative to the
// campaign; the rest is returned all the same.
func campaignOf(in *campaignv1.Campaign) (campaign.Campaign, error) {
	c := campaign.Campaign{
		Name: in.GetName(), DisplayName: in.GetDisplayName(), ValueProposition: in.GetValueProposition(), Audience: in.GetAudience(),
		Channel: word(wire.Channels, in.GetChannel()),
	}
	if n := int(in.GetObjective()); n >= 1 && n <= len(campaign.Objectives) {
		c.Objective = campaign.Objectives[n-1]
	}
	var v fault.Violations
	if b := in.GetBudget(); b != nil {
		currency, cents, err := wire.Money(b)
		v.AddErr("budget", err)
		c.Budget = &campaign.Money{Currency: currency, Cents: cents}
		if err != nil {
			c.Budget = nil
		}
	}
	if d := in.GetStartDate(); d != nil {
		day, err := wire.Day(d)
		if v.AddErr("start_date", err); err == nil {
			c.StartDay = &day
		}
	}
	if d := in.GetEndDate(); d != nil {
		day, err := wire.Day(d)
		if v.AddErr("end_date", err); err == nil {
			c.EndDay = &day
		}
	}
	return c, v.Err()
}

func campaignWire(c campaign.Campaign) *campaignv1.Campaign {
	out := &campaignv1.Campaign{
		Name: c.Name, Uid: c.UID, DisplayName: c.DisplayName, ValueProposition: c.ValueProposition, Audience: c.Audience,
		Objective: campaignv1.Campaign_Objective(slices.Index(campaign.Objectives, c.Objective) + 1),
		Channel:   wire.Channels.Value(c.Channel), State: campaignv1.Campaign_STATE_DRAFT, Etag: c.Etag,
		CreateTime: timestamppb.New(c.CreateTime), UpdateTime: timestamppb.New(c.UpdateTime),
	}
	if c.Budget != nil {
		out.Budget = wire.MoneyOf(c.Budget.Currency, c.Budget.Cents)
	}
	if c.StartDay != nil {
		out.StartDate = wire.DayDate(*c.StartDay)
	}
	if c.EndDay != nil {
		out.EndDate = wire.DayDate(*c.EndDay)
	}
	return out
}

// consistencyOf reads how fresh an answer has to be.
func consistencyOf(in *typev1.Consistency) (resolve.Consistency, error) {
	c := resolve.Consistency{AllowStale: in.GetAllowStale()}
	switch r := in.GetRequirement().(type) {
	case *typev1.Consistency_AtLeastAsFresh:
		token, err := revision.Parse(r.AtLeastAsFresh)
		if err != nil {
			if f := fault.As(err); f != nil {
				return c, f.At("consistency.at_least_as_fresh")
			}
			return c, err
		}
		c.Token = token
	case *typev1.Consistency_FullyConsistent:
		c.Fully = r.FullyConsistent
	case *typev1.Consistency_MaxStaleness:
		d := r.MaxStaleness.AsDuration()
		c.MaxStaleness = &d
	}
	return c, nil
}

// infoWire says what an answer was made from.
func infoWire(in resolve.Info) *typev1.AnswerInfo {
	part := func(p blocks.Point) revision.Part {
		return revision.Part{Incarnation: p.Incarnation, Revision: int64(p.Revision), Mark: []byte(p.Mark)}
	}
	token := revision.Token{Store: in.Store, Profile: part(in.Through.Profiles), Segment: part(in.Through.Definitions)}
	out := &typev1.AnswerInfo{
		ConsistencyToken: token.String(), Revision: int64(in.Through.Profiles.Revision), DefinitionRevision: int64(in.Through.Definitions.Revision),
		Age: durationpb.New(in.Age), FieldsFromMemory: in.Stats.FieldsFromMemory, FieldsFromStore: in.Stats.FieldsFromStore,
		BlocksRefilled: in.Stats.BlocksRefilled, BlocksEvaluated: in.Stats.BlocksEvaluated,
	}
	for _, r := range in.Rules {
		out.Rules = append(out.Rules, &typev1.RuleVersion{Segment: r.Segment, Version: int64(r.Version)})
	}
	return out
}
