package faults_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/client"
	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/fault"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/suite"
	"github.com/narrowcast/narrowcast/services/suite/e2e/worldtest"
)

const (
	// bound is the staleness bound of every reader.
	bound = 1500 * time.Millisecond
	// healing bounds the time from the end of a fault to the right answer: connections are tried again with pauses that grow.
	healing = 30 * time.Second

	blockCount = 3
	population = 90
)

// person is what the questions look at.
type person struct {
	name     string
	region   string
	customer bool
	consent  bool
}

// question is a spec, what it asks, and a field of each block without which it cannot be answered.
type question struct {
	name   string
	spec   *campaignv1.AudienceSpec
	member func(*person) bool
	field  string // a prefix, if it ends in *
}

var questions = []question{
	{"plain", &campaignv1.AudienceSpec{Regions: []string{"FR"}}, french, "f/region=FR"},
	{"exclusion", &campaignv1.AudienceSpec{Regions: []string{"FR"}, ExcludedSegments: []string{"segments/customers"}},
		func(p *person) bool { return french(p) && !p.customer }, "s/*"},
	{"channel", &campaignv1.AudienceSpec{Regions: []string{"FR"}, Channel: typev1.Channel_CHANNEL_EMAIL},
		func(p *person) bool { return french(p) && p.consent }, "c/consent.marketing.email"},
}

func french(p *person) bool { return strings.HasPrefix(p.region, "FR") }

// world is a suite of several processes, with ways between them that can be cut.
type world struct {
	t       *testing.T
	redis   string       // URL; empty with blocks
	blocks  blocks.Store // nil with redis
	profile *worldtest.Process
	segment *worldtest.Process
	dir     string // of the segment service
	// The ways from the segment service to the profiles, and to the segment service from the readers and from the one who writes.
	toProfiles, toSegment, toWrite *worldtest.Way

	c      *client.Client
	people []*person
	store  string
}

func newWorld(t *testing.T, redis string, store blocks.Store) *world {
	t.Helper()
	w := &world{t: t, redis: redis, blocks: store, dir: t.TempDir()}
	w.toProfiles, w.toSegment, w.toWrite = worldtest.NewWay(t), worldtest.NewWay(t), worldtest.NewWay(t)
	w.profile = worldtest.Start(t, w.config("profile", t.TempDir()), suite.Deps{Logger: worldtest.Logger(t)})
	w.toProfiles.Lead(w.profile.Addr)
	w.startSegment()
	w.c = worldtest.Client(t, client.Config{
		ProfileAddr: w.profile.Addr, SegmentAddr: w.toWrite.Addr, PersonaAddr: w.toWrite.Addr, CampaignAddr: w.toWrite.Addr,
	})
	head, err := w.c.Profiles.GetHead(t.Context(), &profilev1.GetHeadRequest{})
	w.ok(err, "get head")
	w.store = head.GetStore()
	w.populate()
	return w
}

func (w *world) ok(err error, doing string) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", doing, err)
	}
}

func (w *world) config(target, dir string) suite.Config {
	cfg := worldtest.Config(target, dir)
	cfg.Redis, cfg.Staleness = config.NewSecret(w.redis), bound
	return cfg
}

// startSegment starts the segment service, the first time or again on the same data.
func (w *world) startSegment() {
	w.t.Helper()
	cfg := w.config("segment", w.dir)
	cfg.Neighbours.ProfileAddr = w.toProfiles.Addr
	w.segment = worldtest.Start(w.t, cfg, suite.Deps{Logger: worldtest.Logger(w.t), Blocks: w.blocks, Assigner: worldtest.Spread(blockCount)})
	w.toSegment.Lead(w.segment.Addr)
	w.toWrite.Lead(w.segment.Addr)
}

// populate writes the people, all combinations of what the questions look at, and the segment.
func (w *world) populate() {
	w.t.Helper()
	regions := []string{"FR", "FR-40", "DE", "", "GB-LND"}
	var rows []*profilev1.Profile
	for i := range population {
		p := &person{region: regions[i%len(regions)], customer: i/5%2 == 0, consent: i/10%3 > 0}
		w.people = append(w.people, p)
		rows = append(rows, p.wire())
	}
	res, err := w.c.Profiles.BatchUpsertProfiles(w.t.Context(), &profilev1.BatchUpsertProfilesRequest{Profiles: rows})
	w.ok(err, "write people")
	for i, r := range res.GetResults() {
		w.people[i].name = r.GetName()
	}
	w.eventually("create the segment", func(ctx context.Context) error {
		_, err := w.c.Segments.CreateSegment(ctx, &segmentv1.CreateSegmentRequest{
			SegmentId: "customers", Segment: &segmentv1.Segment{Definition: &segmentv1.Segment_Rule{Rule: `lifecycle == "customer"`}},
		})
		return err
	})
}

func (p *person) wire() *profilev1.Profile {
	m := &profilev1.Profile{Name: p.name, Lifecycle: typev1.Lifecycle_LIFECYCLE_PROSPECT}
	if p.region != "" {
		m.Region = &p.region
	}
	if p.customer {
		m.Lifecycle = typev1.Lifecycle_LIFECYCLE_CUSTOMER
	}
	consent := &profilev1.Consent{
		Purpose: typev1.ConsentPurpose_CONSENT_PURPOSE_MARKETING, Channel: typev1.Channel_CHANNEL_EMAIL, Status: typev1.ConsentStatus_CONSENT_STATUS_GRANTED,
	}
	if !p.consent {
		consent.Status = typev1.ConsentStatus_CONSENT_STATUS_WITHDRAWN
	}
	m.Consents = []*profilev1.Consent{consent}
	return m
}

// flip makes members of every question into members of none, and writes new people who are members of every one, so that no row
// is ever again what it was. It returns the token.
func (w *world) flip() string {
	w.t.Helper()
	const each = 3
	var rows []*profilev1.Profile
	for _, p := range w.people {
		if len(rows) < each && french(p) && !p.customer && p.consent {
			p.region, p.consent, p.customer = "DE", false, true
			rows = append(rows, p.wire())
		}
	}
	if len(rows) < each {
		w.t.Fatal("too few members are left to change")
	}
	for range each {
		p := &person{region: "FR-40", consent: true}
		w.people = append(w.people, p)
		rows = append(rows, p.wire())
	}
	res, err := w.c.Profiles.BatchUpsertProfiles(w.t.Context(), &profilev1.BatchUpsertProfilesRequest{Profiles: rows})
	w.ok(err, "change people")
	for i, r := range res.GetResults()[each:] {
		w.people[len(w.people)-each+i].name = r.GetName()
	}
	return res.GetConsistencyToken()
}

// members are the names of those whom a question should hold now, sorted.
func (w *world) members(q question) []string {
	var names []string
	for _, p := range w.people {
		if q.member(p) {
			names = append(names, p.name)
		}
	}
	slices.Sort(names)
	return names
}

// eventually repeats what is refused as UNAVAILABLE.
func (w *world) eventually(doing string, try func(context.Context) error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), worldtest.Patience)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		if fault.KindOf(err) != fault.Unavailable || ctx.Err() != nil {
			w.t.Fatalf("%s: %v", doing, err)
		}
		worldtest.Pause(ctx, 20*time.Millisecond)
	}
}

// reader is a campaign service.
type reader struct {
	*world
	name string
	c    campaignv1.AudienceServiceClient
}

// newReader starts a campaign service. It has read nothing yet.
func (w *world) newReader(name string) *reader {
	w.t.Helper()
	cfg := w.config("campaign", w.t.TempDir())
	cfg.Neighbours.ProfileAddr, cfg.Neighbours.SegmentAddr = w.profile.Addr, w.toSegment.Addr
	p := worldtest.Start(w.t, cfg, suite.Deps{Logger: worldtest.Logger(w.t), Blocks: w.blocks})
	return &reader{world: w, name: name, c: campaignv1.NewAudienceServiceClient(worldtest.Dial(w.t, p.Addr))}
}

// within gives a world and its readers another test to fail.
func (r *reader) in(t *testing.T) *reader {
	w := *r.world
	w.t = t
	return &reader{world: &w, name: r.name, c: r.c}
}

// answer is what a reader said.
type answer struct {
	members []string
	info    *typev1.AnswerInfo
	began   time.Time
}

// ask asks once, for the members and for their count. An error is a fault.
func (r *reader) ask(q question, c *typev1.Consistency, patience time.Duration) (answer, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	ref := &campaignv1.AudienceRef{Audience: &campaignv1.AudienceRef_Spec{Spec: q.spec}}
	a := answer{began: time.Now()}
	stream, err := r.c.StreamMembers(ctx, &campaignv1.StreamMembersRequest{Audience: ref, Consistency: c})
	if err != nil {
		return a, err
	}
	complete := false
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return a, err
		}
		if a.info == nil {
			a.info = m.GetInfo()
		}
		for uid := range slices.Chunk(m.GetUids(), 16) {
			a.members = append(a.members, wire.ProfileName(audience.UID(uid)))
		}
		complete = m.GetComplete()
	}
	if !complete {
		r.t.Errorf("%s reader, %s: the stream ended without an error and without saying that it is complete", r.name, q.name)
	}
	slices.Sort(a.members)
	res, err := r.c.CountAudience(ctx, &campaignv1.CountAudienceRequest{Audience: ref, Consistency: c})
	if err != nil {
		return a, err
	}
	// Nothing changes between the two but at the moment of a flip; the newer one then counts, and the steps must agree with it.
	if last := res.GetSteps()[len(res.GetSteps())-1].GetCount(); last != res.GetCount() {
		r.t.Errorf("%s reader, %s: %d counted, and %d in the last step", r.name, q.name, res.GetCount(), last)
	}
	if res.GetCount() != int64(len(a.members)) && res.GetInfo().GetRevision() == a.info.GetRevision() {
		r.t.Errorf("%s reader, %s: %d counted and %d streamed at revision %d", r.name, q.name, res.GetCount(), len(a.members), a.info.GetRevision())
	}
	return a, nil
}

// reasons are those with which a reader may refuse.
var reasons = []string{
	"INDEX_STALE", "INDEX_NOT_READY", "BLOCK_UNKNOWN", "STORE_UNREACHABLE", "TOKEN_NOT_REACHED", "SEGMENT_BUILDING", "DEFINITIONS_CHANGING",
	"PROFILES_UNAVAILABLE",
}

// refusal returns the reason of a refusal, and fails the test where it is none that the contract knows.
func (r *reader) refusal(q question, err error) string {
	r.t.Helper()
	reason := fault.ReasonOf(err)
	if fault.KindOf(err) == fault.Deadline {
		return "" // a busy machine: the caller's own deadline came before the answer, and no reason counts as given
	}
	if fault.KindOf(err) != fault.Unavailable || !slices.Contains(reasons, reason) {
		r.t.Errorf("%s reader, %s: refused with %v, want UNAVAILABLE with a reason of the contract", r.name, q.name, err)
	}
	return reason
}

// right asks until there is an answer. It must be the right one, at once: what cannot be answered is refused.
func (r *reader) right(q question, token string) answer {
	r.t.Helper()
	var c *typev1.Consistency
	if token != "" {
		c = &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: token}}
	}
	for end := time.Now().Add(healing); ; {
		a, err := r.ask(q, c, 10*time.Second)
		switch {
		case err != nil:
			reason := r.refusal(q, err)
			if time.Now().After(end) {
				r.t.Fatalf("%s reader, %s: still refused with %s after %v: %v", r.name, q.name, reason, healing, err)
			}
			worldtest.Pause(r.t.Context(), 20*time.Millisecond)
			continue
		case !slices.Equal(a.members, r.members(q)):
			r.t.Fatalf("%s reader, %s: answered %d members, want %d (revision %d, age %v, %d refilled)", r.name, q.name,
				len(a.members), len(r.members(q)), a.info.GetRevision(), a.info.GetAge().AsDuration(), a.info.GetBlocksRefilled())
		}
		return a
	}
}
