package bench

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// segmentCount is how many segments divide the crowd, from lowest to highest share of it.
const (
	segmentCount  = 200
	lowestShare   = 0.00005
	highestShare  = 0.30
	longestShare  = 0.02 // of a static list
	tagCount      = segmentCount / 5
	pairSegments  = 20
	kindOfSegment = 5
)

// segment is a part of the crowd, with its rule as the segment service reads it and as plain code.
type segment struct {
	id     string
	rule   string // "": a static list
	holds  func(*person, day) bool
	target float64 // the share of the crowd that it is made for
}

func (s *segment) name() string { return "segments/" + s.id }

// share is what share of the crowd segment k is made for: equal steps on a logarithmic scale.
func share(k int) float64 {
	return lowestShare * math.Pow(highestShare/lowestShare, float64(k)/(segmentCount-1))
}

// tagDensities are the chances of the tags, out of 2^32: those of the segments that ask for them.
var tagDensities = func() (list [tagCount]uint64) {
	for i := range list {
		list[i] = uint64(share(kindOfSegment*i+2) * (1 << 32))
	}
	return list
}()

func tag(i int) string { return "t" + strconv.Itoa(100 + i)[1:] }

// segments are all of them. A fifth each are static lists (the short ones) and bands of a score, bands, tags, interests or a gender
// with a band, and ages, levels or a stage of life with a band, so that what they have in common differs from pair to pair.
var segments = func() []segment {
	list := make([]segment, 0, segmentCount)
	for k := range segmentCount {
		s := segment{id: fmt.Sprintf("bench-%03d", k), target: share(k)}
		switch {
		case k%kindOfSegment == 0 && s.target <= longestShare:
			salt, chance := mix(uint64(k)^0x6c697374), uint64(s.target*(1<<32))
			s.holds = func(p *person, _ day) bool { return mix(p.lists^salt)>>32 < chance }
		case k%kindOfSegment == 2:
			i := k / kindOfSegment
			s.rule = strconv.Quote(tag(i)) + " in custom.tags"
			s.holds = func(p *person, _ day) bool { return p.tags>>i&1 == 1 }
		case k%kindOfSegment == 3:
			s = s.of(narrowers[k/kindOfSegment%len(narrowers)], k)
		case k%kindOfSegment == 4:
			s = s.of(agers[k/kindOfSegment%len(agers)], k)
		default:
			s = s.of(base{share: 1}, k)
		}
		list = append(list, s)
	}
	return list
}()

// base is a rule of a known share of the crowd that a band makes narrower.
type base struct {
	rule  string
	share float64
	holds func(*person, day) bool
}

var narrowers = []base{
	{`gender == "female"`, .495, func(p *person, _ day) bool { return p.gender == 1 }},
	{`("sailing" in interests || "golf" in interests || "skiing" in interests)`, .33, func(p *person, _ day) bool {
		return p.interests&(interest("sailing")|interest("golf")|interest("skiing")) != 0
	}},
	{`lifecycle != "customer"`, .65, func(p *person, _ day) bool {
		return p.lifecycle > 0 && audience.Lifecycles[p.lifecycle-1] != "customer"
	}},
	{`!(marital_status == "single")`, .65, func(p *person, _ day) bool {
		return p.marital > 0 && audience.MaritalStatuses[p.marital-1] != "single"
	}},
}

var agers = []base{
	{`age() >= 30 && age() <= 59`, .42, func(p *person, on day) bool { return p.aged(on, 30, 59) }},
	{`(job_level >= "senior" || education in ["bachelor", "master", "doctorate"])`, .5, func(p *person, _ day) bool {
		return p.level > 0 && p.level >= level("senior") || p.education >= education("bachelor")
	}},
	{`region.within("FR", "BE") && income >= 20000`, .5, func(p *person, _ day) bool {
		return (p.within("FR") || p.within("BE")) && p.income >= 20_000
	}},
	{`consent("ads_personalisation")`, .55, func(p *person, _ day) bool { return p.ads.holds() }},
}

func interest(name string) uint32 {
	for i, n := range interests {
		if n == name {
			return 1 << i
		}
	}
	return 0
}

func level(name string) int     { return indexOf(audience.JobLevels, name) }
func education(name string) int { return indexOf(audience.Educations, name) }

// indexOf is the place of a word in a list, from 1; 0 if it is not there.
func indexOf(list []string, word string) int {
	for i, w := range list {
		if w == word {
			return i + 1
		}
	}
	return 0
}

// of makes a segment of the target's share from a base: a band of one number, or of two where one is too coarse.
func (s segment) of(b base, k int) segment {
	left := min(1, s.target/b.share)
	var rules []string
	if b.rule != "" {
		rules = append(rules, b.rule)
	}
	width := int(math.Round(left * 1000))
	other := 1000
	if width < 20 {
		width = max(1, int(math.Round(1000*math.Sqrt(left))))
		other = max(1, int(math.Round(left*1e6/float64(width))))
	}
	from := int(mix(uint64(k)) % uint64(1001-width))
	to := from + width
	rules = append(rules, fmt.Sprintf("custom.score >= %d && custom.score < %d", from, to))
	if other < 1000 {
		rules = append(rules, fmt.Sprintf("custom.affinity < %d", other))
	}
	s.rule = strings.Join(rules, " && ")
	holds := b.holds
	s.holds = func(p *person, on day) bool {
		return p.score >= from && p.score < to && p.affinity < other && (holds == nil || holds(p, on))
	}
	return s
}

// nearest is the segment of one of the kinds whose target is nearest to a share.
func nearest(target float64, kind int) int {
	best := 0
	for k := range segments {
		if k%kindOfSegment == kind && (best%kindOfSegment != kind || math.Abs(segments[k].target-target) < math.Abs(segments[best].target-target)) {
			best = k
		}
	}
	return best
}

// The segments that questions name: one of about 5 % and one of about 10 %.
var (
	segment5  = nearest(.05, 1)
	segment10 = nearest(.10, 2)
)

// paired are the segments whose pairs are counted: every tenth, of all shares and kinds.
var paired = func() (list []int) {
	for i := range pairSegments {
		list = append(list, i*segmentCount/pairSegments+i%kindOfSegment)
	}
	return list
}()
