package profile

import (
	"maps"
	"slices"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// field is one path of an update mask: whether a profile has it, and how it is taken over from another one, unknown included.
type field struct {
	path string
	set  func(p *Profile) bool
	copy func(to, from *Profile)
}

func texts(path string, at func(p *Profile) *string) field {
	return field{path, func(p *Profile) bool { return *at(p) != "" }, func(to, from *Profile) { *at(to) = *at(from) }}
}

func lists(path string, at func(p *Profile) *[]string) field {
	return field{path, func(p *Profile) bool { return *at(p) != nil }, func(to, from *Profile) { *at(to) = *at(from) }}
}

// fields are the paths that can change, without those below custom and the whole employer.
var fields = []field{
	{"given_name", func(p *Profile) bool { return p.GivenName != nil }, func(to, from *Profile) { to.GivenName = from.GivenName }},
	{"family_name", func(p *Profile) bool { return p.FamilyName != nil }, func(to, from *Profile) { to.FamilyName = from.FamilyName }},
	{"birth_date", func(p *Profile) bool { return p.BirthDate != nil }, func(to, from *Profile) { to.BirthDate = from.BirthDate }},
	texts("gender", func(p *Profile) *string { return &p.Gender }),
	texts("region", func(p *Profile) *string { return &p.Region }),
	texts("postal_code", func(p *Profile) *string { return &p.PostalCode }),
	texts("job_level", func(p *Profile) *string { return &p.JobLevel }),
	{"income", func(p *Profile) bool { return p.Income != nil }, func(to, from *Profile) { to.Income = from.Income }},
	texts("education", func(p *Profile) *string { return &p.Education }),
	texts("marital_status", func(p *Profile) *string { return &p.MaritalStatus }),
	texts("occupation", func(p *Profile) *string { return &p.Occupation }),
	texts("employer.name", func(p *Profile) *string { return &p.Employer.Name }),
	texts("employer.industry", func(p *Profile) *string { return &p.Employer.Industry }),
	texts("employer.size", func(p *Profile) *string { return &p.Employer.Size }),
	texts("household", func(p *Profile) *string { return &p.Household }),
	lists("roles", func(p *Profile) *[]string { return &p.Roles }),
	texts("lifecycle", func(p *Profile) *string { return &p.Lifecycle }),
	lists("interests", func(p *Profile) *[]string { return &p.Interests }),
	lists("values", func(p *Profile) *[]string { return &p.Values }),
	lists("needs", func(p *Profile) *[]string { return &p.Needs }),
	lists("preferred_channels", func(p *Profile) *[]string { return &p.PreferredChannels }),
	lists("preferred_brands", func(p *Profile) *[]string { return &p.PreferredBrands }),
	{"consents", func(p *Profile) bool { return len(p.Consents) > 0 }, func(to, from *Profile) { to.Consents = from.Consents }},
	{"identifiers", func(p *Profile) bool { return len(p.Identifiers) > 0 }, func(to, from *Profile) { to.Identifiers = from.Identifiers }},
}

var byPath = func() map[string]field {
	m := make(map[string]field, len(fields)+2)
	for _, f := range fields {
		m[f.path] = f
	}
	m["employer"] = field{"employer", nil, func(to, from *Profile) { to.Employer = from.Employer }}
	m["custom"] = field{"custom", nil, func(to, from *Profile) { to.Custom = from.Custom }}
	return m
}()

// Mask says which fields of a profile change.
type Mask struct {
	all    bool
	fields []field
	custom []string
}

// ParseMask reads the paths of an update mask, relative to the profile: a field such as job_level, a part such as
// employer.size or custom.balance, or "*" for the whole profile. No paths: the fields that patch has, part by part, so that
// what patch does not mention stays. A path that does not exist or cannot change is an Invalid fault (UNKNOWN_FIELD).
func ParseMask(paths []string, patch *Profile) (Mask, error) {
	var m Mask
	if len(paths) == 0 {
		for _, f := range fields {
			if f.set(patch) {
				m.fields = append(m.fields, f)
			}
		}
		m.custom = slices.Collect(maps.Keys(patch.Custom))
		return m, nil
	}
	for i, path := range paths {
		if path == "*" {
			if len(paths) > 1 {
				return Mask{}, fault.InvalidField(ReasonUnknownField, fault.Index("update_mask.paths", i), "* stands alone, for all fields").With("field", path)
			}
			return Mask{all: true}, nil
		}
		if id, ok := strings.CutPrefix(path, "custom."); ok && attributeID.MatchString(id) {
			m.custom = append(m.custom, id)
			continue
		}
		f, ok := byPath[path]
		if !ok {
			return Mask{}, fault.InvalidField(ReasonUnknownField, fault.Index("update_mask.paths", i),
				"a profile has no such field, or it cannot be changed; name a field such as job_level, employer.size or custom.balance").With("field", path)
		}
		m.fields = append(m.fields, f)
	}
	return m, nil
}

// Apply takes the fields that the mask names over from patch into p, of which UID, revision, times and traits remain. A field
// that is named and that patch does not have becomes unknown. p and patch may share memory afterwards; the result must be
// canonicalized.
func (m Mask) Apply(p, patch *Profile) {
	if m.all {
		uid, revision, created, updated, traits := p.UID, p.Revision, p.CreateTime, p.UpdateTime, p.Traits
		*p = *patch
		p.UID, p.Revision, p.CreateTime, p.UpdateTime, p.Traits = uid, revision, created, updated, traits
		return
	}
	for _, f := range m.fields {
		f.copy(p, patch)
	}
	if len(m.custom) == 0 {
		return
	}
	custom := maps.Clone(p.Custom)
	if custom == nil {
		custom = make(map[string]Value, len(m.custom))
	}
	for _, id := range m.custom {
		if v, ok := patch.Custom[id]; ok {
			custom[id] = v
		} else {
			delete(custom, id)
		}
	}
	p.Custom = custom
}
