package recompute_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/profile/internal/recompute"
)

// fake is a store with some profiles whose day has come. It fails as often as told, and tells of each write.
type fake struct {
	due, failing int
	writes       chan int
}

func (f *fake) Recompute(_ context.Context, limit int) (int, error) {
	if f.failing > 0 {
		f.failing--
		f.writes <- -1
		return 0, errors.New("the store is away")
	}
	n := min(limit, f.due)
	f.due -= n
	f.writes <- n
	return n, nil
}

func (f *fake) CountDue(context.Context) (int64, error) { return int64(f.due), nil }

func TestWhatIsDueIsDoneInSmallWritesAndAfterFailuresToo(t *testing.T) {
	f := &fake{due: 1050, failing: 1, writes: make(chan int, 100)}
	var log strings.Builder
	job, err := recompute.New(recompute.Config{
		Store: f, Logger: slog.New(slog.NewTextHandler(&log, nil)), Limit: 500, Pause: time.Microsecond, Interval: time.Microsecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- job.Run(ctx) }()
	var got []int
	for len(got) < 4 {
		got = append(got, <-f.writes)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if want := []int{-1, 500, 500, 50}; !slices.Equal(got, want) {
		t.Errorf("the writes were %v, want %v", got, want)
	}
	if !strings.Contains(log.String(), "the store is away") {
		t.Errorf("the failure is not in the log:\n%s", log.String())
	}
}

func TestTheDefaultsAreUsable(t *testing.T) {
	job, err := recompute.New(recompute.Config{Store: &fake{writes: make(chan int, 1)}, Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := job.Run(ctx); err != nil {
		t.Error(err)
	}
}
