package recompute

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/narrowcast/narrowcast/services/profile/internal/paced"
)

// Metrics: how many profiles were looked at because their day had come, and how many still wait for that.
const (
	MetricRecomputed = "narrowcast.profile.due_recomputed"
	MetricWaiting    = "narrowcast.profile.due_waiting"
)

// Store is what the job needs of a profile store.
type Store interface {
	Recompute(ctx context.Context, limit int) (int, error)
	CountDue(ctx context.Context) (int64, error)
}

// Config of a [Job]; Store and Logger are needed.
type Config struct {
	Store  Store
	Logger *slog.Logger
	// Meter measures the work; nil measures nothing.
	Meter metric.Meter
	// Limit is how many profiles a write holds, default 500.
	Limit int
	// Pause is the least wait between writes, default 20 ms. A write that took longer is followed by a wait as long as it, so the job
	// leaves at least half of the store's time to others.
	Pause time.Duration
	// Interval is how soon the job looks again, default one minute.
	Interval time.Duration
}

// Job is the work. Make one with [New] and run it once.
type Job struct {
	cfg        Config
	recomputed metric.Int64Counter
	waiting    metric.Int64Gauge
}

// New makes a job.
func New(cfg Config) (*Job, error) {
	if cfg.Limit <= 0 {
		cfg.Limit = 500
	}
	if cfg.Pause <= 0 {
		cfg.Pause = 20 * time.Millisecond
	}
	if cfg.Interval <= 0 {
		cfg.Interval = time.Minute
	}
	if cfg.Meter == nil {
		cfg.Meter = noop.Meter{}
	}
	recomputed, err := cfg.Meter.Int64Counter(MetricRecomputed, metric.WithDescription("profiles whose traits were computed anew because their day had come"))
	if err != nil {
		return nil, fmt.Errorf("measure recomputation: %w", err)
	}
	waiting, err := cfg.Meter.Int64Gauge(MetricWaiting, metric.WithDescription("profiles whose day has come and whose traits are not computed anew yet"))
	if err != nil {
		return nil, fmt.Errorf("measure recomputation: %w", err)
	}
	return &Job{cfg: cfg, recomputed: recomputed, waiting: waiting}, nil
}

// Run works until ctx ends, which is no error.
func (j *Job) Run(ctx context.Context) error {
	paced.Forever(ctx, func(ctx context.Context) (time.Duration, <-chan struct{}) {
		if err := j.pass(ctx); err != nil && ctx.Err() == nil {
			j.cfg.Logger.ErrorContext(ctx, "the traits of profiles could not be computed anew", "error", err)
		}
		return j.cfg.Interval, nil
	})
	return nil
}

// pass does what is due.
func (j *Job) pass(ctx context.Context) error {
	left, err := j.cfg.Store.CountDue(ctx)
	if err != nil {
		return err
	}
	j.waiting.Record(ctx, left)
	if left == 0 {
		return nil
	}
	done := int64(0)
	total, err := paced.Writes(ctx, j.cfg.Pause, func(ctx context.Context) (int, bool, error) {
		n, err := j.cfg.Store.Recompute(ctx, j.cfg.Limit)
		if err != nil {
			return 0, false, err
		}
		done += int64(n)
		j.recomputed.Add(ctx, int64(n))
		j.waiting.Record(ctx, max(left-done, 1)) // about: other processes may do it, too
		return n, n >= j.cfg.Limit, nil
	})
	if err != nil {
		return err
	}
	if left, err = j.cfg.Store.CountDue(ctx); err != nil {
		return err
	}
	j.waiting.Record(ctx, left)
	j.cfg.Logger.InfoContext(ctx, "traits computed anew for a new day", "profiles", total)
	return nil
}
