package upload_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	"github.com/narrowcast/narrowcast/services/suite/internal/upload"
)

// store is a double of the profile service: it keeps what was committed over all its streams, refuses rows named "bad", and
// breaks a stream when told to.
type store struct {
	profilev1.UnimplementedProfileServiceServer
	mu       sync.Mutex
	rows     []string
	received int // rows of all streams, repeated ones included
	streams  int
	// breaks says after how many committed rows the n-th stream breaks; 0: it does not.
	breaks func(stream int) int
	failed error // what a stream breaks with
}

func (s *store) ImportProfiles(in grpc.BidiStreamingServer[profilev1.ImportProfilesRequest, profilev1.ImportProfilesResponse]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams++
	limit := 0
	if s.breaks != nil {
		limit = s.breaks(s.streams)
	}
	first, err := in.Recv()
	if err != nil {
		return err
	}
	if first.GetStart().GetImportId() == "" {
		return fault.New(fault.Invalid, "IMPORT_PROTOCOL", "no start")
	}
	answer := func(rejections ...*profilev1.ImportProfilesResponse_Rejection) error {
		return in.Send(&profilev1.ImportProfilesResponse{
			CommittedThrough: int64(len(s.rows)), Created: int64(len(s.rows)), Rejections: rejections, ConsistencyToken: fmt.Sprint(len(s.rows)),
		})
	}
	if err := answer(); err != nil {
		return err
	}
	begun := len(s.rows)
	for {
		msg, err := in.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var rejections []*profilev1.ImportProfilesResponse_Rejection
		for i, p := range msg.GetChunk().GetProfiles() {
			row := msg.GetChunk().GetOffset() + int64(i)
			s.received++
			if row < int64(len(s.rows)) {
				continue
			}
			if row > int64(len(s.rows)) {
				return fault.New(fault.Invalid, "IMPORT_GAP", "rows are missing")
			}
			s.rows = append(s.rows, p.GetOccupation())
			if p.GetOccupation() == "bad" {
				rejections = append(rejections, &profilev1.ImportProfilesResponse_Rejection{Row: row, Reason: "UNKNOWN_REGION", Field: "region", Message: "no"})
			}
			if limit > 0 && len(s.rows)-begun >= limit {
				return s.failed // what was committed is not even acknowledged
			}
		}
		if err := answer(rejections...); err != nil {
			return err
		}
	}
}

func connect(t *testing.T, s *store) profilev1.ProfileServiceClient {
	t.Helper()
	l, err := rpc.NewLocal(rpc.Options{Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	profilev1.RegisterProfileServiceServer(l, s)
	return profilev1.NewProfileServiceClient(l)
}

func rows(n int) (iter.Seq2[upload.Item[*profilev1.Profile], error], []string) {
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint("row ", i))
	}
	return func(yield func(upload.Item[*profilev1.Profile], error) bool) {
		for i, text := range want {
			if !yield(upload.Item[*profilev1.Profile]{Line: i + 2, Row: &profilev1.Profile{Occupation: &text}}, nil) {
				return
			}
		}
	}, want
}

// now waits for nothing.
func now(ctx context.Context, _ time.Duration) error { return ctx.Err() }

var away = fault.New(fault.Unavailable, "SERVER_GOING_AWAY", "later")

func TestEveryRowArrivesOnceInOrder(t *testing.T) {
	for _, n := range []int{0, 1, 2000, 2001, 50_000} {
		s := &store{}
		source, want := rows(n)
		var last upload.Result
		got, err := upload.Run(t.Context(), connect(t, s), source, upload.Options{ImportID: "x", OnProgress: func(r upload.Result) { last = r }})
		if err != nil {
			t.Fatalf("%d rows: %v", n, err)
		}
		if !slices.Equal(s.rows, want) || s.received != n {
			t.Errorf("%d rows: %d stored, %d received", n, len(s.rows), s.received)
		}
		if got.Committed != int64(n) || got.Token != fmt.Sprint(n) || !reflect.DeepEqual(got, last) || got.Resumed != 0 || got.Breaks != 0 {
			t.Errorf("%d rows: result %+v, last progress %+v", n, got, last)
		}
	}
}

func TestBrokenStreamsAreResumedWithoutLossOrRepetition(t *testing.T) {
	s := &store{failed: away, breaks: func(stream int) int {
		if stream < 12 {
			return 3001
		}
		return 0
	}}
	source, want := rows(40_000)
	got, err := upload.Run(t.Context(), connect(t, s), source, upload.Options{ImportID: "x", Wait: now})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.rows, want) {
		t.Errorf("%d rows stored, want %d in order", len(s.rows), len(want))
	}
	if got.Breaks != 11 || got.Committed != 40_000 {
		t.Errorf("result %+v", got)
	}
}

func TestSameIDGoesOnWhereItStopped(t *testing.T) {
	s := &store{}
	source, want := rows(9000)
	cut := func(yield func(upload.Item[*profilev1.Profile], error) bool) {
		n := 0
		for item, err := range source {
			if n++; n > 5500 {
				yield(upload.Item[*profilev1.Profile]{}, errors.New("the disk is gone"))
				return
			}
			if !yield(item, err) {
				return
			}
		}
	}
	got, err := upload.Run(t.Context(), connect(t, s), cut, upload.Options{ImportID: "x"})
	if err == nil || got.Committed < 4000 {
		t.Fatalf("got %+v, %v; want the error of the source, behind the rows before it", got, err)
	}
	stored := got.Committed
	got, err = upload.Run(t.Context(), connect(t, s), source, upload.Options{ImportID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.rows, want) || got.Resumed != stored {
		t.Errorf("%d rows stored, resumed behind %d, want %d", len(s.rows), got.Resumed, stored)
	}
	if s.received != 9000 {
		t.Errorf("%d rows were sent, want each once", s.received)
	}
}

func TestRejectionsNameTheLineOfTheFile(t *testing.T) {
	s := &store{}
	bad, good := "bad", "good"
	source := func(yield func(upload.Item[*profilev1.Profile], error) bool) {
		for i := range 5000 {
			text := &good
			if i == 4321 {
				text = &bad
			}
			if !yield(upload.Item[*profilev1.Profile]{Line: 10 + 3*i, Row: &profilev1.Profile{Occupation: text}}, nil) {
				return
			}
		}
	}
	var got []upload.Rejection
	if _, err := upload.Run(t.Context(), connect(t, s), source, upload.Options{
		ImportID: "x", OnReject: func(r upload.Rejection) { got = append(got, r) },
	}); err != nil {
		t.Fatal(err)
	}
	want := upload.Rejection{Line: 10 + 3*4321, Reason: "UNKNOWN_REGION", Field: "region", Message: "no"}
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestItGivesUpWhereTryingAgainCannotHelp(t *testing.T) {
	source, _ := rows(10)
	fatal := &store{failed: fault.New(fault.Denied, "NO", "never"), breaks: func(int) int { return 1 }}
	if _, err := upload.Run(t.Context(), connect(t, fatal), source, upload.Options{ImportID: "x", Wait: now}); fault.ReasonOf(err) != "NO" || fatal.streams != 1 {
		t.Errorf("after %d streams: %v", fatal.streams, err)
	}
	gone := &away2{}
	if _, err := upload.Run(t.Context(), gone, source, upload.Options{ImportID: "x", Wait: now}); fault.ReasonOf(err) != "SERVER_GOING_AWAY" || gone.calls != 8 {
		t.Errorf("after %d attempts without a commit: %v", gone.calls, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := upload.Options{ImportID: "x", Wait: func(ctx context.Context, _ time.Duration) error {
		cancel()
		return ctx.Err()
	}}
	if _, err := upload.Run(ctx, &away2{}, source, waiting); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled import gave %v", err)
	}
}

// away2 is a service that is never there.
type away2 struct {
	profilev1.ProfileServiceClient
	calls int
}

func (a *away2) ImportProfiles(context.Context, ...grpc.CallOption) (grpc.BidiStreamingClient[profilev1.ImportProfilesRequest, profilev1.ImportProfilesResponse], error) {
	a.calls++
	return nil, away
}
