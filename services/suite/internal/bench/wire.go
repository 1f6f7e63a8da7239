package bench

import (
	"math/bits"
	"strconv"

	"google.golang.org/genproto/googleapis/type/date"

	"github.com/narrowcast/narrowcast/pkg/audience"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// currency is that of incomes and of the store.
const currency = "EUR"

// attributes are the custom ones that people have.
func attributes() []*profilev1.Attribute {
	tags := make([]string, tagCount)
	for i := range tags {
		tags[i] = tag(i)
	}
	return []*profilev1.Attribute{
		{Name: wire.AttributeName("score"), Type: profilev1.Attribute_TYPE_DECIMAL, Description: "a number from 0 to 999"},
		{Name: wire.AttributeName("affinity"), Type: profilev1.Attribute_TYPE_DECIMAL, Description: "a number from 0 to 999"},
		{Name: wire.AttributeName("newsletter"), Type: profilev1.Attribute_TYPE_BOOL, Description: "changed while the bench runs; no question asks for it"},
		{Name: wire.AttributeName("tags"), Type: profilev1.Attribute_TYPE_STRING_LIST, AllowedValues: tags, Description: "marks of all shares"},
	}
}

// profile is a person as the profile service takes them.
func (c *crowd) profile(p *person) *profilev1.Profile {
	out := &profilev1.Profile{
		Name: wire.ProfileName(c.uid(p.rank)), Gender: enum(wire.Genders, audience.Genders, p.gender), Region: &regions[p.region].code,
		JobLevel: enum(wire.JobLevels, audience.JobLevels, p.level), Education: enum(wire.Educations, audience.Educations, p.education),
		MaritalStatus: enum(wire.MaritalStatuses, audience.MaritalStatuses, p.marital), Lifecycle: enum(wire.Lifecycles, audience.Lifecycles, p.lifecycle),
		Custom: map[string]*typev1.AttributeValue{
			"score":      decimal(p.score),
			"affinity":   decimal(p.affinity),
			"newsletter": {Value: &typev1.AttributeValue_Boolean{Boolean: p.newsletter}},
		},
	}
	if p.year != 0 {
		out.BirthDate = &date.Date{Year: int32(p.year), Month: int32(p.month), Day: int32(p.day)}
	}
	if p.income != 0 {
		out.Income = &typev1.Money{CurrencyCode: currency, Amount: strconv.FormatInt(p.income, 10)}
	}
	if p.interests != 0 {
		out.Interests = &typev1.TextList{Values: make([]string, 0, bits.OnesCount32(p.interests))}
		for i, name := range interests {
			if p.interests>>i&1 == 1 {
				out.Interests.Values = append(out.Interests.Values, name)
			}
		}
	}
	if p.tags != 0 {
		list := &typev1.TextList{Values: make([]string, 0, bits.OnesCount64(p.tags))}
		for left := p.tags; left != 0; left &= left - 1 {
			list.Values = append(list.Values, tag(bits.TrailingZeros64(left)))
		}
		out.Custom["tags"] = &typev1.AttributeValue{Value: &typev1.AttributeValue_Texts{Texts: list}}
	}
	if p.ads != consentNone {
		out.Consents = append(out.Consents, consent(typev1.ConsentPurpose_CONSENT_PURPOSE_ADS_PERSONALISATION, typev1.Channel_CHANNEL_UNSPECIFIED, p.ads))
	}
	if p.email != consentNone {
		out.Consents = append(out.Consents, consent(typev1.ConsentPurpose_CONSENT_PURPOSE_MARKETING, typev1.Channel_CHANNEL_EMAIL, p.email))
	}
	return out
}

func enum[E ~int32](of wire.Vocabulary[E], words []string, i int) (none E) {
	if i == 0 {
		return none
	}
	return of.Value(words[i-1])
}

func decimal(n int) *typev1.AttributeValue {
	return &typev1.AttributeValue{Value: &typev1.AttributeValue_Decimal{Decimal: strconv.Itoa(n)}}
}

func consent(purpose typev1.ConsentPurpose, channel typev1.Channel, state consentState) *profilev1.Consent {
	c := &profilev1.Consent{Purpose: purpose, Channel: channel, Status: typev1.ConsentStatus_CONSENT_STATUS_GRANTED}
	switch state {
	case consentDenied:
		c.Status = typev1.ConsentStatus_CONSENT_STATUS_DENIED
	case consentExpired:
		c.ExpireDate = &date.Date{Year: 2024, Month: 6, Day: 30}
	case consentDated:
		c.ExpireDate = &date.Date{Year: 2199, Month: 12, Day: 31}
	}
	return c
}
