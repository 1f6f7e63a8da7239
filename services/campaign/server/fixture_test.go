package server_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/campaign/internal/indextest"
	"github.com/narrowcast/narrowcast/services/campaign/server"
)

// suite is a running campaign service over an index in small.
type suite struct {
	*testing.T
	index     *indextest.Index
	server    *server.Server
	audiences campaignv1.AudienceServiceClient
	campaigns campaignv1.CampaignServiceClient
	lookups   campaignv1.LookupServiceClient
}

// someSegments are of every kind that a spec can meet.
func someSegments() []*indextest.Segment {
	return []*indextest.Segment{
		{Name: "segments/women", Rule: `gender == "female"`},
		{Name: "segments/keen", Rule: `job_level >= "director" || "cycling" in interests`},
		{Name: "segments/older", Rule: `age() >= 1`},
		{Name: "segments/nested", Rule: `segment("older") && !segment("segments/women") || custom.vip`},
		{Name: "segments/consenting", Rule: `consent("marketing", "email")`},
		{Name: "segments/list"},
		{Name: "segments/persona-p", Owner: "personas/p", Rule: `region.within("FR")`},
	}
}

// frenchMidnight is half past midnight in Paris on the index's day, and still the day before in UTC.
func frenchMidnight(x *indextest.Index) time.Time {
	return time.Unix(x.Today*24*60*60, 0).UTC().Add(-30 * time.Minute)
}

func start(t *testing.T, x *indextest.Index, change func(*server.Config)) *suite {
	t.Helper()
	cfg := server.Default()
	cfg.Path = filepath.Join(t.TempDir(), "campaign.db")
	cfg.MaxWait = 5 * time.Second
	cfg.Staleness = time.Hour // the index in small is asked for no head, so its age only grows
	if change != nil {
		change(&cfg)
	}
	s, err := server.New(t.Context(), cfg, server.Deps{
		Now: func() time.Time { return frenchMidnight(x) }, Segments: x.Conn(), Profiles: x.Conn(), Blocks: x.Blocks,
	})
	if err != nil {
		t.Fatal(err)
	}
	local, err := rpc.NewLocal(rpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Register(local)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &suite{T: t, index: x, server: s, audiences: campaignv1.NewAudienceServiceClient(local), campaigns: campaignv1.NewCampaignServiceClient(local),
		lookups: campaignv1.NewLookupServiceClient(local)}
}

// ready waits until a manifest has arrived: a question that asks for the newest state waits for the first one.
func (s *suite) ready() *suite {
	s.Helper()
	if _, err := s.audiences.CountAudience(s.Context(), &campaignv1.CountAudienceRequest{
		Audience: stated(&campaignv1.AudienceSpec{}), Consistency: &typev1.Consistency{Requirement: &typev1.Consistency_FullyConsistent{FullyConsistent: true}},
	}); err != nil {
		s.Fatal(err)
	}
	return s
}

func stated(spec *campaignv1.AudienceSpec) *campaignv1.AudienceRef {
	return &campaignv1.AudienceRef{Audience: &campaignv1.AudienceRef_Spec{Spec: spec}}
}

func saved(name string) *campaignv1.AudienceRef {
	return &campaignv1.AudienceRef{Audience: &campaignv1.AudienceRef_Name{Name: name}}
}

func (s *suite) count(spec *campaignv1.AudienceSpec) (*campaignv1.CountAudienceResponse, error) {
	return s.audiences.CountAudience(s.Context(), &campaignv1.CountAudienceRequest{Audience: stated(spec)})
}

// streamed is what one member stream brought.
type streamed struct {
	uids     []audience.UID
	messages []*campaignv1.StreamMembersResponse
}

func (st *streamed) last() *campaignv1.StreamMembersResponse { return st.messages[len(st.messages)-1] }

func (s *suite) stream(req *campaignv1.StreamMembersRequest) (*streamed, error) {
	return receive(s.audiences.StreamMembers(s.Context(), req))
}

func receive(in grpc.ServerStreamingClient[campaignv1.StreamMembersResponse], err error) (*streamed, error) {
	if err != nil {
		return nil, err
	}
	st := new(streamed)
	for {
		m, err := in.Recv()
		if errors.Is(err, io.EOF) {
			return st, nil
		}
		if err != nil {
			return st, err
		}
		st.messages = append(st.messages, m)
		for b := m.GetUids(); len(b) > 0; b = b[16:] {
			st.uids = append(st.uids, audience.UID(b[:16]))
		}
	}
}

// refused checks an error's kind and reason, and that its violations are at exactly the given fields.
func (s *suite) refused(err error, kind fault.Kind, reason string, paths ...string) *fault.Error {
	s.Helper()
	f := fault.As(err)
	if f == nil || f.Kind != kind || f.Reason != reason {
		s.Errorf("got %v, want kind %v and reason %s", err, kind, reason)
		return &fault.Error{}
	}
	if f.Message == "" {
		s.Error("a refusal without a message")
	}
	var got []string
	for _, v := range f.Violations {
		got = append(got, v.Field)
	}
	if len(paths) > 0 && !equal(got, paths) {
		s.Errorf("violations at %q, want %q", got, paths)
	}
	return f
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func configIn(t *testing.T) server.Config {
	cfg := server.Default()
	cfg.Path = filepath.Join(t.TempDir(), "campaign.db")
	return cfg
}
