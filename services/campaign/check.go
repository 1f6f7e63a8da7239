package campaign

import (
	"maps"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Names says what the names in a spec stand for. An Invalid fault is about the name or text itself; any other error ends the
// question, such as that a segment is still being built.
type Names interface {
	// Segment returns the uid of a segment by its name.
	Segment(name string) (uid string, err error)
	// Persona returns the uid of the segment that a persona owns.
	Persona(name string) (uid string, err error)
	// Filter reads a filter.
	Filter(text string) (audience.Pred, error)
}

// Question is a spec whose names were looked up.
type Question struct {
	// Spec is the spec in the engine's terms: segments and personas by uid.
	Spec audience.Spec
	// Steps are its predicates in the order of the narrowing.
	Steps []audience.Step
}

// Question looks the spec's names up and turns it into predicates. All that is wrong with the spec is in one Invalid fault, with field
// paths that begin with "spec"; only a spec without violations meets the other errors of names.
func (s Spec) Question(schema *audience.Schema, names Names) (Question, error) {
	q := audience.Spec{
		Regions: s.Regions, PostalCodes: s.PostalCodes, Genders: s.Genders, Educations: s.Educations, MaritalStatuses: s.MaritalStatuses,
		JobLevels: s.JobLevels, MinJobLevel: s.MinJobLevel, Roles: s.Roles, Lifecycles: s.Lifecycles,
		EmployerIndustries: s.Industries, EmployerSizes: s.EmployerSizes, Interests: s.Interests,
		Channel: s.Channel, Purposes: s.Purposes, OnePerHousehold: s.OnePerHousehold, AsOf: s.AsOf,
	}
	if s.Age != nil {
		q.Age = audience.IntRange{Min: s.Age.Min, Max: s.Age.Max}
	}
	if s.Income != nil {
		q.Income = audience.MoneyRange{Min: s.Income.Min, Max: s.Income.Max, Currency: s.Income.Currency}
	}
	c := checker{spec: (&fault.Violations{}).In("spec")}
	q.AllSegments = c.each(audience.PartAllSegments, s.AllSegments, names.Segment)
	q.AnySegments = c.each(audience.PartAnySegments, s.AnySegments, names.Segment)
	q.ExcludedSegments = c.each(audience.PartExcludedSegments, s.ExcludedSegments, names.Segment)
	q.Personas = c.each(audience.PartPersonas, s.Personas, names.Persona)
	if s.Filter != "" {
		var err error
		if q.Filter, err = names.Filter(s.Filter); err != nil {
			c.take(audience.PartFilter, err)
		}
	}
	steps, err := q.Steps(schema)
	if err != nil {
		c.take("", stripSpec(err))
	}
	if err := c.err(); err != nil {
		return Question{}, err
	}
	label(steps, s)
	return Question{Spec: q, Steps: steps}, nil
}

// checker collects what is wrong with a spec.
type checker struct {
	spec  *fault.Violations
	meta  map[string]string
	other error
}

// take records an error: as a violation at the field, or as what ends the question where it is not about the field.
func (c *checker) take(field string, err error) {
	if !c.spec.AddErr(field, err) {
		if c.other == nil {
			c.other = err
		}
		return
	}
	if f := fault.As(err); f != nil && c.meta == nil {
		c.meta = f.Metadata
	}
}

// each looks names up. A name that was refused leaves a mark in its place, so that the engine does not refuse it again.
func (c *checker) each(part string, list []string, look func(string) (string, error)) []string {
	var uids []string
	for i, name := range list {
		uid, err := look(name)
		if err != nil {
			c.take(fault.Index(part, i), err)
			uid = "unknown"
		}
		uids = append(uids, uid)
	}
	return uids
}

func (c *checker) err() error {
	err := c.spec.Err()
	if err == nil {
		return c.other
	}
	// The variables of a lone violation's message; those of several would not say whose they are.
	if f := fault.As(err); c.spec.Len() == 1 && f != nil && len(c.meta) > 0 {
		g := *f
		g.Metadata = maps.Clone(c.meta)
		return &g
	}
	return err
}

// stripSpec takes the "spec" from the engine's field paths, which the collector puts there for all.
func stripSpec(err error) error {
	f := fault.As(err)
	if f == nil {
		return err
	}
	g := *f
	g.Violations = nil
	for _, v := range f.Violations {
		v.Field = strings.TrimPrefix(strings.TrimPrefix(v.Field, "spec"), ".")
		g.Violations = append(g.Violations, v)
	}
	return &g
}

// label names segments and personas in the labels of their steps; the engine knows their uids only.
func label(steps []audience.Step, s Spec) {
	for i := range steps {
		switch steps[i].Part {
		case audience.PartAllSegments:
			steps[i].Label = "in " + list(s.AllSegments, "and")
		case audience.PartAnySegments:
			steps[i].Label = "in " + list(s.AnySegments, "or")
		case audience.PartExcludedSegments:
			steps[i].Label = "not in " + list(s.ExcludedSegments, "or")
		case audience.PartPersonas:
			steps[i].Label = "like " + list(s.Personas, "or")
		}
	}
}

// list joins a few names with a word, and only counts those that would make the label long.
func list(names []string, word string) string {
	const shown = 4
	if len(names) > shown {
		return strings.Join(names[:shown-1], ", ") + " and others"
	}
	return strings.Join(names, " "+word+" ")
}

// ValidID reports whether id is a resource id: lower-case letters, digits and hyphens, beginning with a letter and not ending in a
// hyphen, at most 63 characters.
func ValidID(id string) bool {
	if id == "" || len(id) > 63 || id[0] < 'a' || id[0] > 'z' || id[len(id)-1] == '-' {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
