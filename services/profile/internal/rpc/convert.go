package rpc

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/profile"
)

// canonical returns the profile that a message means under the schema and the rules, in its one form; else an Invalid fault with
// every wrong field, relative to the message.
func (s *Service) canonical(m *profilev1.Profile, schema profile.Schema) (*profile.Profile, error) {
	var v fault.Violations
	p := fromWire(m, &v)
	err := p.Canonicalize(schema, s.opts.Rules)
	if v.Len() == 0 {
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	if !v.AddErr("", err) {
		return nil, err
	}
	return nil, profile.AsInvalid(v.Err())
}

// fromWire converts what needs no schema. What is wrong goes to v and is left out.
func fromWire(m *profilev1.Profile, v *fault.Violations) *profile.Profile {
	p := &profile.Profile{
		GivenName: m.GivenName, FamilyName: m.FamilyName,
		Gender: wire.Genders.Text(m.GetGender()), Region: m.GetRegion(), PostalCode: m.GetPostalCode(),
		JobLevel: wire.JobLevels.Text(m.GetJobLevel()), Education: wire.Educations.Text(m.GetEducation()),
		MaritalStatus: wire.MaritalStatuses.Text(m.GetMaritalStatus()), Occupation: m.GetOccupation(),
		Employer: profile.Employer{
			Name: m.GetEmployer().GetName(), Industry: m.GetEmployer().GetIndustry(), Size: wire.EmployerSizes.Text(m.GetEmployer().GetSize()),
		},
		Household: m.GetHousehold(), Lifecycle: wire.Lifecycles.Text(m.GetLifecycle()),
		Interests: list(m.GetInterests()), Values: list(m.GetValues()), Needs: list(m.GetNeeds()), PreferredBrands: list(m.GetPreferredBrands()),
	}
	if m.GetName() != "" {
		var ok bool
		if p.UID, ok = wire.ParseProfileName(m.GetName()); !ok {
			v.Add("name", profile.ReasonValidationFailed, "a name is profiles/ and a UUID in lower-case letters")
		}
	}
	if m.GetBirthDate() != nil {
		first, last, err := wire.Interval(m.GetBirthDate())
		v.AddErr("birth_date", err)
		p.BirthDate = &profile.Interval{First: first, Last: last}
	}
	if m.GetIncome() != nil {
		currency, amount, err := wire.Money(m.GetIncome())
		v.AddErr("income", err)
		p.Income = &profile.Money{Currency: currency, Amount: amount}
	}
	if m.GetRoles() != nil {
		p.Roles = wire.Roles.TextsOf(m.GetRoles().GetValues())
	}
	if m.GetPreferredChannels() != nil {
		p.PreferredChannels = wire.Channels.TextsOf(m.GetPreferredChannels().GetValues())
	}
	for i, c := range m.GetConsents() {
		p.Consents = append(p.Consents, consentFromWire(c, v, i))
	}
	for _, id := range m.GetIdentifiers() {
		p.Identifiers = append(p.Identifiers, profile.Identifier{
			Kind: wire.IdentifierKinds.Text(id.GetKind()), Source: id.GetSource(), Value: id.GetValue(),
		})
	}
	if len(m.GetCustom()) > 0 {
		p.Custom = make(map[string]profile.Value, len(m.GetCustom()))
		for id, value := range m.GetCustom() {
			p.Custom[id] = valueFromWire(value, v, "custom."+id)
		}
	}
	return p
}

// list keeps an empty list apart from an absent one.
func list(m *typev1.TextList) []string {
	if m == nil {
		return nil
	}
	return append(make([]string, 0, len(m.GetValues())), m.GetValues()...)
}

func consentFromWire(m *profilev1.Consent, v *fault.Violations, i int) profile.Consent {
	c := profile.Consent{
		Purpose: wire.Purposes.Text(m.GetPurpose()), Channel: wire.Channels.Text(m.GetChannel()),
		Status: wire.ConsentStatuses.Text(m.GetStatus()), Source: m.GetSource(),
	}
	at := fault.Index("consents", i)
	if m.GetExpireDate() != nil {
		day, err := wire.Day(m.GetExpireDate())
		v.AddErr(at+".expire_date", err)
		c.Expires = &day
	}
	if t := m.GetDecideTime(); t != nil {
		if t.CheckValid() != nil {
			v.Add(at+".decide_time", profile.ReasonInvalidDate, "a time lies between the years 1 and 9999")
		} else if c.Decided = t.AsTime(); c.Decided.IsZero() {
			// The first instant of year 1 is Go's word for unknown.
			v.Add(at+".decide_time", profile.ReasonInvalidDate, "nobody decided anything at the beginning of year 1; leave an unknown time out")
		}
	}
	return c
}

func valueFromWire(m *typev1.AttributeValue, v *fault.Violations, path string) profile.Value {
	switch x := m.GetValue().(type) {
	case *typev1.AttributeValue_Text:
		return profile.Value{Type: profile.TypeString, Text: x.Text}
	case *typev1.AttributeValue_Decimal:
		return profile.Value{Type: profile.TypeDecimal, Text: x.Decimal}
	case *typev1.AttributeValue_Boolean:
		if x.Boolean {
			return profile.Value{Type: profile.TypeBool, Num: 1}
		}
		return profile.Value{Type: profile.TypeBool}
	case *typev1.AttributeValue_Date:
		day, err := wire.Day(x.Date)
		v.AddErr(path+".date", err)
		return profile.Value{Type: profile.TypeDate, Num: day}
	case *typev1.AttributeValue_Texts:
		return profile.Value{Type: profile.TypeStringList, List: append([]string{}, x.Texts.GetValues()...)}
	}
	return profile.Value{}
}

// toWire is the inverse of fromWire, and adds what nobody writes.
func toWire(p *profile.Profile) *profilev1.Profile {
	m := &profilev1.Profile{
		Name: wire.ProfileName(p.UID), Uid: wire.FormatUID(p.UID), Etag: profile.Etag(p.Revision),
		CreateTime: timestamppb.New(p.CreateTime), UpdateTime: timestamppb.New(p.UpdateTime),
		GivenName: p.GivenName, FamilyName: p.FamilyName,
		Gender: wire.Genders.Value(p.Gender), Region: optional(p.Region), PostalCode: optional(p.PostalCode),
		JobLevel: wire.JobLevels.Value(p.JobLevel), Education: wire.Educations.Value(p.Education),
		MaritalStatus: wire.MaritalStatuses.Value(p.MaritalStatus), Occupation: optional(p.Occupation),
		Household: optional(p.Household), Lifecycle: wire.Lifecycles.Value(p.Lifecycle),
		Interests: textList(p.Interests), Values: textList(p.Values), Needs: textList(p.Needs), PreferredBrands: textList(p.PreferredBrands),
	}
	m.Traits = traitsToWire(p.Traits)
	if b := p.BirthDate; b != nil {
		m.BirthDate = wire.IntervalDate(b.First, b.Last)
	}
	if p.Income != nil {
		m.Income = wire.MoneyOf(p.Income.Currency, p.Income.Amount)
	}
	if p.Employer != (profile.Employer{}) {
		m.Employer = &profilev1.Employer{
			Name: optional(p.Employer.Name), Industry: optional(p.Employer.Industry), Size: wire.EmployerSizes.Value(p.Employer.Size),
		}
	}
	if p.Roles != nil {
		m.Roles = &profilev1.RoleList{Values: wire.Roles.ValuesOf(p.Roles)}
	}
	if p.PreferredChannels != nil {
		m.PreferredChannels = &profilev1.ChannelList{Values: wire.Channels.ValuesOf(p.PreferredChannels)}
	}
	for _, c := range p.Consents {
		m.Consents = append(m.Consents, consentToWire(c))
	}
	for _, id := range p.Identifiers {
		m.Identifiers = append(m.Identifiers, &profilev1.Identifier{Kind: wire.IdentifierKinds.Value(id.Kind), Source: id.Source, Value: id.Value})
	}
	if len(p.Custom) > 0 {
		m.Custom = make(map[string]*typev1.AttributeValue, len(p.Custom))
		for id, v := range p.Custom {
			m.Custom[id] = valueToWire(v)
		}
	}
	return m
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func textList(list []string) *typev1.TextList {
	if list == nil {
		return nil
	}
	return &typev1.TextList{Values: list}
}

func consentToWire(c profile.Consent) *profilev1.Consent {
	m := &profilev1.Consent{
		Purpose: wire.Purposes.Value(c.Purpose), Channel: wire.Channels.Value(c.Channel), Status: wire.ConsentStatuses.Value(c.Status), Source: c.Source,
	}
	if c.Expires != nil {
		m.ExpireDate = wire.DayDate(*c.Expires)
	}
	if !c.Decided.IsZero() {
		m.DecideTime = timestamppb.New(c.Decided)
	}
	return m
}

func valueToWire(v profile.Value) *typev1.AttributeValue {
	switch v.Type {
	case profile.TypeString:
		return &typev1.AttributeValue{Value: &typev1.AttributeValue_Text{Text: v.Text}}
	case profile.TypeDecimal:
		return &typev1.AttributeValue{Value: &typev1.AttributeValue_Decimal{Decimal: v.Text}}
	case profile.TypeBool:
		return &typev1.AttributeValue{Value: &typev1.AttributeValue_Boolean{Boolean: v.Num != 0}}
	case profile.TypeDate:
		return &typev1.AttributeValue{Value: &typev1.AttributeValue_Date{Date: wire.DayDate(v.Num)}}
	case profile.TypeStringList:
		return &typev1.AttributeValue{Value: &typev1.AttributeValue_Texts{Texts: &typev1.TextList{Values: v.List}}}
	}
	return &typev1.AttributeValue{}
}

func attributeFromWire(m *profilev1.Attribute, id string) *profile.Attribute {
	return &profile.Attribute{
		ID: id, Type: profile.Type(m.GetType()), Description: m.GetDescription(), Allowed: append([]string(nil), m.GetAllowedValues()...),
		Scale: int(m.GetScale()), Sensitive: m.GetSensitive(),
	}
}

func attributeToWire(a *profile.Attribute) *profilev1.Attribute {
	return &profilev1.Attribute{
		Name: wire.AttributeName(a.ID), Type: profilev1.Attribute_Type(a.Type), Description: a.Description, AllowedValues: a.Allowed,
		Scale: int32(a.Scale), Sensitive: a.Sensitive, Etag: profile.Etag(a.Revision),
		CreateTime: stamp(a.CreateTime), UpdateTime: stamp(a.UpdateTime), Revision: a.Declared,
	}
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
