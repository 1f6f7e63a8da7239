package rpc

import (
	"strconv"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/campaign"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// words returns the texts of enum values. A value without one becomes its number, which the check of the spec refuses: dropped, it
// would make the audience another one.
func words[E ~int32](v wire.Vocabulary[E], values []E) (texts []string) {
	for _, value := range values {
		text := v.Text(value)
		if text == "" {
			text = strconv.Itoa(int(value))
		}
		texts = append(texts, text)
	}
	return texts
}

// word is words for a single value, where 0 asks nothing.
func word[E ~int32](v wire.Vocabulary[E], value E) string {
	if value == 0 {
		return ""
	}
	return words(v, []E{value})[0]
}

// specOf reads a spec. What cannot be read is an Invalid fault with field paths that begin with "spec"; the rest of the spec is
// returned all the same, so that everything wrong with it can be told.
func specOf(in *campaignv1.AudienceSpec) (campaign.Spec, error) {
	var v fault.Violations
	s := campaign.Spec{
		Regions: in.GetRegions(), PostalCodes: in.GetPostalCodes(),
		Genders: words(wire.Genders, in.GetGenders()), JobLevels: words(wire.JobLevels, in.GetJobLevels()),
		MinJobLevel: word(wire.JobLevels, in.GetMinJobLevel()),
		Educations:  words(wire.Educations, in.GetEducations()), MaritalStatuses: words(wire.MaritalStatuses, in.GetMaritalStatuses()),
		Roles: words(wire.Roles, in.GetRoles()), Lifecycles: words(wire.Lifecycles, in.GetLifecycles()),
		Industries: in.GetEmployerIndustries(), EmployerSizes: words(wire.EmployerSizes, in.GetEmployerSizes()), Interests: in.GetInterests(),
		AllSegments: in.GetAllSegments(), AnySegments: in.GetAnySegments(), ExcludedSegments: in.GetExcludedSegments(), Personas: in.GetPersonas(),
		Channel: word(wire.Channels, in.GetChannel()), Purposes: words(wire.Purposes, in.GetPurposes()),
		OnePerHousehold: in.GetOnePerHousehold(), Filter: in.GetFilter(),
	}
	if age := in.GetAge(); age != nil {
		s.Age = &campaign.Ages{Min: wide(age.Min), Max: wide(age.Max)}
	}
	if m := in.GetIncome(); m != nil {
		s.Income = &campaign.Incomes{Currency: m.GetCurrencyCode(), Min: m.GetMin(), Max: m.GetMax()}
	}
	if d := in.GetAsOf(); d != nil {
		day, err := wire.Day(d)
		if !v.AddErr("spec.as_of", err) {
			return s, err
		}
		if err == nil {
			s.AsOf = &day
		}
	}
	return s, v.Err()
}

func wide(n *int32) *int64 {
	if n == nil {
		return nil
	}
	w := int64(*n)
	return &w
}

func narrow(n *int64) *int32 {
	if n == nil {
		return nil
	}
	w := int32(*n)
	return &w
}

// specWire is the inverse of specOf for specs that were accepted.
func specWire(s campaign.Spec) *campaignv1.AudienceSpec {
	out := &campaignv1.AudienceSpec{
		Regions: s.Regions, PostalCodes: s.PostalCodes, Genders: wire.Genders.ValuesOf(s.Genders), JobLevels: wire.JobLevels.ValuesOf(s.JobLevels),
		MinJobLevel: wire.JobLevels.Value(s.MinJobLevel), Educations: wire.Educations.ValuesOf(s.Educations),
		MaritalStatuses: wire.MaritalStatuses.ValuesOf(s.MaritalStatuses), Roles: wire.Roles.ValuesOf(s.Roles),
		Lifecycles: wire.Lifecycles.ValuesOf(s.Lifecycles), EmployerIndustries: s.Industries, EmployerSizes: wire.EmployerSizes.ValuesOf(s.EmployerSizes),
		Interests: s.Interests, AllSegments: s.AllSegments, AnySegments: s.AnySegments, ExcludedSegments: s.ExcludedSegments, Personas: s.Personas,
		Channel: wire.Channels.Value(s.Channel), Purposes: wire.Purposes.ValuesOf(s.Purposes), OnePerHousehold: s.OnePerHousehold, Filter: s.Filter,
	}
	if s.Age != nil {
		out.Age = &typev1.AgeRange{Min: narrow(s.Age.Min), Max: narrow(s.Age.Max)}
	}
	if s.Income != nil {
		out.Income = &typev1.MoneyRange{CurrencyCode: s.Income.Currency, Min: s.Income.Min, Max: s.Income.Max}
	}
	if s.AsOf != nil {
		out.AsOf = wire.DayDate(*s.AsOf)
	}
	return out
}

// verdicts are the wire's words for truth values.
var verdicts = map[audience.Tri]campaignv1.ExplainProfileResponse_Verdict{
	audience.True:    campaignv1.ExplainProfileResponse_VERDICT_TRUE,
	audience.False:   campaignv1.ExplainProfileResponse_VERDICT_FALSE,
	audience.Unknown: campaignv1.ExplainProfileResponse_VERDICT_UNKNOWN,
}
