package doctor_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks/redisblocks"
	"github.com/narrowcast/narrowcast/pkg/client"
	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/suite"
	"github.com/narrowcast/narrowcast/services/suite/e2e/worldtest"
	"github.com/narrowcast/narrowcast/services/suite/internal/doctor"
)

// told is a client whose streams of changes are altered: a store that says something else than the index has taken in.
type told struct {
	profilev1.ProfileServiceClient
	alter func(stream int, m *profilev1.WatchProfilesResponse)
	n     int
}

func (c *told) WatchProfiles(ctx context.Context, req *profilev1.WatchProfilesRequest, opts ...grpc.CallOption) (grpc.ServerStreamingClient[profilev1.WatchProfilesResponse], error) {
	s, err := c.ProfileServiceClient.WatchProfiles(ctx, req, opts...)
	c.n++
	return &altered{s, c.n, c.alter}, err
}

type altered struct {
	grpc.ServerStreamingClient[profilev1.WatchProfilesResponse]
	n     int
	alter func(stream int, m *profilev1.WatchProfilesResponse)
}

// Recv alters what is received.
func (s *altered) Recv() (*profilev1.WatchProfilesResponse, error) {
	m, err := s.ServerStreamingClient.Recv()
	if err == nil {
		s.alter(s.n, m)
	}
	return m, err
}

// each calls do for the change of a profile.
func each(name string, do func(m *profilev1.WatchProfilesResponse, i int)) func(int, *profilev1.WatchProfilesResponse) {
	return func(_ int, m *profilev1.WatchProfilesResponse) {
		for i, c := range m.GetChanges() {
			if c.GetProfile().GetName() == name {
				do(m, i)
				return
			}
		}
	}
}

func populate(t *testing.T, c *client.Client) (names []string) {
	t.Helper()
	_, err := c.Attributes.CreateAttribute(t.Context(), &profilev1.CreateAttributeRequest{
		AttributeId: "balance", Attribute: &profilev1.Attribute{Type: profilev1.Attribute_TYPE_DECIMAL, Scale: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	var rows []*profilev1.Profile
	for n := range 200 {
		p := &profilev1.Profile{
			Region: new([]string{"FR-40", "FR", "DE", "GB-LND"}[n%4]), JobLevel: typev1.JobLevel(n % 9), Gender: typev1.Gender(n % 3),
			Occupation: new(fmt.Sprint("occupation ", n%17)),
		}
		if n%3 > 0 {
			p.BirthDate = &date.Date{Year: int32(1950 + n%50)}
		}
		rows = append(rows, p)
	}
	res, err := c.Profiles.BatchUpsertProfiles(t.Context(), &profilev1.BatchUpsertProfilesRequest{Profiles: rows})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range res.GetResults() {
		names = append(names, r.GetName())
	}
	return names
}

// found returns the result of a check.
func found(t *testing.T, results []doctor.Result, check string) doctor.Result {
	t.Helper()
	i := slices.IndexFunc(results, func(r doctor.Result) bool { return r.Check == check })
	if i < 0 {
		t.Fatalf("%s was not checked: %+v", check, results)
	}
	return results[i]
}

func TestDifferencesBetweenStoreAndIndexAreNamed(t *testing.T) {
	addr := testkit.Redis(t)
	cfg := worldtest.Config(suite.All, t.TempDir())
	cfg.Redis = config.NewSecret("redis://" + addr)
	p := worldtest.Start(t, cfg, suite.Deps{Logger: worldtest.Logger(t), Assigner: worldtest.Spread(3)})
	c := worldtest.Client(t, client.Config{Addr: p.Addr})
	names := populate(t, c)
	raw := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() {
		if err := raw.Close(); err != nil {
			t.Error(err)
		}
	})
	with := func(alter func(int, *profilev1.WatchProfilesResponse)) []doctor.Result {
		t.Helper()
		return doctor.Index(t.Context(), doctor.IndexConfig{
			Profiles: &told{ProfileServiceClient: c.Profiles, alter: alter}, Segments: worldtest.Dial(t, p.Addr), Blocks: redisblocks.New(raw),
			Examples: 5, Wait: 20 * time.Second,
		})
	}
	sound := func(results []doctor.Result) {
		t.Helper()
		for _, r := range results {
			if r.Failed || r.Count > 0 {
				t.Errorf("of a sound index: %+v", r)
			}
		}
	}
	nothing := func(int, *profilev1.WatchProfilesResponse) {}
	sound(with(nothing))

	for name, w := range map[string]struct {
		alter func(int, *profilev1.WatchProfilesResponse)
		check string
		says  string
	}{
		"a ghost": {
			each(names[3], func(m *profilev1.WatchProfilesResponse, i int) { m.Changes = slices.Delete(m.Changes, i, i+1) }),
			doctor.CheckMembers, names[3] + " is in the index and not in the store",
		},
		"one who is missing": {
			each(names[4], func(m *profilev1.WatchProfilesResponse, i int) {
				more := m.Changes[i]
				m.Changes = append(m.Changes, &profilev1.WatchProfilesResponse_Change{
					Revision: more.GetRevision(),
					Change:   &profilev1.WatchProfilesResponse_Change_Profile{Profile: &profilev1.Profile{Name: "profiles/0198a000-0000-7000-8000-000000000001"}},
				})
			}),
			doctor.CheckMembers, "profiles/0198a000-0000-7000-8000-000000000001 is in the store and not in the index",
		},
		"another row": {
			each(names[5], func(m *profilev1.WatchProfilesResponse, i int) { m.Changes[i].GetProfile().Region = new("GB") }),
			doctor.CheckFacts, names[5] + " has other rows or columns than its facts give",
		},
		"another column": {
			each(names[6], func(m *profilev1.WatchProfilesResponse, i int) { m.Changes[i].GetProfile().Occupation = new("another") }),
			doctor.CheckFacts, names[6] + " has other rows or columns than its facts give",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := with(w.alter)
			for _, r := range got {
				want := int64(0)
				if r.Check == w.check {
					want = 1
				}
				if r.Failed || r.Count != want || want == 1 && !slices.Equal(r.Examples, []string{w.says}) {
					t.Errorf("%+v, want %d of %q", r, want, w.says)
				}
			}
		})
	}
	t.Run("a difference that is gone when it is looked at again", func(t *testing.T) {
		sound(with(func(stream int, m *profilev1.WatchProfilesResponse) {
			if stream == 1 {
				each(names[7], func(m *profilev1.WatchProfilesResponse, i int) {
					m.Changes[i].GetProfile().Region, m.Changes[i].Revision = new("GB"), m.Changes[i].Revision-1
				})(0, m)
			}
		}))
	})
	t.Run("a damaged block", func(t *testing.T) {
		head, err := c.Profiles.GetHead(t.Context(), &profilev1.GetHeadRequest{})
		if err != nil {
			t.Fatal(err)
		}
		keys, err := raw.Keys(t.Context(), "nc:"+head.GetStore()+":*").Result()
		if err != nil || len(keys) < 3 {
			t.Fatalf("the blocks are %v (%v)", keys, err)
		}
		if err := raw.HSet(t.Context(), keys[0], "f/region=FR", "damage").Err(); err != nil {
			t.Fatal(err)
		}
		got := doctor.Index(t.Context(), doctor.IndexConfig{
			Profiles: c.Profiles, Segments: worldtest.Dial(t, p.Addr), Blocks: redisblocks.New(raw), Examples: 5, Wait: 2 * time.Second,
		})
		if r := found(t, got, doctor.CheckBlocks); r.Count != 1 || !strings.Contains(r.Examples[0], "cannot be used") {
			t.Errorf("%+v", r)
		}
		if !found(t, got, doctor.CheckFacts).Failed {
			t.Error("facts were compared without all blocks")
		}
		if text, err := raw.HGet(t.Context(), keys[0], "f/region=FR").Result(); err != nil || text != "damage" {
			t.Error("the doctor had the block written again")
		}
	})
}

func TestCountsAreComparedWhereBlocksAreInMemory(t *testing.T) {
	p := worldtest.Start(t, worldtest.Config(suite.All, t.TempDir()), suite.Deps{Logger: worldtest.Logger(t)})
	c := worldtest.Client(t, client.Config{Addr: p.Addr})
	names := populate(t, c)
	counts := func(alter func(int, *profilev1.WatchProfilesResponse)) doctor.Result {
		t.Helper()
		return found(t, doctor.Counts(t.Context(), doctor.CountsConfig{
			Profiles: &told{ProfileServiceClient: c.Profiles, alter: alter}, Audiences: c.Audiences, Examples: 9,
		}), doctor.CheckCounts)
	}
	if r := counts(func(int, *profilev1.WatchProfilesResponse) {}); r.Failed || r.Count > 0 || !strings.Contains(r.Note, "in the memory") {
		t.Errorf("of a sound index: %+v", r)
	}
	r := counts(each(names[3], func(m *profilev1.WatchProfilesResponse, i int) { m.Changes = slices.Delete(m.Changes, i, i+1) }))
	if r.Failed || r.Count < 2 || !slices.Contains(r.Examples, "everybody: the services count 200, the store has 199") {
		t.Errorf("with one more in the index: %+v", r)
	}
}

// counting is a client that counts some audiences wrongly.
type counting struct {
	campaignv1.AudienceServiceClient
	add func(spec *campaignv1.AudienceSpec) int64
}

func (c *counting) CountAudience(ctx context.Context, req *campaignv1.CountAudienceRequest, opts ...grpc.CallOption) (*campaignv1.CountAudienceResponse, error) {
	res, err := c.AudienceServiceClient.CountAudience(ctx, req, opts...)
	if err == nil {
		res.Count += c.add(req.GetAudience().GetSpec())
	}
	return res, err
}

func TestSegmentsAreCountedOnceMore(t *testing.T) {
	p := worldtest.Start(t, worldtest.Config(suite.All, t.TempDir()), suite.Deps{Logger: worldtest.Logger(t), Assigner: worldtest.Spread(3)})
	c := worldtest.Client(t, client.Config{Addr: p.Addr, ReadYourWrites: true})
	names := populate(t, c)
	for _, s := range []struct{ id, rule string }{
		{"french", `region.within("FR")`}, {"old", "age() >= 60"}, {"senior", `job_level >= "director" || gender == "female"`},
		{"old-french", `segment("segments/old") && segment("segments/french")`},
	} {
		_, err := c.Segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{
			SegmentId: s.id, Segment: &segmentv1.Segment{Definition: &segmentv1.Segment_Rule{Rule: s.rule}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.Segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{
		SegmentId: "listed", Segment: &segmentv1.Segment{Definition: &segmentv1.Segment_StaticList_{StaticList: &segmentv1.Segment_StaticList{}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Segments.AddSegmentMembers(t.Context(), &segmentv1.AddSegmentMembersRequest{Name: "segments/listed", Profiles: names[:3]}); err != nil {
		t.Fatal(err)
	}
	active(t, c)
	recount := func(add func(*campaignv1.AudienceSpec) int64) doctor.Result {
		t.Helper()
		return found(t, doctor.Segments(t.Context(), doctor.SegmentsConfig{
			Segments: c.Segments, Audiences: &counting{c.Audiences, add}, Examples: 9,
		}), doctor.CheckSegments)
	}
	if r := recount(func(*campaignv1.AudienceSpec) int64 { return 0 }); r.Failed || r.Count > 0 || r.Note != "5 segments" {
		t.Errorf("of a sound index: %+v", r)
	}
	for what, w := range map[string]struct {
		add  func(*campaignv1.AudienceSpec) int64
		says string
	}{
		"one more by the rule": {func(s *campaignv1.AudienceSpec) int64 {
			if s.GetFilter() == `region.within("FR")` && len(s.GetAllSegments()) == 0 {
				return 1
			}
			return 0
		}, "segments/french: 100 are in it, its rule holds of 101, and of 100 of those who are in it"},
		"others by the rule": {func(s *campaignv1.AudienceSpec) int64 {
			if s.GetFilter() == `region.within("FR")` && len(s.GetAllSegments()) > 0 {
				return -1
			}
			return 0
		}, "segments/french: 100 are in it, its rule holds of 100, and of 99 of those who are in it"},
		"more than were listed": {func(s *campaignv1.AudienceSpec) int64 {
			if slices.Equal(s.GetAllSegments(), []string{"segments/listed"}) {
				return 2
			}
			return 0
		}, "segments/listed: 5 are in it, and 3 were put on its list"},
	} {
		if r := recount(w.add); r.Failed || r.Count != 1 || !slices.Equal(r.Examples, []string{w.says}) {
			t.Errorf("%s: %+v, want %q", what, r, w.says)
		}
	}
}

// active waits until every segment answers by its current version.
func active(t *testing.T, c *client.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), worldtest.Patience)
	defer cancel()
	for {
		list, err := c.Segments.ListSegments(ctx, &segmentv1.ListSegmentsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(list.GetSegments(), func(s *segmentv1.Segment) bool { return s.GetState() != segmentv1.Segment_STATE_ACTIVE }) {
			return
		}
		worldtest.Pause(ctx, 20*time.Millisecond)
	}
}
