package server_test

import (
	"context"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/memblocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/revision"
	kit "github.com/narrowcast/narrowcast/pkg/rpc"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/manifestwire"
	"github.com/narrowcast/narrowcast/services/segment/server"
)

// people is a profile service that keeps its changes in a list: revision n is the nth.
type people struct {
	profilev1.UnimplementedProfileServiceServer
	profilev1.UnimplementedAttributeServiceServer

	mu      sync.Mutex
	changes []*profilev1.WatchProfilesResponse_Change
	moved   chan struct{}
}

func (p *people) put(c *profilev1.WatchProfilesResponse_Change) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.Revision = int64(len(p.changes) + 1)
	if a := c.GetAttribute(); a != nil {
		a.Revision = c.GetRevision()
	}
	p.changes = append(p.changes, c)
	close(p.moved)
	p.moved = make(chan struct{})
	return revision.Token{Store: "st", Profile: revision.Part{Incarnation: "life", Revision: c.GetRevision()}}.String()
}

func (p *people) person(n int, gender typev1.Gender) string {
	return p.put(&profilev1.WatchProfilesResponse_Change{Change: &profilev1.WatchProfilesResponse_Change_Profile{
		Profile: &profilev1.Profile{Name: name(n), Gender: gender},
	}})
}

func name(n int) string {
	digits := strconv.Itoa(n)
	return "profiles/0190a000-0000-7000-8000-" + "000000000000"[len(digits):] + digits
}

func position(n int) *typev1.Position {
	return &typev1.Position{Incarnation: "life", Revision: int64(n), Mark: []byte{byte(n)}}
}

func (p *people) GetHead(context.Context, *profilev1.GetHeadRequest) (*profilev1.GetHeadResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &profilev1.GetHeadResponse{Store: "st", Position: position(len(p.changes)), CurrencyCode: "EUR", TimeZone: "UTC"}, nil
}

func (p *people) ListAttributes(context.Context, *profilev1.ListAttributesRequest) (*profilev1.ListAttributesResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	res := new(profilev1.ListAttributesResponse)
	for _, c := range p.changes {
		if a := c.GetAttribute(); a != nil {
			res.Attributes = append(res.Attributes, a)
		}
	}
	return res, nil
}

func (p *people) WatchProfiles(req *profilev1.WatchProfilesRequest, stream grpc.ServerStreamingServer[profilev1.WatchProfilesResponse]) error {
	at, _ := strconv.Atoi(req.GetAfter())
	for {
		p.mu.Lock()
		news, n, moved := p.changes[at:], len(p.changes), p.moved
		p.mu.Unlock()
		if err := stream.Send(&profilev1.WatchProfilesResponse{Changes: news, ChangesThrough: strconv.Itoa(n), Position: position(n)}); err != nil {
			return err
		}
		at = n
		select {
		case <-moved:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// suite is a segment service on a profile service, both called as over the network.
type suite struct {
	people   *people
	profiles *kit.Local
	blocks   blocks.Store
	path     string

	segments segmentv1.SegmentServiceClient
	insight  segmentv1.InsightServiceClient
	conn     grpc.ClientConnInterface
}

func newSuite(t *testing.T) *suite {
	t.Helper()
	local, err := kit.NewLocal(kit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{people: &people{moved: make(chan struct{})}, profiles: local, blocks: memblocks.New(), path: filepath.Join(t.TempDir(), "segment.db")}
	profilev1.RegisterProfileServiceServer(local, s.people)
	profilev1.RegisterAttributeServiceServer(local, s.people)
	return s
}

// start runs a segment service until the function that it returns is called.
func (s *suite) start(t *testing.T) (stop func()) {
	t.Helper()
	cfg := server.Default()
	cfg.Path, cfg.Checkpoint = s.path, filepath.Join(filepath.Dir(s.path), "checkpoint")
	door, err := server.New(t.Context(), cfg, server.Deps{Profiles: s.profiles, Blocks: s.blocks})
	if err != nil {
		t.Fatal(err)
	}
	local, err := kit.NewLocal(kit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	door.Register(local)
	s.conn, s.segments, s.insight = local, segmentv1.NewSegmentServiceClient(local), segmentv1.NewInsightServiceClient(local)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- door.Run(ctx) }()
	return sync.OnceFunc(func() {
		door.StopStreams()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := door.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func (s *suite) create(t *testing.T, id string, seg *segmentv1.Segment) string {
	t.Helper()
	got, err := s.segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{SegmentId: id, Segment: seg})
	if err != nil {
		t.Fatalf("create %s: %v", id, err)
	}
	return got.GetConsistencyToken()
}

func rule(text string) *segmentv1.Segment {
	return &segmentv1.Segment{Definition: &segmentv1.Segment_Rule{Rule: text}}
}

// size counts a segment under all tokens, and how many profiles there are.
func (s *suite) size(t *testing.T, id string, tokens ...string) (count, base int64, info *typev1.AnswerInfo) {
	t.Helper()
	var merged revision.Token
	for _, text := range tokens {
		tok, err := revision.Parse(text)
		if err == nil {
			merged, err = revision.Merge(merged, tok)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	res, err := s.insight.BreakdownSegment(t.Context(), &segmentv1.BreakdownSegmentRequest{
		Subject:     &segmentv1.BreakdownSegmentRequest_Segment{Segment: "segments/" + id},
		Dimensions:  []*segmentv1.BreakdownSegmentRequest_Dimension{{Attribute: "gender"}},
		Consistency: &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: merged.String()}},
	})
	if err != nil {
		t.Fatalf("size of %s: %v", id, err)
	}
	return res.GetCount(), res.GetBase(), res.GetInfo()
}

func (s *suite) want(t *testing.T, id string, count, base int64, tokens ...string) *typev1.AnswerInfo {
	t.Helper()
	gotCount, gotBase, info := s.size(t, id, tokens...)
	if gotCount != count || gotBase != base {
		t.Errorf("%s holds %d of %d, want %d of %d", id, gotCount, gotBase, count, base)
	}
	return info
}

func TestSegmentsFollowTheProfilesAndTheirRules(t *testing.T) {
	s := newSuite(t)
	const she, he = typev1.Gender_GENDER_FEMALE, typev1.Gender_GENDER_MALE
	s.people.person(1, she)
	s.people.person(2, he)
	s.people.person(3, typev1.Gender_GENDER_UNSPECIFIED)
	stop := s.start(t)
	defer func() { stop() }()

	women := s.create(t, "women", rule(`gender == "female"`))
	others := s.create(t, "others", rule(`!segment("women")`))
	s.want(t, "women", 1, 3, women)
	// A member is whom the rule is true of; whose gender is unknown is no woman to the segment, and so one of the others.
	s.want(t, "others", 2, 3, others)

	// A profile that comes later, and one that changes.
	s.people.person(4, she)
	changed := s.people.person(2, she)
	s.want(t, "women", 3, 4, women, changed)
	s.want(t, "others", 1, 4, changed)

	// A list may name whom nobody knows yet.
	s.create(t, "list", &segmentv1.Segment{Definition: &segmentv1.Segment_StaticList_{}})
	list, err := s.segments.AddSegmentMembers(t.Context(), &segmentv1.AddSegmentMembersRequest{
		Name: "segments/list", Profiles: []string{name(1), name(3), name(9)},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.want(t, "list", 2, 4, list.GetConsistencyToken())
	both := s.create(t, "both", rule(`segment("list") && segment("women")`))
	s.want(t, "both", 1, 4, both)
	s.want(t, "both", 2, 5, both, s.people.person(9, she))
	s.want(t, "list", 3, 5, changed)

	// An edit below reaches those above, by one token.
	edit, err := s.segments.UpdateSegment(t.Context(), &segmentv1.UpdateSegmentRequest{Segment: func() *segmentv1.Segment {
		seg := rule(`gender == "male"`)
		seg.Name = "segments/women"
		return seg
	}()})
	if err != nil {
		t.Fatal(err)
	}
	info := s.want(t, "both", 0, 5, edit.GetConsistencyToken())
	if len(info.GetRules()) != 1 || info.GetRules()[0].GetSegment() != "segments/both" || info.GetDefinitionRevision() != 6 {
		t.Errorf("answer %v", info)
	}
	if seg, err := s.segments.GetSegment(t.Context(), &segmentv1.GetSegmentRequest{Name: "segments/women"}); err != nil ||
		seg.GetState() != segmentv1.Segment_STATE_ACTIVE || seg.GetVersion() != 2 || seg.GetProgressPercent() != 100 {
		t.Errorf("the edited segment is %v, %v", seg, err)
	}

	// An attribute is used as soon as it is declared.
	s.people.put(&profilev1.WatchProfilesResponse_Change{Change: &profilev1.WatchProfilesResponse_Change_Attribute{
		Attribute: &profilev1.Attribute{Name: "attributes/vip", Type: profilev1.Attribute_TYPE_BOOL},
	}})
	vip := s.create(t, "vip", rule(`custom.vip || gender == "female"`))
	s.want(t, "vip", 4, 5, vip)
	preview, err := s.segments.PreviewSegment(t.Context(), &segmentv1.PreviewSegmentRequest{
		Rule:        `segment("vip") && !segment("list")`,
		Consistency: &typev1.Consistency{Requirement: &typev1.Consistency_FullyConsistent{FullyConsistent: true}},
	})
	if err != nil || preview.GetCount() != 2 || preview.GetBase() != 5 {
		t.Errorf("preview %v, %v; want 2 of 5", preview, err)
	}

	gone := s.people.put(&profilev1.WatchProfilesResponse_Change{Change: &profilev1.WatchProfilesResponse_Change_DeletedProfile{DeletedProfile: name(9)}})
	s.want(t, "list", 2, 4, gone)

	// After a restart everything is as it was, under a new lease.
	before := s.manifest(t)
	stop()
	stop = s.start(t)
	s.want(t, "list", 2, 4, vip, gone)
	after := s.manifest(t)
	if after.Layout != before.Layout || len(after.Blocks) != len(before.Blocks) || len(after.Blocks) == 0 ||
		after.Blocks[0].Epoch.Number != before.Blocks[0].Epoch.Number+1 || len(after.Definitions.Segments) != 5 {
		t.Errorf("manifest %+v after %+v", after, before)
	}
}

// manifest reads the first frame.
func (s *suite) manifest(t *testing.T) blocks.Frame {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stream, err := manifestwire.NewSource(s.conn).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	f, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if !f.Full || f.Store != "st" {
		t.Errorf("first frame %+v", f)
	}
	return f
}

func TestAServiceWithoutProfilesSaysSo(t *testing.T) {
	s := newSuite(t)
	nobody, err := kit.NewLocal(kit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.profiles = nobody
	defer s.start(t)()
	_, err = s.segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{SegmentId: "a", Segment: rule("true")})
	if fault.KindOf(err) != fault.Unavailable || fault.ReasonOf(err) != "PROFILES_UNAVAILABLE" {
		t.Errorf("create: %v", err)
	}
	if res, err := s.segments.ListSegments(t.Context(), &segmentv1.ListSegmentsRequest{}); err != nil || len(res.GetSegments()) != 0 {
		t.Errorf("list: %v, %v", res, err)
	}
}
