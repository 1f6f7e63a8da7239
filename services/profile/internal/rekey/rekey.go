package rekey

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/paced"
)

// MetricRemaining counts what is under other keys than the primary ones: sealed texts and hashed identifiers.
const MetricRemaining = "narrowcast.profile.rekey_remaining"

// Store is what the job needs of a profile store.
type Store interface {
	Rekey(ctx context.Context, limit int) (int, error)
	KeyUse(ctx context.Context) (profile.KeyUse, error)
}

// Config of a [Job]; Store, Changed and Logger are needed.
type Config struct {
	Store Store
	// Changed returns a channel that is closed when the keys change.
	Changed func() <-chan struct{}
	Logger  *slog.Logger
	// Meter measures what remains; nil measures nothing.
	Meter metric.Meter
	// Limit is how many profiles a write holds, default 200.
	Limit int
	// Pause is the least wait between writes, default 20 ms. A write that took longer is followed by a wait as long as it, so the job
	// leaves at least half of the store's time to others.
	Pause time.Duration
	// Recheck is how soon the job looks again after it found something to do or failed, default 30 s; Interval is how soon it looks
	// otherwise, default 10 min.
	Recheck, Interval time.Duration
}

// Job is the work. Make one with [New] and run it once.
type Job struct {
	cfg       Config
	remaining metric.Int64Gauge
}

// New makes a job.
func New(cfg Config) (*Job, error) {
	if cfg.Limit <= 0 {
		cfg.Limit = 200
	}
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{{&cfg.Pause, 20 * time.Millisecond}, {&cfg.Recheck, 30 * time.Second}, {&cfg.Interval, 10 * time.Minute}} {
		if *d.at <= 0 {
			*d.at = d.value
		}
	}
	if cfg.Meter == nil {
		cfg.Meter = noop.Meter{}
	}
	gauge, err := cfg.Meter.Int64Gauge(MetricRemaining, metric.WithDescription("sealed texts and hashed identifiers under other keys than the primary ones"))
	if err != nil {
		return nil, fmt.Errorf("measure rekeying: %w", err)
	}
	return &Job{cfg: cfg, remaining: gauge}, nil
}

// Run works until ctx ends, which is no error.
func (j *Job) Run(ctx context.Context) error {
	paced.Forever(ctx, func(ctx context.Context) (time.Duration, <-chan struct{}) {
		changed := j.cfg.Changed() // before the work, so that no change falls between
		worked, err := j.pass(ctx)
		if err != nil && ctx.Err() == nil {
			j.cfg.Logger.ErrorContext(ctx, "contact data could not be put under the primary keys", "error", err)
		}
		if err != nil || worked {
			return j.cfg.Recheck, changed
		}
		return j.cfg.Interval, changed
	})
	return nil
}

// pass puts everything under the primary keys, and reports whether there was anything to do.
func (j *Job) pass(ctx context.Context) (bool, error) {
	left, err := j.count(ctx)
	if err != nil || left == 0 {
		return false, err
	}
	j.cfg.Logger.InfoContext(ctx, "putting contact data under the primary keys", "remaining", left)
	done := int64(0)
	total, err := paced.Writes(ctx, j.cfg.Pause, func(ctx context.Context) (int, bool, error) {
		n, err := j.cfg.Store.Rekey(ctx, j.cfg.Limit)
		if done += int64(n); n > 0 {
			j.remaining.Record(ctx, max(left-done, 1)) // about: a profile has several texts
		}
		return n, n > 0, err
	})
	if err != nil {
		return true, err
	}
	if left, err = j.count(ctx); err != nil {
		return true, err
	}
	if left > 0 {
		// New ones under a former primary key, by a process that has not read the key file yet, or under keys that are not there.
		j.cfg.Logger.WarnContext(ctx, "some contact data is still under other keys than the primary ones; keep those keys", "remaining", left, "profiles", total)
		return true, nil
	}
	j.cfg.Logger.InfoContext(ctx, "all contact data is under the primary keys; the others can be removed once every replica says so", "profiles", total)
	return true, nil
}

func (j *Job) count(ctx context.Context) (int64, error) {
	use, err := j.cfg.Store.KeyUse(ctx)
	if err != nil {
		return 0, err
	}
	left := use.Remaining()
	j.remaining.Record(ctx, left)
	return left, nil
}
