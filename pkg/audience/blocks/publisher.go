package blocks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// PublisherConfig says what a Publisher announces.
type PublisherConfig struct {
	Store  string
	Layout uint32
	// Frames bounds how many frames wait for one subscriber; 0: 1024.
	Frames int
	// Entries bounds the directory entries in those frames; 0: 1 << 20.
	Entries int
	// Now is the clock; its monotonic part is used. Nil: time.Now.
	Now func() time.Time
	// Meter may be nil.
	Meter metric.Meter
}

// Update is what changed in one tick.
type Update struct {
	// Reset says that Blocks are all blocks there are: every subscriber begins anew with a full frame.
	Reset bool
	// Definitions are the new ones; nil: unchanged. The first update has them.
	Definitions *Definitions
	// Blocks were written and acknowledged by the store since the last update.
	Blocks []BlockState
	// Through is the position that every block now reflects; Age and Echo are ignored.
	Through Through
	// Asked is when the profile service was asked for a head that Through.Profiles has reached. It never goes back: an earlier
	// time than the last one is ignored.
	Asked time.Time
}

// Publisher holds the current manifest and hands it to subscribers: first whole, then each change in order. It is safe for
// concurrent use. It starts no goroutine.
type Publisher struct {
	cfg         PublisherConfig
	subscribers metric.Int64UpDownCounter

	mu     sync.Mutex
	closed bool
	ready  bool // an update has come
	frame  Frame
	// states hold versions alone, by block: what a full frame says of them. A reader takes directories from the store.
	states []BlockState
	asked  time.Time
	subs   map[*Subscription]struct{}
}

// NewPublisher returns a publisher without a manifest: subscribers wait for the first update.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	if cfg.Store == "" || len(cfg.Store) > maxStoreBytes {
		return nil, fmt.Errorf("new publisher: store id of %d bytes, want 1 to %d", len(cfg.Store), maxStoreBytes)
	}
	cfg.Frames = cmp.Or(cfg.Frames, 1024)
	cfg.Entries = cmp.Or(cfg.Entries, 1<<20)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	p := &Publisher{cfg: cfg, subs: make(map[*Subscription]struct{})}
	p.frame = Frame{Store: cfg.Store, Layout: cfg.Layout, Format: Format}
	var err error
	p.subscribers, err = cmp.Or[metric.Meter](cfg.Meter, noop.Meter{}).Int64UpDownCounter(metricSubscribers, metric.WithDescription("readers that follow the manifest"))
	if err != nil {
		return nil, fmt.Errorf("new publisher: %w", err)
	}
	return p, nil
}

// Publish makes one frame of an update. An update that only moves Asked sends nothing; it shows in the next answer to an echo.
// The publisher keeps what it is given: it must not change later.
//
// Errors: ErrPublisherClosed; an error without effect if the update breaks a rule of Frame, such as two states of one block.
func (p *Publisher) Publish(u Update) error {
	f := Frame{Store: p.cfg.Store, Layout: p.cfg.Layout, Format: Format, Definitions: u.Definitions, Through: u.Through}
	f.Blocks = slices.SortedFunc(slices.Values(u.Blocks), func(a, b BlockState) int { return cmp.Compare(a.Block, b.Block) })
	f.Through.Age, f.Through.Echo = 0, 0

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("publish: %w", ErrPublisherClosed)
	}
	f.Full = u.Reset || !p.ready
	check := f
	if check.Definitions == nil {
		check.Definitions = p.frame.Definitions
	}
	if err := check.check(); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if u.Asked.After(p.asked) {
		p.asked = u.Asked
	}
	idle := p.ready && !f.Full && f.Definitions == nil && len(f.Blocks) == 0 && f.Through == p.frame.Through
	if f.Full {
		p.states = nil
	}
	p.frame.Through = f.Through
	p.frame.Definitions = cmp.Or(f.Definitions, p.frame.Definitions)
	p.merge(f.Blocks)
	p.ready = true
	for s := range p.subs {
		s.offer(&f, p.asked, idle)
	}
	return nil
}

func (p *Publisher) merge(changed []BlockState) {
	for i := range changed {
		s := BlockState{Block: changed[i].Block, Epoch: changed[i].Epoch, Version: changed[i].Version, Base: changed[i].Version}
		at, found := slices.BinarySearchFunc(p.states, s.Block, func(a BlockState, b uint32) int { return cmp.Compare(a.Block, b) })
		if found {
			p.states[at] = s
		} else {
			p.states = slices.Insert(p.states, at, s)
		}
	}
}

// Subscribe begins a subscription. Its first frame is full. The caller closes it.
func (p *Publisher) Subscribe() *Subscription {
	s := &Subscription{p: p, fresh: true, wake: make(chan struct{}, 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		s.err = ErrPublisherClosed
		return s
	}
	p.subs[s] = struct{}{}
	p.subscribers.Add(context.Background(), 1)
	return s
}

// Close ends the publisher and every subscription, with ErrPublisherClosed.
func (p *Publisher) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for s := range p.subs {
		s.end(ErrPublisherClosed)
	}
}

// Subscription is one reader's place in the manifest. Next is for one goroutine; Echo and Close may be called from others.
type Subscription struct {
	p    *Publisher
	wake chan struct{} // of capacity 1: something changed

	// Guarded by p.mu.
	err     error
	fresh   bool // the next frame is the full manifest
	queue   []queued
	entries int
	echo    uint64
	echoed  uint64
}

type queued struct {
	frame Frame
	asked time.Time
}

// weight is what a frame holds of the bound on entries; a frame is never free.
func weight(f *Frame) int {
	n := 1
	for i := range f.Blocks {
		n += 1 + len(f.Blocks[i].Entries) + len(f.Blocks[i].Lost)
	}
	return n
}

// offer, signal and end are called with p.mu held.
func (s *Subscription) offer(f *Frame, asked time.Time, idle bool) {
	switch {
	case f.Full:
		s.fresh, s.queue, s.entries = true, nil, 0
	case s.fresh || idle:
		// It is part of the full frame that is to come, or nothing.
	default:
		s.queue = append(s.queue, queued{*f, asked})
		s.entries += weight(f)
		if len(s.queue) > s.p.cfg.Frames || s.entries > s.p.cfg.Entries {
			s.end(ErrTooSlow)
			return
		}
	}
	if !idle {
		s.signal()
	}
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Subscription) end(err error) {
	if s.err == nil {
		s.err = err
		s.queue = nil
		delete(s.p.subs, s)
		s.p.subscribers.Add(context.Background(), -1)
	}
	s.signal()
}

// Echo notes the newest number that the reader has sent. The next frame carries it; if none is due, one without changes goes
// at once.
func (s *Subscription) Echo(number uint64) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if number > s.echo {
		s.echo = number
		s.signal()
	}
}

// Next waits for the next frame, whose age and echo are those of this moment: send it at once.
//
// Errors: ErrTooSlow if frames had to wait beyond the publisher's bounds, ErrPublisherClosed, or the context's error.
func (s *Subscription) Next(ctx context.Context) (Frame, error) {
	for {
		f, ok, err := s.take()
		if ok || err != nil {
			return f, err
		}
		select {
		case <-ctx.Done():
			return Frame{}, fmt.Errorf("next frame: %w", ctx.Err())
		case <-s.wake:
		}
	}
}

func (s *Subscription) take() (Frame, bool, error) {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	var f Frame
	asked := p.asked
	switch {
	case s.err != nil:
		return Frame{}, false, fmt.Errorf("next frame: %w", s.err)
	case !p.ready:
		return Frame{}, false, nil
	case s.fresh:
		f = p.frame
		f.Full = true
		f.Blocks = slices.Clone(p.states)
		s.fresh = false
	case len(s.queue) > 0:
		f, asked = s.queue[0].frame, s.queue[0].asked
		s.queue[0] = queued{}
		s.queue = s.queue[1:]
		s.entries -= weight(&f)
	case s.echo > s.echoed:
		f = p.frame
		f.Definitions = nil
	default:
		return Frame{}, false, nil
	}
	s.echoed = s.echo
	f.Through.Echo = s.echo
	f.Through.Age = max(0, p.cfg.Now().Sub(asked))
	return f, true, nil
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.end(errors.New("the subscription is closed"))
}
