package truth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
	"github.com/narrowcast/narrowcast/pkg/client"
	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/internal/profilefacts"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/suite"
	"github.com/narrowcast/narrowcast/services/suite/e2e/worldtest"
)

// noon of the day around which the random dates lie, so that ages and days between are near their bounds.
var noon = time.Unix(audiencetest.Day*24*60*60, 0).UTC().Add(12 * time.Hour)

// blockCount is the number of blocks over which the people are spread.
const blockCount = 4

// world is a running suite, what was put into it, and the loop that it is compared with.
type world struct {
	t    *testing.T
	r    *rand.Rand
	c    *client.Client
	twin *twin
	// people are the profiles as the profile service gives them back, sorted by uid; gone were deleted.
	people []who
	gone   []audience.UID

	late     []*profilev1.Attribute
	segments []string // rules, each of which may name those before it
	personas []string
	rounds   int
}

const list = "segments/list"

// inEveryStore runs a test on blocks in memory and in Redis, each with a world of its own.
func inEveryStore(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	for _, store := range []string{"memory", "redis"} {
		t.Run("store="+store, func(t *testing.T) {
			t.Parallel()
			url := ""
			if store == "redis" {
				url = "redis://" + testkit.Redis(t) + "/0"
			}
			test(t, newWorld(t, url))
		})
	}
}

func newWorld(t *testing.T, url string) *world {
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("NARROWCAST_TRUTH_SEED"); given != "" {
		n, err := strconv.ParseUint(given, 10, 64)
		if err != nil {
			t.Fatalf("NARROWCAST_TRUTH_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("NARROWCAST_TRUTH_SEED=%d repeats this", seed)
	cfg := worldtest.Config(suite.All, t.TempDir())
	cfg.Redis = config.NewSecret(url)
	cfg.Segment.Build = time.Nanosecond // one block of a new rule at a time, as with many blocks
	p := worldtest.Start(t, cfg, suite.Deps{
		Logger: worldtest.Logger(t), Now: worldtest.Clock(noon), Assigner: worldtest.Spread(blockCount),
	})
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 20)), c: worldtest.Client(t, client.Config{Addr: p.Addr, ReadYourWrites: true}),
		twin: &twin{segments: make(map[string]definition), personas: make(map[string]string), today: audiencetest.Day},
	}
	if url != "" {
		sweep(t, url, w.head().GetStore())
	}
	return w
}

// sweep removes a store's blocks from the Redis that tests share, when the test has ended.
func sweep(t *testing.T, url, store string) {
	opts, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(opts)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		keys, err := rdb.Keys(ctx, "nc:"+store+":*").Result()
		if len(keys) > 0 {
			err = errors.Join(err, rdb.Del(ctx, keys...).Err())
		}
		if err := errors.Join(err, rdb.Close()); err != nil {
			t.Errorf("remove blocks: %v", err)
		}
	})
}

// enough reports whether a part may end: after so many rounds, or when the time that the environment names is over.
func enough(t *testing.T, began time.Time, round, rounds int) bool {
	if given := os.Getenv("NARROWCAST_TRUTH_SECONDS"); given != "" {
		seconds, err := strconv.ParseFloat(given, 64)
		if err != nil {
			t.Fatalf("NARROWCAST_TRUTH_SECONDS: %v", err)
		}
		return round > 0 && time.Since(began).Seconds() >= seconds
	}
	return round >= rounds
}

func (w *world) ok(err error, doing string, args ...any) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", fmt.Sprintf(doing, args...), err)
	}
}

func (w *world) head() *profilev1.GetHeadResponse {
	w.t.Helper()
	h, err := w.c.Profiles.GetHead(w.t.Context(), &profilev1.GetHeadRequest{})
	w.ok(err, "get head")
	return h
}

// declare declares attributes and learns the schema as it then is.
func (w *world) declare(list ...*profilev1.Attribute) {
	w.t.Helper()
	for _, a := range list {
		id, _ := wire.AttributeID(a.GetName())
		_, err := w.c.Attributes.CreateAttribute(w.t.Context(), &profilev1.CreateAttributeRequest{Attribute: a, AttributeId: id})
		w.ok(err, "declare %v", a)
	}
	res, err := w.c.Attributes.ListAttributes(w.t.Context(), &profilev1.ListAttributesRequest{})
	w.ok(err, "list attributes")
	var custom []audience.Attribute
	for _, a := range res.GetAttributes() {
		custom = append(custom, profilefacts.Attribute(a))
	}
	w.twin.schema, err = audience.NewSchema("EUR", custom)
	w.ok(err, "make schema")
}

// upsert writes profiles, new ones where they have no name.
func (w *world) upsert(people []*profilev1.Profile) {
	w.t.Helper()
	for chunk := range slices.Chunk(people, 200) {
		_, err := w.c.Profiles.BatchUpsertProfiles(w.t.Context(), &profilev1.BatchUpsertProfilesRequest{Profiles: chunk})
		w.ok(err, "upsert")
	}
}

// begin fills an empty world.
func (w *world) begin(population int) {
	w.t.Helper()
	var early []*profilev1.Attribute
	early, w.late = declarations(w.r)
	w.declare(early...)
	people := make([]*profilev1.Profile, population)
	for i := range people {
		people[i] = person(w.r, w.twin.schema)
	}
	w.upsert(people)
	w.readBack()

	for i := range 6 {
		w.createSegment(fmt.Sprintf("s%d", i), fit(audiencetest.Pred(w.r, w.twin.schema, w.segments, 2), w.twin.schema))
	}
	_, err := w.c.Segments.CreateSegment(w.t.Context(), &segmentv1.CreateSegmentRequest{
		SegmentId: "list", Segment: &segmentv1.Segment{Definition: &segmentv1.Segment_StaticList_{}},
	})
	w.ok(err, "create list")
	w.twin.segments[list] = definition{list: make(map[audience.UID]bool)}
	w.changeList()
	w.segments = append(w.segments, list)
	// A segment that excludes those of another one and of the list: NOT over segments, two deep.
	w.createSegment("outside", audience.Not{X: audience.Or{audience.Member{Segment: list}, audience.Member{Segment: "segments/s5"}}})
	w.createPersona("someone", fit(audiencetest.Pred(w.r, w.twin.schema, w.segments, 1), w.twin.schema))
}

func (w *world) createSegment(id string, p audience.Pred) {
	w.t.Helper()
	_, err := w.c.Segments.CreateSegment(w.t.Context(), &segmentv1.CreateSegmentRequest{
		SegmentId: id, Segment: &segmentv1.Segment{Definition: &segmentv1.Segment_Rule{Rule: text(p, w.twin.schema)}},
	})
	w.ok(err, "create segment %s: %s", id, text(p, w.twin.schema))
	name := "segments/" + id
	w.segments = append(w.segments, name)
	w.twin.segments[name] = definition{rule: p}
}

func (w *world) createPersona(id string, p audience.Pred) {
	w.t.Helper()
	made, err := w.c.Personas.CreatePersona(w.t.Context(), &personav1.CreatePersonaRequest{
		PersonaId: id, Persona: &personav1.Persona{DisplayName: id, Rule: text(p, w.twin.schema)},
	})
	w.ok(err, "create persona %s: %s", id, text(p, w.twin.schema))
	w.personas = append(w.personas, made.GetName())
	w.twin.personas[made.GetName()] = made.GetSegment()
	w.twin.segments[made.GetSegment()] = definition{rule: p}
}

// changeList adds to the static list, among them a profile that nobody knows, and removes from it.
func (w *world) changeList() {
	w.t.Helper()
	members := maps.Clone(w.twin.segments[list].list)
	stranger := audience.UID{0, 1, 2, 3, 4, 5, 0x70, byte(w.rounds), 0x80}
	add := []string{wire.ProfileName(stranger)}
	members[stranger] = true
	var remove []string
	for _, p := range w.people {
		switch {
		case members[p.uid] && w.r.IntN(3) == 0:
			remove = append(remove, wire.ProfileName(p.uid))
			delete(members, p.uid)
		case !members[p.uid] && w.r.IntN(6) == 0:
			add = append(add, wire.ProfileName(p.uid))
			members[p.uid] = true
		}
	}
	_, err := w.c.Segments.AddSegmentMembers(w.t.Context(), &segmentv1.AddSegmentMembersRequest{Name: list, Profiles: add})
	w.ok(err, "add to list")
	if len(remove) > 0 {
		_, err = w.c.Segments.RemoveSegmentMembers(w.t.Context(), &segmentv1.RemoveSegmentMembersRequest{Name: list, Profiles: remove})
		w.ok(err, "remove from list")
	}
	w.twin.segments[list] = definition{list: members}
}

// paths are fields of which an update changes some.
var paths = []string{
	"birth_date", "gender", "region", "postal_code", "job_level", "income", "education", "employer.size", "employer", "household", "roles",
	"interests", "preferred_channels", "consents", "custom.signup", "custom.last_order",
}

// update returns a request that changes some fields of a profile to those of a random person: unknown ones become so.
func update(r *rand.Rand, s *audience.Schema, uid audience.UID, paths []string) *profilev1.UpdateProfileRequest {
	p := person(r, s)
	p.Name = wire.ProfileName(uid)
	var some []string
	for _, i := range r.Perm(len(paths))[:1+r.IntN(3)] {
		some = append(some, paths[i])
	}
	if slices.Contains(some, "employer") {
		some = slices.DeleteFunc(some, func(p string) bool { return p == "employer.size" })
	}
	return &profilev1.UpdateProfileRequest{Profile: p, UpdateMask: &fieldmaskpb.FieldMask{Paths: some}}
}

// change does a round of everything that changes answers.
func (w *world) change() {
	w.t.Helper()
	ctx := w.t.Context()
	w.rounds++
	if len(w.late) > 0 {
		w.declare(w.late[0])
		w.late = w.late[1:]
	}
	var writes []*profilev1.Profile
	for i, p := range w.people {
		switch w.r.IntN(12) {
		case 0: // replaced
			q := person(w.r, w.twin.schema)
			q.Name = wire.ProfileName(p.uid)
			writes = append(writes, q)
		case 1:
			if i%3 == 0 {
				_, err := w.c.Profiles.UpdateProfile(ctx, update(w.r, w.twin.schema, p.uid, paths))
				w.ok(err, "update")
			}
		case 2:
			if i%4 == 0 {
				_, err := w.c.Profiles.DeleteProfile(ctx, &profilev1.DeleteProfileRequest{Name: wire.ProfileName(p.uid)})
				w.ok(err, "delete")
				w.gone = append(w.gone, p.uid)
			}
		}
	}
	for range 10 + w.r.IntN(20) {
		writes = append(writes, person(w.r, w.twin.schema))
	}
	w.upsert(writes)

	at := w.r.IntN(6)
	p := fit(audiencetest.Pred(w.r, w.twin.schema, w.segments[:at], 2), w.twin.schema)
	_, err := w.c.Segments.UpdateSegment(ctx, &segmentv1.UpdateSegmentRequest{
		Segment: &segmentv1.Segment{Name: w.segments[at], Definition: &segmentv1.Segment_Rule{Rule: text(p, w.twin.schema)}},
	})
	w.ok(err, "edit segment")
	w.twin.segments[w.segments[at]] = definition{rule: p}
	p = fit(audiencetest.Pred(w.r, w.twin.schema, w.segments, 1), w.twin.schema)
	_, err = w.c.Personas.UpdatePersona(ctx, &personav1.UpdatePersonaRequest{
		Persona: &personav1.Persona{Name: w.personas[0], Rule: text(p, w.twin.schema)}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"rule"}},
	})
	w.ok(err, "edit persona")
	w.twin.segments[w.twin.personas[w.personas[0]]] = definition{rule: p}
	w.readBack()
	w.changeList()
}

// readBack reads every profile as the profile service keeps it.
func (w *world) readBack() {
	w.t.Helper()
	w.people = nil
	for token := ""; ; {
		res, err := w.c.Profiles.ListProfiles(w.t.Context(), &profilev1.ListProfilesRequest{PageSize: 1000, PageToken: token})
		w.ok(err, "list profiles")
		for _, p := range res.GetProfiles() {
			w.people = append(w.people, w.who(p))
		}
		if token = res.GetNextPageToken(); token == "" {
			break
		}
	}
}

func (w *world) who(p *profilev1.Profile) who {
	uid, facts, err := profilefacts.Of(p, w.twin.schema.Attribute)
	if err != nil {
		w.t.Errorf("the profile service gave back what does not fit its schema: %v", err)
	}
	return w.twin.frozen(uid, facts)
}

// eof turns the orderly end of a stream into no error.
func eof(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
