package rpc_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	kit "github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/segment"
	"github.com/narrowcast/narrowcast/services/segment/internal/rpc"
	"github.com/narrowcast/narrowcast/services/segment/internal/sqlstore"
)

const (
	installation = "st-1"
	life         = "life-1"
)

// index is an rpc.Index whose answers a test sets. Positions are reached when the test says so.
type index struct {
	mu      sync.Mutex
	schema  *audience.Schema
	known   bool // the profile service was met
	states  map[string]rpc.SegmentState
	through blocks.Through
	ready   bool
	moved   chan struct{}
	waited  []blocks.Position
	changed int

	asked      audience.Pred
	dimensions []audience.Breakdown
	count      rpc.Count
	division   rpc.Division
	err        error

	publisher *blocks.Publisher
	refilled  [2]uint32
}

func (x *index) Schema() *audience.Schema {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.schema
}

func (x *index) Store() (string, string, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.known {
		return "", "", false
	}
	return installation, life, true
}

func (x *index) SegmentState(uid string) (rpc.SegmentState, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s, ok := x.states[uid]
	return s, ok
}

func (x *index) DefinitionsChanged() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.changed++
}

func (x *index) Through() (blocks.Through, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.through, x.ready
}

// reach moves the index.
func (x *index) reach(profiles, definitions uint64, age time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ready = true
	x.through.Profiles = blocks.Point{Incarnation: life, Revision: profiles, Mark: "pm"}
	x.through.Definitions = blocks.Point{Incarnation: "seg", Revision: definitions, Mark: "dm"}
	x.through.Age = age
	close(x.moved)
	x.moved = make(chan struct{})
}

func (x *index) WaitPosition(ctx context.Context, p blocks.Position) error {
	x.mu.Lock()
	x.waited = append(x.waited, p)
	x.mu.Unlock()
	for {
		x.mu.Lock()
		there, moved := x.ready && x.through.Position().Reaches(p), x.moved
		x.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (x *index) waits() []blocks.Position {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.waited)
}

func (x *index) answer() rpc.Answer {
	return rpc.Answer{Through: x.through, Segments: []rpc.UsedSegment{{Name: "segments/u", Version: 3}}, Blocks: 4}
}

func (x *index) Preview(_ context.Context, p audience.Pred) (rpc.Count, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.asked = p
	c := x.count
	c.Answer = x.answer()
	return c, x.err
}

func (x *index) Breakdown(_ context.Context, p audience.Pred, d []audience.Breakdown) (rpc.Division, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.asked, x.dimensions = p, d
	div := x.division
	div.Answer = x.answer()
	return div, x.err
}

func (x *index) Subscribe() (*blocks.Subscription, error) {
	if x.publisher == nil {
		return nil, fault.New(fault.Unavailable, "INDEX_NOT_READY", "later")
	}
	return x.publisher.Subscribe(), nil
}

func (x *index) Refill(_ context.Context, layout, block uint32) (blocks.Epoch, uint64, error) {
	x.refilled = [2]uint32{layout, block}
	return blocks.Epoch{Number: 7, Random: 1 << 63}, 9, x.err
}

// people is the profile service, as far as the segment service asks it.
type people struct {
	profilev1.ProfileServiceClient
	profilev1.AttributeServiceClient
	mu         sync.Mutex
	attributes []*profilev1.Attribute
	revision   int64
	life       string
	down       bool
	asked      int
}

func (p *people) GetHead(context.Context, *profilev1.GetHeadRequest, ...grpc.CallOption) (*profilev1.GetHeadResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return nil, fault.New(fault.Unavailable, "ANYTHING", "down")
	}
	return &profilev1.GetHeadResponse{
		Store: installation, CurrencyCode: "EUR", TimeZone: "UTC",
		Position: &typev1.Position{Incarnation: p.life, Revision: p.revision, Mark: []byte("m")},
	}, nil
}

// ListAttributes gives one attribute a page.
func (p *people) ListAttributes(_ context.Context, req *profilev1.ListAttributesRequest, _ ...grpc.CallOption) (*profilev1.ListAttributesResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.down {
		return nil, fault.New(fault.Unavailable, "ANYTHING", "down")
	}
	res := new(profilev1.ListAttributesResponse)
	i := len(req.GetPageToken())
	if i < len(p.attributes) {
		res.Attributes = p.attributes[i : i+1]
	}
	if i+1 < len(p.attributes) {
		res.NextPageToken = strings.Repeat("x", i+1)
	}
	return res, nil
}

// rig is a service on a real store, called as its callers do.
type rig struct {
	segments   segmentv1.SegmentServiceClient
	insight    segmentv1.InsightServiceClient
	membership segmentv1.MembershipServiceClient
	conn       grpc.ClientConnInterface
	service    *rpc.Service
	store      segment.Store
	index      *index
	people     *people
}

func newRig(t testing.TB) *rig {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), sqlstore.Config{DB: sqldb.Config{Path: filepath.Join(t.TempDir(), "s.db")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	schema, err := audience.NewSchema("EUR", []audience.Attribute{
		{Name: "custom.balance", Kind: audience.KindDecimal, Scale: 2, Revision: 1},
		{Name: "custom.joined", Kind: audience.KindDate, Revision: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		store:  store,
		index:  &index{schema: schema, known: true, states: map[string]rpc.SegmentState{}, moved: make(chan struct{})},
		people: &people{life: life, revision: 5},
	}
	r.service, err = rpc.New(rpc.Config{Store: store, Index: r.index, Profiles: r.people, Attributes: r.people})
	if err != nil {
		t.Fatal(err)
	}
	local, err := kit.NewLocal(kit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	segmentv1.RegisterSegmentServiceServer(local, r.service)
	segmentv1.RegisterInsightServiceServer(local, r.service)
	segmentv1.RegisterMembershipServiceServer(local, r.service)
	r.conn = local
	r.segments = segmentv1.NewSegmentServiceClient(local)
	r.insight = segmentv1.NewInsightServiceClient(local)
	r.membership = segmentv1.NewMembershipServiceClient(local)
	return r
}

func (r *rig) create(t testing.TB, id, rule string) *segmentv1.Segment {
	t.Helper()
	seg, err := r.segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{
		SegmentId: id, Segment: &segmentv1.Segment{Definition: &segmentv1.Segment_Rule{Rule: rule}},
	})
	if err != nil {
		t.Fatalf("create %s: %v", id, err)
	}
	return seg
}

func (r *rig) createList(t testing.TB, id string) *segmentv1.Segment {
	t.Helper()
	seg, err := r.segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{
		SegmentId: id, Segment: &segmentv1.Segment{Definition: &segmentv1.Segment_StaticList_{}},
	})
	if err != nil {
		t.Fatalf("create %s: %v", id, err)
	}
	return seg
}

func (r *rig) head(t testing.TB) segment.Position {
	t.Helper()
	p, err := r.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func wantFault(t testing.TB, err error, kind fault.Kind, reason string) fault.Error {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Kind != kind || f.Reason != reason {
		t.Fatalf("error = %v, want %v with reason %s", err, kind, reason)
	}
	return *f
}

// wantField is wantFault for an invalid field.
func wantField(t testing.TB, err error, reason, field string) fault.Error {
	t.Helper()
	f := wantFault(t, err, fault.Invalid, reason)
	if len(f.Violations) != 1 || f.Violations[0].Field != field {
		t.Fatalf("violations %v, want one at %s", f.Violations, field)
	}
	return f
}
