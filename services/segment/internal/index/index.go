package index

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/services/segment"
	"github.com/narrowcast/narrowcast/services/segment/internal/checkpoint"
)

// Config says how the index works. Zero values mean the defaults.
type Config struct {
	// Tick is the least time from one tick to the next, default 10 ms. While many changes come, TickMax, default 250 ms, unless
	// TickChanges, default 20,000, wait.
	Tick        time.Duration
	TickMax     time.Duration
	TickChanges int
	// BuildSlice is how long a tick builds rows of new rules, default 20 ms; at least one block is built, so below 0 is one.
	BuildSlice time.Duration
	// Audit is the pause between two blocks that the audit compares; 0 is off.
	Audit time.Duration
	// Retry is the first pause after a store failed, default 50 ms; it doubles up to RetryMax, default 2 s.
	Retry    time.Duration
	RetryMax time.Duration
	// Parallelism is how many blocks are written at a time, default 4.
	Parallelism int
	// CheckpointEvery is the least time from the end of one checkpoint to the next, default 2 minutes.
	CheckpointEvery time.Duration
}

// Deps are what the index works with.
type Deps struct {
	// Store keeps definitions and ordinals, Blocks the blocks.
	Store  segment.Store
	Blocks blocks.Store
	// Lease is the holding under which ordinals are given and blocks are written. The caller renews it, and ends the index
	// when it is lost.
	Lease segment.Epoch
	// Checkpoint is where the content is kept for the next start; nil: nowhere.
	Checkpoint *checkpoint.Dir
	// Assigner says where new profiles are numbered; nil: Lanes.
	Assigner Assigner
	Logger   *slog.Logger
	// Meter may be nil.
	Meter metric.Meter
	// Now is the clock: its monotonic part for ages, its wall part for days. Nil: time.Now.
	Now func() time.Time
}

// Index keeps the blocks of one store current. Its methods may be called concurrently, except that Tick and Run are for one
// goroutine.
type Index struct {
	cfg      Config
	store    segment.Store
	bytes    blocks.Store
	lease    segment.Epoch
	assigner Assigner
	log      *slog.Logger
	meter    metric.Meter
	metrics  *metrics
	now      func() time.Time

	feed    feed
	wake    chan struct{} // of capacity 1: there is work
	moved   atomic.Bool   // definitions were written
	head    atomic.Uint64 // newest known revision of the profile store
	refills refills

	saver *saver // nil: no checkpoints

	asksMu sync.Mutex
	asks   []ask

	// mu guards what st points to, for those who are not the ticking goroutine. That goroutine alone changes it, under the
	// lock, and so reads it without.
	mu sync.RWMutex
	st *state

	published published
	retry     backoff
	auditAt   time.Time
	auditNext int
}

// New returns an index that knows nothing yet.
func New(cfg Config, deps Deps) (*Index, error) {
	if deps.Store == nil || deps.Blocks == nil || deps.Logger == nil {
		return nil, errors.New("new index: a segment store, a block store and a logger are needed")
	}
	if deps.Lease.Number == 0 {
		return nil, errors.New("new index: only the holder of a lease writes blocks")
	}
	x := &Index{
		cfg: Config{
			Tick: cmp.Or(cfg.Tick, 10*time.Millisecond), TickMax: cmp.Or(cfg.TickMax, 250*time.Millisecond),
			TickChanges: cmp.Or(cfg.TickChanges, 20_000), BuildSlice: cmp.Or(cfg.BuildSlice, 20*time.Millisecond), Audit: cfg.Audit,
			Retry: cmp.Or(cfg.Retry, 50*time.Millisecond), RetryMax: cmp.Or(cfg.RetryMax, 2*time.Second),
			Parallelism: cmp.Or(cfg.Parallelism, 4),
		},
		store: deps.Store, bytes: deps.Blocks, lease: deps.Lease, assigner: deps.Assigner, meter: deps.Meter,
		log: deps.Logger.With("component", "index"), now: deps.Now, wake: make(chan struct{}, 1),
	}
	if x.now == nil {
		x.now = time.Now
	}
	if x.assigner == nil {
		x.assigner = new(Lanes)
	}
	if deps.Checkpoint != nil {
		x.saver = &saver{dir: deps.Checkpoint, every: cmp.Or(cfg.CheckpointEvery, 2*time.Minute)}
	}
	x.feed = feed{wake: x.signal, limit: 2 * x.cfg.TickChanges, space: make(chan struct{})}
	x.published.changed = make(chan struct{})
	x.refills.waiting = make(map[uint32]*refill)
	var err error
	if x.metrics, err = newMetrics(deps.Meter, x); err != nil {
		return nil, fmt.Errorf("new index: %w", err)
	}
	return x, nil
}

// signal says that there is work.
func (x *Index) signal() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// DefinitionsChanged tells the index that definitions were written, so that it reads them again. It does not wait.
func (x *Index) DefinitionsChanged() {
	x.moved.Store(true)
	x.signal()
}

// backoff is the pause after failures of a store.
type backoff struct {
	until time.Time
	pause time.Duration
}

// failed makes the next pause.
func (b *backoff) failed(now time.Time, first, most time.Duration) {
	b.pause = min(max(first, 2*b.pause), most)
	b.until = now.Add(b.pause)
}

func (b *backoff) waiting(now time.Time) bool { return now.Before(b.until) }

func (b *backoff) succeeded() { *b = backoff{} }
