package profile

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/region"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Canonicalize checks what the profile means under the schema and the rules, and brings it into its one form. The fault is Invalid
// and names every wrong field by its path relative to the profile, never a value. After a fault the profile may be half changed.
func (p *Profile) Canonicalize(schema Schema, rules Rules) error {
	var v fault.Violations
	p.canonicalTexts()
	p.canonicalLists(&v)
	if b := p.BirthDate; b != nil && (b.First < audience.MinDay || b.First > b.Last || b.Last > audience.MaxDay) {
		v.Add("birth_date", ReasonInvalidDate, "a birth date lies between the years 1 and 9999")
	}
	if p.Region != "" {
		code, ok := region.Normalize(p.Region)
		if !ok {
			v.Add("region", ReasonUnknownRegion, "the code is neither ISO 3166-1 alpha-2 nor ISO 3166-2; write it as FR or FR-40")
		}
		p.Region = code
	}
	if p.Income != nil && !isCurrency(p.Income.Currency) {
		v.Add("income.currency_code", ReasonValidationFailed, "a currency is an ISO 4217 code of three capitals such as EUR")
	}
	for _, f := range []struct {
		path, text string
		values     []string
	}{
		{"gender", p.Gender, audience.Genders}, {"job_level", p.JobLevel, audience.JobLevels},
		{"education", p.Education, audience.Educations}, {"marital_status", p.MaritalStatus, audience.MaritalStatuses},
		{"employer.size", p.Employer.Size, audience.EmployerSizes}, {"lifecycle", p.Lifecycle, audience.Lifecycles},
	} {
		if f.text != "" && !slices.Contains(f.values, f.text) {
			v.Add(f.path, ReasonValidationFailed, "the value is not one of the list")
		}
	}
	p.canonicalConsents(&v)
	identifier := p.canonicalIdentifiers(&v, rules)
	attribute := p.canonicalCustom(&v, schema)
	p.CreateTime, p.UpdateTime = p.CreateTime.UTC(), p.UpdateTime.UTC()
	err := AsInvalid(v.Err())
	if f := fault.As(identifier); f != nil && v.Len() == 1 { // with the metadata that a collection has no place for
		return f
	}
	if f := fault.As(err); f != nil && v.Len() == 1 && attribute != "" {
		f = f.With("attribute", attribute)
		if a := schema[attribute]; a != nil {
			f = f.With("type", a.Type)
		}
		return f
	}
	return err
}

func (p *Profile) canonicalTexts() {
	for _, text := range []*string{
		p.GivenName, p.FamilyName, &p.PostalCode, &p.Occupation, &p.Employer.Name, &p.Employer.Industry, &p.Household,
	} {
		if text != nil {
			*text = audience.NormalizeText(*text)
		}
	}
}

func (p *Profile) canonicalLists(v *fault.Violations) {
	for _, f := range []struct {
		path   string
		list   *[]string
		values []string
	}{
		{"roles", &p.Roles, audience.Roles}, {"interests", &p.Interests, nil}, {"values", &p.Values, nil}, {"needs", &p.Needs, nil},
		{"preferred_channels", &p.PreferredChannels, audience.Channels}, {"preferred_brands", &p.PreferredBrands, nil},
	} {
		*f.list = canonicalList(*f.list)
		for i, text := range *f.list {
			if text == "" || f.values != nil && !slices.Contains(f.values, text) {
				v.Add(fault.Index(f.path+".values", i), ReasonValidationFailed, "the value is empty or not one of the list")
			}
		}
	}
}

// canonicalList sorts texts in NFC and drops repetitions, in the list's own memory. nil stays nil.
func canonicalList(list []string) []string {
	if list == nil {
		return nil
	}
	for i, text := range list {
		list[i] = audience.NormalizeText(text)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// place is a value's index in its vocabulary, which is the order of canonical lists; -1 for "" and for what is not in it.
func place(values []string, text string) int { return slices.Index(values, text) }

func (p *Profile) canonicalConsents(v *fault.Violations) {
	for i := range p.Consents {
		c := &p.Consents[i]
		at := fault.Index("consents", i)
		if place(audience.Purposes, c.Purpose) < 0 {
			v.Add(at+".purpose", ReasonValidationFailed, "a consent names its purpose")
		}
		if c.Channel != "" && place(audience.Channels, c.Channel) < 0 {
			v.Add(at+".channel", ReasonValidationFailed, "the channel is not one of the list")
		}
		if place(ConsentStatuses, c.Status) < 0 {
			v.Add(at+".status", ReasonValidationFailed, "a consent says what was decided")
		}
		if c.Expires != nil && (*c.Expires < audience.MinDay || *c.Expires > audience.MaxDay) {
			v.Add(at+".expire_date", ReasonInvalidDate, "a date lies between the years 1 and 9999")
		}
		for _, earlier := range p.Consents[:i] {
			if earlier.Purpose == c.Purpose && earlier.Channel == c.Channel {
				v.Add(at, ReasonDuplicateConsent, "there is a consent for this purpose and channel already; give the one that counts")
				break
			}
		}
		c.Source = audience.NormalizeText(c.Source)
		c.Decided = canonicalTime(c.Decided)
	}
	slices.SortFunc(p.Consents, CompareConsents)
	if len(p.Consents) == 0 {
		p.Consents = nil
	}
}

// CompareConsents orders consents as canonical profiles hold them: by purpose, then by channel with the general decision first.
func CompareConsents(a, b Consent) int {
	return cmp.Or(cmp.Compare(place(audience.Purposes, a.Purpose), place(audience.Purposes, b.Purpose)),
		cmp.Compare(place(audience.Channels, a.Channel), place(audience.Channels, b.Channel)))
}

// canonicalTime cuts a time to what is stored. The zero time, unknown, stays zero.
func canonicalTime(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

// canonicalCustom returns the id of an attribute whose value is wrong.
func (p *Profile) canonicalCustom(v *fault.Violations, schema Schema) (wrong string) {
	if len(p.Custom) == 0 {
		p.Custom = nil
		return ""
	}
	before := v.Len()
	for _, id := range sortedKeys(p.Custom) {
		path := "custom." + id
		value, err := canonicalValue(schema[id], path, p.Custom[id])
		if err != nil {
			v.Add(path, fault.ReasonOf(err), fault.As(err).Message)
		}
		p.Custom[id] = value
		if wrong == "" && v.Len() > before {
			wrong = id
		}
	}
	return wrong
}

func canonicalValue(a *Attribute, path string, value Value) (Value, error) {
	switch {
	case a == nil:
		return value, fault.New(fault.Invalid, ReasonUnknownAttribute, path+" is not declared; create the attribute first")
	case value.Type != a.Type:
		return value, fault.New(fault.Invalid, ReasonTypeMismatch, path+" is declared as "+a.Type.String()+"; give a value of that type")
	}
	notAllowed := fault.New(fault.Invalid, ReasonValueNotAllowed, path+" has a closed list of values and this is not one of them")
	switch a.Type {
	case TypeString:
		value.Text = audience.NormalizeText(value.Text)
		if len(a.Allowed) > 0 && !slices.Contains(a.Allowed, value.Text) {
			return value, notAllowed
		}
	case TypeDecimal:
		n, err := audience.ParseDecimal(value.Text, a.Scale)
		if err != nil {
			return value, err
		}
		value.Text = audience.FormatDecimal(n, a.Scale)
	case TypeBool:
		value.Num = min(max(value.Num, 0), 1)
	case TypeDate:
		if value.Num < audience.MinDay || value.Num > audience.MaxDay {
			return value, fault.New(fault.Invalid, ReasonInvalidDate, "a date lies between the years 1 and 9999")
		}
	case TypeStringList:
		if value.List = canonicalList(value.List); value.List == nil {
			value.List = []string{}
		}
		for _, text := range value.List {
			if len(a.Allowed) > 0 && !slices.Contains(a.Allowed, text) {
				return value, notAllowed
			}
		}
	}
	return value, nil
}

func sortedKeys(m map[string]Value) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func isCurrency(code string) bool {
	return len(code) == 3 && !strings.ContainsFunc(code, func(r rune) bool { return r < 'A' || r > 'Z' })
}
