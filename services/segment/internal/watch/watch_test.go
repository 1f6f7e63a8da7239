package watch_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/services/segment/internal/index"
	"github.com/narrowcast/narrowcast/services/segment/internal/watch"
)

const someone = "profiles/01890000-0000-7000-8000-000000000001"

// stream is what one call of WatchProfiles brings: messages, then an error, or with no error nothing more until the caller ends it.
type stream struct {
	messages []*profilev1.WatchProfilesResponse
	err      error
}

// profiles is a profile service that plays streams.
type profiles struct {
	profilev1.UnimplementedProfileServiceServer
	mu      sync.Mutex
	life    string
	streams []stream
	afters  []string
	headErr error
}

func (p *profiles) GetHead(context.Context, *profilev1.GetHeadRequest) (*profilev1.GetHeadResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.headErr != nil {
		return nil, p.headErr
	}
	return &profilev1.GetHeadResponse{
		Store: "st", CurrencyCode: "EUR", TimeZone: "Europe/Paris", Position: &typev1.Position{Incarnation: p.life, Revision: 9, Mark: []byte("m9")},
	}, nil
}

func (p *profiles) WatchProfiles(req *profilev1.WatchProfilesRequest, out grpc.ServerStreamingServer[profilev1.WatchProfilesResponse]) error {
	p.mu.Lock()
	p.afters = append(p.afters, req.GetAfter())
	var s stream
	if len(p.streams) > 0 {
		s, p.streams = p.streams[0], p.streams[1:]
	}
	p.mu.Unlock()
	for _, m := range s.messages {
		if err := out.Send(m); err != nil {
			return err
		}
	}
	if s.err != nil {
		return s.err
	}
	<-out.Context().Done()
	return out.Context().Err()
}

// sink notes what it is given.
type sink struct {
	mu      sync.Mutex
	begun   []index.Identity
	batches []index.Batch
	heads   []blocks.Point
	kept    *index.Resumed
	resumed int
	news    chan struct{}
}

func (s *sink) note(f func()) {
	s.mu.Lock()
	f()
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
}

func (s *sink) Begin(id index.Identity) { s.note(func() { s.begun = append(s.begun, id) }) }

// Resume has what a test says was kept.
func (s *sink) Resume(context.Context, index.Identity) (index.Resumed, bool) {
	if s.kept == nil {
		return index.Resumed{}, false
	}
	s.note(func() { s.resumed++ })
	return *s.kept, true
}

func (s *sink) Offer(_ context.Context, b index.Batch) error {
	s.note(func() { s.batches = append(s.batches, b) })
	return nil
}

func (s *sink) HeadAsked(_ time.Time, p blocks.Point) {
	s.note(func() { s.heads = append(s.heads, p) })
}

// await waits until what was noted is as wanted.
func (s *sink) await(t *testing.T, wanted func() bool) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		ok := wanted()
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-s.news:
		case <-timeout:
			t.Fatal("the sink was not given what it should be")
		}
	}
}

func follow(t *testing.T, p *profiles) *sink {
	t.Helper()
	return followInto(t, p, new(sink))
}

func followInto(t *testing.T, p *profiles, s *sink) *sink {
	t.Helper()
	local, err := rpc.NewLocal(rpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	profilev1.RegisterProfileServiceServer(local, p)
	s.news = make(chan struct{}, 1)
	w, err := watch.New(watch.Config{
		Profiles: local, Sink: s, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Retry: time.Millisecond, HeadEvery: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return s
}

func message(cursor, life string, revision int64, changes ...*profilev1.WatchProfilesResponse_Change) *profilev1.WatchProfilesResponse {
	return &profilev1.WatchProfilesResponse{
		Changes: changes, ChangesThrough: cursor, Position: &typev1.Position{Incarnation: life, Revision: revision, Mark: []byte("m")},
	}
}

func changed(p *profilev1.Profile) *profilev1.WatchProfilesResponse_Change {
	return &profilev1.WatchProfilesResponse_Change{Change: &profilev1.WatchProfilesResponse_Change_Profile{Profile: p}}
}

func TestChangesBecomeFactsAndAStreamGoesOnAfterItsCursor(t *testing.T) {
	attribute := &profilev1.Attribute{Name: "attributes/balance", Type: profilev1.Attribute_TYPE_DECIMAL, Scale: 2, Revision: 1}
	first := message("c1", "life", 2,
		&profilev1.WatchProfilesResponse_Change{Change: &profilev1.WatchProfilesResponse_Change_Attribute{Attribute: attribute}},
		changed(&profilev1.Profile{
			Name: someone, Gender: typev1.Gender_GENDER_FEMALE, Region: proto.String("FR-40"), GivenName: proto.String("Ada"),
			Custom: map[string]*typev1.AttributeValue{
				"balance": {Value: &typev1.AttributeValue_Decimal{Decimal: "-12.5"}},
				"unknown": {Value: &typev1.AttributeValue_Boolean{Boolean: true}},
			},
		}))
	first.Replaying = true
	p := &profiles{life: "life", streams: []stream{
		{messages: []*profilev1.WatchProfilesResponse{first}, err: fault.New(fault.Unavailable, "SERVER_GOING_AWAY", "stopping")},
		{messages: []*profilev1.WatchProfilesResponse{message("c2", "life", 3,
			&profilev1.WatchProfilesResponse_Change{Change: &profilev1.WatchProfilesResponse_Change_DeletedProfile{DeletedProfile: someone}})}},
	}}
	s := follow(t, p)
	s.await(t, func() bool { return len(s.batches) == 2 && len(s.heads) > 2 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if want := (index.Identity{Store: "st", Incarnation: "life", Currency: "EUR", Zone: "Europe/Paris"}); len(s.begun) != 1 || s.begun[0] != want {
		t.Errorf("replays %+v, want one of %+v", s.begun, want)
	}
	b := s.batches[0]
	if !b.Replaying || b.Through != (blocks.Point{Incarnation: "life", Revision: 2, Mark: "m"}) || len(b.Changes) != 2 {
		t.Fatalf("first batch is %+v", b)
	}
	if a := b.Changes[0].Attribute; a == nil || a.Name != "custom.balance" || a.Kind != audience.KindDecimal || a.Scale != 2 || a.Revision != 1 {
		t.Errorf("attribute is %+v", a)
	}
	facts := b.Changes[1].Facts
	if len(facts) != 3 || facts["gender"].Text != "female" || facts["region"].Text != "FR-40" || facts["custom.balance"].Num != -1250 {
		t.Errorf("facts are %v", facts)
	}
	if d := s.batches[1]; len(d.Changes) != 1 || d.Changes[0].Facts != nil || d.Changes[0].UID != b.Changes[1].UID || d.Replaying {
		t.Errorf("second batch is %+v", d)
	}
	if s.heads[0] != (blocks.Point{Incarnation: "life", Revision: 9, Mark: "m9"}) {
		t.Errorf("head is %+v", s.heads[0])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if want := []string{"", "c1"}; !slices.Equal(p.afters, want) {
		t.Errorf("streams began after %q, want %q", p.afters, want)
	}
}

func TestARefusedCursorBeginsAnew(t *testing.T) {
	for _, reason := range []string{"CURSOR_TOO_OLD", "CURSOR_OF_ANOTHER_STORE", "CURSOR_INVALID"} {
		p := &profiles{life: "life", streams: []stream{
			{messages: []*profilev1.WatchProfilesResponse{message("c1", "life", 1)}, err: errors.New("cut")},
			{err: fault.New(fault.OutOfRange, reason, "begin without one")},
			{messages: []*profilev1.WatchProfilesResponse{message("c1", "life", 1)}},
		}}
		s := follow(t, p)
		s.await(t, func() bool { return len(s.begun) == 2 && len(s.batches) == 2 })
		p.mu.Lock()
		if want := []string{"", "c1", ""}; !slices.Equal(p.afters, want) {
			t.Errorf("%s: streams began after %q, want %q", reason, p.afters, want)
		}
		p.mu.Unlock()
	}
}

// kept is what a sink has of a store up to c7, with some changes up to n7.
func kept() *sink {
	return &sink{kept: &index.Resumed{
		Cursor: "c7", Newest: "n7", Attributes: []audience.Attribute{{Name: "custom.balance", Kind: audience.KindDecimal, Scale: 2, Revision: 1}},
	}}
}

func TestWhatTheSinkHasKeptIsGoneOnFromAndNotTrustedTwice(t *testing.T) {
	p := &profiles{life: "life", streams: []stream{
		{err: fault.New(fault.Unavailable, "SERVER_GOING_AWAY", "stopping")}, // whether it holds n7 is asked again
		{messages: []*profilev1.WatchProfilesResponse{message("n7", "life", 7)}},
		{messages: []*profilev1.WatchProfilesResponse{message("c8", "life", 8, changed(&profilev1.Profile{
			Name: someone, Custom: map[string]*typev1.AttributeValue{"balance": {Value: &typev1.AttributeValue_Decimal{Decimal: "3"}}},
		}))}, err: errors.New("cut")},
		{err: fault.New(fault.OutOfRange, "CURSOR_TOO_OLD", "begin without one")},
		{messages: []*profilev1.WatchProfilesResponse{message("c9", "life", 9)}},
	}}
	s := followInto(t, p, kept())
	s.await(t, func() bool { return len(s.batches) == 2 && len(s.begun) == 1 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.batches[0]; len(b.Changes) != 1 || b.Changes[0].Facts["custom.balance"].Num != 300 || b.Cursor != "c8" {
		t.Errorf("first came %+v: the attributes that came before the cursor are known", b)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if want := []string{"n7", "n7", "c7", "c8", ""}; !slices.Equal(p.afters, want) {
		t.Errorf("streams began after %q, want %q", p.afters, want)
	}
}

// A store that was set back to between the cursor and the newest change that the sink has still holds the cursor: what the sink knows of
// the lost changes would never be corrected.
func TestWhatTheSinkHasKeptIsDroppedWhereTheStoreHasLostIt(t *testing.T) {
	p := &profiles{life: "life", streams: []stream{
		{err: fault.New(fault.OutOfRange, "CURSOR_OF_ANOTHER_STORE", "begin without one")},
		{messages: []*profilev1.WatchProfilesResponse{message("c1", "life", 1)}},
	}}
	s := followInto(t, p, kept())
	s.await(t, func() bool { return len(s.batches) == 1 && len(s.begun) == 1 })
	p.mu.Lock()
	defer p.mu.Unlock()
	if want := []string{"n7", ""}; !slices.Equal(p.afters, want) {
		t.Errorf("streams began after %q, want %q", p.afters, want)
	}
}

func TestAnotherLifeBeginsAnew(t *testing.T) {
	p := &profiles{life: "one", streams: []stream{
		{messages: []*profilev1.WatchProfilesResponse{message("c1", "one", 1), message("x1", "two", 1)}},
		{messages: []*profilev1.WatchProfilesResponse{message("x1", "two", 1)}},
	}}
	s := follow(t, p)
	s.await(t, func() bool {
		if len(s.batches) == 1 {
			p.mu.Lock()
			p.life = "two"
			p.mu.Unlock()
		}
		return len(s.batches) == 2 && len(s.begun) >= 2
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := s.begun[len(s.begun)-1]; last.Incarnation != "two" || s.batches[1].Through.Incarnation != "two" {
		t.Errorf("replay of %q up to %v", last.Incarnation, s.batches[1].Through)
	}
}
