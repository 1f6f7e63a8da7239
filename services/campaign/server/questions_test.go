package server_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/revision"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/campaign/internal/indextest"
	"github.com/narrowcast/narrowcast/services/campaign/server"
)

func TestAWrongSpecIsRefusedWithEveryFieldAndAStableReason(t *testing.T) {
	s := start(t, indextest.New(t, 1, 50, 1, someSegments()...), nil).ready()
	for name, c := range map[string]struct {
		spec   *campaignv1.AudienceSpec
		reason string
		paths  []string
	}{
		"unknown region":     {&campaignv1.AudienceSpec{Regions: []string{"FR", "XX-1"}}, "UNKNOWN_REGION", []string{"audience.spec.regions[1]"}},
		"age 40 to 30":       {&campaignv1.AudienceSpec{Age: &typev1.AgeRange{Min: proto.Int32(40), Max: proto.Int32(30)}}, "INVALID_RANGE", []string{"audience.spec.age.min"}},
		"income upside down": {&campaignv1.AudienceSpec{Income: &typev1.MoneyRange{Min: "20", Max: "10"}}, "INVALID_RANGE", []string{"audience.spec.income.min"}},
		"unknown job level":  {&campaignv1.AudienceSpec{JobLevels: []typev1.JobLevel{6, 99}}, "VALIDATION_FAILED", []string{"audience.spec.job_levels[1]"}},
		"no such day":        {&campaignv1.AudienceSpec{AsOf: &date.Date{Year: 2026, Month: 2, Day: 30}}, "INVALID_DATE", []string{"audience.spec.as_of.day"}},
		"unknown segment":    {&campaignv1.AudienceSpec{ExcludedSegments: []string{"segments/women", "segments/nobody"}}, "UNKNOWN_SEGMENT", []string{"audience.spec.excluded_segments[1]"}},
		"not a segment":      {&campaignv1.AudienceSpec{AllSegments: []string{"women"}}, "UNKNOWN_SEGMENT", []string{"audience.spec.all_segments[0]"}},
		"unknown persona":    {&campaignv1.AudienceSpec{Personas: []string{"personas/nobody"}}, "UNKNOWN_PERSONA", []string{"audience.spec.personas[0]"}},
		"filter syntax":      {&campaignv1.AudienceSpec{Filter: `gender ==`}, "RULE_SYNTAX", []string{"audience.spec.filter"}},
		"filter type":        {&campaignv1.AudienceSpec{Filter: `gender > 3`}, "RULE_TYPE", []string{"audience.spec.filter"}},
		"filter attribute":   {&campaignv1.AudienceSpec{Filter: `custom.mood == "x"`}, "RULE_UNKNOWN_ATTRIBUTE", []string{"audience.spec.filter"}},
		"filter value":       {&campaignv1.AudienceSpec{Filter: `gender == "none"`}, "RULE_UNKNOWN_VALUE", []string{"audience.spec.filter"}},
		"filter segment":     {&campaignv1.AudienceSpec{Filter: `segment("nobody")`}, "RULE_UNKNOWN_SEGMENT", []string{"audience.spec.filter"}},
		"all at once": {
			&campaignv1.AudienceSpec{
				Regions: []string{"XX"}, Age: &typev1.AgeRange{Min: proto.Int32(40), Max: proto.Int32(30)}, AllSegments: []string{"segments/no"},
				Filter: "1 +", AsOf: &date.Date{Year: 2026},
			}, "INVALID_FIELDS",
			[]string{"audience.spec.as_of.day", "audience.spec.all_segments[0]", "audience.spec.filter", "audience.spec.regions[0]", "audience.spec.age.min"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.T = t
			_, err := s.count(c.spec)
			s.refused(err, fault.Invalid, c.reason, c.paths...)
			_, err = s.stream(&campaignv1.StreamMembersRequest{Audience: stated(c.spec)})
			s.refused(err, fault.Invalid, c.reason, c.paths...)
			_, err = s.audiences.CreateAudience(t.Context(), &campaignv1.CreateAudienceRequest{AudienceId: "a", Audience: &campaignv1.Audience{Spec: c.spec}})
			s.refused(err, fault.Invalid, c.reason, c.paths...)
		})
	}
	s.T = t
	if _, err := s.audiences.GetAudience(t.Context(), &campaignv1.GetAudienceRequest{Name: "audiences/a"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a refused audience was saved: %v", err)
	}
	_, err := s.count(&campaignv1.AudienceSpec{Filter: `custom.mood == "x"`})
	if f := fault.As(err); f == nil || f.Metadata["attribute"] != "custom.mood" || f.Metadata["line"] != "1" || f.Metadata["column"] == "" {
		t.Errorf("metadata of %+v", f)
	}
}

func TestASegmentThatIsBeingBuiltIsNotEmpty(t *testing.T) {
	segments := append(someSegments(),
		&indextest.Segment{Name: "segments/new", Rule: `gender == "male"`, Building: true},
		&indextest.Segment{Name: "segments/newer", Rule: `gender == "male"`, Hidden: true},
		&indextest.Segment{Name: "segments/persona-newest", Owner: "personas/newest", Rule: `gender == "male"`, Hidden: true},
	)
	s := start(t, indextest.New(t, 1, 50, 1, segments...), nil).ready()
	for name, c := range map[string]struct {
		spec           *campaignv1.AudienceSpec
		named, percent string
	}{
		"building":                  {&campaignv1.AudienceSpec{ExcludedSegments: []string{"segments/new"}}, "segments/new", "40"},
		"not announced yet":         {&campaignv1.AudienceSpec{AllSegments: []string{"segments/newer"}}, "segments/newer", "5"},
		"persona not announced yet": {&campaignv1.AudienceSpec{Personas: []string{"personas/newest"}}, "personas/newest", "5"},
		"in a filter":               {&campaignv1.AudienceSpec{Filter: `!segment("new")`}, "segments/new", "40"},
	} {
		t.Run(name, func(t *testing.T) {
			s.T = t
			_, err := s.count(c.spec)
			f := s.refused(err, fault.Unavailable, "SEGMENT_BUILDING")
			if f.Metadata["segment"] != c.named || f.Metadata["progress_percent"] != c.percent || f.RetryAfter <= 0 {
				t.Errorf("metadata %v, retry after %v", f.Metadata, f.RetryAfter)
			}
			// Saving does not need its rows.
			id := "a-" + strings.ReplaceAll(name, " ", "-")
			if _, err := s.audiences.CreateAudience(t.Context(), &campaignv1.CreateAudienceRequest{AudienceId: id, Audience: &campaignv1.Audience{Spec: c.spec}}); err != nil {
				t.Errorf("save: %v", err)
			}
		})
	}
}

func TestAnswersSayWhatTheyWereMadeFrom(t *testing.T) {
	s := start(t, indextest.New(t, 3, 300, 2, someSegments()...), nil).ready()
	res, err := s.count(&campaignv1.AudienceSpec{AllSegments: []string{"segments/nested"}, Personas: []string{"personas/p"}, Filter: `segment("list")`})
	if err != nil {
		t.Fatal(err)
	}
	info := res.GetInfo()
	token, err := revision.Parse(info.GetConsistencyToken())
	if err != nil {
		t.Fatal(err)
	}
	want := revision.Token{
		Store:   indextest.StoreID,
		Profile: revision.Part{Incarnation: indextest.Incarnation, Revision: 1, Mark: []byte("mark")},
		Segment: revision.Part{Incarnation: indextest.Incarnation, Revision: 7, Mark: []byte("mark")},
	}
	if token.String() != want.String() || info.GetRevision() != 1 || info.GetDefinitionRevision() != 7 {
		t.Errorf("token %+v, revisions %d and %d", token, info.GetRevision(), info.GetDefinitionRevision())
	}
	if age := info.GetAge(); age == nil || age.AsDuration() <= 0 || age.AsDuration() > time.Hour {
		t.Errorf("age %v", age)
	}
	var rules []string
	for _, r := range info.GetRules() {
		rules = append(rules, r.GetSegment())
		if r.GetVersion() != 3 {
			t.Errorf("version of %s is %d", r.GetSegment(), r.GetVersion())
		}
	}
	if !slices.Equal(rules, []string{"segments/list", "segments/nested", "segments/persona-p"}) {
		t.Errorf("rules %q", rules)
	}
	if info.GetBlocksEvaluated() != 2 || info.GetFieldsFromStore()+info.GetFieldsFromMemory() == 0 {
		t.Errorf("sources %v", info)
	}
}

func TestAWarmCountCallsNobody(t *testing.T) {
	s := start(t, indextest.New(t, 3, 300, 2, someSegments()...), nil).ready()
	spec := &campaignv1.AudienceSpec{Regions: []string{"FR"}, ExcludedSegments: []string{"segments/older"}, Personas: []string{"personas/p"}, Channel: typev1.Channel_CHANNEL_EMAIL}
	cold, err := s.count(spec)
	if err != nil {
		t.Fatal(err)
	}
	before := s.index.Calls.Load()
	warm, err := s.count(spec)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.index.Calls.Load() - before; n != 0 {
		t.Errorf("a warm count made %d calls", n)
	}
	if warm.GetInfo().GetFieldsFromStore() != 0 || warm.GetCount() != cold.GetCount() {
		t.Errorf("warm %v, cold %v", warm, cold)
	}
}

func TestALostBlockIsRefilledAndAnswered(t *testing.T) {
	x := indextest.New(t, 3, 300, 2, someSegments()...)
	s := start(t, x, nil).ready()
	spec := &campaignv1.AudienceSpec{ExcludedSegments: []string{"segments/women"}}
	want, err := s.count(&campaignv1.AudienceSpec{Filter: `!segment("women")`})
	if err != nil {
		t.Fatal(err)
	}
	fresh := start(t, x, nil).ready() // with nothing in memory
	if err := x.Blocks.Drop(t.Context(), x.Key(0), x.Key(1)); err != nil {
		t.Fatal(err)
	}
	got, err := fresh.count(spec)
	if err != nil {
		t.Fatal(err)
	}
	if got.GetCount() != want.GetCount() || got.GetInfo().GetBlocksRefilled() != 2 {
		t.Errorf("after a flush: %d members, %d refilled; want %d and 2", got.GetCount(), got.GetInfo().GetBlocksRefilled(), want.GetCount())
	}
}

func TestConsistencyChoices(t *testing.T) {
	x := indextest.New(t, 5, 100, 1, someSegments()...)
	// What is reached is waited for as long as it takes, what is not is given up soon.
	s := start(t, x, func(c *server.Config) { c.MaxWait = time.Minute }).ready()
	hasty := start(t, x, func(c *server.Config) { c.MaxWait = 300 * time.Millisecond })
	askOf := func(s *suite, c *typev1.Consistency) (*campaignv1.CountAudienceResponse, error) {
		return s.audiences.CountAudience(t.Context(), &campaignv1.CountAudienceRequest{Audience: stated(&campaignv1.AudienceSpec{}), Consistency: c})
	}
	ask := func(c *typev1.Consistency) (*campaignv1.CountAudienceResponse, error) { return askOf(s, c) }
	fresh := func(token revision.Token) *typev1.Consistency {
		return &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: token.String()}}
	}
	at := func(revisionOf int64) revision.Token {
		return revision.Token{Store: indextest.StoreID, Profile: revision.Part{Incarnation: indextest.Incarnation, Revision: revisionOf}}
	}
	everyone := int64(len(x.People))

	if _, err := ask(fresh(at(1))); err != nil {
		t.Errorf("a token that is reached: %v", err)
	}
	for end := time.Now().Add(time.Minute); ; { // as soon as the manifest has come
		if _, err := askOf(hasty, fresh(at(1))); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no manifest has come")
		}
	}
	_, err := askOf(hasty, fresh(at(9)))
	s.refused(err, fault.Unavailable, "TOKEN_NOT_REACHED")
	other := at(1)
	other.Store = "another"
	_, err = ask(fresh(other))
	s.refused(err, fault.Precondition, "TOKEN_OF_ANOTHER_STORE")
	former := at(1)
	former.Profile.Incarnation = "life-0"
	_, err = ask(fresh(former))
	s.refused(err, fault.Precondition, "TOKEN_OF_ANOTHER_STORE")
	restored := at(1)
	restored.Profile.Mark = []byte("another mark")
	_, err = ask(fresh(restored))
	s.refused(err, fault.Precondition, "TOKEN_OF_ANOTHER_STORE")
	_, err = ask(&typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: "%%"}})
	s.refused(err, fault.Invalid, "TOKEN_INVALID", "consistency.at_least_as_fresh")

	// A token that is not reached yet is waited for.
	answered := make(chan int64, 1)
	go func() {
		res, err := ask(fresh(at(2)))
		if err != nil {
			t.Errorf("a token that is reached while the answer waits: %v", err)
		}
		answered <- res.GetCount()
	}()
	x.Commit(func() { x.People = x.People[1:] })
	if n := <-answered; n != everyone-1 {
		t.Errorf("%d people after one went, of %d before", n, everyone)
	}
	// Fully consistent asks for the head and waits for it.
	before := x.Calls.Load()
	fully := &typev1.Consistency{Requirement: &typev1.Consistency_FullyConsistent{FullyConsistent: true}}
	x.Commit(func() { x.People = x.People[1:] })
	if res, err := ask(fully); err != nil || res.GetCount() != everyone-2 || x.Calls.Load() != before+1 {
		t.Errorf("fully consistent: %v, %v, %d calls", res.GetCount(), err, x.Calls.Load()-before)
	}
	x.NoHeads.Store(true)
	_, err = ask(fully)
	s.refused(err, fault.Unavailable, "PROFILES_UNAVAILABLE")
	bounded := &typev1.Consistency{Requirement: &typev1.Consistency_MaxStaleness{MaxStaleness: durationpb.New(time.Minute)}}
	if _, err := ask(bounded); err != nil {
		t.Errorf("bounded staleness: %v", err)
	}
	bounded.Requirement = &typev1.Consistency_MaxStaleness{MaxStaleness: durationpb.New(0)}
	_, err = askOf(hasty, bounded)
	s.refused(err, fault.Unavailable, "INDEX_STALE")
	bounded.AllowStale = true
	if _, err := ask(bounded); err != nil {
		t.Errorf("a stale answer that is allowed: %v", err)
	}
}

func TestBeforeTheFirstManifestNothingIsAnswered(t *testing.T) {
	x := indextest.New(t, 5, 10, 1)
	s, err := server.New(t.Context(), configIn(t), server.Deps{Segments: x.Conn(), Profiles: x.Conn(), Blocks: x.Blocks})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Ready(t.Context()); fault.ReasonOf(err) != "INDEX_NOT_READY" {
		t.Errorf("ready: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	for s.Ready(ctx) != nil {
		select {
		case err := <-done:
			t.Fatalf("run ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestExplainNamesAProfileThatIsNotThere(t *testing.T) {
	s := start(t, indextest.New(t, 5, 10, 1), nil).ready()
	const nobody = "profiles/01890000-0000-7000-8000-000000000000"
	_, err := s.audiences.ExplainProfile(t.Context(), &campaignv1.ExplainProfileRequest{Audience: stated(&campaignv1.AudienceSpec{}), Profile: nobody})
	if f := s.refused(err, fault.NotFound, "PROFILE_NOT_FOUND"); f.Metadata["profile"] != nobody {
		t.Errorf("metadata %v", f.Metadata)
	}
}
