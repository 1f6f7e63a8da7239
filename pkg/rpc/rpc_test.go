package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/pkg/telemetry"
	"github.com/narrowcast/narrowcast/pkg/telemetry/telemetrytest"
)

func TestFaultsCrossBothDoorsWhole(t *testing.T) {
	var sent *fault.Error
	w := newWorld(t, &service{
		do:   func(context.Context, string) (string, error) { return "", fmt.Errorf("update profile: %w", sent) },
		talk: func(grpc.ServerStream) error { return fmt.Errorf("watch: %w", sent) },
	}, rpc.Options{})
	wantCode := map[fault.Kind]codes.Code{ // from AIP-193 and the kinds' own documentation
		fault.Invalid: 3, fault.NotFound: 5, fault.Exists: 6, fault.Conflict: 10, fault.Precondition: 9, fault.Exhausted: 8,
		fault.Unavailable: 14, fault.Unauthenticated: 16, fault.Denied: 7, fault.OutOfRange: 11, fault.Deadline: 4, fault.Canceled: 1,
		fault.Unimplemented: 12, fault.DataLoss: 15,
	}
	for _, kind := range fault.Kinds() {
		if kind == fault.Internal {
			continue
		}
		sent = fault.New(kind, "SOME_REASON", "do this next").With("profile", "profiles/1").At("profile.etag").
			Unmet("STATE", "profiles/1", "make it so").Retry(1500 * time.Millisecond).Wrap(errors.New("secret cause"))
		if got := rpc.Status(sent, "").Code(); got != wantCode[kind] {
			t.Errorf("%v is sent as %v, want %v", kind, got, wantCode[kind])
		}
		w.each(t, func(t *testing.T, door grpc.ClientConnInterface) {
			_, err := do(t.Context(), door, "x")
			s := stream(t, t.Context(), door, talkMethod)
			for name, err := range map[string]error{"unary": err, "stream": s.RecvMsg(new(text))} {
				got := fault.As(err)
				if got == nil {
					t.Fatalf("%s: %T %v", name, err, err)
				}
				if got.Kind != kind || got.Reason != sent.Reason || got.Message != sent.Message || got.RetryAfter != sent.RetryAfter ||
					!reflect.DeepEqual(got.Metadata, sent.Metadata) || !reflect.DeepEqual(got.Violations, sent.Violations) ||
					!reflect.DeepEqual(got.Preconditions, sent.Preconditions) {
					t.Errorf("%s %v: got %+v", name, kind, got)
				}
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("%s: the cause went out: %v", name, err)
				}
			}
		})
	}
}

func TestUnknownErrorsAreInternalAndTheirCauseIsLoggedUnderTheRequestID(t *testing.T) {
	for name, cause := range map[string]error{
		"foreign": errors.New("secret cause"),
		"fault":   fault.New(fault.Internal, "SECRET", "secret cause").With("secret", 1),
		"eof":     fmt.Errorf("secret cause: %w", io.EOF),
		"status":  status.Error(codes.Internal, "secret cause"),
		"unknown": status.Error(codes.Unknown, "secret cause"),
	} {
		var log logs
		w := newWorld(t, &service{do: func(context.Context, string) (string, error) { return "", cause }}, rpc.Options{Logger: log.logger()})
		w.each(t, func(t *testing.T, door grpc.ClientConnInterface) {
			_, err := do(t.Context(), door, "x")
			got := fault.As(err)
			if got == nil || got.Kind != fault.Internal || got.Reason != rpc.ReasonInternal || strings.Contains(strings.ToLower(fmt.Sprint(err, got.Metadata)), "secret") {
				t.Fatalf("%s: got %v %+v", name, err, got)
			}
			id := got.Metadata["request_id"]
			for _, line := range strings.Split(log.String(), "\n") {
				if strings.Contains(line, "request_id="+id) && strings.Contains(line, "secret cause") && strings.Contains(line, "level=ERROR") {
					return
				}
			}
			t.Errorf("%s: no error line with request id %q and the cause in\n%s", name, id, log.String())
		})
	}
}

func TestContextErrorsKeepTheirCodes(t *testing.T) {
	w := newWorld(t, &service{do: func(_ context.Context, in string) (string, error) {
		if in == "deadline" {
			return "", fmt.Errorf("read: %w", context.DeadlineExceeded)
		}
		return "", fmt.Errorf("read: %w", context.Canceled)
	}}, rpc.Options{})
	w.each(t, func(t *testing.T, door grpc.ClientConnInterface) {
		if _, err := do(t.Context(), door, "deadline"); fault.KindOf(err) != fault.Deadline || fault.ReasonOf(err) != rpc.ReasonDeadline || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("deadline: %v", err)
		}
		if _, err := do(t.Context(), door, "cancel"); fault.KindOf(err) != fault.Canceled || fault.ReasonOf(err) != rpc.ReasonCancelled || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := do(ctx, door, "x"); !errors.Is(err, context.Canceled) || fault.As(err) == nil {
			t.Errorf("cancelled before the call: %v", err)
		}
	})
}

func TestAPanicIsAnsweredAndTheServerGoesOn(t *testing.T) {
	var log logs
	tel := telemetrytest.New(t)
	w := newWorld(t, &service{
		do: func(_ context.Context, in string) (string, error) {
			if in == "panic" {
				panic("a defect")
			}
			return in, nil
		},
		talk: func(grpc.ServerStream) error { panic("a defect") },
	}, rpc.Options{Logger: log.logger(), Telemetry: tel.Telemetry})
	w.each(t, func(t *testing.T, door grpc.ClientConnInterface) {
		_, err := do(t.Context(), door, "panic")
		id := ""
		if f := fault.As(err); f != nil {
			id = f.Metadata["request_id"]
		}
		if fault.ReasonOf(err) != rpc.ReasonInternal || id == "" || strings.Contains(err.Error(), "defect") {
			t.Errorf("unary: %v", err)
		}
		if !strings.Contains(log.String(), "request_id="+id+" panic=\"a defect\" stack=") {
			t.Errorf("the log does not tell: %s", log.String())
		}
		if err := stream(t, t.Context(), door, talkMethod).RecvMsg(new(text)); fault.ReasonOf(err) != rpc.ReasonInternal {
			t.Errorf("stream: %v", err)
		}
		if out, err := do(t.Context(), door, "fine"); err != nil || out != "fine" {
			t.Errorf("after the panic: %q, %v", out, err)
		}
	})
	if n := tel.Sum(telemetry.MetricPanics); n != 4 {
		t.Errorf("%v panics counted", n)
	}
}

func TestUnaryCallsGetADeadlineAndStreamsDoNot(t *testing.T) {
	type deadline struct {
		left time.Duration
		ok   bool
	}
	left := func(ctx context.Context) deadline {
		d, ok := ctx.Deadline()
		return deadline{time.Until(d), ok}
	}
	got := make(chan deadline, 1)
	w := newWorld(t, &service{
		do:   func(ctx context.Context, in string) (string, error) { got <- left(ctx); return in, nil },
		talk: func(s grpc.ServerStream) error { got <- left(s.Context()); return nil },
	}, rpc.Options{DefaultDeadline: time.Minute})
	w.each(t, func(t *testing.T, door grpc.ClientConnInterface) {
		if _, err := do(context.Background(), door, "x"); err != nil {
			t.Fatal(err)
		}
		if d := <-got; !d.ok || d.left > time.Minute || d.left < 30*time.Second {
			t.Errorf("without a deadline: %+v", d)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		if _, err := do(ctx, door, "x"); err != nil {
			t.Fatal(err)
		}
		if d := <-got; !d.ok || d.left < 30*time.Minute {
			t.Errorf("the caller's own deadline became %+v", d)
		}
		if err := stream(t, context.Background(), door, talkMethod).RecvMsg(new(text)); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if d := <-got; d.ok {
			t.Errorf("a stream has a deadline: %+v", d)
		}
	})
}

func TestTheStepsRunInOrder(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	note := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, s)
	}
	type who struct{}
	deny := atomic.Bool{}
	w := newWorld(t, &service{check: func(ctx context.Context, _ *typev1.Consistency) error {
		note("handler for " + fmt.Sprint(ctx.Value(who{})))
		return nil
	}}, rpc.Options{
		Authenticate: func(ctx context.Context, m string) (context.Context, error) {
			note("authenticate " + m)
			return context.WithValue(ctx, who{}, "me"), nil
		},
		Authorise: func(ctx context.Context, _ string) error {
			note("authorise " + fmt.Sprint(ctx.Value(who{})))
			if deny.Load() {
				return fault.New(fault.Denied, "NOT_ALLOWED", "ask for the right to it")
			}
			return nil
		},
		Gate: rpc.Interceptor{
			Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				note("gate before")
				defer note("gate after")
				return next(ctx, req)
			},
			Stream: func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
				note("gate before")
				defer note("gate after")
				return next(srv, s)
			},
		},
	})
	valid := &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: "t"}}
	invalid := &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: ""}}
	w.each(t, func(t *testing.T, door grpc.ClientConnInterface) {
		expect := func(what string, want ...string) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if !reflect.DeepEqual(seen, want) {
				t.Errorf("%s: %q, want %q", what, seen, want)
			}
			seen = nil
		}
		deny.Store(false)
		if err := door.Invoke(t.Context(), checkMethod, valid, new(text)); err != nil {
			t.Fatal(err)
		}
		expect("valid", "authenticate "+checkMethod, "authorise me", "gate before", "handler for me", "gate after")
		if err := door.Invoke(t.Context(), checkMethod, invalid, new(text)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("invalid: %v", err)
		}
		expect("invalid", "authenticate "+checkMethod, "authorise me")

		s := stream(t, t.Context(), door, consultMethod)
		if err := errors.Join(s.SendMsg(valid), s.RecvMsg(new(text)), s.CloseSend()); err != nil {
			t.Fatal(err)
		}
		if err := s.RecvMsg(new(text)); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		expect("stream", "authenticate "+consultMethod, "authorise me", "gate before", "gate after")

		deny.Store(true)
		if err := door.Invoke(t.Context(), checkMethod, invalid, new(text)); fault.KindOf(err) != fault.Denied {
			t.Errorf("an invalid request without the right: %v", err)
		}
		if err := stream(t, t.Context(), door, consultMethod).RecvMsg(new(text)); fault.KindOf(err) != fault.Denied {
			t.Errorf("a stream without the right: %v", err)
		}
		mu.Lock()
		seen = nil
		mu.Unlock()
	})
}

func TestBrokenRulesNameTheirFields(t *testing.T) {
	w := newWorld(t, &service{}, rpc.Options{})
	invalid := &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: strings.Repeat("x", 600)}}
	valid := &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: "t"}}
	w.each(t, func(t *testing.T, door grpc.ClientConnInterface) {
		err := door.Invoke(t.Context(), checkMethod, invalid, new(text))
		f := fault.As(err)
		if f == nil || f.Kind != fault.Invalid || f.Reason != rpc.ReasonValidation || len(f.Violations) != 1 || f.Violations[0].Field != "at_least_as_fresh" || f.Violations[0].Description == "" {
			t.Errorf("unary: %v", err)
		}
		s := stream(t, t.Context(), door, consultMethod)
		if err := s.SendMsg(invalid); err != nil {
			t.Fatal(err)
		}
		if err := s.RecvMsg(new(text)); fault.ReasonOf(err) != rpc.ReasonValidation {
			t.Errorf("first message of a stream: %v", err)
		}
		s = stream(t, t.Context(), door, consultMethod)
		for _, m := range []*typev1.Consistency{valid, invalid} {
			if err := errors.Join(s.SendMsg(m), s.RecvMsg(new(text))); err != nil {
				t.Errorf("a later message of a stream was checked: %v", err)
			}
		}
	})
}

func TestAMessageThatIsTooLargeIsRefusedAndTheServerGoesOn(t *testing.T) {
	w := newWorld(t, &service{}, rpc.Options{})
	door := w.doors["network"]
	huge := strings.Repeat("x", 20<<20)
	if _, err := do(t.Context(), door, huge); fault.KindOf(err) != fault.Exhausted || fault.ReasonOf(err) != rpc.ReasonMessageTooLarge {
		t.Errorf("unary: %.200v", err)
	}
	s := stream(t, t.Context(), door, talkMethod)
	_ = s.SendMsg(wrapperspb.String(huge)) // may or may not see the end of the stream
	if err := s.RecvMsg(new(text)); fault.KindOf(err) != fault.Exhausted || fault.ReasonOf(err) != rpc.ReasonMessageTooLarge {
		t.Errorf("stream: %.200v", err)
	}
	if out, err := do(t.Context(), door, "fine"); err != nil || out != "fine" {
		t.Errorf("afterwards: %q, %v", out, err)
	}
}

func TestOneTraceRunsThroughBothDoors(t *testing.T) {
	tel := telemetrytest.New(t)
	back := newWorld(t, &service{do: func(ctx context.Context, in string) (string, error) {
		_, span := tel.Tracer("test").Start(ctx, "work")
		span.End()
		return in, nil
	}}, rpc.Options{Telemetry: tel.Telemetry})
	for name, neighbour := range back.doors {
		t.Run(name, func(t *testing.T) {
			front := newWorld(t, &service{
				do: func(ctx context.Context, in string) (string, error) { return do(ctx, neighbour, in) },
				talk: func(s grpc.ServerStream) error {
					_, err := do(s.Context(), neighbour, "x")
					return err
				},
			}, rpc.Options{Telemetry: tel.Telemetry})
			tel.Reset()
			ctx, root := tel.Tracer("test").Start(t.Context(), "cli")
			if _, err := do(ctx, front.doors["network"], "x"); err != nil {
				t.Fatal(err)
			}
			if err := stream(t, ctx, front.doors["local"], talkMethod).RecvMsg(new(text)); !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			root.End()
			// A server's span may end after its caller has the answer: stopping waits for it.
			if err := front.server.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := eventually(func() bool { return len(tel.Named("test.v1.Test/Do"))+len(tel.Named("test.v1.Test/Talk")) == 8 }); err != nil {
				t.Fatalf("%v:\n%s", err, tel.Tree())
			}
			var paths []string
			for _, s := range tel.Named("work") {
				paths = append(paths, tel.Path(s))
			}
			const do, talk = "test.v1.Test/Do", "test.v1.Test/Talk"
			for _, want := range []string{
				strings.Join([]string{"cli", do, do, do, do, "work"}, " > "),
				strings.Join([]string{"cli", talk, talk, do, do, "work"}, " > "),
			} {
				found := false
				for _, p := range paths {
					found = found || p == want
				}
				if !found {
					t.Errorf("no path %q in %q\n%s", want, paths, tel.Tree())
				}
			}
		})
	}
}

// eventually yields until ok holds, for effects that come after an answer without a signal of their own.
func eventually(ok func() bool) error {
	timeout := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			return errors.New("it did not happen")
		}
	}
	return nil
}

func TestTheRequestIDFollowsTheCallAndIsHarmless(t *testing.T) {
	var ids sync.Map
	back := newWorld(t, &service{do: func(ctx context.Context, in string) (string, error) {
		ids.Store(in, rpc.RequestID(ctx))
		return in, nil
	}}, rpc.Options{})
	front := newWorld(t, &service{do: func(ctx context.Context, in string) (string, error) {
		if _, err := do(ctx, back.doors["local"], in+"/local"); err != nil {
			return "", err
		}
		if _, err := do(ctx, back.doors["network"], in+"/network"); err != nil {
			return "", err
		}
		return rpc.RequestID(ctx), nil
	}}, rpc.Options{})
	front.each(t, func(t *testing.T, door grpc.ClientConnInterface) {
		for given, kept := range map[string]bool{"abc-1.2_Z": true, "": false, "new line\n": false, "a b": false, strings.Repeat("x", 65): false} {
			ctx := t.Context()
			if given != "" && !strings.Contains(given, "\n") {
				ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", given)
			}
			got, err := do(ctx, door, "x")
			if err != nil {
				t.Fatal(err)
			}
			if got == "" || len(got) > 64 || (got == given) != kept {
				t.Errorf("given %q, used %q", given, got)
			}
			for _, way := range []string{"x/local", "x/network"} {
				if there, _ := ids.Load(way); there != got {
					t.Errorf("%s: the neighbour used %q, the caller %q", way, there, got)
				}
			}
		}
	})
}

func TestCallsAreCountedAndLogged(t *testing.T) {
	var log logs
	tel := telemetrytest.New(t)
	w := newWorld(t, &service{do: func(_ context.Context, in string) (string, error) {
		if in == "bad" {
			return "", fault.InvalidField("SOME_REASON", "field", "say it right")
		}
		return in, nil
	}}, rpc.Options{Logger: log.logger(), Telemetry: tel.Telemetry})
	w.each(t, func(t *testing.T, door grpc.ClientConnInterface) {
		if _, err := do(t.Context(), door, "good"); err != nil {
			t.Error(err)
		}
		if _, err := do(t.Context(), door, "bad"); err == nil {
			t.Error("no error")
		}
	})
	if err := eventually(func() bool { return tel.Sum(telemetry.MetricCalls) == 4 && tel.Sum(telemetry.MetricInFlight) == 0 }); err != nil {
		t.Errorf("%v calls, %v in flight", tel.Sum(telemetry.MetricCalls), tel.Sum(telemetry.MetricInFlight))
	}
	if n := tel.Sum(telemetry.MetricDuration); n != 4 {
		t.Errorf("%v durations", n)
	}
	if n := strings.Count(log.String(), "level=DEBUG msg=call method="+doMethod); n != 2 {
		t.Errorf("%d lines of good calls in\n%s", n, log.String())
	}
	if n := strings.Count(log.String(), "code=INVALID_ARGUMENT"); n != 2 || strings.Count(log.String(), "reason=SOME_REASON") != 2 {
		t.Errorf("%d lines of bad calls in\n%s", n, log.String())
	}
}

func TestAMissingServerAndAMissingMethodSayWhatToDo(t *testing.T) {
	conn, err := rpc.Dial("127.0.0.1:1", rpc.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := do(t.Context(), conn, "x"); fault.KindOf(err) != fault.Unavailable || fault.ReasonOf(err) != rpc.ReasonUnreachable || !strings.Contains(err.Error(), "check its address") {
		t.Errorf("no server: %v", err)
	}
	if _, err := rpc.Dial(" ", rpc.DialOptions{}); err == nil {
		t.Error("an empty address was dialled")
	}
	w := newWorld(t, &service{}, rpc.Options{})
	w.each(t, func(t *testing.T, door grpc.ClientConnInterface) {
		for _, m := range []string{"/test.v1.Test/None", "/test.v1.None/Do"} {
			if err := door.Invoke(t.Context(), m, wrapperspb.String("x"), new(text)); fault.KindOf(err) != fault.Unimplemented || fault.ReasonOf(err) != rpc.ReasonUnimplemented {
				t.Errorf("%s: %v", m, err)
			}
		}
	})
}
