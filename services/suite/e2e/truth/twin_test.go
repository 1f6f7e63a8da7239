package truth_test

import (
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
)

// definition is what a segment is: a rule, or a list of profiles.
type definition struct {
	rule audience.Pred
	list map[audience.UID]bool // nil for a rule
}

// twin is the naive loop: it knows the definitions, and judges one profile at a time.
type twin struct {
	schema   *audience.Schema
	segments map[string]definition // by name
	personas map[string]string     // persona to the segment that it owns
	today    int64
}

// part is one predicate of a spec.
type part struct {
	name string
	pred audience.Pred
}

// parts spells out what a spec asks, in the order of the narrowing: once more, and by hand, so that an error in how the suite
// reads a spec is not repeated here. Segments and personas stand by name.
func (w *twin) parts(sp *audience.Spec) []part {
	var list []part
	add := func(name string, p audience.Pred) { list = append(list, part{name, p}) }
	in := func(name, attr string, values []string) {
		if len(values) == 0 {
			return
		}
		var any audience.Or
		for _, v := range values {
			any = append(any, audience.Compare{Attr: attr, Op: audience.OpEQ, Value: audience.Value{Text: v}})
		}
		add(name, any)
	}
	has := func(name, attr string, values []string) {
		if len(values) > 0 {
			add(name, audience.Contains{Attr: attr, Texts: values})
		}
	}
	if len(sp.Regions) > 0 {
		add("regions", audience.Within{Attr: "region", Codes: sp.Regions})
	}
	if len(sp.PostalCodes) > 0 {
		var any audience.Or
		for _, code := range sp.PostalCodes {
			if start, open := strings.CutSuffix(code, "*"); open {
				any = append(any, audience.Prefix{Attr: "postal_code", Text: start})
			} else {
				any = append(any, audience.Compare{Attr: "postal_code", Op: audience.OpEQ, Value: audience.Value{Text: code}})
			}
		}
		add("postal_codes", any)
	}
	if sp.Age.Min != nil || sp.Age.Max != nil {
		var all audience.And
		if sp.Age.Min != nil {
			all = append(all, audience.Age{Attr: "birth_date", Op: audience.OpGE, Years: *sp.Age.Min})
		}
		if sp.Age.Max != nil {
			all = append(all, audience.Not{X: audience.Age{Attr: "birth_date", Op: audience.OpGT, Years: *sp.Age.Max}})
		}
		add("age", all)
	}
	in("genders", "gender", sp.Genders)
	in("job_levels", "job_level", sp.JobLevels)
	if sp.MinJobLevel != "" {
		add("min_job_level", audience.Not{X: audience.Compare{Attr: "job_level", Op: audience.OpLT, Value: audience.Value{Text: sp.MinJobLevel}}})
	}
	if m := sp.Income; m.Min != "" || m.Max != "" {
		add("income", money(m, w.schema.Currency))
	}
	in("educations", "education", sp.Educations)
	in("marital_statuses", "marital_status", sp.MaritalStatuses)
	has("roles", "roles", sp.Roles)
	in("lifecycles", "lifecycle", sp.Lifecycles)
	in("employer_industries", "employer.industry", sp.EmployerIndustries)
	in("employer_sizes", "employer.size", sp.EmployerSizes)
	has("interests", "interests", sp.Interests)
	member := func(names []string) (list []audience.Pred) {
		for _, name := range names {
			list = append(list, audience.Member{Segment: name})
		}
		return list
	}
	if len(sp.AllSegments) > 0 {
		add("all_segments", audience.And(member(sp.AllSegments)))
	}
	if len(sp.AnySegments) > 0 {
		add("any_segments", audience.Or(member(sp.AnySegments)))
	}
	if len(sp.ExcludedSegments) > 0 {
		add("excluded_segments", audience.Not{X: audience.Or(member(sp.ExcludedSegments))})
	}
	if len(sp.Personas) > 0 {
		var owned []string
		for _, p := range sp.Personas {
			owned = append(owned, w.personas[p])
		}
		add("personas", audience.Or(member(owned)))
	}
	if sp.Filter != nil {
		add("filter", sp.Filter)
	}
	if sp.Channel != "" && len(sp.Purposes) == 0 {
		add("channel", audience.Consent{Purpose: "marketing", Channel: sp.Channel})
	}
	for _, purpose := range sp.Purposes {
		add("purposes", audience.Consent{Purpose: purpose, Channel: sp.Channel})
	}
	return list
}

// money compares in hundredths: a bound between two of them is moved to the one inside the range.
func money(m audience.MoneyRange, currency string) audience.Pred {
	if m.Currency != "" {
		currency = m.Currency
	}
	hundredths := func(amount string, up bool) audience.Value {
		n, _ := new(big.Rat).SetString(amount)
		n.Mul(n, big.NewRat(100, 1))
		floor := new(big.Int).Div(n.Num(), n.Denom())
		if up && !n.IsInt() {
			floor.Add(floor, big.NewInt(1))
		}
		return audience.Value{Num: floor.Int64(), Currency: currency}
	}
	var all audience.And
	if m.Min != "" {
		all = append(all, audience.Compare{Attr: "income", Op: audience.OpGE, Value: hundredths(m.Min, true)})
	}
	if m.Max != "" {
		all = append(all, audience.Compare{Attr: "income", Op: audience.OpLE, Value: hundredths(m.Max, false)})
	}
	return all
}

// who is one profile, with consents as they are today: as_of moves the clock of everything else.
type who struct {
	uid   audience.UID
	facts audience.Facts
}

// frozen replaces expiry dates of consents by what they come to today.
func (w *twin) frozen(uid audience.UID, facts audience.Facts) who {
	facts = maps.Clone(facts)
	for name, v := range facts {
		if strings.HasPrefix(name, audience.AttrConsentPrefix) {
			if v.Num > w.today {
				v.Num = audience.MaxDay
			} else {
				v.Num = audience.MinDay
			}
			facts[name] = v
		}
	}
	return who{uid, facts}
}

// judge says what a predicate is of a profile on a day.
func (w *twin) judge(p audience.Pred, one who, day int64) audience.Tri {
	return audiencetest.Eval(p, one.facts, day, w.schema, func(name string) bool {
		d, ok := w.segments[name]
		if !ok {
			panic("no " + name)
		}
		if d.list != nil {
			return d.list[one.uid]
		}
		return w.judge(d.rule, one, day) == audience.True
	})
}

// day is the day of a question.
func (w *twin) day(sp *audience.Spec) int64 {
	if sp.AsOf != nil {
		return *sp.AsOf
	}
	return w.today
}

// member says whether all parts hold.
func (w *twin) member(parts []part, one who, day int64) bool {
	return !slices.ContainsFunc(parts, func(p part) bool { return w.judge(p.pred, one, day) != audience.True })
}
