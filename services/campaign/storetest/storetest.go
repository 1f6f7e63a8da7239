package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/campaign"
)

// Factory makes a fresh store whose clock is now; the test closes it.
type Factory func(t testing.TB, now func() time.Time) campaign.Store

// Run runs every case of the suite.
func Run(t *testing.T, open Factory) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"what was created is what is read", createRead},
		{"names are taken once, by case", taken},
		{"an update needs the current etag and makes a new one", update},
		{"a new spec is a new version and the old ones are kept", versions},
		{"an audience that a campaign has is not deleted", inUse},
		{"a campaign needs an audience that exists", needsAudience},
		{"a deleted name is free, and its etags are void", reborn},
		{"a page follows a name by bytes, whatever is inserted", pages},
		{"of concurrent writers with one etag one wins", race},
		{"every field of a campaign is kept", campaignFields},
		{"a cancelled context ends a call", cancelled},
		{"a closed store is unavailable", closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := &fixture{T: t, store: open(t, ticking())}
			t.Cleanup(func() {
				if err := f.store.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.run(t, f)
		})
	}
}

type fixture struct {
	*testing.T
	store campaign.Store
}

// ticking is a clock that goes on by a second each time it is asked.
func ticking() func() time.Time {
	var mu sync.Mutex
	clock := time.Date(2026, 11, 22, 3, 4, 5, 6789, time.UTC)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		clock = clock.Add(time.Second)
		return clock
	}
}

func ptr[T any](v T) *T { return &v }

// spec asks for something in every part, so that a driver that loses one is found.
func spec() campaign.Spec {
	return campaign.Spec{
		Regions: []string{"FR-NAQ", "DE"}, PostalCodes: []string{"33*"}, Age: &campaign.Ages{Min: ptr(int64(25)), Max: ptr(int64(34))},
		Genders: []string{"female"}, JobLevels: []string{"director"}, MinJobLevel: "senior",
		Income:     &campaign.Incomes{Currency: "EUR", Min: "10.50", Max: "20"},
		Educations: []string{"master"}, MaritalStatuses: []string{"single"}, Roles: []string{"buyer"}, Lifecycles: []string{"customer"},
		Industries: []string{"énergie"}, EmployerSizes: []string{"2-10"}, Interests: []string{"cycling", "\"quoted\""},
		AllSegments: []string{"segments/a"}, AnySegments: []string{"segments/b"}, ExcludedSegments: []string{"segments/c"},
		Personas: []string{"personas/d"}, Channel: "email", Purposes: []string{"marketing"}, OnePerHousehold: true,
		Filter: `custom.x > 1 && "a" in interests`, AsOf: ptr(int64(-1)),
	}
}

func audience(id string) campaign.Audience {
	return campaign.Audience{
		Name: campaign.AudiencePrefix + id, UID: "uid-" + id, DisplayName: "Ünï " + id, Description: "for tests", Owner: "team-x", Spec: spec(),
	}
}

func (f *fixture) audience(id string) campaign.Audience {
	f.Helper()
	a, err := f.store.CreateAudience(f.Context(), audience(id))
	if err != nil {
		f.Fatalf("create audience: %v", err)
	}
	return a
}

func (f *fixture) campaign(id, audience string) campaign.Campaign {
	f.Helper()
	c, err := f.store.CreateCampaign(f.Context(), campaign.Campaign{
		Name: campaign.CampaignPrefix + id, UID: "uid-" + id, Objective: "growth", Audience: audience, State: campaign.StateDraft,
	})
	if err != nil {
		f.Fatalf("create campaign: %v", err)
	}
	return c
}

func (f *fixture) fails(err error, kind fault.Kind, reason string) {
	f.Helper()
	if fault.KindOf(err) != kind || fault.ReasonOf(err) != reason {
		f.Errorf("got %v, want kind %v and reason %s", err, kind, reason)
	}
}

func createRead(t *testing.T, f *fixture) {
	want := audience("a")
	got := f.audience("a")
	if got.Version != 1 || len(got.Etag) < 10 || got.Etag[0] != '"' || got.Etag[len(got.Etag)-1] != '"' {
		t.Errorf("version %d, etag %s", got.Version, got.Etag)
	}
	if got.CreateTime.IsZero() || !got.CreateTime.Equal(got.UpdateTime) {
		t.Errorf("times %v and %v", got.CreateTime, got.UpdateTime)
	}
	want.Version, want.Etag, want.CreateTime, want.UpdateTime = 1, got.Etag, got.CreateTime, got.UpdateTime
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("created differs: %s", d)
	}
	read, err := f.store.Audience(t.Context(), got.Name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(got, read); d != "" {
		t.Errorf("read differs from created: %s", d)
	}
	_, err = f.store.Audience(t.Context(), "audiences/nobody")
	f.fails(err, fault.NotFound, campaign.ReasonAudienceNotFound)
	_, err = f.store.Campaign(t.Context(), "campaigns/nobody")
	f.fails(err, fault.NotFound, campaign.ReasonCampaignNotFound)
}

func taken(t *testing.T, f *fixture) {
	f.audience("a")
	again := audience("a")
	again.UID = "another"
	_, err := f.store.CreateAudience(t.Context(), again)
	f.fails(err, fault.Exists, campaign.ReasonAudienceExists)
	f.campaign("c", "audiences/a")
	_, err = f.store.CreateCampaign(t.Context(), campaign.Campaign{Name: "campaigns/c", UID: "z", Objective: "growth", Audience: "audiences/a"})
	f.fails(err, fault.Exists, campaign.ReasonCampaignExists)
	// A store that folds case or trims would call these the same.
	for _, name := range []string{"A", "a ", "á"} {
		f.audience(name)
	}
}

func update(t *testing.T, f *fixture) {
	was := f.audience("a")
	change := was
	change.DisplayName, change.Description, change.Owner = "new", "", "team-y"
	change.UID = "not yours to change"
	now, err := f.store.UpdateAudience(t.Context(), change)
	if err != nil {
		t.Fatal(err)
	}
	if now.Etag == was.Etag || !now.UpdateTime.After(was.UpdateTime) || !now.CreateTime.Equal(was.CreateTime) || now.UID != was.UID {
		t.Errorf("after the update: %+v", now)
	}
	if now.DisplayName != "new" || now.Description != "" || now.Owner != "team-y" || now.Version != 1 {
		t.Errorf("after the update: %+v", now)
	}
	_, err = f.store.UpdateAudience(t.Context(), change)
	f.fails(err, fault.Conflict, campaign.ReasonEtagMismatch)
	f.fails(f.store.DeleteAudience(t.Context(), was.Name, was.Etag), fault.Conflict, campaign.ReasonEtagMismatch)
	read, err := f.store.Audience(t.Context(), was.Name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(now, read); d != "" {
		t.Errorf("read differs from updated: %s", d)
	}
	change.Name = "audiences/b"
	_, err = f.store.UpdateAudience(t.Context(), change)
	f.fails(err, fault.NotFound, campaign.ReasonAudienceNotFound)
	if err := f.store.DeleteAudience(t.Context(), now.Name, now.Etag); err != nil {
		t.Error(err)
	}
	f.fails(f.store.DeleteAudience(t.Context(), now.Name, ""), fault.NotFound, campaign.ReasonAudienceNotFound)
}

func versions(t *testing.T, f *fixture) {
	a := f.audience("a")
	second := a
	second.Spec = campaign.Spec{Regions: []string{"FR"}}
	a, err := f.store.UpdateAudience(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	same := a
	same.Spec.Genders = []string{} // an empty list asks what none asks
	same.DisplayName = "renamed"
	if a, err = f.store.UpdateAudience(t.Context(), same); err != nil {
		t.Fatal(err)
	}
	if a.Version != 2 {
		t.Errorf("version %d after one new spec and one that asks the same", a.Version)
	}
	for version, want := range map[int64]campaign.Spec{1: spec(), 2: {Regions: []string{"FR"}}} {
		got, err := f.store.AudienceSpec(t.Context(), a.Name, version)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("version %d: %s", version, d)
		}
	}
	_, err = f.store.AudienceSpec(t.Context(), a.Name, 3)
	f.fails(err, fault.NotFound, campaign.ReasonAudienceNotFound)
}

func inUse(t *testing.T, f *fixture) {
	a := f.audience("a")
	f.campaign("second", a.Name)
	c := f.campaign("first", a.Name)
	err := f.store.DeleteAudience(t.Context(), a.Name, "")
	f.fails(err, fault.Precondition, campaign.ReasonAudienceInUse)
	if e := fault.As(err); e == nil || e.Metadata["name"] != a.Name || !slices.Contains([]string{"campaigns/first", "campaigns/second"}, e.Metadata["used_by"]) {
		t.Errorf("metadata of %v", err)
	}
	for _, name := range []string{c.Name, "campaigns/second"} {
		if err := f.store.DeleteCampaign(t.Context(), name, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.store.DeleteAudience(t.Context(), a.Name, a.Etag); err != nil {
		t.Errorf("after its campaigns went: %v", err)
	}
}

func needsAudience(t *testing.T, f *fixture) {
	a := f.audience("a")
	_, err := f.store.CreateCampaign(t.Context(), campaign.Campaign{Name: "campaigns/c", UID: "c", Objective: "growth", Audience: "audiences/gone"})
	f.fails(err, fault.Invalid, campaign.ReasonAudienceNotFound)
	if e := fault.As(err); e == nil || len(e.Violations) != 1 || e.Violations[0].Field != "audience" {
		t.Errorf("violations of %v", err)
	}
	if _, err := f.store.Campaign(t.Context(), "campaigns/c"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a refused campaign was stored: %v", err)
	}
	c := f.campaign("c", a.Name)
	c.Audience = "audiences/gone"
	_, err = f.store.UpdateCampaign(t.Context(), c)
	f.fails(err, fault.Invalid, campaign.ReasonAudienceNotFound)
}

func reborn(t *testing.T, f *fixture) {
	first := f.audience("a")
	if err := f.store.DeleteAudience(t.Context(), first.Name, ""); err != nil {
		t.Fatal(err)
	}
	again := audience("a")
	again.UID = "second life"
	again.Spec = campaign.Spec{}
	second, err := f.store.CreateAudience(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	if second.Version != 1 || second.Etag == first.Etag {
		t.Errorf("the second life: %+v", second)
	}
	f.fails(f.store.DeleteAudience(t.Context(), first.Name, first.Etag), fault.Conflict, campaign.ReasonEtagMismatch)
}

func pages(t *testing.T, f *fixture) {
	for _, id := range []string{"b", "B", "a-", "a0", "aa", "é", "z"} {
		f.audience(id)
	}
	// By bytes: capitals before small letters, "-" before digits, and what is not ASCII last.
	want := []string{"B", "a-", "a0", "aa", "b", "z", "é"}
	var got []string
	after := ""
	for {
		page, err := f.store.Audiences(t.Context(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > 2 {
			t.Fatalf("a page of 2 holds %d", len(page))
		}
		for _, a := range page {
			got = append(got, campaign.ShortName(a.Name))
			after = a.Name
			if d := cmp.Diff(spec(), a.Spec); d != "" {
				t.Errorf("listed spec: %s", d)
			}
		}
		if len(page) < 2 {
			break
		}
		if len(got) == 2 {
			f.audience("A")  // before the place that was reached: not seen
			f.audience("ab") // behind it: seen
		}
	}
	want = slices.Insert(want, 4, "ab")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("names: %s", d)
	}
	for i := range 3 {
		f.campaign(fmt.Sprintf("c%d", i), "audiences/b")
	}
	list, err := f.store.Campaigns(t.Context(), "campaigns/c0", 1)
	if err != nil || len(list) != 1 || list[0].Name != "campaigns/c1" {
		t.Errorf("campaigns after c0: %v, %v", list, err)
	}
}

func race(t *testing.T, f *fixture) {
	a := f.audience("a")
	const n = 8
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			mine := a
			mine.DisplayName = fmt.Sprint(i)
			_, errs[i] = f.store.UpdateAudience(t.Context(), mine)
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		f.fails(err, fault.Conflict, campaign.ReasonEtagMismatch)
	}
	if won != 1 {
		t.Errorf("%d of %d writers with one etag won", won, n)
	}
}

func campaignFields(t *testing.T, f *fixture) {
	a, b := f.audience("a"), f.audience("b")
	created, err := f.store.CreateCampaign(t.Context(), campaign.Campaign{
		Name: "campaigns/c", UID: "u", DisplayName: "Frühling", Objective: "win_back", ValueProposition: strings.Repeat("w", 5000),
		Audience: a.Name, Channel: "email", Budget: &campaign.Money{Currency: "EUR", Cents: 1<<53 + 1}, StartDay: ptr(int64(-1)),
		EndDay: ptr(int64(20000)), State: campaign.StateDraft,
	})
	if err != nil {
		t.Fatal(err)
	}
	read, err := f.store.Campaign(t.Context(), created.Name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(created, read); d != "" {
		t.Errorf("read differs from created: %s", d)
	}
	change := created
	change.Budget, change.StartDay, change.EndDay, change.Audience, change.Channel, change.DisplayName = nil, nil, nil, b.Name, "", ""
	now, err := f.store.UpdateCampaign(t.Context(), change)
	if err != nil {
		t.Fatal(err)
	}
	if now.Etag == created.Etag || !now.UpdateTime.After(created.UpdateTime) || !now.CreateTime.Equal(created.CreateTime) {
		t.Errorf("after the update: %+v", now)
	}
	if read, err = f.store.Campaign(t.Context(), created.Name); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(now, read); d != "" {
		t.Errorf("read differs from updated: %s", d)
	}
	if read.Budget != nil || read.StartDay != nil || read.Audience != b.Name {
		t.Errorf("cleared fields came back: %+v", read)
	}
	_, err = f.store.UpdateCampaign(t.Context(), change)
	f.fails(err, fault.Conflict, campaign.ReasonEtagMismatch)
	f.fails(f.store.DeleteCampaign(t.Context(), created.Name, created.Etag), fault.Conflict, campaign.ReasonEtagMismatch)
	if err := f.store.DeleteCampaign(t.Context(), now.Name, now.Etag); err != nil {
		t.Error(err)
	}
	f.fails(f.store.DeleteCampaign(t.Context(), now.Name, ""), fault.NotFound, campaign.ReasonCampaignNotFound)
	_, err = f.store.UpdateCampaign(t.Context(), now)
	f.fails(err, fault.NotFound, campaign.ReasonCampaignNotFound)
}

func cancelled(t *testing.T, f *fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.store.CreateAudience(ctx, audience("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("create under a cancelled context: %v", err)
	}
	if _, err := f.store.Audience(t.Context(), "audiences/a"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a cancelled create was made: %v", err)
	}
	if err := f.store.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
}

func closed(t *testing.T, f *fixture) {
	f.audience("a")
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := f.store.Audience(t.Context(), "audiences/a")
	f.fails(err, fault.Unavailable, campaign.ReasonStoreUnavailable)
	_, err = f.store.CreateAudience(t.Context(), audience("b"))
	f.fails(err, fault.Unavailable, campaign.ReasonStoreUnavailable)
	f.fails(f.store.Ping(t.Context()), fault.Unavailable, campaign.ReasonStoreUnavailable)
}
