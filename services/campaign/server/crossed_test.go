package server_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/region"
	"github.com/narrowcast/narrowcast/pkg/fault"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	"github.com/narrowcast/narrowcast/services/campaign/internal/indextest"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

type (
	dimension = campaignv1.BreakdownAudienceRequest_Dimension
	axis      = campaignv1.BreakdownAudienceResponse_Axis
)

// dimensions are asked for in any combination; ages are too close to the birth dates of the people here to be bounded otherwise.
var dimensions = []*dimension{
	{Attribute: "gender"}, {Attribute: "job_level"}, {Attribute: "region"}, {Attribute: "interests"}, {Attribute: "custom.vip"}, {Attribute: "age", Bounds: []float64{1, 2}},
	{Attribute: "postal_code"}, {Attribute: "region", Values: []string{"FR"}}, {Attribute: "gender", Values: []string{"female"}},
}

// placesOf are the places of one person on an axis.
func placesOf(f audience.Facts, a *axis, day int64) (places []int) {
	values := a.GetValues()
	name := a.GetAttribute()
	if name == audience.AttrAge {
		name = audience.AttrBirthDate
	}
	v, ok := f[name]
	if !ok {
		return []int{len(values) + 1}
	}
	var texts []string
	switch name {
	case audience.AttrBirthDate:
		of := func(birth int64) string {
			switch age := audience.AgeOn(birth, day); {
			case age < 0:
				return "not born"
			case age < 1:
				return "<1"
			case age < 2:
				return "1"
			}
			return "2+"
		}
		if of(v.Num) == of(v.Last) {
			texts = []string{of(v.Num)}
		}
	case audience.AttrRegion:
		texts = append([]string{v.Text}, region.Ancestors(v.Text)...)
	case audience.AttrInterests:
		texts = v.List
	case "custom.vip":
		texts = []string{fmt.Sprint(v.Num == 1)}
	default:
		texts = []string{v.Text}
	}
	for i, value := range values {
		if slices.Contains(texts, value) {
			places = append(places, i)
		}
	}
	if places == nil {
		return []int{len(values)}
	}
	return places
}

func TestBreakdownsOfRandomSpecsCountEachMemberInEachOfItsCells(t *testing.T) {
	x := indextest.New(t, 3, 700, 3, someSegments()...)
	s := start(t, x, nil).ready()
	r := rand.New(rand.NewPCG(3, 78))
	populated := 0
	for i := range 60 {
		q := randomQuestion(t, r, x)
		if i%5 == 0 {
			q = question{spec: &audience.Spec{}, wire: &campaignv1.AudienceSpec{}, day: x.Today}
		}
		want := judge(t, x, q)
		var by []*dimension
		for _, at := range r.Perm(len(dimensions))[:1+r.IntN(3)] {
			if !slices.ContainsFunc(by, func(d *dimension) bool { return d.GetAttribute() == dimensions[at].GetAttribute() }) {
				by = append(by, dimensions[at])
			}
		}
		got, err := s.audiences.BreakdownAudience(t.Context(), &campaignv1.BreakdownAudienceRequest{Audience: stated(q.wire), Dimensions: by})
		if fault.ReasonOf(err) == audience.ReasonTableTooLarge {
			continue
		}
		if err != nil {
			t.Fatalf("question %d: %v by %v: %v", i, q.wire, by, err)
		}
		cells := 1
		for at, a := range got.GetAxes() {
			cells *= len(a.GetValues()) + 2
			if a.GetAttribute() != by[at].GetAttribute() {
				t.Errorf("axis %d is %s", at, a.GetAttribute())
			}
		}
		counts := make([]int64, cells)
		for _, p := range x.People {
			if !slices.Contains(want.members, p.UID) {
				continue
			}
			at := []int{0}
			for _, a := range got.GetAxes() {
				var next []int
				for _, cell := range at {
					for _, place := range placesOf(p.Facts, a, q.day) {
						next = append(next, cell*(len(a.GetValues())+2)+place)
					}
				}
				at = next
			}
			for _, cell := range at {
				counts[cell]++
			}
		}
		if !slices.Equal(got.GetCounts(), counts) || got.GetCount() != int64(len(want.members)) {
			t.Fatalf("question %d: %v by %v:\n got %d %v\nwant %d %v", i, q.wire, by, got.GetCount(), got.GetCounts(), len(want.members), counts)
		}
		if len(want.members) > 0 {
			populated++
		}
		if got.GetInfo().GetConsistencyToken() == "" {
			t.Error("an answer that does not say what it was made from")
		}
	}
	if populated < 20 {
		t.Errorf("only %d of the breakdowns have members", populated)
	}
}

func TestBreakdownsThatCannotBeAreRefused(t *testing.T) {
	s := start(t, indextest.New(t, 1, 50, 1, someSegments()...), nil).ready()
	for name, c := range map[string]struct {
		by     []*dimension
		reason string
		paths  []string
	}{
		"no such attribute": {[]*dimension{{Attribute: "gender"}, {Attribute: "mood"}}, "UNKNOWN_ATTRIBUTE", []string{"dimensions[1].attribute"}},
		"twice":             {[]*dimension{{Attribute: "age"}, {Attribute: "birth_date"}}, "VALIDATION_FAILED", []string{"dimensions[1].attribute"}},
		"bounds of a word":  {[]*dimension{{Attribute: "gender", Bounds: []float64{1}}}, "VALIDATION_FAILED", []string{"dimensions[0].bounds"}},
		"unknown value":     {[]*dimension{{Attribute: "gender", Values: []string{"male", "cat"}}}, "UNKNOWN_VALUE", []string{"dimensions[0].values[1]"}},
		"unknown region":    {[]*dimension{{Attribute: "region", Values: []string{"XX"}}}, "UNKNOWN_REGION", []string{"dimensions[0].values[0]"}},
		"none":              {nil, "VALIDATION_FAILED", nil},
	} {
		s.T = t
		_, err := s.audiences.BreakdownAudience(t.Context(), &campaignv1.BreakdownAudienceRequest{Audience: stated(&campaignv1.AudienceSpec{}), Dimensions: c.by})
		if fault.ReasonOf(err) != c.reason && name != "none" {
			t.Errorf("%s: %v", name, err)
		}
		if c.paths != nil {
			s.refused(err, fault.Invalid, c.reason, c.paths...)
		}
	}
	_, err := s.audiences.BreakdownAudience(t.Context(), &campaignv1.BreakdownAudienceRequest{
		Audience: stated(&campaignv1.AudienceSpec{Regions: []string{"XX"}}), Dimensions: dimensions[:1],
	})
	s.refused(err, fault.Invalid, "UNKNOWN_REGION", "audience.spec.regions[0]")
}

func TestOverlapsOfRandomSpecsAreThoseOfTheirMembers(t *testing.T) {
	x := indextest.New(t, 4, 700, 3, someSegments()...)
	s := start(t, x, nil).ready()
	r := rand.New(rand.NewPCG(4, 79))
	common := int64(0)
	for i := range 30 {
		var refs []*campaignv1.AudienceRef
		var members [][]audience.UID
		for range 2 + r.IntN(5) {
			q := randomQuestion(t, r, x)
			q.spec.OnePerHousehold, q.wire.OnePerHousehold = false, false
			refs, members = append(refs, stated(q.wire)), append(members, judge(t, x, q).members)
		}
		got, err := s.audiences.OverlapAudiences(t.Context(), &campaignv1.OverlapAudiencesRequest{Audiences: refs})
		if err != nil {
			t.Fatalf("overlap %d: %v", i, err)
		}
		n := 0
		for a := range members {
			if got.GetCounts()[a] != int64(len(members[a])) {
				t.Fatalf("overlap %d: %d members of %d, want %d", i, got.GetCounts()[a], a, len(members[a]))
			}
			for b := a + 1; b < len(members); b++ {
				both := 0
				for _, uid := range members[a] {
					if slices.Contains(members[b], uid) {
						both++
					}
				}
				common += int64(both)
				p := got.GetPairs()[n]
				n++
				if int(p.GetFirst()) != a || int(p.GetSecond()) != b || p.GetCount() != int64(both) {
					t.Fatalf("overlap %d: %v, want %d of %d and %d", i, p, both, a, b)
				}
				either := len(members[a]) + len(members[b]) - both
				near := func(got float64, over, under int) bool {
					want := 0.0
					if under > 0 {
						want = float64(over) / float64(under)
					}
					return math.Abs(got-want) < 1e-9
				}
				if !near(p.GetSimilarity(), both, either) || !near(p.GetLift(), both*len(x.People), len(members[a])*len(members[b])) {
					t.Errorf("overlap %d: %v of %d, %d and %d", i, p, len(members[a]), len(members[b]), both)
				}
			}
		}
		if n != len(got.GetPairs()) || got.GetBase() != int64(len(x.People)) {
			t.Fatalf("overlap %d: %d pairs, base %d", i, len(got.GetPairs()), got.GetBase())
		}
	}
	if common == 0 {
		t.Error("nothing was in common: little was tested")
	}
	two := []*campaignv1.AudienceRef{stated(&campaignv1.AudienceSpec{}), stated(&campaignv1.AudienceSpec{OnePerHousehold: true})}
	_, err := s.audiences.OverlapAudiences(t.Context(), &campaignv1.OverlapAudiencesRequest{Audiences: two})
	s.refused(err, fault.Invalid, "VALIDATION_FAILED", "audiences[1].spec.one_per_household")
	two[1] = stated(&campaignv1.AudienceSpec{AllSegments: []string{"segments/nobody"}})
	_, err = s.audiences.OverlapAudiences(t.Context(), &campaignv1.OverlapAudiencesRequest{Audiences: two})
	s.refused(err, fault.Invalid, "UNKNOWN_SEGMENT", "audiences[1].spec.all_segments[0]")
	two[1] = saved("audiences/none")
	_, err = s.audiences.OverlapAudiences(t.Context(), &campaignv1.OverlapAudiencesRequest{Audiences: two})
	s.refused(err, fault.NotFound, "AUDIENCE_NOT_FOUND")
}

func TestLookUpsSayWhichSegmentsHoldEachProfile(t *testing.T) {
	segments := append(someSegments(), &indextest.Segment{Name: "segments/new", Rule: `gender == "male"`, Building: true})
	x := indextest.New(t, 5, 700, 3, segments...)
	s := start(t, x, nil).ready()
	r := rand.New(rand.NewPCG(5, 80))
	held := 0
	for round := range 20 {
		var only []string // asked for; nil: all
		if round%2 == 1 {
			for _, at := range r.Perm(len(segments) - 1)[:1+r.IntN(3)] {
				only = append(only, segments[at].Name)
			}
		}
		var people []*indextest.Person
		req := &campaignv1.LookupProfilesRequest{Segments: only}
		for range 1 + r.IntN(40) {
			p := x.People[r.IntN(len(x.People))]
			if r.IntN(10) == 0 {
				p = &indextest.Person{UID: audience.UID{1, byte(r.IntN(256))}}
			}
			people = append(people, p)
			req.Profiles = append(req.Profiles, wire.ProfileName(p.UID))
		}
		got, err := s.lookups.LookupProfiles(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if building := got.GetBuilding(); only == nil && !slices.Equal(building, []string{"segments/new"}) || only != nil && building != nil {
			t.Errorf("building %q", building)
		}
		for i, p := range people {
			m := got.GetMemberships()[i]
			var want []string
			for _, seg := range x.Segments {
				if p.Facts != nil && !seg.Building && (only == nil || slices.Contains(only, seg.Name)) && x.Member(p, seg.UID, x.Today) {
					want = append(want, seg.Name)
				}
			}
			slices.Sort(want)
			held += len(want)
			if m.GetProfile() != req.GetProfiles()[i] || m.GetFound() != (p.Facts != nil) || !slices.Equal(m.GetSegments(), want) {
				t.Fatalf("round %d: %v, want %q", round, m, want)
			}
		}
	}
	if held == 0 {
		t.Error("nobody was held by anything")
	}
	one := []string{wire.ProfileName(x.People[0].UID)}
	_, err := s.lookups.LookupProfiles(t.Context(), &campaignv1.LookupProfilesRequest{Profiles: one, Segments: []string{"segments/new"}})
	s.refused(err, fault.Unavailable, "SEGMENT_BUILDING")
	_, err = s.lookups.LookupProfiles(t.Context(), &campaignv1.LookupProfilesRequest{Profiles: one, Segments: []string{"segments/women", "segments/nobody"}})
	s.refused(err, fault.Invalid, "UNKNOWN_SEGMENT", "segments[1]")
	_, err = s.lookups.LookupProfiles(t.Context(), &campaignv1.LookupProfilesRequest{Profiles: append(one, "profiles/x")})
	s.refused(err, fault.Invalid, "VALIDATION_FAILED", "profiles[1]")
}
