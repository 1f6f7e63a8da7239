package rpc_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/persona"
	personarpc "github.com/narrowcast/narrowcast/services/persona/internal/rpc"
	"github.com/narrowcast/narrowcast/services/persona/internal/segments"
	"github.com/narrowcast/narrowcast/services/persona/internal/sqlstore"
)

// fakeSegments is a segment service in small: it keeps segments and minds owners, and answers statistics from a table.
type fakeSegments struct {
	segmentv1.UnimplementedSegmentServiceServer
	segmentv1.UnimplementedInsightServiceServer

	mu       sync.Mutex
	segments map[string]*segmentv1.Segment
	changes  int
	// breakdown answers BreakdownSegment; counts say whom a rule holds: the first whose key the rule contains.
	breakdown *segmentv1.BreakdownSegmentResponse
	empty     []string // a rule with one of these holds nobody
	fail      error    // of every call
	asked     []*segmentv1.BreakdownSegmentRequest
	fresh     []string // tokens of previews
}

func (f *fakeSegments) owner(ctx context.Context) string {
	if v := metadata.ValueFromIncomingContext(ctx, "narrowcast-owner"); len(v) == 1 {
		return v[0]
	}
	return ""
}

func (f *fakeSegments) token() string { return fmt.Sprint("definitions-", f.changes) }

func (f *fakeSegments) check(rule string) error {
	if strings.Contains(rule, "wrong") {
		return fault.InvalidField("RULE_SYNTAX", "segment.rule", "line 1, column 3: it is wrong").With("line", 1)
	}
	return nil
}

func (f *fakeSegments) CreateSegment(_ context.Context, req *segmentv1.CreateSegmentRequest) (*segmentv1.Segment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return nil, f.fail
	}
	name := "segments/" + req.GetSegmentId()
	if err := f.check(req.GetSegment().GetRule()); err != nil {
		return nil, err
	}
	if f.segments[name] != nil {
		return nil, fault.New(fault.Exists, "SEGMENT_EXISTS", "it exists").With("name", name)
	}
	s := req.GetSegment()
	s.Name, s.Etag = name, `"1"`
	if !req.GetValidateOnly() {
		f.changes++
		f.segments[name] = s
	}
	s.ConsistencyToken = f.token()
	return s, nil
}

func (f *fakeSegments) GetSegment(_ context.Context, req *segmentv1.GetSegmentRequest) (*segmentv1.Segment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return nil, f.fail
	}
	return f.get(req.GetName())
}

func (f *fakeSegments) get(name string) (*segmentv1.Segment, error) {
	s := f.segments[name]
	if s == nil {
		return nil, fault.New(fault.NotFound, "SEGMENT_NOT_FOUND", "no such segment").With("name", name)
	}
	return s, nil
}

func (f *fakeSegments) UpdateSegment(ctx context.Context, req *segmentv1.UpdateSegmentRequest) (*segmentv1.Segment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.get(req.GetSegment().GetName())
	switch {
	case err != nil:
		return nil, err
	case s.GetOwner() != f.owner(ctx):
		return nil, fault.New(fault.Precondition, "SEGMENT_OWNED", "only its owner may")
	case req.GetSegment().GetEtag() != s.GetEtag():
		return nil, fault.New(fault.Conflict, "ETAG_MISMATCH", "changed")
	}
	for _, p := range req.GetUpdateMask().GetPaths() {
		switch p {
		case "rule":
			if err := f.check(req.GetSegment().GetRule()); err != nil {
				return nil, err
			}
			s.Definition = &segmentv1.Segment_Rule{Rule: req.GetSegment().GetRule()}
			s.Version++
		case "display_name":
			s.DisplayName = req.GetSegment().GetDisplayName()
		default:
			return nil, fault.New(fault.Invalid, "UNKNOWN_FIELD", p)
		}
	}
	f.changes++
	s.Etag, s.ConsistencyToken = fmt.Sprintf("%q", fmt.Sprint(f.changes)), f.token()
	return s, nil
}

func (f *fakeSegments) DeleteSegment(ctx context.Context, req *segmentv1.DeleteSegmentRequest) (*segmentv1.DeleteSegmentResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.get(req.GetName())
	if err != nil {
		return nil, err
	}
	if s.GetOwner() != f.owner(ctx) {
		return nil, fault.New(fault.Precondition, "SEGMENT_OWNED", "only its owner may")
	}
	if f.fail != nil {
		return nil, f.fail
	}
	delete(f.segments, req.GetName())
	f.changes++
	return &segmentv1.DeleteSegmentResponse{ConsistencyToken: f.token()}, nil
}

func (f *fakeSegments) PreviewSegment(_ context.Context, req *segmentv1.PreviewSegmentRequest) (*segmentv1.PreviewSegmentResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fresh = append(f.fresh, req.GetConsistency().GetAtLeastAsFresh())
	for _, e := range f.empty {
		if strings.Contains(req.GetRule(), e) {
			return &segmentv1.PreviewSegmentResponse{Base: 100}, nil
		}
	}
	return &segmentv1.PreviewSegmentResponse{Count: 1, Base: 100}, nil
}

func (f *fakeSegments) BreakdownSegment(_ context.Context, req *segmentv1.BreakdownSegmentRequest) (*segmentv1.BreakdownSegmentResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return nil, f.fail
	}
	f.asked = append(f.asked, req)
	return f.breakdown, nil
}

// segment returns a copy of the state of a segment, or nil.
func (f *fakeSegments) segment(name string) *segmentv1.Segment {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.segments[name]
}

// brokenStore is a persona.Store whose next calls fail.
type brokenStore struct {
	persona.Store
	create, update, remove error
	// stored makes Create store the persona and report the failure all the same.
	stored bool
	before func() // runs before Create
}

func (b *brokenStore) Create(ctx context.Context, p persona.Persona) (persona.Persona, error) {
	if b.before != nil {
		b.before()
	}
	if b.create != nil {
		if b.stored {
			if _, err := b.Store.Create(ctx, p); err != nil {
				return p, err
			}
		}
		return persona.Persona{}, b.create
	}
	return b.Store.Create(ctx, p)
}

func (b *brokenStore) Update(ctx context.Context, p persona.Persona) (persona.Persona, error) {
	if b.update != nil {
		return persona.Persona{}, b.update
	}
	return b.Store.Update(ctx, p)
}

func (b *brokenStore) Delete(ctx context.Context, name, etag string) error {
	if b.remove != nil {
		return b.remove
	}
	return b.Store.Delete(ctx, name, etag)
}

type fixture struct {
	*testing.T
	segments *fakeSegments
	store    *brokenStore
	personas personav1.PersonaServiceClient
}

var now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, segments: &fakeSegments{segments: make(map[string]*segmentv1.Segment), breakdown: cyclists()}}
	f.segments.segments["segments/cyclists"] = &segmentv1.Segment{Name: "segments/cyclists"}
	neighbours, err := rpc.NewLocal(rpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	segmentv1.RegisterSegmentServiceServer(neighbours, f.segments)
	segmentv1.RegisterInsightServiceServer(neighbours, f.segments)
	store, err := sqlstore.Open(t.Context(), sqldb.Config{Path: filepath.Join(t.TempDir(), "persona.db")}, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	f.store = &brokenStore{Store: store}
	local, err := rpc.NewLocal(rpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	personarpc.New(f.store, segments.New(neighbours), func() time.Time { return now }).Register(local)
	f.personas = personav1.NewPersonaServiceClient(local)
	return f
}

// cyclists are the statistics of a segment of 1,000 of 100,000.
func cyclists() *segmentv1.BreakdownSegmentResponse {
	type bucket = segmentv1.BreakdownSegmentResponse_Bucket
	type distribution = segmentv1.BreakdownSegmentResponse_Distribution
	return &segmentv1.BreakdownSegmentResponse{
		Count: 1000, Base: 100_000, Info: &typev1.AnswerInfo{ConsistencyToken: "statistics-token"},
		Distributions: []*distribution{
			{Attribute: "age", Buckets: []*bucket{{Value: "28", Count: 500, BaseCount: 900}, {Value: "31", Count: 500, BaseCount: 900}}},
			{Attribute: "age", Buckets: []*bucket{{Value: "20-29", Count: 500}, {Value: "30-39", Count: 500}}},
			{Attribute: "job_level", Buckets: []*bucket{{Value: "director", Count: 600, Share: 0.6, BaseShare: 0.1, Lift: 6}}},
			{Attribute: "region", Buckets: []*bucket{{Value: "FR-NAQ", Count: 700, Share: 0.7, BaseShare: 0.1, Lift: 7}}},
			{Attribute: "interests", Buckets: []*bucket{{Value: "cycling", Count: 900, Share: 0.9, BaseShare: 0.1, Lift: 9}}},
			{Attribute: "roles", Buckets: []*bucket{{Value: "prescriber", Count: 900, Share: 0.9, BaseShare: 0.1, Lift: 9}}},
		},
	}
}

func (f *fixture) refused(err error, kind fault.Kind, reason string) *fault.Error {
	f.Helper()
	e := fault.As(err)
	if e == nil || e.Kind != kind || e.Reason != reason {
		f.Errorf("got %v, want kind %v and reason %s", err, kind, reason)
		return &fault.Error{}
	}
	return e
}
