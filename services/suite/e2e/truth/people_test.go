package truth_test

import (
	"math/rand/v2"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// The attributes that every random schema has, because random predicates count days between them.
const (
	attrSignup    = "custom.signup"
	attrLastOrder = "custom.last_order"
)

// declarations returns the custom attributes of a random schema, the late ones to be declared when there are profiles already.
func declarations(r *rand.Rand) (early, late []*profilev1.Attribute) {
	declare := func(id string, typ profilev1.Attribute_Type, scale int32, allowed ...string) *profilev1.Attribute {
		return &profilev1.Attribute{Name: wire.AttributeName(id), Type: typ, Scale: scale, AllowedValues: allowed}
	}
	early = []*profilev1.Attribute{
		declare("signup", profilev1.Attribute_TYPE_DATE, 0),
		declare("last_order", profilev1.Attribute_TYPE_DATE, 0),
	}
	for _, a := range []*profilev1.Attribute{
		declare("vip", profilev1.Attribute_TYPE_BOOL, 0),
		declare("note", profilev1.Attribute_TYPE_STRING, 0),
		declare("code", profilev1.Attribute_TYPE_STRING, 0, "x", "y"),
		declare("tags", profilev1.Attribute_TYPE_STRING_LIST, 0),
		declare("sizes", profilev1.Attribute_TYPE_STRING_LIST, 0, "s", "m", "l"),
		declare("balance", profilev1.Attribute_TYPE_DECIMAL, r.Int32N(4)),
	} {
		switch r.IntN(5) {
		case 0:
			late = append(late, a)
		case 1: // not in this one
		default:
			early = append(early, a)
		}
	}
	return early, late
}

// person returns a random profile as a caller would write it, with whatever can be missing missing now and then.
// Consent to marketing is given by more of them than to other purposes, so that questions with a channel have members to lose.
func person(r *rand.Rand, s *audience.Schema) *profilev1.Profile {
	f := audiencetest.Facts(r, s)
	general := audience.ConsentName("marketing", "")
	if _, ok := f[general]; !ok && r.IntN(2) == 0 {
		f[general] = audience.Value{Num: audience.MaxDay}
	}
	return profileOf(f, s)
}

// profileOf writes facts in the contract's words. A text that a profile cannot have ("") is left out.
func profileOf(f audience.Facts, s *audience.Schema) *profilev1.Profile {
	p := &profilev1.Profile{}
	texts := func(name string) *typev1.TextList {
		if v, ok := f[name]; ok {
			return &typev1.TextList{Values: v.List}
		}
		return nil
	}
	some := func(name string) *string {
		if t := f[name].Text; t != "" {
			return &t
		}
		return nil
	}
	if v, ok := f[audience.AttrBirthDate]; ok {
		p.BirthDate = wire.IntervalDate(v.Num, v.Last)
	}
	p.Gender = wire.Genders.Value(f[audience.AttrGender].Text)
	p.Region, p.PostalCode = some(audience.AttrRegion), some(audience.AttrPostalCode)
	p.JobLevel = wire.JobLevels.Value(f[audience.AttrJobLevel].Text)
	if v, ok := f[audience.AttrIncome]; ok {
		p.Income = wire.MoneyOf(v.Currency, v.Num)
	}
	p.Education = wire.Educations.Value(f[audience.AttrEducation].Text)
	p.MaritalStatus = wire.MaritalStatuses.Value(f[audience.AttrMaritalStatus].Text)
	p.Occupation, p.Household = some(audience.AttrOccupation), some(audience.AttrHousehold)
	p.Employer = &profilev1.Employer{
		Name: some(audience.AttrEmployerName), Industry: some(audience.AttrEmployerIndustry),
		Size: wire.EmployerSizes.Value(f[audience.AttrEmployerSize].Text),
	}
	if v, ok := f[audience.AttrRoles]; ok {
		p.Roles = &profilev1.RoleList{Values: wire.Roles.ValuesOf(v.List)}
	}
	p.Lifecycle = wire.Lifecycles.Value(f[audience.AttrLifecycle].Text)
	p.Interests, p.Values, p.Needs = texts(audience.AttrInterests), texts(audience.AttrValues), texts(audience.AttrNeeds)
	if v, ok := f[audience.AttrPreferredChannels]; ok {
		p.PreferredChannels = &profilev1.ChannelList{Values: wire.Channels.ValuesOf(v.List)}
	}
	p.PreferredBrands = texts(audience.AttrPreferredBrands)
	for _, purpose := range audience.Purposes {
		for _, channel := range append([]string{""}, audience.Channels...) {
			if v, ok := f[audience.ConsentName(purpose, channel)]; ok {
				p.Consents = append(p.Consents, consentOf(purpose, channel, v.Num))
			}
		}
	}
	for _, name := range s.Names() {
		id, custom := strings.CutPrefix(name, audience.AttrCustomPrefix)
		v, ok := f[name]
		if !custom || !ok {
			continue
		}
		if p.Custom == nil {
			p.Custom = make(map[string]*typev1.AttributeValue)
		}
		a, _ := s.Attribute(name)
		p.Custom[id] = wire.CustomValueOf(a, v)
	}
	return p
}

// consentOf writes a consent that holds before a day.
func consentOf(purpose, channel string, until int64) *profilev1.Consent {
	c := &profilev1.Consent{
		Purpose: wire.Purposes.Value(purpose), Channel: wire.Channels.Value(channel), Status: typev1.ConsentStatus_CONSENT_STATUS_GRANTED,
	}
	switch until {
	case audience.MinDay:
		c.Status = typev1.ConsentStatus_CONSENT_STATUS_DENIED
	case audience.MaxDay:
	default:
		c.ExpireDate = wire.DayDate(until)
	}
	return c
}
