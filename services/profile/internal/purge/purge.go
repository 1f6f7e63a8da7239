package purge

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/narrowcast/narrowcast/services/profile/internal/paced"
)

// MetricPurged counts rows that were removed because their time was over, by kind.
const MetricPurged = "narrowcast.profile.purged"

// Store is what the job needs of a profile store.
type Store interface {
	// PurgeImports removes up to limit imports that nothing was written to since before, and returns how many.
	PurgeImports(ctx context.Context, before time.Time, limit int) (int, error)
}

// Config of a [Job]; Store, Logger and Now are needed.
type Config struct {
	Store  Store
	Logger *slog.Logger
	Now    func() time.Time
	// Meter counts; nil counts nothing.
	Meter metric.Meter
	// KeepImports is how long imports are kept after their last row; 0: for ever.
	KeepImports time.Duration
	// Limit is how many rows a write removes, default 500; Pause is the least wait after one, default 50 ms.
	Limit int
	Pause time.Duration
	// Interval is how often the job looks, default 1 h.
	Interval time.Duration
}

// Job is the work. Make one with [New] and run it once.
type Job struct {
	cfg    Config
	purged metric.Int64Counter
}

// New makes a job.
func New(cfg Config) (*Job, error) {
	if cfg.Limit <= 0 {
		cfg.Limit = 500
	}
	if cfg.Pause <= 0 {
		cfg.Pause = 50 * time.Millisecond
	}
	if cfg.Interval <= 0 {
		cfg.Interval = time.Hour
	}
	if cfg.Meter == nil {
		cfg.Meter = noop.Meter{}
	}
	purged, err := cfg.Meter.Int64Counter(MetricPurged, metric.WithDescription("rows removed because their time was over, by kind"))
	if err != nil {
		return nil, fmt.Errorf("measure purging: %w", err)
	}
	return &Job{cfg: cfg, purged: purged}, nil
}

// Run works until ctx ends, which is no error.
func (j *Job) Run(ctx context.Context) error {
	paced.Forever(ctx, func(ctx context.Context) (time.Duration, <-chan struct{}) {
		if err := j.Pass(ctx); err != nil && ctx.Err() == nil {
			j.cfg.Logger.ErrorContext(ctx, "what is past its time could not be removed", "error", err)
		}
		return j.cfg.Interval, nil
	})
	return nil
}

// Pass removes everything whose time is over now.
func (j *Job) Pass(ctx context.Context) error {
	if j.cfg.KeepImports <= 0 {
		return nil
	}
	before := j.cfg.Now().Add(-j.cfg.KeepImports)
	total, err := paced.Writes(ctx, j.cfg.Pause, func(ctx context.Context) (int, bool, error) {
		n, err := j.cfg.Store.PurgeImports(ctx, before, j.cfg.Limit)
		if n > 0 {
			j.purged.Add(ctx, int64(n), metric.WithAttributes(attribute.String("kind", "import")))
		}
		return n, n > 0, err
	})
	if total > 0 {
		j.cfg.Logger.InfoContext(ctx, "removed what is past its time", "imports", total)
	}
	return err
}
