package generate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/region"
	"github.com/narrowcast/narrowcast/pkg/audience/rule"
	"github.com/narrowcast/narrowcast/services/persona"
)

// A value is typical if at least minShare of the segment's profiles have it and it is not rarer among them than among everybody.
const (
	minShare = 0.2
	minLift  = 1.0
)

// A region, or gender, is typical only if most have it: a rule that names one leaves all others out.
const (
	regionShare = 0.5
	genderShare = 0.6
)

// Draft is a generated persona.
type Draft struct {
	// Evidence lacks its token and time.
	Evidence persona.Evidence
	Kind     string
	Headline string
	// Narrative is made by Narrate, which needs a name.
	Goals []string
	// Rules are the persona's rule and, in case that one holds nobody, looser ones in the order in which they are to be tried. The
	// last one is the segment itself.
	Rules []string

	segment  string
	lo, hi   int64
	hasAges  bool
	typical  map[string][]Bucket
	regionOf string
}

// Make makes a persona of a segment's statistics, in which the segment has at least one profile.
func Make(segment string, s *Statistics) *Draft {
	d := &Draft{segment: segment, typical: make(map[string][]Bucket)}
	d.Evidence = persona.Evidence{SampleSize: s.Count, BaseSize: s.Base}
	a := agesOf(s)
	if a.known > 0 {
		d.hasAges = true
		d.lo, d.hi = a.quantile(0.25), a.quantile(0.75)
		d.Evidence.MedianAge = a.quantile(0.5)
		d.evidence(AttributeAge, a.buckets(), 2)
	}
	for _, at := range attributes {
		buckets := s.of(at.name)
		if at.name == audience.AttrRegion {
			buckets = regions(buckets)
		}
		d.evidence(at.name, buckets, at.most)
	}
	d.Kind = kind(s.of(audience.AttrRoles))
	if list := d.typical[audience.AttrRegion]; len(list) > 0 && list[0].Share >= regionShare {
		d.regionOf = list[0].Value
	}
	for _, need := range d.typical[audience.AttrNeeds] {
		d.Goals = append(d.Goals, need.Value)
	}
	d.Headline = d.headline()
	d.Rules = d.rules()
	return d
}

// evidence lists the most frequent value of an attribute in any case, and further ones that are typical.
func (d *Draft) evidence(attribute string, buckets []Bucket, most int) {
	n := 0
	for i, b := range buckets {
		typical := b.Share >= minShare && b.Lift >= minLift
		if typical {
			d.typical[attribute] = append(d.typical[attribute], b)
		}
		if (i == 0 || typical) && n < most {
			n++
			d.Evidence.Traits = append(d.Evidence.Traits, persona.Trait{
				Attribute: attribute, Value: b.Value, Share: b.Share, BaseShare: b.BaseShare, Lift: b.Lift, Count: b.Count,
			})
		}
	}
}

// regions puts the narrowest region that most of the segment lives in first: a country that everybody lives in says nothing. Those it
// lies in follow, then the others by frequency.
func regions(buckets []Bucket) []Bucket {
	best := -1
	for i, b := range buckets {
		if b.Share >= regionShare && (best < 0 || len(region.Ancestors(b.Value)) > len(region.Ancestors(buckets[best].Value))) {
			best = i
		}
	}
	if best <= 0 {
		return buckets
	}
	list := []Bucket{buckets[best]}
	for i, b := range buckets {
		if i != best {
			list = append(list, b)
		}
	}
	return list
}

// kind is the role that most of the segment's profiles have.
func kind(roles []Bucket) string {
	if len(roles) > 0 {
		for _, k := range persona.Kinds {
			if k == roles[0].Value {
				return k
			}
		}
	}
	return persona.KindConsumer
}

// rules returns the rule of all typical traits, and then those without one trait after the other: interests go first, since they are
// what fewest people state, and the age goes last.
func (d *Draft) rules() []string {
	// In the order in which the rule is read.
	var age, jobs, place, gender, interests string
	if d.hasAges {
		age = fmt.Sprintf("age() >= %d && age() <= %d", d.lo, d.hi)
	}
	if levels := enough(d.typical[audience.AttrJobLevel]); len(levels) > 0 {
		jobs = "job_level in " + rule.QuoteList(levels)
	}
	if d.regionOf != "" {
		place = "region.within(" + rule.Quote(d.regionOf) + ")"
	}
	if g := d.typical[audience.AttrGender]; len(g) > 0 && g[0].Share >= genderShare {
		gender = "gender == " + rule.Quote(g[0].Value)
	}
	if list := values(d.typical[audience.AttrInterests], 3); len(list) > 0 {
		interests = "interests.any(" + rule.QuoteList(list) + ")"
	}
	order := []*string{&interests, &gender, &jobs, &place, &age} // in which they are given up
	var list []string
	write := func() {
		text := "segment(" + rule.Quote(d.segment) + ")"
		for _, c := range []string{age, jobs, place, gender, interests} {
			if c != "" {
				text += " && " + c
			}
		}
		if len(list) == 0 || list[len(list)-1] != text {
			list = append(list, text)
		}
	}
	write()
	for _, c := range order {
		*c = ""
		write()
	}
	return list
}

// enough returns the most frequent values that together make up half of the segment.
func enough(buckets []Bucket) (list []string) {
	sum := 0.0
	for _, b := range buckets {
		if sum >= 0.5 {
			break
		}
		sum += b.Share
		list = append(list, b.Value)
	}
	return list
}

func values(buckets []Bucket, most int) (list []string) {
	for _, b := range buckets[:min(most, len(buckets))] {
		list = append(list, b.Value)
	}
	return list
}

// headline is one line such as "Director, 31, FR-NAQ".
func (d *Draft) headline() string {
	var parts []string
	if t := d.top(audience.AttrJobLevel); t != nil && t.Share >= minShare {
		parts = append(parts, title(t.Value))
	}
	if d.hasAges {
		parts = append(parts, strconv.FormatInt(d.Evidence.MedianAge, 10))
	}
	if d.regionOf != "" {
		parts = append(parts, d.regionOf)
	}
	if len(parts) == 0 {
		return "One of " + d.segment
	}
	return strings.Join(parts, ", ")
}

// top is the first trait of an attribute.
func (d *Draft) top(attribute string) *persona.Trait {
	for i := range d.Evidence.Traits {
		if d.Evidence.Traits[i].Attribute == attribute {
			return &d.Evidence.Traits[i]
		}
	}
	return nil
}
