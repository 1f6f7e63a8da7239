package bench

import (
	"slices"

	"google.golang.org/protobuf/proto"

	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
)

// part is one predicate of a question, as a spec asks it and as plain code.
type part struct {
	ask   func(*campaignv1.AudienceSpec)
	holds func(*person, day) bool
}

// Names of the figures that have a question; Q numbers are those of the goals in docs/bench/README.md.
const (
	nameQ1       = "Q1"
	nameQ2       = "Q2"
	nameQ4       = "Q4"
	nameNoRegion = "no-region"
	nameCountry  = "country"
)

// question is an audience: its parts in the order of the narrowing table.
type question []part

// spec is the question as the campaign service takes it.
func (q question) spec() *campaignv1.AudienceSpec {
	s := &campaignv1.AudienceSpec{}
	for _, p := range q {
		p.ask(s)
	}
	return s
}

func (q question) ref() *campaignv1.AudienceRef {
	return &campaignv1.AudienceRef{Audience: &campaignv1.AudienceRef_Spec{Spec: q.spec()}}
}

func inRegion(code string) part {
	return part{
		func(s *campaignv1.AudienceSpec) { s.Regions = []string{code} },
		func(p *person, _ day) bool { return p.within(code) },
	}
}

func ofAge(lo, hi int) part {
	return part{
		func(s *campaignv1.AudienceSpec) {
			s.Age = &typev1.AgeRange{Min: proto.Int32(int32(lo)), Max: proto.Int32(int32(hi))}
		},
		func(p *person, on day) bool { return p.aged(on, lo, hi) },
	}
}

func inSegments(all, none []int) []part {
	names := func(ks []int) (list []string) {
		for _, k := range ks {
			list = append(list, segments[k].name())
		}
		return list
	}
	member := func(k int) func(*person, day) bool { return segments[k].holds }
	var parts []part
	if len(all) > 0 {
		parts = append(parts, part{
			func(s *campaignv1.AudienceSpec) { s.AllSegments = names(all) },
			func(p *person, on day) bool {
				return !slices.ContainsFunc(all, func(k int) bool { return !member(k)(p, on) })
			},
		})
	}
	if len(none) > 0 {
		parts = append(parts, part{
			func(s *campaignv1.AudienceSpec) { s.ExcludedSegments = names(none) },
			func(p *person, on day) bool {
				return !slices.ContainsFunc(none, func(k int) bool { return member(k)(p, on) })
			},
		})
	}
	return parts
}

var (
	directors = part{
		func(s *campaignv1.AudienceSpec) { s.JobLevels = []typev1.JobLevel{typev1.JobLevel_JOB_LEVEL_DIRECTOR} },
		func(p *person, _ day) bool { return p.level == levelDirector },
	}
	women = part{
		func(s *campaignv1.AudienceSpec) { s.Genders = []typev1.Gender{typev1.Gender_GENDER_FEMALE} },
		func(p *person, _ day) bool { return p.gender == 1 },
	}
	middleIncome = part{
		func(s *campaignv1.AudienceSpec) { s.Income = &typev1.MoneyRange{Min: "30000", Max: "60000"} },
		func(p *person, _ day) bool { return p.income >= 30_000 && p.income <= 60_000 },
	}
	adsConsent = part{
		func(s *campaignv1.AudienceSpec) {
			s.Purposes = []typev1.ConsentPurpose{typev1.ConsentPurpose_CONSENT_PURPOSE_ADS_PERSONALISATION}
		},
		func(p *person, _ day) bool { return p.ads.holds() },
	}
	emailConsent = part{
		func(s *campaignv1.AudienceSpec) { s.Channel = typev1.Channel_CHANNEL_EMAIL },
		func(p *person, _ day) bool { return p.email.holds() },
	}
)

var levelDirector = level("director")

// The questions that are counted or listed.
var (
	q1        = question{inRegion(midRegion), ofAge(25, 34), directors}
	q2        = slices.Concat(question{inRegion(midRegion), ofAge(25, 34), women, directors}, inSegments([]int{segment5}, []int{segment10}), question{adsConsent})
	qCountry  = question{inRegion(country), ofAge(25, 34), directors}
	q4        = question{ofAge(18, 34), middleIncome, emailConsent}
	qNoRegion = slices.Concat(question{directors}, inSegments([]int{segment5}, nil))
)

// ageBounds divide ages into ten bands: each number is the first age that is not in its band.
var ageBounds = []float64{18, 25, 30, 35, 40, 45, 50, 60, 70}

// band is the number of the band of an age.
func band(age int) int {
	for i, b := range ageBounds {
		if float64(age) < b {
			return i
		}
	}
	return len(ageBounds)
}

// truth is everything that the run will be told, counted by going over the people once.
type truth struct {
	on        day
	narrowing map[string][]int64 // of each question, everybody first
	segments  [segmentCount]int64
	pairs     [pairSegments][pairSegments]int64
	seal      uint64 // of the uids of q4
	// cells are those of the segment that is broken down that hold anybody.
	cells map[cell]int64
}

// cell is one of a cross table: a region or what it lies in, a gender (0: unknown), a band of age (the one behind the last: unknown).
type cell struct {
	region       string
	gender, band int
}

// asked are the questions that are counted, each under the name of its figure.
var asked = []struct {
	name string
	question
}{{nameQ1, q1}, {nameQ2, q2}, {nameQ4, q4}, {nameNoRegion, qNoRegion}, {nameCountry, qCountry}}

// count goes over all people.
func (c *crowd) count(on day) *truth {
	t := &truth{on: on, narrowing: map[string][]int64{}, cells: map[cell]int64{}}
	narrowing := make([][]int64, len(asked))
	for i, q := range asked {
		narrowing[i] = make([]int64, len(q.question)+1)
		t.narrowing[q.name] = narrowing[i]
	}
	for rank := range c.n {
		p := c.at(rank, true)
		for i := range asked {
			if narrow(asked[i].question, &p, on, narrowing[i]) && asked[i].name == nameQ4 {
				t.seal ^= seal(c.uid(rank))
			}
		}
		for k := range segments {
			if segments[k].holds(&p, on) {
				t.segments[k]++
			}
		}
		t.overlap(&p, on)
		if segments[segment5].holds(&p, on) {
			at := cell{gender: p.gender, band: len(ageBounds) + 1}
			if age, ok := p.age(on); ok {
				at.band = band(age)
			}
			for _, at.region = range regions[p.region].up {
				t.cells[at]++
			}
		}
	}
	return t
}

// narrow counts somebody in the steps of a question up to the first that does not hold, and reports whether all do.
func narrow(q question, p *person, on day, steps []int64) bool {
	steps[0]++
	for i, part := range q {
		if !part.holds(p, on) {
			return false
		}
		steps[i+1]++
	}
	return true
}

// overlap notes the pairs of segments that somebody is in.
func (t *truth) overlap(p *person, on day) {
	var in [pairSegments]int
	n := 0
	for i, k := range paired {
		if segments[k].holds(p, on) {
			in[n] = i
			n++
		}
	}
	for a := range n {
		for b := range a {
			t.pairs[in[b]][in[a]]++
		}
	}
}

// total is the cardinality of a question.
func (t *truth) total(name string) int64 {
	steps := t.narrowing[name]
	return steps[len(steps)-1]
}
