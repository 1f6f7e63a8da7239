package mapping

import (
	"strconv"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/jobtitle"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// Keys of a spec of job_level that reads titles.
const (
	keyFrom          = "from"
	keyMinConfidence = "min_confidence"
	keyOccupation    = "occupation"
)

// titles says that a job level is read from job titles.
type titles struct {
	min        float64 // confidence below which a level counts as unknown
	occupation bool    // the title becomes the occupation too
}

// Titles counts what job titles of the rows that became profiles said.
type Titles struct {
	Read           int64 // as a level
	BelowThreshold int64 // as a level, with less confidence than the mapping wants: left unknown
	Unknown        int64 // nothing about a level
}

// titleOutcome is what the title of one row said.
type titleOutcome uint8

const (
	noTitle titleOutcome = iota
	titleRead
	titleBelow
	titleUnknown
)

func (t *Titles) count(o titleOutcome) {
	switch o {
	case titleRead:
		t.Read++
	case titleBelow:
		t.BelowThreshold++
	case titleUnknown:
		t.Unknown++
	}
}

// titles reads the keys of a job level that comes from titles; nil if it comes from levels.
func (p *problems) titles(s *spec) *titles {
	from, given := s.extra[keyFrom]
	if !given {
		for _, key := range []string{keyMinConfidence, keyOccupation} {
			if v, stray := s.extra[key]; stray {
				p.add(v, "%s: belongs to from: job_title", key)
			}
		}
		return nil
	}
	t := &titles{min: jobtitle.Sure}
	p.oneOf(from, "job_title")
	if v, ok := s.extra[keyMinConfidence]; ok {
		n, err := strconv.ParseFloat(p.scalar(v), 64)
		if err != nil || !(n >= 0 && n <= 1) { // NaN is neither
			p.add(v, "this must be a number from 0 to 1")
		}
		t.min = n
	}
	if v, ok := s.extra[keyOccupation]; ok {
		t.occupation = p.boolean(v)
		if t.occupation && (s.mapped != nil || s.ifMissing != nil) {
			p.add(v, "map: and if_missing: say levels, not titles; map occupation as a field of its own")
		}
	}
	return t
}

// title sets the job level that a title says.
func (x *Mapper) title(profile *profilev1.Profile, f *field, text string) {
	if f.titles.occupation {
		profile.Occupation = &text
	}
	// What map: or if_missing: put there may be a level already.
	if f.spec.mapped != nil || f.spec.ifMissing != nil {
		if level, ok := enumValue(wire.JobLevels, text); ok {
			profile.JobLevel = level
			x.titled = titleRead
			return
		}
	}
	switch r := jobtitle.Read(text); {
	case r.Level == "":
		x.titled = titleUnknown
	case r.Confidence < f.titles.min:
		x.titled = titleBelow
	default:
		profile.JobLevel = wire.JobLevels.Value(r.Level)
		x.titled = titleRead
	}
}

// ReadsTitles reports whether the mapping reads job levels from job titles.
func (m *Mapping) ReadsTitles() bool {
	for _, f := range m.fields {
		if f.titles != nil {
			return true
		}
	}
	return false
}

// Titles returns what the job titles said in the rows so far that became profiles.
func (r *Rows) Titles() Titles { return r.mapper.titles }

// takes are the paths of the profile that a field is for.
func (f *field) takes() []string {
	if f.titles != nil && f.titles.occupation {
		return []string{f.path, audience.AttrOccupation}
	}
	return []string{f.path}
}
