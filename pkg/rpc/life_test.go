package rpc_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
)

func TestReadinessAsksItsChecksAtEveryProbe(t *testing.T) {
	w := newWorld(t, &service{}, rpc.Options{})
	client := healthpb.NewHealthClient(w.doors["network"])
	var broken atomic.Bool
	var asked atomic.Int64
	w.server.Health().Add("store", func(context.Context) error {
		asked.Add(1)
		if broken.Load() {
			return errors.New("the store is gone")
		}
		return nil
	})
	probe := func(service string) healthpb.HealthCheckResponse_ServingStatus {
		t.Helper()
		res, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		return res.GetStatus()
	}
	for i, bad := range []bool{false, true, false} {
		broken.Store(bad)
		want := healthpb.HealthCheckResponse_SERVING
		if bad {
			want = healthpb.HealthCheckResponse_NOT_SERVING
		}
		if got := probe(""); got != want {
			t.Errorf("probe %d: %v, want %v", i, got, want)
		}
	}
	if asked.Load() != 3 {
		t.Errorf("asked %d times", asked.Load())
	}
	broken.Store(true)
	if got := probe(rpc.Liveness); got != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("liveness: %v", got)
	}
	if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "other"}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("an unknown service: %v", err)
	}

	broken.Store(false)
	watch, err := client.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if res, err := watch.Recv(); err != nil || res.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("watch began with %v, %v", res, err)
	}
	w.server.Drain()
	if got := probe(""); got != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("while draining: %v", got)
	}
	if res, err := watch.Recv(); err != nil || res.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("watch went on with %v, %v", res, err)
	}
	if _, err := watch.Recv(); fault.ReasonOf(err) != rpc.ReasonGoingAway {
		t.Errorf("watch ended with %v", err)
	}
}

func TestAStopTellsStreamsAndWaitsForCalls(t *testing.T) {
	entered, release := make(chan struct{}, 2), make(chan struct{})
	w := newWorld(t, &service{
		do: func(_ context.Context, in string) (string, error) { entered <- struct{}{}; <-release; return in, nil },
		talk: func(s grpc.ServerStream) error {
			if err := s.SendMsg(wrapperspb.String("watching")); err != nil {
				return err
			}
			select {
			case <-rpc.Closing(s.Context()):
				return rpc.GoingAway()
			case <-s.Context().Done():
				return s.Context().Err()
			}
		},
	}, rpc.Options{})
	streams := map[string]grpc.ClientStream{}
	answers := make(chan error, 2)
	for name, door := range w.doors {
		s := stream(t, t.Context(), door, talkMethod)
		if err := s.RecvMsg(new(text)); err != nil {
			t.Fatal(err)
		}
		streams[name] = s
		go func() { _, err := do(context.Background(), door, "x"); answers <- err }()
	}
	for range 2 {
		<-entered
	}
	stopped := make(chan error, 1)
	go func() { stopped <- w.server.Stop(t.Context()) }()
	for name, s := range streams {
		if err := s.RecvMsg(new(text)); fault.KindOf(err) != fault.Unavailable || fault.ReasonOf(err) != rpc.ReasonGoingAway {
			t.Errorf("%s: the stream ended with %v", name, err)
		}
	}
	select {
	case err := <-stopped:
		t.Fatalf("the stop did not wait for calls: %v", err)
	default:
	}
	close(release)
	for range 2 {
		if err := <-answers; err != nil {
			t.Errorf("a call under way got %v", err)
		}
	}
	if err := errors.Join(<-stopped, <-w.served); err != nil {
		t.Error(err)
	}
	if _, err := do(t.Context(), w.doors["local"], "late"); fault.ReasonOf(err) != rpc.ReasonGoingAway {
		t.Errorf("a late local call: %v", err)
	}
}

func TestAStopIsBounded(t *testing.T) {
	entered := make(chan struct{}, 1)
	w := newWorld(t, &service{talk: func(s grpc.ServerStream) error {
		entered <- struct{}{}
		<-s.Context().Done() // ignores that the server closes
		return s.Context().Err()
	}}, rpc.Options{})
	s := stream(t, t.Context(), w.doors["network"], talkMethod)
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := w.server.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := s.RecvMsg(new(text)); err == nil || errors.Is(err, io.EOF) || fault.As(err) == nil {
		t.Errorf("the cut stream ended with %v", err)
	}
}

func TestAStopWaitsForHandlersThatAreReturning(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	w := newWorld(t, &service{talk: func(s grpc.ServerStream) error {
		entered <- struct{}{}
		<-s.Context().Done()
		<-release
		return s.Context().Err()
	}}, rpc.Options{})
	caller, leave := context.WithCancel(t.Context())
	stream(t, caller, w.doors["local"], talkMethod)
	<-entered
	leave()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- w.server.Stop(over) }()
	served := <-w.served // the network door is shut; the local one is next
	close(release)
	if err := errors.Join(served, <-stopped); err != nil {
		t.Error(err)
	}
}

func TestReflectionNamesTheServices(t *testing.T) {
	w := newWorld(t, &service{}, rpc.Options{})
	s, err := reflectionpb.NewServerReflectionClient(w.doors["network"]).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	res, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range res.GetListServicesResponse().GetService() {
		names = append(names, one.GetName())
	}
	for _, want := range []string{"test.v1.Test", "grpc.health.v1.Health"} {
		if !slices.Contains(names, want) {
			t.Errorf("%q lacks %s", names, want)
		}
	}
	if _, ok := w.server.GetServiceInfo()["test.v1.Test"]; !ok {
		t.Error("the service info lacks the service")
	}
}

// flaky is UNAVAILABLE for its first two calls.
type flaky struct {
	healthpb.UnimplementedHealthServer
	calls atomic.Int64
}

func (f *flaky) Check(context.Context, *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if f.calls.Add(1) < 3 {
		return nil, status.Error(codes.Unavailable, "later")
	}
	return &healthpb.HealthCheckResponse{}, nil
}

func TestOnlySafeMethodsAreRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		opts  rpc.DialOptions
		calls int64
		fails bool
	}{
		"safe by prefix": {rpc.DialOptions{Services: []string{"grpc.health.v1.Health"}, Safe: []string{"Check"}}, 3, false},
		"not safe":       {rpc.DialOptions{Services: []string{"grpc.health.v1.Health"}}, 1, true},
		"not listed":     {rpc.DialOptions{Safe: []string{"Check"}}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, &service{}, rpc.Options{})
			f := &flaky{}
			server := grpc.NewServer()
			healthpb.RegisterHealthServer(server, f)
			l := listen(t)
			go server.Serve(l) //nolint:errcheck // ends with Stop
			defer server.Stop()
			w.dial = l.dial
			_, err := healthpb.NewHealthClient(w.conn(t, c.opts)).Check(t.Context(), &healthpb.HealthCheckRequest{})
			if (err != nil) != c.fails || f.calls.Load() != c.calls {
				t.Errorf("%d calls, %v; want %d", f.calls.Load(), err, c.calls)
			}
		})
	}
	if _, err := rpc.Dial("x", rpc.DialOptions{Services: []string{"no.such.Service"}}); err == nil {
		t.Error("an unknown service was taken")
	}
	if _, err := rpc.Dial("x", rpc.DialOptions{Services: []string{"google.protobuf.StringValue"}}); err == nil {
		t.Error("a message was taken for a service")
	}
}

func TestALocalDoorStandsAlone(t *testing.T) {
	l, err := rpc.NewLocal(rpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l.RegisterService(&desc, &service{})
	if out, err := do(t.Context(), l, "x"); err != nil || out != "x" {
		t.Errorf("%q, %v", out, err)
	}
	if _, ok := l.GetServiceInfo()["test.v1.Test"]; !ok {
		t.Error("the service info lacks the service")
	}
}

func BenchmarkUnary(b *testing.B) {
	w := newWorld(b, &service{}, rpc.Options{})
	for name, door := range w.doors {
		b.Run("door="+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := do(b.Context(), door, "x"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
