package run_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/narrowcast/narrowcast/pkg/run"
)

// rest waits on the bubble's clock, which takes no time.
func rest(d time.Duration) { <-time.After(d) }

// journal records what happened and when, in the order in which it did.
type journal struct {
	mu    sync.Mutex
	begin time.Time
	lines []string
}

func newJournal() *journal { return &journal{begin: time.Now()} }

func (j *journal) note(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, time.Since(j.begin).String()+" "+s)
}

func (j *journal) want(t *testing.T, want ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(j.lines, want) {
		t.Errorf("happened:\n%s\nwant:\n%s", strings.Join(j.lines, "\n"), strings.Join(want, "\n"))
	}
}

// part notes its life; starting and stopping take a second each.
func (j *journal) part(name string) run.Part {
	return run.Part{
		Name: name,
		Start: func(context.Context) error {
			rest(time.Second)
			j.note(name + " ready")
			return nil
		},
		Run: func(ctx context.Context) error {
			<-ctx.Done()
			j.note(name + " ended")
			return ctx.Err()
		},
		Stop: func(context.Context) error {
			rest(time.Second)
			j.note(name + " stopped")
			return nil
		},
	}
}

func TestPartsStartInOrderAndStopInReverseAfterTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		g := run.NewGroup(run.Options{ShutdownDelay: 3 * time.Second})
		g.Add(j.part("store"))
		g.Add(j.part("server"))
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- g.Run(ctx) }()

		rest(1500 * time.Millisecond)
		if s := g.States(); g.Ready() || s["store"] != run.Running || s["server"] != run.Starting {
			t.Errorf("half way up: ready %v, %v", g.Ready(), s)
		}
		rest(time.Second)
		if !g.Ready() {
			t.Error("not ready with all parts running")
		}
		cancel()
		synctest.Wait()
		if g.Ready() {
			t.Error("ready while stopping")
		}
		select {
		case <-g.Draining():
		default:
			t.Error("a stop began and Draining is open")
		}
		if s := g.States(); s["server"] != run.Running {
			t.Errorf("during the delay the server is %v", s["server"])
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
		j.want(t, "1s store ready", "2s server ready",
			"6.5s server stopped", "6.5s server ended", "7.5s store stopped", "7.5s store ended")
		if s := g.States(); s["store"] != run.Terminated || s["server"] != run.Terminated {
			t.Errorf("at the end: %v", s)
		}
	})
}

func TestAFailingPartStopsAllWithoutDelayAndIsNamed(t *testing.T) {
	for name, fail := range map[string]func(context.Context) error{
		"error": func(context.Context) error { rest(time.Second); return io.ErrClosedPipe },
		"end":   func(context.Context) error { rest(time.Second); return nil },
		"panic": func(context.Context) error { rest(time.Second); panic("a defect") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJournal()
				var log strings.Builder
				g := run.NewGroup(run.Options{ShutdownDelay: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				g.Add(j.part("store"))
				g.Add(run.Part{Name: "index", Run: fail})
				g.Add(j.part("server"))
				err := g.Run(t.Context())
				if err == nil || !strings.Contains(err.Error(), "run index: ") {
					t.Fatalf("got %v", err)
				}
				if name == "error" && !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("the cause is lost: %v", err)
				}
				if name == "panic" && !strings.Contains(err.Error(), "run_test.go") {
					t.Errorf("no stack: %v", err)
				}
				j.want(t, "1s store ready", "2s server ready",
					"3s server stopped", "3s server ended", "4s store stopped", "4s store ended")
				if s := g.States(); s["index"] != run.Failed || s["store"] != run.Terminated {
					t.Errorf("states %v", s)
				}
				if name != "end" && !strings.Contains(log.String(), "part=index") {
					t.Errorf("the log does not name the part: %s", log.String())
				}
			})
		})
	}
}

func TestAFailingStartStopsThoseBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		g := run.NewGroup(run.Options{})
		g.Add(j.part("store"))
		bad := j.part("index")
		bad.Start = func(context.Context) error { return io.ErrUnexpectedEOF }
		g.Add(bad)
		g.Add(j.part("server"))
		err := g.Run(t.Context())
		if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(err.Error(), "start index: ") {
			t.Errorf("got %v", err)
		}
		j.want(t, "1s store ready", "2s store stopped", "2s store ended")
		if s := g.States(); s["index"] != run.Failed || s["server"] != run.New {
			t.Errorf("states %v", s)
		}
	})
}

func TestAStopDuringStartIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		g := run.NewGroup(run.Options{})
		g.Add(j.part("store"))
		g.Add(run.Part{Name: "slow", Start: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }})
		g.Add(j.part("server"))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
		j.want(t, "1s store ready", "6s store stopped", "6s store ended")
	})
}

func TestAPartThatDoesNotStopIsLeftAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		release := make(chan struct{})
		defer close(release)
		g := run.NewGroup(run.Options{StopTimeout: 2 * time.Second})
		g.Add(j.part("store"))
		g.Add(run.Part{Name: "stuck stop", Stop: func(context.Context) error { <-release; return nil }})
		g.Add(run.Part{Name: "stuck run", Run: func(context.Context) error { <-release; return nil }})
		g.Add(run.Part{Name: "bad stop", Stop: func(context.Context) error { return io.ErrShortWrite }})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := g.Run(ctx)
		for _, want := range []string{"stop stuck stop: it did not stop within 2s", "stop stuck run: it did not end within 2s", "stop bad stop: short write"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v lacks %q", err, want)
			}
		}
		j.want(t, "1s store ready", "10s store stopped", "10s store ended")
	})
}

func TestAnErrorWhileStoppingIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := run.NewGroup(run.Options{})
		g.Add(run.Part{Name: "flush", Run: func(ctx context.Context) error { <-ctx.Done(); return io.ErrShortWrite }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Run(ctx); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAGroupRunsOnce(t *testing.T) {
	g := run.NewGroup(run.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := g.Run(ctx); err == nil {
		t.Error("a second run began")
	}
}

func TestASignalEndsTheContext(t *testing.T) {
	ctx, stop := run.Signals(t.Context())
	defer stop()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
}

func TestStatesHaveNames(t *testing.T) {
	if got := run.Failed.String() + " " + run.New.String() + " " + run.State(9).String(); got != "failed new state 9" {
		t.Errorf("got %q", got)
	}
}
