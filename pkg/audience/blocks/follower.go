package blocks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// Source is where a manifest comes from: an adapter of the segment service's stream.
type Source interface {
	// Watch begins a stream, which lasts until ctx ends or it fails.
	Watch(ctx context.Context) (Stream, error)
}

// Stream is one connection to the manifest. Send and Recv may be called at the same time, each by one goroutine.
type Stream interface {
	// Send tells the sender a number to echo.
	Send(number uint64) error
	// Recv returns the next frame, complete.
	Recv() (Frame, error)
}

// FollowerConfig says how to follow.
type FollowerConfig struct {
	Source Source
	// Every is the pause between numbers; 0: half a second.
	Every time.Duration
	// Silence is how long a stream may bring no frame before it is given up; 0: 5 s. While it lives it brings one for each
	// number.
	Silence time.Duration
	// Retry is the first pause before a new stream, doubled up to RetryMax; 0: 100 ms and 5 s.
	Retry    time.Duration
	RetryMax time.Duration
	// Now is the clock; its monotonic part is used. Nil: time.Now.
	Now func() time.Time
	// Logger and Meter may be nil.
	Logger *slog.Logger
	Meter  metric.Meter
}

// Follower holds the newest view of the manifest. It is safe for concurrent use.
type Follower struct {
	cfg    FollowerConfig
	log    *slog.Logger
	view   atomic.Pointer[View]
	number atomic.Uint64 // the last one sent, over all streams

	frames      metric.Int64Counter
	connections metric.Int64Counter

	mu      sync.Mutex
	changed chan struct{} // closed when the view changes
}

// NewFollower returns a follower without a view; Run gets one.
func NewFollower(cfg FollowerConfig) (*Follower, error) {
	if cfg.Source == nil {
		return nil, errors.New("new follower: no source")
	}
	cfg.Every = cmp.Or(cfg.Every, 500*time.Millisecond)
	cfg.Silence = cmp.Or(cfg.Silence, 5*time.Second)
	cfg.Retry = cmp.Or(cfg.Retry, 100*time.Millisecond)
	cfg.RetryMax = cmp.Or(cfg.RetryMax, 5*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	f := &Follower{cfg: cfg, changed: make(chan struct{}), log: cfg.Logger}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.log = f.log.With("component", "blocks.follower")
	meter := cmp.Or[metric.Meter](cfg.Meter, noop.Meter{})
	var errs [3]error
	f.frames, errs[0] = meter.Int64Counter(metricFrames, metric.WithDescription("frames of the manifest that were applied"))
	f.connections, errs[1] = meter.Int64Counter(metricStreams, metric.WithDescription("streams of the manifest that ended"))
	_, errs[2] = meter.Float64ObservableGauge(metricAge, metric.WithUnit("s"), metric.WithDescription("age of the newest view of the manifest"),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			if v := f.view.Load(); v != nil {
				o.Observe(v.Age(cfg.Now()).Seconds())
			}
			return nil
		}))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("new follower: %w", err)
	}
	return f, nil
}

// View returns the newest view, or nil before the first frame.
func (f *Follower) View() *View { return f.view.Load() }

// Run follows until ctx ends, and then returns nil. It reconnects for ever. Call it once.
func (f *Follower) Run(ctx context.Context) error {
	pause := f.cfg.Retry
	for {
		applied, err := f.follow(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the stream ended because it was to end
		}
		if applied {
			pause = f.cfg.Retry
		}
		f.connections.Add(ctx, 1, metric.WithAttributes(attrFailed.Bool(!applied)))
		// Not all readers at the same moment.
		wait := pause/2 + rand.N(pause)
		f.log.WarnContext(ctx, "manifest stream ended", "error", err, "retry_after", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		pause = min(2*pause, f.cfg.RetryMax)
	}
}

// follow follows one stream to its end; applied reports whether it brought a frame.
func (f *Follower) follow(ctx context.Context) (applied bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var senders sync.WaitGroup
	// The sender ends before follow returns: cancelling ends a Send that waits.
	defer senders.Wait()
	defer cancel(nil)
	silence := time.AfterFunc(f.cfg.Silence, func() { cancel(errors.New("no frame for too long")) })
	defer silence.Stop()

	e := &echoes{base: f.cfg.Now()}
	stream, err := f.cfg.Source.Watch(ctx)
	if err != nil {
		return false, fmt.Errorf("watch blocks: %w", err)
	}
	senders.Go(func() {
		if err := f.send(ctx, stream, e); err != nil {
			cancel(fmt.Errorf("send number: %w", err))
		}
	})
	for {
		frame, err := stream.Recv()
		if err != nil {
			return applied, fmt.Errorf("receive frame: %w", errors.Join(err, context.Cause(ctx)))
		}
		if ctx.Err() != nil {
			// The frame may have waited for long; its age would still be right, but the stream is given up.
			return applied, fmt.Errorf("receive frame: %w", context.Cause(ctx))
		}
		silence.Reset(f.cfg.Silence)
		if err := frame.check(); err != nil {
			return applied, fmt.Errorf("frame refused: %w", err)
		}
		if !applied && !frame.Full {
			return applied, errors.New("frame refused: a stream begins with the whole manifest")
		}
		next := f.view.Load().next(&frame, e.sentAt(frame.Through.Echo))
		if next == nil {
			return applied, errors.New("frame refused: it belongs to another layout")
		}
		f.set(next)
		f.frames.Add(ctx, 1)
		applied = true
	}
}

// send sends a number now, and then again and again until ctx ends.
func (f *Follower) send(ctx context.Context, stream Stream, e *echoes) error {
	tick := time.NewTicker(f.cfg.Every)
	defer tick.Stop()
	for {
		n := f.number.Add(1)
		e.sending(n, f.cfg.Now())
		if err := stream.Send(n); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (f *Follower) set(v *View) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.view.Store(v)
	close(f.changed)
	f.changed = make(chan struct{})
}

// await waits until the newest view (nil before the first) is as wanted.
func (f *Follower) await(ctx context.Context, wanted func(*View) bool) (*View, error) {
	for {
		f.mu.Lock()
		changed := f.changed
		f.mu.Unlock()
		if v := f.view.Load(); wanted(v) {
			return v, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

// Wait waits until the newest view reaches a position, and returns it. Errors: the context's.
func (f *Follower) Wait(ctx context.Context, p Position) (*View, error) {
	v, err := f.await(ctx, func(v *View) bool { return v != nil && v.Through.Position().Reaches(p) })
	if err != nil {
		return nil, fmt.Errorf("wait for position %s: %w", p, err)
	}
	return v, nil
}

// echoes remembers when the numbers of one stream were sent.
type echoes struct {
	mu sync.Mutex
	// base is when the newest echoed number was sent. Before the first echo it is when the stream was begun: what the sender says
	// it says after that.
	base time.Time
	sent []sentNumber // ascending
}

type sentNumber struct {
	number uint64
	at     time.Time
}

// maxSent bounds how many numbers wait for their echo: ten minutes of them. Silence ends the stream long before.
const maxSent = 1200

func (e *echoes) sending(n uint64, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.sent) == maxSent {
		// A missing number reads as an older one, which only makes the age larger.
		e.sent = e.sent[1:]
	}
	e.sent = append(e.sent, sentNumber{n, at})
}

// sentAt returns when the echoed number was sent, or an earlier moment.
func (e *echoes) sentAt(echo uint64) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.sent) > 0 && e.sent[0].number <= echo {
		e.base = e.sent[0].at
		e.sent = e.sent[1:]
	}
	return e.base
}
