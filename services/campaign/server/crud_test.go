package server_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/narrowcast/narrowcast/pkg/fault"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/campaign/internal/indextest"
)

// fullSpec asks for something in every part.
func fullSpec() *campaignv1.AudienceSpec {
	return &campaignv1.AudienceSpec{
		Regions: []string{"FR-NAQ"}, PostalCodes: []string{"33*"}, Age: &typev1.AgeRange{Min: proto.Int32(0), Max: proto.Int32(99)},
		Genders: []typev1.Gender{typev1.Gender_GENDER_FEMALE, typev1.Gender_GENDER_OTHER}, JobLevels: []typev1.JobLevel{typev1.JobLevel_JOB_LEVEL_CXO},
		MinJobLevel: typev1.JobLevel_JOB_LEVEL_SENIOR, Income: &typev1.MoneyRange{CurrencyCode: "EUR", Min: "1.50", Max: "2"},
		Educations: []typev1.Education{typev1.Education_EDUCATION_DOCTORATE}, MaritalStatuses: []typev1.MaritalStatus{typev1.MaritalStatus_MARITAL_STATUS_WIDOWED},
		Roles: []typev1.Role{typev1.Role_ROLE_PRESCRIBER}, Lifecycles: []typev1.Lifecycle{typev1.Lifecycle_LIFECYCLE_LAPSED}, EmployerIndustries: []string{"énergie"},
		EmployerSizes: []typev1.EmployerSize{typev1.EmployerSize_EMPLOYER_SIZE_10001_PLUS}, Interests: []string{"cycling"},
		AllSegments: []string{"segments/women"}, AnySegments: []string{"segments/list"}, ExcludedSegments: []string{"segments/keen"}, Personas: []string{"personas/p"},
		Channel: typev1.Channel_CHANNEL_IN_PERSON, Purposes: []typev1.ConsentPurpose{typev1.ConsentPurpose_CONSENT_PURPOSE_DATA_SHARING},
		OnePerHousehold: true, Filter: `custom.vip && segment("nested")`, AsOf: &date.Date{Year: 1, Month: 1, Day: 1},
	}
}

func TestASavedAudienceIsTheOneThatWasGiven(t *testing.T) {
	s := start(t, indextest.New(t, 1, 50, 1, someSegments()...), nil).ready()
	spec := fullSpec()
	fields := spec.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if !spec.ProtoReflect().Has(fields.Get(i)) {
			t.Errorf("the test's spec asks nothing in %s", fields.Get(i).Name())
		}
	}
	made, err := s.audiences.CreateAudience(t.Context(), &campaignv1.CreateAudienceRequest{
		AudienceId: "a", Audience: &campaignv1.Audience{Name: "audiences/ignored", DisplayName: "Ä", Description: "d", Owner: "team", Spec: spec},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &campaignv1.Audience{
		Name: "audiences/a", Uid: made.GetUid(), DisplayName: "Ä", Description: "d", Owner: "team", Spec: spec, Version: 1, Etag: made.GetEtag(),
		CreateTime: made.GetCreateTime(), UpdateTime: made.GetCreateTime(),
	}
	if d := cmp.Diff(want, made, protocmp.Transform()); d != "" || made.GetUid() == "" || made.GetEtag() == "" || made.GetCreateTime() == nil {
		t.Errorf("created: %s", d)
	}
	read, err := s.audiences.GetAudience(t.Context(), &campaignv1.GetAudienceRequest{Name: "audiences/a"})
	if err != nil || !proto.Equal(made, read) {
		t.Errorf("read %v, %v", read, err)
	}
	_, err = s.audiences.CreateAudience(t.Context(), &campaignv1.CreateAudienceRequest{AudienceId: "a", Audience: &campaignv1.Audience{Spec: spec}})
	if f := s.refused(err, fault.Exists, "AUDIENCE_EXISTS"); f.Metadata["name"] != "audiences/a" {
		t.Errorf("metadata %v", f.Metadata)
	}
}

func TestASavedAudienceAnswersAsItsSpecDoes(t *testing.T) {
	s := start(t, indextest.New(t, 1, 300, 2, someSegments()...), nil).ready()
	spec := &campaignv1.AudienceSpec{Filter: `segment("nested")`, ExcludedSegments: []string{"segments/list"}}
	if _, err := s.audiences.CreateAudience(t.Context(), &campaignv1.CreateAudienceRequest{AudienceId: "a", Audience: &campaignv1.Audience{Spec: spec}}); err != nil {
		t.Fatal(err)
	}
	want, err := s.count(spec)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.audiences.CountAudience(t.Context(), &campaignv1.CountAudienceRequest{Audience: saved("audiences/a")})
	if err != nil || got.GetCount() != want.GetCount() || got.GetCount() == 0 {
		t.Errorf("saved %v, %v; stated %d", got.GetCount(), err, want.GetCount())
	}
	_, err = s.audiences.CountAudience(t.Context(), &campaignv1.CountAudienceRequest{Audience: saved("audiences/b")})
	s.refused(err, fault.NotFound, "AUDIENCE_NOT_FOUND")
	// A segment that went since makes the saved spec wrong, which is told at the name.
	s.index.Commit(func() {
		s.index.Segments = slices.DeleteFunc(s.index.Segments, func(x *indextest.Segment) bool { return x.Name == "segments/list" })
	})
	_, err = s.audiences.CountAudience(t.Context(), &campaignv1.CountAudienceRequest{
		Audience: saved("audiences/a"), Consistency: &typev1.Consistency{Requirement: &typev1.Consistency_FullyConsistent{FullyConsistent: true}},
	})
	s.refused(err, fault.Invalid, "UNKNOWN_SEGMENT", "audience.name")
}

func TestUpdatesFollowMaskAndEtag(t *testing.T) {
	s := start(t, indextest.New(t, 1, 50, 1, someSegments()...), nil).ready()
	made, err := s.audiences.CreateAudience(t.Context(), &campaignv1.CreateAudienceRequest{
		AudienceId: "a", Audience: &campaignv1.Audience{DisplayName: "n", Description: "d", Spec: fullSpec()},
	})
	if err != nil {
		t.Fatal(err)
	}
	update := func(a *campaignv1.Audience, paths ...string) (*campaignv1.Audience, error) {
		req := &campaignv1.UpdateAudienceRequest{Audience: a}
		a.Name = made.GetName()
		if a.Spec == nil {
			a.Spec = fullSpec() // the contract requires one, whatever the mask says
		}
		if paths != nil {
			req.UpdateMask = &fieldmaskpb.FieldMask{Paths: paths}
		}
		return s.audiences.UpdateAudience(t.Context(), req)
	}
	now, err := update(&campaignv1.Audience{DisplayName: "", Description: "ignored"}, "display_name")
	if err != nil || now.GetDisplayName() != "" || now.GetDescription() != "d" || now.GetVersion() != 1 {
		t.Errorf("one field: %v, %v", now, err)
	}
	now, err = update(&campaignv1.Audience{Description: "new"})
	if err != nil || now.GetDisplayName() != "" || now.GetDescription() != "new" || now.GetVersion() != 1 {
		t.Errorf("no mask: %v, %v", now, err)
	}
	now, err = update(&campaignv1.Audience{Spec: &campaignv1.AudienceSpec{}, Etag: now.GetEtag()}, "*")
	if err != nil || now.GetDescription() != "" || now.GetVersion() != 2 || !proto.Equal(now.GetSpec(), &campaignv1.AudienceSpec{}) {
		t.Errorf("all fields: %v, %v", now, err)
	}
	_, err = update(&campaignv1.Audience{Owner: "x", Etag: made.GetEtag()})
	s.refused(err, fault.Conflict, "ETAG_MISMATCH")
	_, err = update(&campaignv1.Audience{}, "display_name", "version")
	if f := s.refused(err, fault.Invalid, "UNKNOWN_FIELD", "update_mask.paths[1]"); f.Metadata["field"] != "version" {
		t.Errorf("metadata %v", f.Metadata)
	}
	_, err = update(&campaignv1.Audience{Spec: &campaignv1.AudienceSpec{Regions: []string{"ZZ9"}}}, "spec")
	s.refused(err, fault.Invalid, "UNKNOWN_REGION", "audience.spec.regions[0]")
	read, err := s.audiences.GetAudience(t.Context(), &campaignv1.GetAudienceRequest{Name: made.GetName()})
	if err != nil || !proto.Equal(read, now) {
		t.Errorf("refused updates changed something: %v, %v", read, err)
	}
}

func TestCampaignsNeedAnAudienceAndKeepIt(t *testing.T) {
	s := start(t, indextest.New(t, 1, 50, 1, someSegments()...), nil).ready()
	want := &campaignv1.Campaign{
		DisplayName: "c", Objective: campaignv1.Campaign_OBJECTIVE_WIN_BACK, ValueProposition: "v", Audience: "audiences/a", Channel: typev1.Channel_CHANNEL_EMAIL,
		Budget: &typev1.Money{CurrencyCode: "EUR", Amount: "1200.50"}, StartDate: &date.Date{Year: 2026, Month: 12, Day: 1}, EndDate: &date.Date{Year: 2026, Month: 12, Day: 24},
	}
	create := func(c *campaignv1.Campaign) (*campaignv1.Campaign, error) {
		return s.campaigns.CreateCampaign(t.Context(), &campaignv1.CreateCampaignRequest{CampaignId: "c", Campaign: c})
	}
	_, err := create(want)
	s.refused(err, fault.Invalid, "AUDIENCE_NOT_FOUND", "campaign.audience")
	if _, err := s.audiences.CreateAudience(t.Context(), &campaignv1.CreateAudienceRequest{AudienceId: "a", Audience: &campaignv1.Audience{Spec: &campaignv1.AudienceSpec{}}}); err != nil {
		t.Fatal(err)
	}
	wrong := proto.CloneOf(want)
	wrong.EndDate, wrong.Budget = &date.Date{Year: 2026, Month: 11, Day: 31}, &typev1.Money{CurrencyCode: "EUR", Amount: "-1"}
	_, err = create(wrong)
	s.refused(err, fault.Invalid, "INVALID_FIELDS", "campaign.end_date.day", "campaign.budget.amount")
	wrong = proto.CloneOf(want)
	wrong.EndDate = &date.Date{Year: 2026, Month: 11, Day: 30}
	_, err = create(wrong)
	s.refused(err, fault.Invalid, "INVALID_RANGE", "campaign.end_date")
	made, err := create(want)
	if err != nil {
		t.Fatal(err)
	}
	want.Name, want.Uid, want.Etag, want.State = "campaigns/c", made.GetUid(), made.GetEtag(), campaignv1.Campaign_STATE_DRAFT
	want.CreateTime, want.UpdateTime = made.GetCreateTime(), made.GetCreateTime()
	if d := cmp.Diff(want, made, protocmp.Transform()); d != "" {
		t.Errorf("created: %s", d)
	}
	_, err = s.audiences.DeleteAudience(t.Context(), &campaignv1.DeleteAudienceRequest{Name: "audiences/a"})
	if f := s.refused(err, fault.Precondition, "AUDIENCE_IN_USE"); f.Metadata["used_by"] != "campaigns/c" {
		t.Errorf("metadata %v", f.Metadata)
	}
	now, err := s.campaigns.UpdateCampaign(t.Context(), &campaignv1.UpdateCampaignRequest{
		Campaign:   &campaignv1.Campaign{Name: "campaigns/c", Objective: campaignv1.Campaign_OBJECTIVE_GROWTH, Audience: "audiences/a"},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"objective", "budget", "end_date"}},
	})
	if err != nil || now.GetObjective() != campaignv1.Campaign_OBJECTIVE_GROWTH || now.GetBudget() != nil || now.GetEndDate() != nil || now.GetStartDate() == nil {
		t.Errorf("updated: %v, %v", now, err)
	}
	if _, err := s.campaigns.DeleteCampaign(t.Context(), &campaignv1.DeleteCampaignRequest{Name: "campaigns/c", Etag: now.GetEtag()}); err != nil {
		t.Error(err)
	}
	if _, err := s.audiences.DeleteAudience(t.Context(), &campaignv1.DeleteAudienceRequest{Name: "audiences/a"}); err != nil {
		t.Error(err)
	}
	_, err = s.campaigns.GetCampaign(t.Context(), &campaignv1.GetCampaignRequest{Name: "campaigns/c"})
	s.refused(err, fault.NotFound, "CAMPAIGN_NOT_FOUND")
}

func TestListsPage(t *testing.T) {
	s := start(t, indextest.New(t, 1, 10, 1), nil).ready()
	var want []string
	for i := range 5 {
		id := fmt.Sprintf("a%d", i)
		want = append(want, "audiences/"+id)
		if _, err := s.audiences.CreateAudience(t.Context(), &campaignv1.CreateAudienceRequest{AudienceId: id, Audience: &campaignv1.Audience{Spec: &campaignv1.AudienceSpec{}}}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	token := ""
	for pages := 1; ; pages++ {
		res, err := s.audiences.ListAudiences(t.Context(), &campaignv1.ListAudiencesRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range res.GetAudiences() {
			got = append(got, a.GetName())
		}
		if token = res.GetNextPageToken(); token == "" {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		if _, err := s.campaigns.ListCampaigns(t.Context(), &campaignv1.ListCampaignsRequest{PageToken: token}); fault.ReasonOf(err) != "PAGE_TOKEN_INVALID" {
			t.Errorf("a token of another list: %v", err)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
