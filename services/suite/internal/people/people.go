package people

import (
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/type/date"

	"github.com/narrowcast/narrowcast/pkg/population"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// Source is the source of the external ids of synthetic people.
const Source = "population"

// Profile returns a person as the profile service takes it.
func Profile(p *population.Person) *profilev1.Profile {
	out := &profilev1.Profile{
		GivenName: text(p.GivenName), FamilyName: text(p.FamilyName), BirthDate: day(p.Birth), Gender: wire.Genders.Value(p.Gender),
		Region: text(p.Region), PostalCode: text(p.PostalCode), JobLevel: wire.JobLevels.Value(p.JobLevel),
		Education: wire.Educations.Value(p.Education), MaritalStatus: wire.MaritalStatuses.Value(p.MaritalStatus),
		Occupation: text(p.Occupation), Household: text(p.Household), Lifecycle: wire.Lifecycles.Value(p.Lifecycle),
		Interests: list(p.Interests), Values: list(p.Values), Needs: list(p.Needs), PreferredBrands: list(p.Brands),
		Identifiers: []*profilev1.Identifier{{
			Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EXTERNAL_ID, Source: Source, Value: p.ExternalID,
		}},
		Custom: make(map[string]*typev1.AttributeValue, 5),
	}
	if p.Income.Currency != "" {
		out.Income = wire.MoneyOf(p.Income.Currency, p.Income.Cents)
	}
	if p.Employer != (population.Employer{}) {
		out.Employer = &profilev1.Employer{
			Name: text(p.Employer.Name), Industry: text(p.Employer.Industry), Size: wire.EmployerSizes.Value(p.Employer.Size),
		}
	}
	if p.Roles != nil {
		out.Roles = &profilev1.RoleList{Values: wire.Roles.ValuesOf(p.Roles)}
	}
	if p.Channels != nil {
		out.PreferredChannels = &profilev1.ChannelList{Values: wire.Channels.ValuesOf(p.Channels)}
	}
	if p.Email != "" {
		out.Identifiers = append(out.Identifiers, &profilev1.Identifier{Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EMAIL, Value: p.Email})
	}
	if p.Phone != "" {
		out.Identifiers = append(out.Identifiers, &profilev1.Identifier{Kind: typev1.IdentifierKind_IDENTIFIER_KIND_PHONE, Value: p.Phone})
	}
	for _, c := range p.Consents {
		out.Consents = append(out.Consents, &profilev1.Consent{
			Purpose: wire.Purposes.Value(c.Purpose), Channel: wire.Channels.Value(c.Channel), Status: wire.ConsentStatuses.Value(c.Status),
			ExpireDate: day(c.Expires),
		})
	}
	custom(out.Custom, p)
	return out
}

func custom(to map[string]*typev1.AttributeValue, p *population.Person) {
	if p.LoyaltyPoints >= 0 {
		points := strconv.FormatInt(p.LoyaltyPoints/100, 10)
		if cents := p.LoyaltyPoints % 100; cents > 0 {
			points += "." + strings.TrimSuffix(strconv.FormatInt(100+cents, 10)[1:], "0")
		}
		to["loyalty_points"] = &typev1.AttributeValue{Value: &typev1.AttributeValue_Decimal{Decimal: points}}
	}
	if p.Newsletter != population.Unknown {
		to["newsletter"] = &typev1.AttributeValue{Value: &typev1.AttributeValue_Boolean{Boolean: p.Newsletter == population.Yes}}
	}
	if !p.MemberSince.IsZero() {
		to["member_since"] = &typev1.AttributeValue{Value: &typev1.AttributeValue_Date{Date: day(p.MemberSince)}}
	}
	if p.Tier != "" {
		to["tier"] = &typev1.AttributeValue{Value: &typev1.AttributeValue_Text{Text: p.Tier}}
	}
	if p.Hobbies != nil {
		to["hobbies"] = &typev1.AttributeValue{Value: &typev1.AttributeValue_Texts{Texts: list(p.Hobbies)}}
	}
}

// Attributes returns the declarations of the custom attributes, each with its name.
func Attributes() []*profilev1.Attribute {
	types := map[population.AttributeType]profilev1.Attribute_Type{
		population.TypeString: profilev1.Attribute_TYPE_STRING, population.TypeDecimal: profilev1.Attribute_TYPE_DECIMAL,
		population.TypeBool: profilev1.Attribute_TYPE_BOOL, population.TypeDate: profilev1.Attribute_TYPE_DATE,
		population.TypeStringList: profilev1.Attribute_TYPE_STRING_LIST,
	}
	var out []*profilev1.Attribute
	for _, a := range population.Attributes() {
		out = append(out, &profilev1.Attribute{
			Name: wire.AttributeName(a.ID), Type: types[a.Type], Scale: int32(a.Scale), AllowedValues: a.Allowed, Description: a.Description,
		})
	}
	return out
}

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func list(texts []string) *typev1.TextList {
	if texts == nil {
		return nil
	}
	return &typev1.TextList{Values: texts}
}

func day(d population.Date) *date.Date {
	if d.IsZero() {
		return nil
	}
	return &date.Date{Year: int32(d.Year), Month: int32(d.Month), Day: int32(d.Day)}
}
