package merging

import (
	"maps"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/audience/region"
	"github.com/narrowcast/narrowcast/services/profile"
)

// Part is what has an origin of its own: a field, a custom attribute, one consent, or one identifier. The other fields are
// zero where they do not apply.
type Part struct {
	// Path is that of update masks, such as "gender", "employer.size" or "custom.balance"; "consents" or "identifiers".
	Path string
	// Purpose and Channel are those of a consent.
	Purpose, Channel string
	// Identifier is the identifier.
	Identifier profile.Identifier
}

const (
	pathConsents    = "consents"
	pathIdentifiers = "identifiers"
	prefixCustom    = "custom."
)

func consentPart(c profile.Consent) Part {
	return Part{Path: pathConsents, Purpose: c.Purpose, Channel: c.Channel}
}

func identifierPart(id profile.Identifier) Part {
	return Part{Path: pathIdentifiers, Identifier: id}
}

func customPart(id string) Part { return Part{Path: prefixCustom + id} }

// field is one value or list of a profile.
type field struct {
	number uint64 // in stored provenance; never used for another field
	path   string
	known  func(p *profile.Profile) bool
	// equal compares also whether the field is known.
	equal func(a, b *profile.Profile) bool
	// take copies the field, unknown included.
	take func(to, from *profile.Profile)
	// list is set for a list, which merging unites.
	list func(p *profile.Profile) *[]string
	// finer reports whether a says the same as b, more exactly; nil: no value does.
	finer func(a, b *profile.Profile) bool
	// unit is what the field belongs to, nil for most.
	unit *unit
}

func (f *field) part() Part { return Part{Path: f.path} }

// unit is a group of fields that describe one thing. Where two profiles describe two things, nothing of them is mixed.
type unit struct {
	key   string // path of the field whose origin is that of the whole
	paths []string
	apart func(a, b *profile.Profile) bool
}

var (
	employer = &unit{
		key: "employer.name", paths: []string{"employer.name", "employer.industry", "employer.size"},
		apart: func(a, b *profile.Profile) bool {
			return a.Employer.Name != "" && b.Employer.Name != "" && a.Employer.Name != b.Employer.Name
		},
	}
	home = &unit{
		key: "region", paths: []string{"region", "postal_code"},
		apart: func(a, b *profile.Profile) bool {
			return a.Region != "" && b.Region != "" && !region.Contains(a.Region, b.Region) && !region.Contains(b.Region, a.Region)
		},
	}
)

// finerBirthDate reports whether a's birth date lies within b's and is shorter.
func finerBirthDate(a, b *profile.Profile) bool {
	return *a.BirthDate != *b.BirthDate && a.BirthDate.First >= b.BirthDate.First && a.BirthDate.Last <= b.BirthDate.Last
}

// Numbers of the parts that are no fields.
const (
	numberConsent    = 23
	numberIdentifier = 24
	numberCustom     = 25
)

// fields are all fields that have one value or list, in the order of their numbers.
var fields = []field{
	optional(1, "given_name", func(p *profile.Profile) **string { return &p.GivenName }),
	optional(2, "family_name", func(p *profile.Profile) **string { return &p.FamilyName }),
	optional(3, "birth_date", func(p *profile.Profile) **profile.Interval { return &p.BirthDate }).finest(finerBirthDate),
	text(4, "gender", func(p *profile.Profile) *string { return &p.Gender }),
	text(5, "region", func(p *profile.Profile) *string { return &p.Region }).of(home),
	text(6, "postal_code", func(p *profile.Profile) *string { return &p.PostalCode }).of(home),
	text(7, "job_level", func(p *profile.Profile) *string { return &p.JobLevel }),
	optional(8, "income", func(p *profile.Profile) **profile.Money { return &p.Income }),
	text(9, "education", func(p *profile.Profile) *string { return &p.Education }),
	text(10, "marital_status", func(p *profile.Profile) *string { return &p.MaritalStatus }),
	text(11, "occupation", func(p *profile.Profile) *string { return &p.Occupation }),
	text(12, "employer.name", func(p *profile.Profile) *string { return &p.Employer.Name }).of(employer),
	text(13, "employer.industry", func(p *profile.Profile) *string { return &p.Employer.Industry }).of(employer),
	text(14, "employer.size", func(p *profile.Profile) *string { return &p.Employer.Size }).of(employer),
	text(15, "household", func(p *profile.Profile) *string { return &p.Household }),
	list(16, "roles", func(p *profile.Profile) *[]string { return &p.Roles }),
	{
		number: 17, path: "lifecycle",
		known: func(p *profile.Profile) bool { return declared(p) != "" },
		equal: func(a, b *profile.Profile) bool { return declared(a) == declared(b) },
		take:  func(to, from *profile.Profile) { to.Lifecycle, to.Traits = declared(from), nil },
	},
	list(18, "interests", func(p *profile.Profile) *[]string { return &p.Interests }),
	list(19, "values", func(p *profile.Profile) *[]string { return &p.Values }),
	list(20, "needs", func(p *profile.Profile) *[]string { return &p.Needs }),
	list(21, "preferred_channels", func(p *profile.Profile) *[]string { return &p.PreferredChannels }),
	list(22, "preferred_brands", func(p *profile.Profile) *[]string { return &p.PreferredBrands }),
}

// declared is what a writer said of the lifecycle. Beside traits the profile's own is computed.
func declared(p *profile.Profile) string {
	if p.Traits != nil {
		return p.Traits.Declared
	}
	return p.Lifecycle
}

var byPath = func() map[string]*field {
	m := make(map[string]*field, len(fields))
	for i := range fields {
		m[fields[i].path] = &fields[i]
	}
	return m
}()

func (f field) of(u *unit) field {
	f.unit = u
	return f
}

func (f field) finest(finer func(a, b *profile.Profile) bool) field {
	f.finer = finer
	return f
}

func text(number uint64, path string, at func(*profile.Profile) *string) field {
	return field{
		number: number, path: path,
		known: func(p *profile.Profile) bool { return *at(p) != "" },
		equal: func(a, b *profile.Profile) bool { return *at(a) == *at(b) },
		take:  func(to, from *profile.Profile) { *at(to) = *at(from) },
	}
}

func optional[T comparable](number uint64, path string, at func(*profile.Profile) **T) field {
	return field{
		number: number, path: path,
		known: func(p *profile.Profile) bool { return *at(p) != nil },
		equal: func(a, b *profile.Profile) bool { return equalOptional(*at(a), *at(b)) },
		take:  func(to, from *profile.Profile) { *at(to) = copyOptional(*at(from)) },
	}
}

func list(number uint64, path string, at func(*profile.Profile) *[]string) field {
	return field{
		number: number, path: path, list: at,
		known: func(p *profile.Profile) bool { return *at(p) != nil },
		equal: func(a, b *profile.Profile) bool { return equalLists(*at(a), *at(b)) },
		take:  func(to, from *profile.Profile) { *at(to) = slices.Clone(*at(from)) },
	}
}

func equalOptional[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func copyOptional[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// equalLists keeps apart the unknown and the empty list.
func equalLists(a, b []string) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }

func equalConsents(a, b profile.Consent) bool {
	return a.Purpose == b.Purpose && a.Channel == b.Channel && a.Status == b.Status && a.Source == b.Source &&
		a.Decided.Equal(b.Decided) && equalOptional(a.Expires, b.Expires)
}

func equalValues(a, b profile.Value) bool {
	return a.Type == b.Type && a.Text == b.Text && a.Num == b.Num && equalLists(a.List, b.List)
}

func findConsent(p *profile.Profile, purpose, channel string) (profile.Consent, bool) {
	for _, c := range p.Consents {
		if c.Purpose == purpose && c.Channel == channel {
			return c, true
		}
	}
	return profile.Consent{}, false
}

func customIDs(p *profile.Profile) []string { return slices.Sorted(maps.Keys(p.Custom)) }

// Parts returns the parts of which the profile knows something: fields, consents, identifiers, then custom attributes by id.
func Parts(p *profile.Profile) []Part {
	parts := make([]Part, 0, len(fields)+len(p.Consents)+len(p.Identifiers)+len(p.Custom))
	for i := range fields {
		if fields[i].known(p) {
			parts = append(parts, fields[i].part())
		}
	}
	for _, c := range p.Consents {
		parts = append(parts, consentPart(c))
	}
	for _, id := range p.Identifiers {
		parts = append(parts, identifierPart(id))
	}
	for _, id := range customIDs(p) {
		parts = append(parts, customPart(id))
	}
	return parts
}

// same reports whether two profiles say the same about a part that either has.
func same(part Part, a, b *profile.Profile) bool {
	switch part.Path {
	case pathConsents:
		x, ok := findConsent(a, part.Purpose, part.Channel)
		y, too := findConsent(b, part.Purpose, part.Channel)
		return ok == too && equalConsents(x, y)
	case pathIdentifiers:
		return slices.Contains(a.Identifiers, part.Identifier) == slices.Contains(b.Identifiers, part.Identifier)
	}
	if f := byPath[part.Path]; f != nil {
		return f.equal(a, b)
	}
	id := part.Path[len(prefixCustom):]
	x, ok := a.Custom[id]
	y, too := b.Custom[id]
	return ok == too && equalValues(x, y)
}
