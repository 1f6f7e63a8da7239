package cli

import (
	"strconv"
	"strings"

	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
)

type audienceBreakdown struct {
	which
	By []string `required:"" sep:"none" help:"Attribute to count by, such as gender; again for a cross table of up to four. Bounds of bands or values follow it: age=18,35,65 or region=FR,DE." placeholder:"ATTRIBUTE[=LIST]"`
	freshness
}

func (c *audienceBreakdown) run(s *session) error {
	ref, err := c.ref(s)
	if err != nil {
		return err
	}
	fresh, err := c.freshness.message()
	if err != nil {
		return err
	}
	req := &campaignv1.BreakdownAudienceRequest{Audience: ref, Consistency: fresh}
	for _, by := range c.By {
		req.Dimensions = append(req.Dimensions, dimensionOf(by))
	}
	answer, err := asked(s, s.client.Audiences.BreakdownAudience, req)
	if err != nil {
		return err
	}
	if s.json() {
		return s.message(answer)
	}
	var head []string
	var values [][]string
	for _, a := range answer.GetAxes() {
		head = append(head, a.GetAttribute())
		values = append(values, append(append([]string(nil), a.GetValues()...), "(other)", "(unknown)"))
	}
	t := table.New(append(head, ">people", ">share")...)
	for cell, n := range answer.GetCounts() {
		if n == 0 {
			continue
		}
		row := make([]string, len(values))
		rest := cell
		for i := len(values) - 1; i >= 0; i-- {
			row[i] = values[i][rest%len(values[i])]
			rest /= len(values[i])
		}
		t.Row(append(row, table.Int(n), percent(float64(n)/float64(answer.GetCount())))...)
	}
	if err := s.print("%s people\n", table.Int(answer.GetCount())); err != nil {
		return err
	}
	if err := s.table(t); err != nil {
		return err
	}
	return s.info(answer.GetInfo())
}

// dimensionOf reads an attribute with what it is divided by: numbers are bounds of bands, other words are values.
func dimensionOf(text string) *campaignv1.BreakdownAudienceRequest_Dimension {
	name, list, _ := strings.Cut(text, "=")
	d := &campaignv1.BreakdownAudienceRequest_Dimension{Attribute: name}
	if list == "" {
		return d
	}
	words := strings.Split(list, ",")
	for _, w := range words {
		n, err := strconv.ParseFloat(w, 64)
		if err != nil {
			d.Bounds, d.Values = nil, words
			return d
		}
		d.Bounds = append(d.Bounds, n)
	}
	return d
}

type audienceOverlap struct {
	Names []string `arg:"" help:"Saved audiences, or segments as segments/ID; 2 to 50."`
	freshness
}

func (c *audienceOverlap) run(s *session) error {
	fresh, err := c.freshness.message()
	if err != nil {
		return err
	}
	req := &campaignv1.OverlapAudiencesRequest{Consistency: fresh}
	for _, name := range c.Names {
		ref := &campaignv1.AudienceRef{Audience: &campaignv1.AudienceRef_Name{Name: resource("audiences", name)}}
		if strings.HasPrefix(name, "segments/") {
			ref.Audience = &campaignv1.AudienceRef_Spec{Spec: &campaignv1.AudienceSpec{AllSegments: []string{name}}}
		}
		req.Audiences = append(req.Audiences, ref)
	}
	answer, err := asked(s, s.client.Audiences.OverlapAudiences, req)
	if err != nil {
		return err
	}
	if s.json() {
		return s.message(answer)
	}
	t := table.New("first", ">people", "second", ">people", ">both", ">similarity", ">lift")
	for _, p := range answer.GetPairs() {
		a, b := p.GetFirst(), p.GetSecond()
		t.Row(c.Names[a], table.Int(answer.GetCounts()[a]), c.Names[b], table.Int(answer.GetCounts()[b]), table.Int(p.GetCount()),
			percent(p.GetSimilarity()), strconv.FormatFloat(p.GetLift(), 'f', 2, 64))
	}
	if err := s.table(t); err != nil {
		return err
	}
	return s.info(answer.GetInfo())
}

type profileSegments struct {
	Profiles []string `arg:"" help:"Profiles: names or uids, up to 1000."`
	In       []string `help:"Only these segments." placeholder:"SEGMENT,..."`
	freshness
}

func (c *profileSegments) run(s *session) error {
	fresh, err := c.freshness.message()
	if err != nil {
		return err
	}
	req := &campaignv1.LookupProfilesRequest{Profiles: resources("profiles", c.Profiles), Segments: resources("segments", c.In), Consistency: fresh}
	answer, err := asked(s, s.client.Lookup.LookupProfiles, req)
	if err != nil {
		return err
	}
	if s.json() {
		return s.message(answer)
	}
	t := table.New("profile", "segments")
	for _, m := range answer.GetMemberships() {
		switch {
		case !m.GetFound():
			t.Row(m.GetProfile(), "(not in the index)")
		case len(m.GetSegments()) == 0:
			t.Row(m.GetProfile(), "(none)")
		default:
			t.Row(m.GetProfile(), strings.Join(m.GetSegments(), " "))
		}
	}
	if err := s.table(t); err != nil {
		return err
	}
	for _, name := range answer.GetBuilding() {
		s.note("%s is being built and was left out", name)
	}
	return s.info(answer.GetInfo())
}
