package mapping

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/type/date"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/region"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// kind says how the text of a value is read.
type kind uint8

const (
	kindText kind = iota
	kindDate
	kindBirth
	kindDecimal
	kindMoney
	kindBool
	kindList
)

// target is a field of a profile. Of the set functions the one of its kind is there.
type target struct {
	kind    kind
	text    func(*profilev1.Profile, string) *Problem
	list    func(*profilev1.Profile, []string) *Problem
	date    func(*profilev1.Profile, *date.Date)
	boolean func(*profilev1.Profile, bool)
	scale   int
}

// Reasons of problems of rows, beside those of package delimited; those that the profile service has too are called the same.
const (
	ReasonUnmapped        = "UNMAPPED_VALUE"
	ReasonUnmatched       = "UNMATCHED_VALUE"
	ReasonUnknownValue    = "UNKNOWN_VALUE"
	ReasonUnknownRegion   = "UNKNOWN_REGION"
	ReasonInvalidDate     = "INVALID_DATE"
	ReasonInvalidNumber   = "INVALID_NUMBER"
	ReasonInvalidAge      = "INVALID_AGE"
	ReasonInvalidBool     = "INVALID_BOOL"
	ReasonInvalidCurrency = "INVALID_CURRENCY"
	ReasonNotAllowed      = "VALUE_NOT_ALLOWED"
	ReasonMissingID       = "MISSING_ID"
	ReasonFieldCount      = "WRONG_FIELD_COUNT"
)

// Problem is what is wrong with a row.
type Problem struct {
	Reason  string // stable, such as UNKNOWN_REGION
	Field   string // of the profile; "": the row
	Message string // what is wrong and what to do; never a value of the row
}

// textTarget is a field that takes the text as it is.
func textTarget(set func(*profilev1.Profile, string)) target {
	return target{text: func(p *profilev1.Profile, text string) *Problem {
		set(p, text)
		return nil
	}}
}

// enumTarget is a field of a closed vocabulary. Texts are taken in any case and with spaces for underscores.
func enumTarget[E ~int32](words wire.Vocabulary[E], allowed []string, set func(*profilev1.Profile, E)) target {
	return target{text: func(p *profilev1.Profile, text string) *Problem {
		value, ok := enumValue(words, text)
		if !ok {
			return unknownValue(allowed)
		}
		set(p, value)
		return nil
	}}
}

func enumValue[E ~int32](words wire.Vocabulary[E], text string) (E, bool) {
	if v := words.Value(text); v != 0 {
		return v, true
	}
	v := words.Value(strings.ReplaceAll(strings.ToLower(text), " ", "_"))
	return v, v != 0
}

func unknownValue(allowed []string) *Problem {
	return &Problem{Reason: ReasonUnknownValue, Message: "the value is not one of " + strings.Join(allowed, ", ") + "; add a map: to the mapping"}
}

func enumList[E ~int32](words wire.Vocabulary[E], allowed []string, set func(*profilev1.Profile, []E)) target {
	return target{kind: kindList, list: func(p *profilev1.Profile, texts []string) *Problem {
		values := make([]E, 0, len(texts))
		for _, text := range texts {
			v, ok := enumValue(words, text)
			if !ok {
				return unknownValue(allowed)
			}
			if !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
		set(p, values)
		return nil
	}}
}

func listTarget(set func(*profilev1.Profile, *typev1.TextList)) target {
	return target{kind: kindList, list: func(p *profilev1.Profile, texts []string) *Problem {
		set(p, &typev1.TextList{Values: distinct(texts)})
		return nil
	}}
}

// distinct returns a copy without repetitions, in order.
func distinct(texts []string) []string {
	list := make([]string, 0, len(texts))
	for _, t := range texts {
		if !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	return list
}

func employer(p *profilev1.Profile) *profilev1.Employer {
	if p.GetEmployer() == nil {
		p.Employer = &profilev1.Employer{}
	}
	return p.GetEmployer()
}

// builtins are the fields that every profile has.
var builtins = map[string]target{
	"uid":         textTarget(func(p *profilev1.Profile, s string) { p.Name = "profiles/" + strings.ToLower(s) }),
	"given_name":  textTarget(func(p *profilev1.Profile, s string) { p.GivenName = &s }),
	"family_name": textTarget(func(p *profilev1.Profile, s string) { p.FamilyName = &s }),
	"birth_date":  {kind: kindBirth, date: func(p *profilev1.Profile, d *date.Date) { p.BirthDate = d }},
	"gender":      enumTarget(wire.Genders, audience.Genders, func(p *profilev1.Profile, v typev1.Gender) { p.Gender = v }),
	"region": {text: func(p *profilev1.Profile, s string) *Problem {
		code, ok := region.Normalize(s)
		if !ok {
			return &Problem{Reason: ReasonUnknownRegion, Message: "the value is neither an ISO 3166-1 alpha-2 nor an ISO 3166-2 code such as FR or FR-40; map it to one"}
		}
		p.Region = &code
		return nil
	}},
	"postal_code": textTarget(func(p *profilev1.Profile, s string) { p.PostalCode = &s }),
	"job_level":   enumTarget(wire.JobLevels, audience.JobLevels, func(p *profilev1.Profile, v typev1.JobLevel) { p.JobLevel = v }),
	"income":      {kind: kindMoney, scale: wire.MoneyScale},
	"education":   enumTarget(wire.Educations, audience.Educations, func(p *profilev1.Profile, v typev1.Education) { p.Education = v }),
	"marital_status": enumTarget(wire.MaritalStatuses, audience.MaritalStatuses,
		func(p *profilev1.Profile, v typev1.MaritalStatus) { p.MaritalStatus = v }),
	"occupation":        textTarget(func(p *profilev1.Profile, s string) { p.Occupation = &s }),
	"employer.name":     textTarget(func(p *profilev1.Profile, s string) { employer(p).Name = &s }),
	"employer.industry": textTarget(func(p *profilev1.Profile, s string) { employer(p).Industry = &s }),
	"employer.size": enumTarget(wire.EmployerSizes, audience.EmployerSizes,
		func(p *profilev1.Profile, v typev1.EmployerSize) { employer(p).Size = v }),
	"household": textTarget(func(p *profilev1.Profile, s string) { p.Household = &s }),
	"roles": enumList(wire.Roles, audience.Roles,
		func(p *profilev1.Profile, v []typev1.Role) { p.Roles = &profilev1.RoleList{Values: v} }),
	"lifecycle": enumTarget(wire.Lifecycles, audience.Lifecycles, func(p *profilev1.Profile, v typev1.Lifecycle) { p.Lifecycle = v }),
	"interests": listTarget(func(p *profilev1.Profile, l *typev1.TextList) { p.Interests = l }),
	"values":    listTarget(func(p *profilev1.Profile, l *typev1.TextList) { p.Values = l }),
	"needs":     listTarget(func(p *profilev1.Profile, l *typev1.TextList) { p.Needs = l }),
	"preferred_channels": enumList(wire.Channels, audience.Channels,
		func(p *profilev1.Profile, v []typev1.Channel) {
			p.PreferredChannels = &profilev1.ChannelList{Values: v}
		}),
	"preferred_brands": listTarget(func(p *profilev1.Profile, l *typev1.TextList) { p.PreferredBrands = l }),
}

func builtinNames() []string { return slices.Sorted(maps.Keys(builtins)) }

func builtinTarget(name string, _ *spec) (target, bool) {
	t, ok := builtins[name]
	return t, ok
}

// customTarget is the field of a custom attribute.
func customTarget(a *profilev1.Attribute, id string) target {
	set := func(p *profilev1.Profile, v *typev1.AttributeValue) {
		if p.Custom == nil {
			p.Custom = make(map[string]*typev1.AttributeValue, 8)
		}
		p.Custom[id] = v
	}
	allowed := map[string]bool{}
	for _, v := range a.GetAllowedValues() {
		allowed[v] = true
	}
	check := func(text string) *Problem {
		if len(allowed) > 0 && !allowed[text] {
			return &Problem{Reason: ReasonNotAllowed, Message: "the value is not among the attribute's allowed values; add a map:, or allow it with narrowcast attribute update"}
		}
		return nil
	}
	switch a.GetType() {
	case profilev1.Attribute_TYPE_DECIMAL:
		return target{kind: kindDecimal, scale: int(a.GetScale()), text: func(p *profilev1.Profile, s string) *Problem {
			set(p, &typev1.AttributeValue{Value: &typev1.AttributeValue_Decimal{Decimal: s}})
			return nil
		}}
	case profilev1.Attribute_TYPE_BOOL:
		return target{kind: kindBool, boolean: func(p *profilev1.Profile, b bool) {
			set(p, &typev1.AttributeValue{Value: &typev1.AttributeValue_Boolean{Boolean: b}})
		}}
	case profilev1.Attribute_TYPE_DATE:
		return target{kind: kindDate, date: func(p *profilev1.Profile, d *date.Date) {
			set(p, &typev1.AttributeValue{Value: &typev1.AttributeValue_Date{Date: d}})
		}}
	case profilev1.Attribute_TYPE_STRING_LIST:
		return target{kind: kindList, list: func(p *profilev1.Profile, texts []string) *Problem {
			for _, t := range texts {
				if problem := check(t); problem != nil {
					return problem
				}
			}
			set(p, &typev1.AttributeValue{Value: &typev1.AttributeValue_Texts{Texts: &typev1.TextList{Values: distinct(texts)}}})
			return nil
		}}
	}
	return target{text: func(p *profilev1.Profile, s string) *Problem {
		if problem := check(s); problem != nil {
			return problem
		}
		set(p, &typev1.AttributeValue{Value: &typev1.AttributeValue_Text{Text: s}})
		return nil
	}}
}

// check says what of a spec does not go with the target; "" if all does.
func (t target) check(s *spec) string {
	switch {
	case s.ageAsOf != nil && t.kind != kindBirth:
		return "age_as_of: is for birth_date"
	case s.ageAsOf != nil && s.date != nil:
		return "a birth date comes from a date or from an age, not from both"
	case s.date != nil && t.kind != kindDate && t.kind != kindBirth:
		return "date: is for dates"
	case (s.currency != "" || s.currencyIn != nil) && t.kind != kindMoney:
		return "currency: is for income"
	case t.kind == kindMoney && (s.currency == "") == (s.currencyIn == nil):
		return "income needs currency: (such as EUR) or currency_column:"
	case s.split != "" && t.kind != kindList:
		return "split: is for fields with several values"
	case s.combine == "list" && t.kind != kindList:
		return "combine: list is for fields with several values"
	case (s.combine == "count" || s.combine == "sum") && t.kind != kindDecimal && t.kind != kindMoney:
		return "combine: count and sum are for numbers"
	case len(s.values) != 1 && s.values != nil && t.kind != kindList:
		return "this field takes one value"
	case s.ifMissing != nil && len(s.ifMissing) != 1 && t.kind != kindList:
		return "if_missing: takes one value for this field"
	}
	for _, f := range s.date {
		if t.kind == kindDate && !f.hasDay {
			return "this date needs year, month and day; only birth_date takes a year alone"
		}
	}
	return ""
}
