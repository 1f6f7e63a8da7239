package client_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/client"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/revision"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// suite is a double of the services: it says what it was asked, and streams the members it is told to.
type suite struct {
	profilev1.UnimplementedProfileServiceServer
	profilev1.UnimplementedIdentityServiceServer
	segmentv1.UnimplementedSegmentServiceServer
	campaignv1.UnimplementedAudienceServiceServer

	token atomic.Value // string: what writes return
	calls atomic.Int64

	mu       sync.Mutex
	asked    []*typev1.Consistency
	requests []*campaignv1.StreamMembersRequest
	fail     error // of reads
	stream   func(try int, req *campaignv1.StreamMembersRequest, s grpc.ServerStreamingServer[campaignv1.StreamMembersResponse]) error
}

func (s *suite) written() string {
	t, _ := s.token.Load().(string)
	return t
}

func (s *suite) GetProfile(context.Context, *profilev1.GetProfileRequest) (*profilev1.Profile, error) {
	if s.calls.Add(1) < 3 {
		return nil, fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "later")
	}
	return &profilev1.Profile{}, nil
}

func (s *suite) DeleteProfile(context.Context, *profilev1.DeleteProfileRequest) (*profilev1.DeleteProfileResponse, error) {
	s.calls.Add(1)
	if s.written() == "" {
		return nil, fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "later")
	}
	return &profilev1.DeleteProfileResponse{ConsistencyToken: s.written()}, nil
}

func (s *suite) MergeProfiles(context.Context, *profilev1.MergeProfilesRequest) (*profilev1.MergeProfilesResponse, error) {
	return &profilev1.MergeProfilesResponse{Profile: &profilev1.Profile{ConsistencyToken: s.written()}}, nil
}

func (s *suite) CreateSegment(context.Context, *segmentv1.CreateSegmentRequest) (*segmentv1.Segment, error) {
	return &segmentv1.Segment{ConsistencyToken: s.written()}, nil
}

func (s *suite) CountAudience(_ context.Context, req *campaignv1.CountAudienceRequest) (*campaignv1.CountAudienceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, req.GetConsistency())
	return &campaignv1.CountAudienceResponse{}, s.fail
}

func (s *suite) StreamMembers(req *campaignv1.StreamMembersRequest, out grpc.ServerStreamingServer[campaignv1.StreamMembersResponse]) error {
	s.mu.Lock()
	s.requests = append(s.requests, proto.CloneOf(req))
	try := len(s.requests)
	s.mu.Unlock()
	return s.stream(try, req, out)
}

func (s *suite) lastAsked() *typev1.Consistency {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[len(s.asked)-1]
}

type registrar interface {
	grpc.ServiceRegistrar
}

func register(r registrar, s *suite) {
	profilev1.RegisterProfileServiceServer(r, s)
	profilev1.RegisterIdentityServiceServer(r, s)
	segmentv1.RegisterSegmentServiceServer(r, s)
	campaignv1.RegisterAudienceServiceServer(r, s)
}

func local(t *testing.T, s *suite, cfg client.Config) *client.Client {
	t.Helper()
	l, err := rpc.NewLocal(rpc.Options{Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	register(l, s)
	return client.New(client.Conns{Profile: l, Segment: l, Persona: l, Campaign: l}, cfg)
}

func profileToken(life string, rev int64) revision.Token {
	return revision.Token{Store: "s", Profile: revision.Part{Incarnation: life, Revision: rev, Mark: []byte("m")}}
}

func segmentToken(rev int64) revision.Token {
	return revision.Token{Store: "s", Segment: revision.Part{Incarnation: "d", Revision: rev, Mark: []byte("m")}}
}

const someProfile = "profiles/018f0000-0000-7000-8000-000000000001"

func write(t *testing.T, c *client.Client, s *suite, token revision.Token) {
	t.Helper()
	s.token.Store(token.String())
	if token.Segment.Present() {
		_, err := c.Segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{
			SegmentId: "x", Segment: &segmentv1.Segment{Definition: &segmentv1.Segment_Rule{Rule: "true"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if _, err := c.Profiles.DeleteProfile(t.Context(), &profilev1.DeleteProfileRequest{Name: someProfile}); err != nil {
		t.Fatal(err)
	}
}

func audience() *campaignv1.AudienceRef {
	return &campaignv1.AudienceRef{Audience: &campaignv1.AudienceRef_Name{Name: "audiences/x"}}
}

func TestQuestionsWaitForTheClientsOwnWrites(t *testing.T) {
	s := &suite{}
	c := local(t, s, client.Config{ReadYourWrites: true})
	count := func(consistency *typev1.Consistency) error {
		req := &campaignv1.CountAudienceRequest{Audience: audience(), Consistency: consistency}
		before := proto.CloneOf(req)
		_, err := c.Audiences.CountAudience(t.Context(), req)
		if !proto.Equal(req, before) {
			t.Errorf("the caller's request was changed to %v", req)
		}
		return err
	}
	if err := count(nil); err != nil || s.lastAsked() != nil {
		t.Errorf("before any write: asked %v, %v", s.lastAsked(), err)
	}
	write(t, c, s, profileToken("p", 7))
	write(t, c, s, segmentToken(3))
	write(t, c, s, profileToken("p", 5)) // an older answer that arrives late takes nothing back
	want, err := revision.Merge(profileToken("p", 7), segmentToken(3))
	if err != nil {
		t.Fatal(err)
	}
	if c.Token() != want.String() {
		t.Errorf("the client's token is %q, want %q", c.Token(), want)
	}
	if err := count(nil); err != nil || s.lastAsked().GetAtLeastAsFresh() != want.String() {
		t.Errorf("after writes: asked %v, %v", s.lastAsked(), err)
	}
	if err := count(&typev1.Consistency{AllowStale: true}); err != nil || s.lastAsked().GetAtLeastAsFresh() != want.String() || !s.lastAsked().GetAllowStale() {
		t.Errorf("an open consistency: asked %v, %v", s.lastAsked(), err)
	}
	if err := count(&typev1.Consistency{Requirement: &typev1.Consistency_FullyConsistent{FullyConsistent: true}}); err != nil || !s.lastAsked().GetFullyConsistent() {
		t.Errorf("a stated consistency: asked %v, %v", s.lastAsked(), err)
	}

	// Where an answer holds what was written, the token is there.
	s.token.Store(profileToken("p", 9).String())
	if _, err := c.Identity.MergeProfiles(t.Context(), &profilev1.MergeProfilesRequest{Name: someProfile, Merged: someProfile[:len(someProfile)-1] + "2"}); err != nil {
		t.Fatal(err)
	}
	if want, err = revision.Merge(want, profileToken("p", 9)); err != nil || c.Token() != want.String() {
		t.Errorf("after a merge the client's token is %q, want %q (%v)", c.Token(), want, err)
	}

	other := local(t, s, client.Config{ReadYourWrites: true})
	if err := other.Observe(c.Token()); err != nil {
		t.Fatal(err)
	}
	if other.Token() != c.Token() {
		t.Error("the token does not carry over")
	}
	if err := other.Observe("no token"); fault.ReasonOf(err) != revision.ReasonInvalid || other.Token() != c.Token() {
		t.Errorf("nonsense: %v, %q", err, other.Token())
	}
}

func TestWithoutTheOptionTokensAreOnlyKept(t *testing.T) {
	s := &suite{}
	c := local(t, s, client.Config{})
	write(t, c, s, profileToken("p", 7))
	if c.Token() == "" {
		t.Error("no token kept")
	}
	if _, err := c.Audiences.CountAudience(t.Context(), &campaignv1.CountAudienceRequest{Audience: audience()}); err != nil || s.lastAsked() != nil {
		t.Errorf("asked %v, %v", s.lastAsked(), err)
	}
}

func TestARestoredStoreReplacesTheToken(t *testing.T) {
	s := &suite{}
	c := local(t, s, client.Config{ReadYourWrites: true, Logger: testkit.Logger(t)})
	write(t, c, s, profileToken("first", 900))
	write(t, c, s, profileToken("second", 2))
	if want := profileToken("second", 2).String(); c.Token() != want {
		t.Errorf("token %q, want %q", c.Token(), want)
	}
	s.fail = fault.New(fault.Precondition, revision.ReasonAnotherStore, "drop it")
	if _, err := c.Audiences.CountAudience(t.Context(), &campaignv1.CountAudienceRequest{Audience: audience()}); fault.ReasonOf(err) != revision.ReasonAnotherStore {
		t.Errorf("got %v", err)
	}
	if c.Token() != "" {
		t.Errorf("a refused token is kept: %q", c.Token())
	}
	s.fail = nil
	if _, err := c.Audiences.CountAudience(t.Context(), &campaignv1.CountAudienceRequest{Audience: audience()}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestAnUnreadableTokenDoesNotFailAWriteThatSucceeded(t *testing.T) {
	s := &suite{}
	s.token.Store("no token")
	c := local(t, s, client.Config{ReadYourWrites: true, Logger: testkit.Logger(t)})
	if _, err := c.Profiles.DeleteProfile(t.Context(), &profilev1.DeleteProfileRequest{Name: someProfile}); err != nil || c.Token() != "" {
		t.Errorf("got %v, token %q", err, c.Token())
	}
}

// member is the i-th uid of every audience here.
func member(i int) (u uuid.UUID) {
	binary.BigEndian.PutUint64(u[8:], uint64(i))
	return u
}

func packed(from, to int) (raw []byte) {
	for i := from; i < to; i++ {
		u := member(i)
		raw = append(raw, u[:]...)
	}
	return raw
}

// send streams members in messages of three from where the token says, breaking with failure after the given number of messages.
func send(total, messages int, failure error) func(int, *campaignv1.StreamMembersRequest, grpc.ServerStreamingServer[campaignv1.StreamMembersResponse]) error {
	return func(_ int, req *campaignv1.StreamMembersRequest, s grpc.ServerStreamingServer[campaignv1.StreamMembersResponse]) error {
		at := 0
		if req.GetResumeToken() != "" {
			if _, err := fmt.Sscanf(req.GetResumeToken(), "at %d", &at); err != nil {
				return err
			}
		}
		end := total
		if req.GetLimit() > 0 {
			end = min(total, at+int(req.GetLimit()))
		}
		for n := 0; at < end; n++ {
			if n == messages {
				return failure
			}
			to := min(at+3, end)
			msg := &campaignv1.StreamMembersResponse{Uids: packed(at, to), ResumeToken: fmt.Sprintf("at %d", to)}
			if n == 0 {
				msg.Info = &typev1.AnswerInfo{Revision: int64(at + 1)}
			}
			if err := s.Send(msg); err != nil {
				return err
			}
			at = to
		}
		// Where the limit falls on the end of a full stream, it breaks once more before its closing message.
		if messages > 0 && end-at == 0 && failure != nil && req.GetLimit() > 0 && (end%(3*messages)) == 0 {
			return failure
		}
		return s.Send(&campaignv1.StreamMembersResponse{Complete: true, HeldBack: 2, Sent: int64(at)})
	}
}

func collect(t *testing.T, m *client.Members) (n int, err error) {
	t.Helper()
	for u, e := range m.All() {
		if e != nil {
			return n, e
		}
		if u != member(n) {
			t.Fatalf("member %d is %v, want %v", n, u, member(n))
		}
		n++
	}
	return n, nil
}

var later = fault.New(fault.Unavailable, rpc.ReasonGoingAway, "try again")

func TestABrokenMemberStreamIsResumedWithoutLossOrRepetition(t *testing.T) {
	s := &suite{stream: send(20, 2, later)}
	c := local(t, s, client.Config{})
	m := c.Members(t.Context(), &campaignv1.StreamMembersRequest{Audience: audience()})
	n, err := collect(t, m)
	if err != nil || n != 20 {
		t.Fatalf("%d members, %v", n, err)
	}
	if m.Resumes() != 3 || m.Received() != 20 || m.HeldBack() != 2 || !m.Complete() || m.Info().GetRevision() != 1 {
		t.Errorf("%d resumes, %d received, %d held back, complete %v, info %v", m.Resumes(), m.Received(), m.HeldBack(), m.Complete(), m.Info())
	}
	for u, err := range m.All() {
		t.Errorf("a second range yields %v, %v", u, err)
	}
}

func TestALimitHoldsOverResumes(t *testing.T) {
	for _, limit := range []int64{1, 5, 6, 7, 11, 12, 20, 50} {
		s := &suite{stream: send(20, 2, later)}
		c := local(t, s, client.Config{})
		req := &campaignv1.StreamMembersRequest{Audience: audience(), Limit: limit}
		m := c.Members(t.Context(), req)
		n, err := collect(t, m)
		if want := int(min(limit, 20)); err != nil || n != want || !m.Complete() {
			t.Errorf("limit %d: %d members, %v, complete %v", limit, n, err, m.Complete())
		}
		if req.GetLimit() != limit || req.GetResumeToken() != "" {
			t.Errorf("the caller's request was changed to %v", req)
		}
	}
}

func TestErrorsThatAreNotUnavailableEndTheStream(t *testing.T) {
	gone := fault.New(fault.Precondition, "LAYOUT_GONE", "begin anew")
	s := &suite{stream: send(20, 2, gone)}
	c := local(t, s, client.Config{})
	m := c.Members(t.Context(), &campaignv1.StreamMembersRequest{Audience: audience()})
	n, err := collect(t, m)
	if n != 6 || fault.ReasonOf(err) != "LAYOUT_GONE" || m.Complete() || m.Resumes() != 0 || m.ResumeToken() != "at 6" {
		t.Errorf("%d members, %v, complete %v, %d resumes, at %q", n, err, m.Complete(), m.Resumes(), m.ResumeToken())
	}
}

func TestAServiceThatStaysAwayIsGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		deadline, waited time.Duration
		resumes          int
	}{
		// Pauses of 0.1, 0.2, 0.4, 0.8 and 1.6 s lie between six attempts.
		"after six attempts":        {time.Hour, 3100 * time.Millisecond, 5},
		"before a hopeless pause":   {time.Second, 700 * time.Millisecond, 3},
		"at once where no time is":  {50 * time.Millisecond, 0, 0},
		"when the pause just fits":  {301 * time.Millisecond, 300 * time.Millisecond, 2},
		"when the pause just fails": {300 * time.Millisecond, 100 * time.Millisecond, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := local(t, &suite{stream: send(20, 0, later)}, client.Config{})
				ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
				defer cancel()
				begin := time.Now()
				m := client.Members(ctx, &campaignv1.StreamMembersRequest{Audience: audience()})
				n, err := collect(t, m)
				if n != 0 || fault.ReasonOf(err) != rpc.ReasonGoingAway || m.Resumes() != c.resumes || time.Since(begin) != c.waited {
					t.Errorf("%d members, %v, %d resumes in %v", n, err, m.Resumes(), time.Since(begin))
				}
			})
		})
	}
}

func TestStreamsThatBreakTheContractAreErrors(t *testing.T) {
	type out = grpc.ServerStreamingServer[campaignv1.StreamMembersResponse]
	for name, stream := range map[string]func(int, *campaignv1.StreamMembersRequest, out) error{
		"half a uid": func(_ int, _ *campaignv1.StreamMembersRequest, s out) error {
			return s.Send(&campaignv1.StreamMembersResponse{Uids: make([]byte, 17), ResumeToken: "x"})
		},
		"no end": func(_ int, _ *campaignv1.StreamMembersRequest, s out) error {
			return s.Send(&campaignv1.StreamMembersResponse{ResumeToken: "x"})
		},
	} {
		c := local(t, &suite{stream: stream}, client.Config{})
		if _, err := collect(t, c.Members(t.Context(), &campaignv1.StreamMembersRequest{Audience: audience()})); fault.ReasonOf(err) != client.ReasonBadStream {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Without a token behind the uids a second stream would repeat them: the break is final.
	s := &suite{stream: func(_ int, _ *campaignv1.StreamMembersRequest, s out) error {
		if err := s.Send(&campaignv1.StreamMembersResponse{Uids: packed(0, 2)}); err != nil {
			return err
		}
		return later
	}}
	c := local(t, s, client.Config{})
	m := c.Members(t.Context(), &campaignv1.StreamMembersRequest{Audience: audience()})
	if n, err := collect(t, m); n != 2 || fault.ReasonOf(err) != rpc.ReasonGoingAway || m.Resumes() != 0 {
		t.Errorf("%d members, %v, %d resumes", n, err, m.Resumes())
	}
}

func TestAReaderThatStopsEndsTheStream(t *testing.T) {
	ended := make(chan error, 1)
	s := &suite{stream: func(_ int, _ *campaignv1.StreamMembersRequest, s grpc.ServerStreamingServer[campaignv1.StreamMembersResponse]) error {
		err := s.Send(&campaignv1.StreamMembersResponse{Uids: packed(0, 3), ResumeToken: "x"})
		<-s.Context().Done()
		ended <- s.Context().Err()
		return errors.Join(err, s.Context().Err())
	}}
	c := local(t, s, client.Config{})
	m := c.Members(t.Context(), &campaignv1.StreamMembersRequest{Audience: audience()})
	for _, err := range m.All() {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if err := <-ended; !errors.Is(err, context.Canceled) || m.Received() != 1 || m.ResumeToken() != "" {
		t.Errorf("ended with %v after %d, at %q", err, m.Received(), m.ResumeToken())
	}
}

func TestOverTheNetworkOnlySafeCallsAreTriedAgain(t *testing.T) {
	server, err := rpc.NewServer(rpc.Options{Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{}
	register(server, s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	c, err := client.Dial(client.Config{Addr: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Profiles.GetProfile(t.Context(), &profilev1.GetProfileRequest{Name: someProfile}); err != nil || s.calls.Load() != 3 {
		t.Errorf("a read: %v after %d calls", err, s.calls.Load())
	}
	if _, err := c.Profiles.DeleteProfile(t.Context(), &profilev1.DeleteProfileRequest{Name: someProfile}); fault.ReasonOf(err) != "STORE_UNAVAILABLE" || s.calls.Load() != 4 {
		t.Errorf("a write: %v after %d calls", err, s.calls.Load()-3)
	}
	if err := errors.Join(c.Close(), c.Close(), server.Stop(t.Context()), <-served); err != nil {
		t.Error(err)
	}
}

func TestEveryServiceNeedsAnAddress(t *testing.T) {
	_, err := client.Dial(client.Config{ProfileAddr: "a:1", CampaignAddr: "b:1"})
	if err == nil || !strings.Contains(err.Error(), "segment") || !strings.Contains(err.Error(), "persona") || strings.Contains(err.Error(), "campaign") {
		t.Errorf("got %v", err)
	}
}
