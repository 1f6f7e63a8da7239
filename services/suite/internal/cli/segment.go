package cli

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
)

type segmentCommands struct {
	Create    segmentCreate    `cmd:"" help:"Create a segment with a rule or a static list."`
	List      segmentList      `cmd:"" help:"List the segments."`
	Get       segmentGet       `cmd:"" help:"Show a segment."`
	Update    segmentUpdate    `cmd:"" help:"Change a segment."`
	Delete    segmentDelete    `cmd:"" help:"Delete a segment."`
	Preview   segmentPreview   `cmd:"" help:"Count who a rule would hold, before it is saved."`
	Breakdown segmentBreakdown `cmd:"" help:"Break a segment, a rule or everybody down by attributes."`
	Add       segmentAdd       `cmd:"" help:"Add profiles to a static list."`
	Remove    segmentRemove    `cmd:"" help:"Remove profiles from a static list."`
}

type segmentCreate struct {
	ID          string `arg:"" help:"Id: lower-case letters, digits and hyphens."`
	Rule        string `help:"CEL rule, such as 'job_level >= \"director\" && region.within(\"FR-NAQ\")'; @FILE reads it from a file." placeholder:"CEL"`
	Static      bool   `help:"A static list instead of a rule; add profiles with: segment add."`
	DisplayName string `help:"Name for people."`
	Description string `help:"What the segment is."`
	DryRun      bool   `help:"Check only; nothing is stored."`
	writing
}

func (c *segmentCreate) run(s *session) error {
	seg := &segmentv1.Segment{DisplayName: c.DisplayName, Description: c.Description}
	switch {
	case c.Static == (c.Rule != ""):
		return usage("a segment has either --rule or --static")
	case c.Static:
		seg.Definition = &segmentv1.Segment_StaticList_{StaticList: &segmentv1.Segment_StaticList{}}
	default:
		rule, err := s.ruleText(c.Rule)
		if err != nil {
			return err
		}
		seg.Definition = &segmentv1.Segment_Rule{Rule: rule}
	}
	ctx, cancel := s.call()
	defer cancel()
	seg, err := s.client.Segments.CreateSegment(ctx, &segmentv1.CreateSegmentRequest{Segment: seg, SegmentId: c.ID, ValidateOnly: c.DryRun})
	if err != nil {
		return err
	}
	if !c.DryRun {
		seg = s.settled(c.writing, seg)
	}
	return s.showSegment(seg)
}

// settled waits until questions include a segment and returns it as it is then, with the token of its write.
func (s *session) settled(w writing, seg *segmentv1.Segment) *segmentv1.Segment {
	s.settle(w, seg.GetConsistencyToken())
	if w.NoWait {
		return seg
	}
	ctx, cancel := s.call()
	defer cancel()
	now, err := s.client.Segments.GetSegment(ctx, &segmentv1.GetSegmentRequest{Name: seg.GetName()})
	if err != nil {
		return seg // the write succeeded; how its building goes is extra
	}
	now.ConsistencyToken = seg.GetConsistencyToken()
	return now
}

// ruleText returns a rule as given, or the text of the file behind '@'.
func (s *session) ruleText(rule string) (string, error) {
	name, file := strings.CutPrefix(rule, "@")
	if !file {
		return rule, nil
	}
	text, err := readFile(name, s.env.Stdin)
	return strings.TrimSpace(string(text)), err
}

func (s *session) showSegment(seg *segmentv1.Segment) error {
	if s.json() {
		return s.message(seg)
	}
	definition := seg.GetRule()
	if list := seg.GetStaticList(); list != nil {
		definition = "static list of " + table.Int(list.GetMemberCount()) + " profiles"
	}
	return s.facts("name", seg.GetName(), "display name", seg.GetDisplayName(), "description", seg.GetDescription(), "rule", definition,
		"refers to", strings.Join(seg.GetReferences(), ", "), "owner", seg.GetOwner(), "state", segmentState(seg),
		"version", table.Int(seg.GetVersion()), "etag", seg.GetEtag(), "token", seg.GetConsistencyToken())
}

func segmentState(seg *segmentv1.Segment) string {
	state := strings.ToLower(strings.TrimPrefix(seg.GetState().String(), "STATE_"))
	if state == "building" || state == "rebuilding" {
		return fmt.Sprintf("%s, %d %%", state, seg.GetProgressPercent())
	}
	return state
}

type segmentList struct{}

func (c *segmentList) run(s *session) error {
	all := &segmentv1.ListSegmentsResponse{}
	err := pages(s, func(ctx context.Context, token string) (string, error) {
		page, err := s.client.Segments.ListSegments(ctx, &segmentv1.ListSegmentsRequest{PageSize: 1000, PageToken: token})
		all.Segments = append(all.Segments, page.GetSegments()...)
		return page.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	if s.json() {
		return s.message(all)
	}
	t := table.New("segment", "state", ">version", "owner", "rule")
	for _, seg := range all.GetSegments() {
		rule := seg.GetRule()
		if list := seg.GetStaticList(); list != nil {
			rule = "static list of " + table.Int(list.GetMemberCount())
		}
		t.Row(short(seg.GetName()), segmentState(seg), table.Int(seg.GetVersion()), seg.GetOwner(), rule)
	}
	return s.table(t)
}

type segmentGet struct {
	Name string `arg:"" help:"The segment."`
}

func (c *segmentGet) run(s *session) error {
	ctx, cancel := s.call()
	defer cancel()
	seg, err := s.client.Segments.GetSegment(ctx, &segmentv1.GetSegmentRequest{Name: resource("segments", c.Name)})
	if err != nil {
		return err
	}
	return s.showSegment(seg)
}

type segmentUpdate struct {
	Name        string  `arg:"" help:"The segment."`
	Rule        *string `help:"New rule; @FILE reads it from a file." placeholder:"CEL"`
	DisplayName *string `help:"Name for people."`
	Description *string `help:"What the segment is."`
	Etag        string  `help:"Change it only if it still has this etag."`
	DryRun      bool    `help:"Check only; nothing is stored."`
	writing
}

func (c *segmentUpdate) run(s *session) error {
	mask := masked("display_name", c.DisplayName != nil, "description", c.Description != nil, "rule", c.Rule != nil)
	if len(mask.GetPaths()) == 0 {
		return usage("nothing to change; give flags")
	}
	seg := &segmentv1.Segment{
		Name: resource("segments", c.Name), Etag: c.Etag, DisplayName: deref(c.DisplayName), Description: deref(c.Description),
	}
	if c.Rule != nil {
		rule, err := s.ruleText(*c.Rule)
		if err != nil {
			return err
		}
		seg.Definition = &segmentv1.Segment_Rule{Rule: rule}
	}
	ctx, cancel := s.call()
	defer cancel()
	seg, err := s.client.Segments.UpdateSegment(ctx, &segmentv1.UpdateSegmentRequest{Segment: seg, UpdateMask: mask, ValidateOnly: c.DryRun})
	if err != nil {
		return err
	}
	if !c.DryRun {
		seg = s.settled(c.writing, seg)
	}
	return s.showSegment(seg)
}

type segmentDelete struct {
	Name string `arg:"" help:"The segment."`
	Etag string `help:"Delete it only if it still has this etag."`
	writing
}

func (c *segmentDelete) run(s *session) error {
	ctx, cancel := s.call()
	defer cancel()
	name := resource("segments", c.Name)
	answer, err := s.client.Segments.DeleteSegment(ctx, &segmentv1.DeleteSegmentRequest{Name: name, Etag: c.Etag})
	if err != nil {
		return err
	}
	s.settle(c.writing, answer.GetConsistencyToken())
	if s.json() {
		return s.message(answer)
	}
	return s.print("%s is deleted\n", name)
}

type segmentPreview struct {
	Rule string `arg:"" help:"CEL rule; @FILE reads it from a file."`
	freshness
}

func (c *segmentPreview) run(s *session) error {
	fresh, err := c.freshness.message()
	if err != nil {
		return err
	}
	rule, err := s.ruleText(c.Rule)
	if err != nil {
		return err
	}
	answer, err := asked(s, s.client.Segments.PreviewSegment, &segmentv1.PreviewSegmentRequest{Rule: rule, Consistency: fresh})
	if err != nil {
		return err
	}
	if s.json() {
		return s.message(answer)
	}
	if err := s.print("%s of %s people\n", table.Int(answer.GetCount()), table.Int(answer.GetBase())); err != nil {
		return err
	}
	return s.info(answer.GetInfo())
}

type segmentBreakdown struct {
	Name   string    `arg:"" optional:"" help:"The segment; none: everybody."`
	By     []string  `required:"" help:"Attributes to break down by, such as age,job_level,custom.tier."`
	Rule   string    `help:"A rule instead of a segment; @FILE reads it from a file." placeholder:"CEL"`
	Bounds []float64 `help:"Bounds of the bands, for every number, date or age: 18,25 makes <18, 18-24, 25+."`
	Limit  int32     `help:"At most so many values of each attribute; 0: 50." default:"0"`
	freshness
}

func (c *segmentBreakdown) run(s *session) error {
	fresh, err := c.freshness.message()
	if err != nil {
		return err
	}
	req := &segmentv1.BreakdownSegmentRequest{Consistency: fresh}
	switch {
	case c.Name != "" && c.Rule != "":
		return usage("give a segment or --rule, not both")
	case c.Name != "":
		req.Subject = &segmentv1.BreakdownSegmentRequest_Segment{Segment: resource("segments", c.Name)}
	case c.Rule != "":
		rule, err := s.ruleText(c.Rule)
		if err != nil {
			return err
		}
		req.Subject = &segmentv1.BreakdownSegmentRequest_Rule{Rule: rule}
	}
	for _, by := range c.By {
		req.Dimensions = append(req.Dimensions, &segmentv1.BreakdownSegmentRequest_Dimension{Attribute: by, Bounds: c.Bounds, Limit: c.Limit})
	}
	answer, err := asked(s, s.client.Insight.BreakdownSegment, req)
	if err != nil {
		return err
	}
	if s.json() {
		return s.message(answer)
	}
	if err := s.print("%s of %s people\n", table.Int(answer.GetCount()), table.Int(answer.GetBase())); err != nil {
		return err
	}
	for _, d := range answer.GetDistributions() {
		t := table.New(d.GetAttribute(), ">people", ">share", ">of everybody", ">lift")
		for _, b := range d.GetBuckets() {
			t.Row(b.GetValue(), table.Int(b.GetCount()), percent(b.GetShare()), percent(b.GetBaseShare()), strconv.FormatFloat(b.GetLift(), 'f', 2, 64))
		}
		if d.GetOtherCount() > 0 {
			t.Row("(others)", table.Int(d.GetOtherCount()))
		}
		if d.GetMissingCount() > 0 {
			t.Row("(unknown)", table.Int(d.GetMissingCount()))
		}
		if err := s.print("\n"); err != nil {
			return err
		}
		if err := s.table(t); err != nil {
			return err
		}
	}
	return s.info(answer.GetInfo())
}

// profilesArg names profiles: as arguments, or one a line in a file.
type profilesArg struct {
	Name     string   `arg:"" help:"A segment with a static list."`
	Profiles []string `arg:"" optional:"" help:"Profiles: names or uids."`
	File     string   `help:"File with a profile a line, - for standard input." placeholder:"FILE"`
}

func (a *profilesArg) names(s *session) ([]string, error) {
	names := resources("profiles", a.Profiles)
	if a.File != "" {
		text, err := readFile(a.File, s.env.Stdin)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(strings.NewReader(string(text)))
		for lines.Scan() {
			if name := strings.TrimSpace(lines.Text()); name != "" {
				names = append(names, resource("profiles", name))
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", a.File, err)
		}
	}
	if len(names) == 0 {
		return nil, usage("name at least one profile, as argument or with --file")
	}
	return names, nil
}

// perCall is how many profiles one call takes.
const perCall = 10_000

type segmentAdd struct {
	profilesArg
	writing
}

func (c *segmentAdd) run(s *session) error {
	return s.changeList(c.profilesArg, c.writing, func(ctx context.Context, name string, profiles []string) (*segmentv1.Segment, error) {
		return s.client.Segments.AddSegmentMembers(ctx, &segmentv1.AddSegmentMembersRequest{Name: name, Profiles: profiles})
	})
}

type segmentRemove struct {
	profilesArg
	writing
}

func (c *segmentRemove) run(s *session) error {
	return s.changeList(c.profilesArg, c.writing, func(ctx context.Context, name string, profiles []string) (*segmentv1.Segment, error) {
		return s.client.Segments.RemoveSegmentMembers(ctx, &segmentv1.RemoveSegmentMembersRequest{Name: name, Profiles: profiles})
	})
}

func (s *session) changeList(a profilesArg, w writing, change func(context.Context, string, []string) (*segmentv1.Segment, error)) error {
	names, err := a.names(s)
	if err != nil {
		return err
	}
	var seg *segmentv1.Segment
	for some := range slices.Chunk(names, perCall) {
		ctx, cancel := s.call()
		seg, err = change(ctx, resource("segments", a.Name), some)
		cancel()
		if err != nil {
			return err
		}
	}
	return s.showSegment(s.settled(w, seg))
}
