package profilefacts

import (
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// ReasonUnknownAttribute is the reason of the fault about a custom attribute that the schema does not have.
const ReasonUnknownAttribute = "UNKNOWN_ATTRIBUTE"

// ReasonInvalidName is the reason of the fault about a profile without a proper name.
const ReasonInvalidName = "INVALID_PROFILE_NAME"

// Attributes returns the declaration of an attribute by its name in the schema, such as "custom.balance".
type Attributes func(name string) (*audience.Attribute, bool)

// Attribute returns a declaration as the schema takes it. A declaration whose name or type says nothing gives an attribute that
// audience.NewSchema refuses.
func Attribute(a *profilev1.Attribute) audience.Attribute { return wire.SchemaAttribute(a) }

// UID returns the uid in a profile's name.
func UID(name string) (audience.UID, error) {
	uid, ok := wire.ParseProfileName(name)
	if !ok {
		return audience.UID{}, fault.InvalidField(ReasonInvalidName, "name", "a profile's name is profiles/ and its uid")
	}
	return uid, nil
}

// Of returns a profile's uid and facts. Where single facts are wrong, the others are returned with an Invalid fault about the
// wrong ones, so that a caller who must go on can; without a proper name there is nothing to return.
func Of(p *profilev1.Profile, attributes Attributes) (audience.UID, audience.Facts, error) {
	uid, err := UID(p.GetName())
	if err != nil {
		return uid, nil, err
	}
	size := 24
	if p.GetTraits() != nil {
		size += 48
	}
	f := &builder{facts: make(audience.Facts, size)}
	if d := p.GetBirthDate(); d != nil {
		first, last, err := wire.Interval(d)
		f.put(audience.AttrBirthDate, "birth_date", audience.Value{Num: first, Last: last}, err)
	}
	f.text(audience.AttrGender, wire.Genders.Text(p.GetGender()))
	f.text(audience.AttrRegion, p.GetRegion())
	f.text(audience.AttrPostalCode, wire.Text(p.GetPostalCode()))
	f.text(audience.AttrJobLevel, wire.JobLevels.Text(p.GetJobLevel()))
	if m := p.GetIncome(); m != nil {
		currency, amount, err := wire.Money(m)
		f.put(audience.AttrIncome, "income", audience.Value{Currency: currency, Num: amount}, err)
	}
	f.text(audience.AttrEducation, wire.Educations.Text(p.GetEducation()))
	f.text(audience.AttrMaritalStatus, wire.MaritalStatuses.Text(p.GetMaritalStatus()))
	f.text(audience.AttrOccupation, wire.Text(p.GetOccupation()))
	f.text(audience.AttrEmployerName, wire.Text(p.GetEmployer().GetName()))
	f.text(audience.AttrEmployerIndustry, wire.Text(p.GetEmployer().GetIndustry()))
	f.text(audience.AttrEmployerSize, wire.EmployerSizes.Text(p.GetEmployer().GetSize()))
	f.text(audience.AttrHousehold, wire.Text(p.GetHousehold()))
	f.text(audience.AttrLifecycle, wire.Lifecycles.Text(p.GetLifecycle()))
	if l := p.GetRoles(); l != nil {
		f.facts[audience.AttrRoles] = audience.Value{List: wire.Roles.TextsOf(l.GetValues())}
	}
	if l := p.GetPreferredChannels(); l != nil {
		f.facts[audience.AttrPreferredChannels] = audience.Value{List: wire.Channels.TextsOf(l.GetValues())}
	}
	f.list(audience.AttrInterests, p.GetInterests())
	f.list(audience.AttrValues, p.GetValues())
	f.list(audience.AttrNeeds, p.GetNeeds())
	f.list(audience.AttrPreferredBrands, p.GetPreferredBrands())
	if t := p.GetTraits(); t != nil {
		f.traits(t)
	}
	for i, c := range p.GetConsents() {
		f.consent(fault.Index("consents", i), c)
	}
	for id, v := range p.GetCustom() {
		f.custom(id, v, attributes)
	}
	return uid, f.facts, f.wrong.Err()
}

// builder collects facts and what is wrong.
type builder struct {
	facts audience.Facts
	wrong fault.Violations
}

// text sets a text; "" is unknown.
func (f *builder) text(name, text string) {
	if text != "" {
		f.facts[name] = audience.Value{Text: text}
	}
}

// list sets a list, which may be empty; nil is unknown.
func (f *builder) list(name string, l *typev1.TextList) {
	if l != nil {
		f.facts[name] = audience.Value{List: wire.Texts(l.GetValues())}
	}
}

func (f *builder) put(name, path string, v audience.Value, err error) {
	if err != nil {
		f.fail(path, err)
		return
	}
	f.facts[name] = v
}

// fail notes that the value at path is wrong; a fault without fields of its own is about the value itself.
func (f *builder) fail(path string, err error) {
	if e := fault.As(err); e != nil && len(e.Violations) > 0 {
		f.wrong.AddErr(path, err)
		return
	}
	f.wrong.Add(path, fault.ReasonOf(err), "the value is not one that the attribute can have")
}

// consent keeps a consent as the first day on which it no longer holds.
func (f *builder) consent(path string, c *profilev1.Consent) {
	purpose := wire.Purposes.Text(c.GetPurpose())
	if purpose == "" {
		return // no question names a purpose that has no word
	}
	name := audience.ConsentName(purpose, wire.Channels.Text(c.GetChannel()))
	switch c.GetStatus() {
	case typev1.ConsentStatus_CONSENT_STATUS_GRANTED:
		until := audience.MaxDay
		if d := c.GetExpireDate(); d != nil {
			var err error
			if until, err = wire.Day(d); err != nil {
				f.fail(fault.Join(path, "expire_date"), err)
				return // unknown: the person is left out
			}
		}
		f.facts[name] = audience.Value{Num: until}
	case typev1.ConsentStatus_CONSENT_STATUS_DENIED, typev1.ConsentStatus_CONSENT_STATUS_WITHDRAWN:
		f.facts[name] = audience.Value{Num: audience.MinDay}
	}
}

func (f *builder) custom(id string, v *typev1.AttributeValue, attributes Attributes) {
	name, path := audience.AttrCustomPrefix+id, fault.Join("custom", id)
	a, ok := attributes(name)
	if !ok {
		f.wrong.Add(path, ReasonUnknownAttribute, "the attribute is not declared; declare it first")
		return
	}
	value, err := wire.CustomValue(a, v)
	f.put(name, path, value, err)
}
