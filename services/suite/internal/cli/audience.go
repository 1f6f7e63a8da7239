package cli

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
)

type audienceCommands struct {
	Count   audienceCount   `cmd:"" help:"Count an audience, with its narrowing."`
	Members audienceMembers `cmd:"" help:"Stream the names of the members."`
	Explain audienceExplain `cmd:"" help:"Say of one profile which predicates hold."`
	List    audienceList    `cmd:"" help:"List the saved audiences."`

	Breakdown audienceBreakdown `cmd:"" help:"Count an audience by attributes, one or several at once."`
	Overlap   audienceOverlap   `cmd:"" help:"Count what audiences have in common."`

	Get    audienceGet    `cmd:"" help:"Show a saved audience."`
	Save   audienceSave   `cmd:"" help:"Save an audience under a name, or change a saved one."`
	Delete audienceDelete `cmd:"" help:"Delete a saved audience."`
}

// which says which audience a question is about: a saved one, or flags.
type which struct {
	Name string `arg:"" optional:"" help:"A saved audience."`
	specFlags
}

func (w *which) ref(s *session) (*campaignv1.AudienceRef, error) {
	spec, stated, err := w.message(s.env.Stdin)
	if err != nil {
		return nil, err
	}
	if w.Name != "" {
		if stated {
			return nil, usage("give the name of a saved audience or flags that state one, not both")
		}
		return &campaignv1.AudienceRef{Audience: &campaignv1.AudienceRef_Name{Name: resource("audiences", w.Name)}}, nil
	}
	return &campaignv1.AudienceRef{Audience: &campaignv1.AudienceRef_Spec{Spec: spec}}, nil
}

type audienceCount struct {
	which
	freshness
}

func (c *audienceCount) run(s *session) error {
	ref, err := c.ref(s)
	if err != nil {
		return err
	}
	fresh, err := c.freshness.message()
	if err != nil {
		return err
	}
	answer, err := asked(s, s.client.Audiences.CountAudience, &campaignv1.CountAudienceRequest{Audience: ref, Consistency: fresh})
	if err != nil {
		return err
	}
	if s.json() {
		return s.message(answer)
	}
	return s.narrowing(answer)
}

// narrowing prints how many remain after each predicate.
func (s *session) narrowing(answer *campaignv1.CountAudienceResponse) error {
	t := table.New("who", ">people", ">of before")
	var before int64
	for i, step := range answer.GetSteps() {
		share := ""
		if i > 0 && before > 0 {
			share = percent(float64(step.GetCount()) / float64(before))
		}
		label := step.GetLabel()
		if label == "" {
			label = step.GetPart()
		}
		t.Row(label, table.Int(step.GetCount()), share)
		before = step.GetCount()
	}
	if len(answer.GetSteps()) == 0 {
		t.Row("members", table.Int(answer.GetCount()), "")
	}
	if err := s.table(t); err != nil {
		return err
	}
	return s.info(answer.GetInfo())
}

type audienceMembers struct {
	which
	freshness
	Limit       int64  `help:"At most so many; 0: all." default:"0"`
	ResumeToken string `help:"Go on behind the last message of a stream that broke." placeholder:"TOKEN"`
	Show        bool   `help:"Show each member's profile in a table instead of the name alone."`
}

func (c *audienceMembers) run(s *session) error {
	ref, err := c.ref(s)
	if err != nil {
		return err
	}
	fresh, err := c.freshness.message()
	if err != nil {
		return err
	}
	if c.Limit < 0 {
		return usage("--limit=%d: give 0 or more", c.Limit)
	}
	req := &campaignv1.StreamMembersRequest{Audience: ref, Consistency: fresh, ResumeToken: c.ResumeToken, Limit: c.Limit}
	return s.members(req, c.Show)
}

// members streams names as they come; memory does not grow with the audience, except for a table of profiles.
func (s *session) members(req *campaignv1.StreamMembersRequest, show bool) error {
	out := bufio.NewWriter(s.env.Stdout)
	var names []string
	n := 0
	write := func(name string) {
		n++
		switch {
		case show:
			names = append(names, name)
		case s.json() && n == 1:
			fmt.Fprintf(out, "{\n  \"members\": [\n    %q", name)
		case s.json():
			fmt.Fprintf(out, ",\n    %q", name)
		default:
			fmt.Fprintln(out, name)
		}
	}
	var sent, held int64
	token := ""
	// Before the first member a passing failure is waited out; after it the client resumes the stream itself.
	wait, cancel := s.call()
	defer cancel()
	err := s.patiently(wait, func(context.Context) error {
		stream := s.client.Members(s.ctx, req)
		for uid, err := range stream.All() {
			if err != nil {
				if n > 0 {
					s.note("%d members were received; go on with --resume-token=%s\n", n, stream.ResumeToken())
					return fmt.Errorf("stream members: %w", err)
				}
				return err
			}
			write("profiles/" + uid.String())
		}
		sent, held, token = stream.Received(), stream.HeldBack(), stream.ResumeToken()
		return nil
	})
	if err != nil {
		return err
	}
	if show {
		return s.showProfiles(names)
	}
	if s.json() {
		if n == 0 {
			fmt.Fprint(out, "{\n  \"members\": [")
		}
		fmt.Fprintf(out, "\n  ],\n  \"sent\": \"%d\",\n  \"held_back\": \"%d\",\n  \"resume_token\": %q\n}\n", sent, held, token)
		return out.Flush()
	}
	if err := out.Flush(); err != nil {
		return err
	}
	s.note("%s members", table.Int(sent))
	if held > 0 {
		s.note(", %s held back because their consent has gone", table.Int(held))
	}
	s.note("\n")
	return nil
}

// showProfiles prints profiles by name, in order.
func (s *session) showProfiles(names []string) error {
	var all []*profilev1.Profile
	for some := range slices.Chunk(names, 500) {
		ctx, cancel := s.call()
		answer, err := s.client.Profiles.BatchGetProfiles(ctx, &profilev1.BatchGetProfilesRequest{Names: some})
		cancel()
		if err != nil {
			return err
		}
		all = append(all, answer.GetProfiles()...)
	}
	if s.json() {
		return s.message(&profilev1.BatchGetProfilesResponse{Profiles: all})
	}
	return s.profileTable(all)
}

type audienceExplain struct {
	Profile string `arg:"" help:"The profile: its name or uid."`
	which
	freshness
}

func (c *audienceExplain) run(s *session) error {
	ref, err := c.ref(s)
	if err != nil {
		return err
	}
	fresh, err := c.freshness.message()
	if err != nil {
		return err
	}
	answer, err := asked(s, s.client.Audiences.ExplainProfile, &campaignv1.ExplainProfileRequest{
		Audience: ref, Profile: resource("profiles", c.Profile), Consistency: fresh,
	})
	if err != nil {
		return err
	}
	if s.json() {
		return s.message(answer)
	}
	t := table.New("part", "who", "holds")
	for _, step := range answer.GetSteps() {
		verdict := strings.ToLower(strings.TrimPrefix(step.GetVerdict().String(), "VERDICT_"))
		if verdict == "unknown" {
			verdict = "unknown: a value is missing"
		}
		t.Row(step.GetPart(), step.GetLabel(), verdict)
	}
	if err := s.table(t); err != nil {
		return err
	}
	is := "is not a member"
	if answer.GetMember() {
		is = "is a member"
	}
	if err := s.print("%s %s\n", resource("profiles", c.Profile), is); err != nil {
		return err
	}
	return s.info(answer.GetInfo())
}

type audienceList struct{}

func (c *audienceList) run(s *session) error {
	all := &campaignv1.ListAudiencesResponse{}
	err := pages(s, func(ctx context.Context, token string) (string, error) {
		page, err := s.client.Audiences.ListAudiences(ctx, &campaignv1.ListAudiencesRequest{PageSize: 1000, PageToken: token})
		all.Audiences = append(all.Audiences, page.GetAudiences()...)
		return page.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	if s.json() {
		return s.message(all)
	}
	t := table.New("audience", "display name", ">version", "owner", "description")
	for _, a := range all.GetAudiences() {
		t.Row(short(a.GetName()), a.GetDisplayName(), table.Int(a.GetVersion()), a.GetOwner(), a.GetDescription())
	}
	return s.table(t)
}

// pages calls until the last page; next returns the token of the page after.
func pages(s *session, next func(ctx context.Context, token string) (string, error)) error {
	token := ""
	for {
		ctx, cancel := s.call()
		after, err := next(ctx, token)
		cancel()
		if err != nil {
			return err
		}
		if after == "" {
			return nil
		}
		token = after
	}
}

type audienceGet struct {
	Name string `arg:"" help:"The saved audience."`
}

func (c *audienceGet) run(s *session) error {
	ctx, cancel := s.call()
	defer cancel()
	a, err := s.client.Audiences.GetAudience(ctx, &campaignv1.GetAudienceRequest{Name: resource("audiences", c.Name)})
	if err != nil {
		return err
	}
	return s.showAudience(a)
}

func (s *session) showAudience(a *campaignv1.Audience) error {
	if s.json() {
		return s.message(a)
	}
	spec, err := encode(a.GetSpec())
	if err != nil {
		return err
	}
	if err := s.facts("name", a.GetName(), "display name", a.GetDisplayName(), "description", a.GetDescription(), "owner", a.GetOwner(),
		"version", table.Int(a.GetVersion()), "etag", a.GetEtag()); err != nil {
		return err
	}
	return s.print("spec  %s\n", spec)
}

type audienceSave struct {
	ID string `arg:"" help:"Id: lower-case letters, digits and hyphens."`
	specFlags
	DisplayName *string `help:"Name for people."`
	Description *string `help:"What the audience is for."`
	Owner       *string `help:"Team or system that answers for it."`
	Update      bool    `help:"Change the saved audience of that id; only what is given changes."`
	Etag        string  `help:"Change it only if it still has this etag."`
}

func (c *audienceSave) run(s *session) error {
	spec, stated, err := c.message(s.env.Stdin)
	if err != nil {
		return err
	}
	a := &campaignv1.Audience{Spec: spec, DisplayName: deref(c.DisplayName), Description: deref(c.Description), Owner: deref(c.Owner)}
	ctx, cancel := s.call()
	defer cancel()
	if !c.Update {
		if a, err = s.client.Audiences.CreateAudience(ctx, &campaignv1.CreateAudienceRequest{Audience: a, AudienceId: c.ID}); err != nil {
			return err
		}
		return s.showAudience(a)
	}
	a.Name, a.Etag = resource("audiences", c.ID), c.Etag
	mask := masked("display_name", c.DisplayName != nil, "description", c.Description != nil, "owner", c.Owner != nil, "spec", stated)
	if len(mask.GetPaths()) == 0 {
		return usage("nothing to change; give flags")
	}
	if a, err = s.client.Audiences.UpdateAudience(ctx, &campaignv1.UpdateAudienceRequest{Audience: a, UpdateMask: mask}); err != nil {
		return err
	}
	return s.showAudience(a)
}

// masked builds an update mask of the paths that are followed by true.
func masked(pairs ...any) *fieldmaskpb.FieldMask {
	mask := &fieldmaskpb.FieldMask{}
	for i := 0; i+1 < len(pairs); i += 2 {
		path, isPath := pairs[i].(string)
		if given, ok := pairs[i+1].(bool); ok && given && isPath {
			mask.Paths = append(mask.Paths, path)
		}
	}
	return mask
}

func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

type audienceDelete struct {
	Name string `arg:"" help:"The saved audience."`
	Etag string `help:"Delete it only if it still has this etag."`
}

func (c *audienceDelete) run(s *session) error {
	ctx, cancel := s.call()
	defer cancel()
	name := resource("audiences", c.Name)
	answer, err := s.client.Audiences.DeleteAudience(ctx, &campaignv1.DeleteAudienceRequest{Name: name, Etag: c.Etag})
	if err != nil {
		return err
	}
	if s.json() {
		return s.message(answer)
	}
	return s.print("%s is deleted\n", name)
}
