package rekey_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/rekey"
)

// store has a number of profiles under a former key.
type store struct {
	mu          sync.Mutex
	left, stuck int64 // under a former key, and under one that nobody has
	fail        int   // how many calls fail first
	writes      []time.Time
	largest     int
}

// took is what a write takes.
const took = 30 * time.Millisecond

func (s *store) Rekey(_ context.Context, limit int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail > 0 {
		s.fail--
		return 0, errors.New("the store does not answer")
	}
	n := min(int64(limit), s.left)
	if n > 0 {
		<-time.After(took)
		s.writes = append(s.writes, time.Now())
	}
	s.left -= n
	s.largest = max(s.largest, int(n))
	return int(n), nil
}

func (s *store) KeyUse(context.Context) (profile.KeyUse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return profile.KeyUse{
		PrimaryContact: 2, PrimaryIndex: 3, Contact: map[uint32]int64{1: s.left, 2: 7, 9: s.stuck}, Index: map[uint32]int64{3: 20},
	}, nil
}

// put sets how many are under the former key; remain tells.
func (s *store) put(left int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = left
}

func (s *store) remain() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left
}

// text collects the log.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *text) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *text) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// run starts a job in the bubble; the function returned is the log so far.
func run(t *testing.T, s *store, changed func() <-chan struct{}, reader metric.Reader) func() string {
	t.Helper()
	log := &text{}
	meter := metric.NewMeterProvider(metric.WithReader(reader)).Meter("test")
	job, err := rekey.New(rekey.Config{
		Store: s, Changed: changed, Logger: slog.New(slog.NewTextHandler(log, nil)), Meter: meter, Limit: 100,
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- job.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return log.String
}

func never() <-chan struct{} { return nil }

// remaining is the metric.
func remaining(t *testing.T, reader metric.Reader) int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if gauge, ok := m.Data.(metricdata.Gauge[int64]); ok && m.Name == rekey.MetricRemaining {
				return gauge.DataPoints[0].Value
			}
		}
	}
	t.Fatal("nothing is measured")
	return 0
}

func TestEverythingComesUnderThePrimaryKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reader := &store{left: 950}, metric.NewManualReader()
		log := run(t, s, never, reader)
		<-time.After(5 * time.Second)
		synctest.Wait()
		s.mu.Lock()
		writes, largest := slices.Clone(s.writes), s.largest
		s.mu.Unlock()
		if s.remain() != 0 || len(writes) != 10 || largest != 100 || remaining(t, reader) != 0 {
			t.Errorf("%d are left after %d writes of up to %d; the metric says %d", s.remain(), len(writes), largest, remaining(t, reader))
		}
		for i := 1; i < len(writes); i++ { // as long a pause as a write takes, and the next write
			if gap := writes[i].Sub(writes[i-1]); gap < 2*took {
				t.Errorf("write %d came %v after the one before", i, gap)
			}
		}
		if !strings.Contains(log(), "remaining=950") || !strings.Contains(log(), "can be removed") {
			t.Errorf("the log says\n%s", log())
		}
		// What another process writes under the former key is found soon after.
		s.put(5)
		<-time.After(31 * time.Second)
		synctest.Wait()
		if s.remain() != 0 {
			t.Errorf("%d are left of what came later", s.remain())
		}
	})
}

func TestNothingToDoIsLookedForSeldomAndWhenTheKeysChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		first := make(chan struct{})
		var channel atomic.Pointer[chan struct{}]
		channel.Store(&first)
		log := run(t, s, func() <-chan struct{} { return *channel.Load() }, metric.NewManualReader())
		<-time.After(time.Minute)
		synctest.Wait()
		s.put(10)
		<-time.After(5 * time.Minute)
		synctest.Wait()
		if s.remain() != 10 || log() != "" {
			t.Errorf("%d are left; the log says\n%s", s.remain(), log())
		}
		channel.Store(new(chan struct{}))
		close(first)
		<-time.After(time.Second)
		synctest.Wait()
		if s.remain() != 0 {
			t.Errorf("%d are left after the keys changed", s.remain())
		}
	})
}

func TestWhatCannotBeDoneIsSaidAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reader := &store{left: 10, stuck: 3, fail: 2}, metric.NewManualReader()
		log := run(t, s, never, reader)
		<-time.After(2 * time.Minute)
		synctest.Wait()
		if s.remain() != 0 || remaining(t, reader) != 3 {
			t.Errorf("%d are left, the metric says %d", s.remain(), remaining(t, reader))
		}
		if !strings.Contains(log(), "does not answer") || !strings.Contains(log(), "keep those keys") || strings.Contains(log(), "can be removed") {
			t.Errorf("the log says\n%s", log())
		}
	})
}
