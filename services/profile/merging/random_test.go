package merging_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/merging"
)

var schema = profile.Schema{
	"plan":  {ID: "plan", Type: profile.TypeString},
	"score": {ID: "score", Type: profile.TypeDecimal, Scale: 1},
	"vip":   {ID: "vip", Type: profile.TypeBool},
	"since": {ID: "since", Type: profile.TypeDate},
	"tags":  {ID: "tags", Type: profile.TypeStringList},
}

var rules profile.Rules

var sources = []string{"", "crm", "shop", "web"}

func at(hour int) time.Time { return time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC) }

// rounds is how often something random is done: of five times once under the race detector, for which one goroutine is as good as none.
func rounds(n int) int {
	if testkit.Race {
		return n / 5
	}
	return n
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func ptr[T any](v T) *T { return &v }

// mutate changes one part of a profile at random: values are few, so that profiles agree and contradict each other often.
func mutate(r *rand.Rand, p *profile.Profile) {
	list := func() []string {
		l := pick(r, nil, []string{}, []string{"a"}, []string{"b"}, []string{"a", "c"}, []string{"b", "c", "d"})
		return slices.Clone(l)
	}
	switch r.IntN(29) {
	case 0:
		p.GivenName = pick(r, nil, ptr(""), ptr("Zoë"), ptr("Ada"))
	case 1:
		p.FamilyName = pick(r, nil, ptr(""), ptr("Roe"), ptr("Doe"))
	case 2: // a year, a month and days of it, and one of another year
		p.BirthDate = pick(r, nil, &profile.Interval{First: 0, Last: 364}, &profile.Interval{First: 31, Last: 58},
			&profile.Interval{First: 40, Last: 40}, &profile.Interval{First: 41, Last: 41}, &profile.Interval{First: 400, Last: 400})
	case 3:
		p.Gender = pick(r, "", "female", "male")
	case 4:
		p.Region = pick(r, "", "FR", "FR-40", "DE", "FR-33")
	case 5:
		p.PostalCode = pick(r, "", "40100", "33000")
	case 6:
		p.JobLevel = pick(r, "", "entry", "cxo")
	case 7:
		p.Income = pick(r, nil, &profile.Money{Currency: "EUR", Amount: 1}, &profile.Money{Currency: "USD", Amount: 1}, &profile.Money{Currency: "EUR", Amount: 2})
	case 8:
		p.Education = pick(r, "", "master", "primary")
	case 9:
		p.MaritalStatus = pick(r, "", "single", "widowed")
	case 10:
		p.Occupation = pick(r, "", "smith", "luthière")
	case 11, 12:
		p.Employer.Name = pick(r, "", "Atelier", "Forge")
	case 13:
		p.Employer.Industry = pick(r, "", "music", "steel")
	case 14:
		p.Employer.Size = pick(r, "", "1", "10001+")
	case 15:
		p.Household = pick(r, "", "h1", "h2")
	case 16:
		p.Roles = pick(r, nil, []string{}, []string{"buyer"}, []string{"buyer", "consumer"})
	case 17:
		p.Lifecycle, p.Traits = pick(r, "", "prospect", "lapsed"), nil
		if r.IntN(2) == 0 { // computed beside what was declared
			p.Traits = &profile.Traits{Declared: p.Lifecycle, Visits: profile.Activity{Count: r.Int64N(9)}}
			p.Lifecycle = pick(r, "customer", "lapsed")
		}
	case 18:
		p.Interests = list()
	case 19:
		p.Values = list()
	case 20:
		p.Needs = list()
	case 21:
		p.PreferredChannels = pick(r, nil, []string{}, []string{"email"}, []string{"email", "sms"})
	case 22:
		p.PreferredBrands = list()
	case 23, 24:
		p.Consents = slices.DeleteFunc(p.Consents, func(profile.Consent) bool { return r.IntN(3) == 0 })
		c := profile.Consent{
			Purpose: pick(r, "marketing", "profiling"), Channel: pick(r, "", "email", "sms"), Status: pick(r, profile.ConsentStatuses...),
			Expires: pick(r, nil, ptr(int64(10)), ptr(int64(20))), Decided: pick(r, time.Time{}, at(1), at(2)), Source: pick(r, "", "form"),
		}
		if !slices.ContainsFunc(p.Consents, func(o profile.Consent) bool { return o.Purpose == c.Purpose && o.Channel == c.Channel }) {
			p.Consents = append(p.Consents, c)
		}
	case 25, 26:
		p.Identifiers = slices.DeleteFunc(p.Identifiers, func(profile.Identifier) bool { return r.IntN(4) == 0 })
		id := profile.Identifier{Kind: pick(r, "external_id", "email"), Source: pick(r, "crm", "shop"), Value: fmt.Sprintf("p%d@example.com", r.IntN(4))}
		if !slices.Contains(p.Identifiers, id) {
			p.Identifiers = append(p.Identifiers, id)
		}
	default:
		if p.Custom == nil {
			p.Custom = make(map[string]profile.Value)
		}
		id := pick(r, "plan", "score", "vip", "since", "tags", "tags")
		v := profile.Value{Type: schema[id].Type}
		switch v.Type {
		case profile.TypeString:
			v.Text = pick(r, "", "gold")
		case profile.TypeDecimal:
			v.Text = pick(r, "1.0", "-2.5")
		case profile.TypeStringList:
			v.List = list()
		default:
			v.Num = r.Int64N(2)
		}
		p.Custom[id] = v
		if r.IntN(4) == 0 {
			delete(p.Custom, id)
		}
	}
	if err := p.Canonicalize(schema, rules); err != nil {
		panic(err)
	}
}

// write changes a side as a store would: at a time, from a source, n times one part of it.
func write(r *rand.Rand, s merging.Side, hour int, source string, n int) merging.Side {
	after := s.Profile.Clone()
	for range n {
		mutate(r, after)
	}
	return wrote(s, after, hour, source)
}

// wrote is a side after a write that turned it into after.
func wrote(s merging.Side, after *profile.Profile, hour int, source string) merging.Side {
	v := merging.Track(s.Profile, after, s.Provenance, at(hour), source)
	after.UpdateTime = at(hour)
	after.Revision++
	return merging.Side{Profile: after, Provenance: v}
}

// side makes a side with a history of a few writes.
func side(r *rand.Rand) merging.Side {
	p := &profile.Profile{UID: audience.UID{byte(r.IntN(256)), 15: 1}, Revision: 1, CreateTime: at(0), UpdateTime: at(0)}
	for range r.IntN(30) {
		mutate(r, p)
	}
	source := pick(r, sources...)
	s := merging.Side{Profile: p, Provenance: merging.Track(nil, p, merging.Provenance{}, at(0), source)}
	for hour := range r.IntN(5) {
		if r.IntN(3) > 0 {
			s = write(r, s, hour+1, pick(r, sources...), 1+r.IntN(6))
		}
	}
	return s
}

// plain is a profile without what is computed.
func plain(p *profile.Profile) *profile.Profile {
	p = p.Clone()
	if p.Traits != nil {
		p.Lifecycle, p.Traits = p.Traits.Declared, nil
	}
	return p
}

// facts says what a profile holds in plain words, one for each part.
func facts(p *profile.Profile) map[merging.Part]string {
	m := make(map[merging.Part]string)
	text := func(path, value string) {
		if value != "" {
			m[merging.Part{Path: path}] = value
		}
	}
	list := func(path string, value []string) {
		if value != nil {
			m[merging.Part{Path: path}] = fmt.Sprintf("%q", value)
		}
	}
	if p.GivenName != nil {
		m[merging.Part{Path: "given_name"}] = "=" + *p.GivenName
	}
	if p.FamilyName != nil {
		m[merging.Part{Path: "family_name"}] = "=" + *p.FamilyName
	}
	if p.BirthDate != nil {
		text("birth_date", fmt.Sprint(*p.BirthDate))
	}
	if p.Income != nil {
		text("income", fmt.Sprint(*p.Income))
	}
	text("gender", p.Gender)
	text("region", p.Region)
	text("postal_code", p.PostalCode)
	text("job_level", p.JobLevel)
	text("education", p.Education)
	text("marital_status", p.MaritalStatus)
	text("occupation", p.Occupation)
	text("employer.name", p.Employer.Name)
	text("employer.industry", p.Employer.Industry)
	text("employer.size", p.Employer.Size)
	text("household", p.Household)
	text("lifecycle", plain(p).Lifecycle)
	list("roles", p.Roles)
	list("interests", p.Interests)
	list("values", p.Values)
	list("needs", p.Needs)
	list("preferred_channels", p.PreferredChannels)
	list("preferred_brands", p.PreferredBrands)
	for _, c := range p.Consents {
		until := "-"
		if c.Expires != nil {
			until = fmt.Sprint(*c.Expires)
		}
		m[merging.Part{Path: "consents", Purpose: c.Purpose, Channel: c.Channel}] = fmt.Sprint(c.Status, until, c.Decided.UnixMicro(), c.Source)
	}
	for _, id := range p.Identifiers {
		m[merging.Part{Path: "identifiers", Identifier: id}] = "held"
	}
	for id, v := range p.Custom {
		m[merging.Part{Path: "custom." + id}] = fmt.Sprintf("%d %q %d %q", v.Type, v.Text, v.Num, v.List)
	}
	return m
}

// origins are those of all parts.
func origins(s merging.Side) map[merging.Part]merging.Origin {
	m := make(map[merging.Part]merging.Origin)
	for part := range facts(s.Profile) {
		m[part] = s.Provenance.Of(s.Profile, part)
	}
	return m
}
