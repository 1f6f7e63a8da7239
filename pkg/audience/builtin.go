package audience

import (
	"regexp"
	"slices"
	"strconv"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// ChannelAny is the last part of the attribute name of a consent that is not tied to a channel.
const ChannelAny = "any"

// Reasons of the faults about attributes.
const (
	ReasonUnknownAttribute = "UNKNOWN_ATTRIBUTE"
	ReasonInvalidAttribute = "INVALID_ATTRIBUTE"
	ReasonUnknownValue     = "UNKNOWN_VALUE"
	ReasonInvalidFacts     = "INVALID_FACTS"
)

// builtins are the attributes that every schema has, without the traits and the consents.
var builtins = []Attribute{
	{Name: AttrBirthDate, Kind: KindBirth},
	{Name: AttrGender, Kind: KindEnum, Values: Genders},
	{Name: AttrRegion, Kind: KindRegion},
	{Name: AttrPostalCode, Kind: KindText},
	{Name: AttrJobLevel, Kind: KindOrdered, Values: JobLevels},
	{Name: AttrIncome, Kind: KindMoney, Scale: 2},
	{Name: AttrEducation, Kind: KindEnum, Values: Educations},
	{Name: AttrMaritalStatus, Kind: KindEnum, Values: MaritalStatuses},
	{Name: AttrOccupation, Kind: KindText},
	{Name: AttrEmployerName, Kind: KindText},
	{Name: AttrEmployerIndustry, Kind: KindText},
	{Name: AttrEmployerSize, Kind: KindOrdered, Values: EmployerSizes},
	{Name: AttrHousehold, Kind: KindText},
	{Name: AttrRoles, Kind: KindTextList, Values: Roles},
	{Name: AttrLifecycle, Kind: KindEnum, Values: Lifecycles},
	{Name: AttrInterests, Kind: KindTextList},
	{Name: AttrValues, Kind: KindTextList},
	{Name: AttrNeeds, Kind: KindTextList},
	{Name: AttrPreferredChannels, Kind: KindTextList, Values: Channels},
	{Name: AttrPreferredBrands, Kind: KindTextList},
}

var (
	customName = regexp.MustCompile(`^custom\.[a-z][a-z0-9_]{0,62}$`)
	// A rule could not write these behind a dot: they are tokens of the rule language.
	reservedIDs = []string{"custom.in", "custom.true", "custom.false", "custom.null"}
)

// NewSchema returns the schema with all built-in attributes, a consent attribute for every purpose and channel, and the
// custom ones. Currency is the store's ISO 4217 code. A custom attribute that cannot be is an Invalid fault with the field
// path custom[i].
func NewSchema(currency string, custom []Attribute) (*Schema, error) {
	if !validCurrency(currency) {
		return nil, fault.InvalidField(ReasonUnknownValue, "currency", "a currency is an ISO 4217 code of three capitals such as EUR")
	}
	s := &Schema{Currency: currency, byName: make(map[string]*Attribute)}
	for _, a := range builtins {
		s.add(a)
	}
	for _, a := range traits() {
		s.add(a)
	}
	for _, purpose := range Purposes {
		for _, channel := range append([]string{ChannelAny}, Channels...) {
			s.add(Attribute{Name: ConsentName(purpose, channel), Kind: KindConsent})
		}
	}
	var wrong fault.Violations
	for i, a := range custom {
		path := fault.Index("custom", i)
		if a.Kind == KindDecimal || a.Kind == KindMoney {
			if a.Scale < 0 || a.Scale > MaxScale {
				wrong.Add(path+".scale", ReasonInvalidAttribute, "a scale is 0 to "+strconv.Itoa(MaxScale))
			}
		} else {
			a.Scale = 0
		}
		switch {
		case !customName.MatchString(a.Name):
			wrong.Add(path+".name", ReasonInvalidAttribute,
				"a custom attribute's name is custom. and 1 to 63 of a-z, 0-9 and _, beginning with a letter")
		case slices.Contains(reservedIDs, a.Name):
			wrong.Add(path+".name", ReasonInvalidAttribute, "rules could not write this name; choose another one")
		case s.byName[a.Name] != nil:
			wrong.Add(path+".name", ReasonInvalidAttribute, "this name is declared twice; choose another one")
		}
		checkKind(&wrong, path, &a)
		s.add(a)
	}
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// checkKind refuses kinds that are not for custom attributes and lists of values that do not fit the kind.
func checkKind(wrong *fault.Violations, path string, a *Attribute) {
	switch a.Kind {
	case KindEnum, KindOrdered:
		if len(a.Values) == 0 {
			wrong.Add(path+".values", ReasonInvalidAttribute, "an attribute of this kind needs its allowed values")
		}
	case KindText, KindTextList:
	case KindBool, KindDate, KindDecimal, KindMoney:
		if len(a.Values) > 0 {
			wrong.Add(path+".values", ReasonInvalidAttribute, "only text has allowed values; leave them out")
		}
	default:
		wrong.Add(path+".kind", ReasonInvalidAttribute, "this kind cannot be declared; use text, list, decimal, money, bool or date")
	}
	seen := make(map[string]bool, len(a.Values))
	for i, v := range a.Values {
		at := path + "." + fault.Index("values", i)
		switch {
		case v == "" || NormalizeText(v) != v:
			wrong.Add(at, ReasonInvalidAttribute, "an allowed value is a text in Unicode form NFC and not empty")
		case seen[v]:
			wrong.Add(at, ReasonInvalidAttribute, "this value is listed twice")
		}
		seen[v] = true
	}
}

func (s *Schema) add(a Attribute) {
	if s.byName[a.Name] != nil {
		return
	}
	a.Values = slices.Clone(a.Values)
	a.prepare()
	s.byName[a.Name] = &a
	s.names = append(s.names, a.Name)
}

// Attribute returns the attribute of that name. The caller must not change it.
func (s *Schema) Attribute(name string) (*Attribute, bool) {
	a, ok := s.byName[name]
	return a, ok
}

// Names returns the names of all attributes: the built-in ones, the consents, then the custom ones as they were declared.
// The caller must not change the slice.
func (s *Schema) Names() []string { return s.names }

// ConsentName returns the name of the consent attribute for a purpose over a channel, where "" is ChannelAny.
func ConsentName(purpose, channel string) string {
	if channel == "" {
		channel = ChannelAny
	}
	return AttrConsentPrefix + purpose + "." + channel
}

// Allows reports whether text is a value that the attribute may have: one of Values, where it has any.
func (a *Attribute) Allows(text string) bool {
	if len(a.Values) == 0 {
		return true
	}
	_, ok := a.rank[text]
	return ok
}

func validCurrency(code string) bool {
	if len(code) != 3 {
		return false
	}
	for i := range len(code) {
		if code[i] < 'A' || code[i] > 'Z' {
			return false
		}
	}
	return true
}
