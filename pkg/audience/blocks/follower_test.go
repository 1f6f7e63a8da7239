package blocks_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/memblocks"
)

// wire is a Source over a publisher, with a network between them that can be slow, and cut. Frames and numbers take delay.
type wire struct {
	mu        sync.Mutex
	publisher *blocks.Publisher
	down      bool
	delay     time.Duration
	dropping  bool // numbers are lost
	streams   int
	cut       context.CancelFunc
}

func (w *wire) Watch(ctx context.Context) (blocks.Stream, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, errors.New("connection refused")
	}
	w.streams++
	ctx, w.cut = context.WithCancel(ctx)
	s := w.publisher.Subscribe()
	context.AfterFunc(ctx, s.Close)
	return &line{w, ctx, s}, nil
}

func (w *wire) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

type line struct {
	w   *wire
	ctx context.Context
	s   *blocks.Subscription
}

func (l *line) pause() {
	l.w.mu.Lock()
	d := l.w.delay
	l.w.mu.Unlock()
	time.Sleep(d) // within a bubble: the fake clock's
}

func (l *line) Send(n uint64) error {
	l.w.mu.Lock()
	lost := l.w.dropping
	l.w.mu.Unlock()
	if !lost {
		l.pause()
		l.s.Echo(n)
	}
	return l.ctx.Err()
}

func (l *line) Recv() (blocks.Frame, error) {
	f, err := l.s.Next(l.ctx)
	l.pause()
	return f, err
}

// follow starts a publisher, a wire and a follower in a bubble.
func follow(t *testing.T) (*blocks.Publisher, *wire, *blocks.Follower, *blocks.Reader) {
	t.Helper()
	p, err := blocks.NewPublisher(blocks.PublisherConfig{Store: "s", Layout: 1})
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{publisher: p}
	f, err := blocks.NewFollower(blocks.FollowerConfig{Source: w})
	if err != nil {
		t.Fatal(err)
	}
	r, err := blocks.NewReader(blocks.ReaderConfig{Store: memblocks.New(), Follower: f, Refiller: noRefill{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("follow: %v", err)
		}
		r.Close()
	})
	return p, w, f, r
}

type noRefill struct{}

func (noRefill) Refill(context.Context, uint32, uint32) error { return errors.New("nobody") }

func publish(t *testing.T, p *blocks.Publisher, u blocks.Update) {
	t.Helper()
	if err := p.Publish(u); err != nil {
		t.Fatalf("publish: %v", err)
	}
}

func at(revision uint64) blocks.Through {
	return blocks.Through{Profiles: blocks.Point{Revision: revision}}
}

func TestAgeIsThatOfTheFramePlusTheTimeSinceTheEchoedNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w, f, _ := follow(t)
		w.set(func() { w.delay = 30 * time.Millisecond })
		asked := time.Now()
		time.Sleep(200 * time.Millisecond)
		publish(t, p, blocks.Update{Definitions: &blocks.Definitions{}, Through: at(1), Asked: asked})
		time.Sleep(10 * time.Second)
		v := f.View()
		// The state is known to be true of the moment when the head was asked for, and of none after it.
		if real, got := time.Since(asked), v.Age(time.Now()); got < real || got > real+600*time.Millisecond {
			t.Errorf("age %s, the truth is %s", got, real)
		}
		asked = time.Now()
		publish(t, p, blocks.Update{Through: at(1), Asked: asked}) // nothing changed, and that is news
		time.Sleep(3 * time.Second)
		v = f.View()
		if real, got := time.Since(asked), v.Age(time.Now()); got < real || got > real+600*time.Millisecond {
			t.Errorf("age %s, the truth is %s", got, real)
		}
	})
}

func TestLostNumbersNeverMakeAnAnswerYounger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w, f, _ := follow(t)
		publish(t, p, blocks.Update{Definitions: &blocks.Definitions{}, Through: at(1), Asked: time.Now()})
		time.Sleep(time.Second)
		w.set(func() { w.dropping = true })
		lost := time.Now()
		for n := range uint64(20) {
			// Frames go on, so the stream lives; the reader only cannot tell how long they were under way.
			publish(t, p, blocks.Update{Through: at(n + 2), Asked: time.Now()})
			time.Sleep(200 * time.Millisecond)
		}
		if got, least := f.View().Age(time.Now()), time.Since(lost); got < least {
			t.Errorf("age %s with no number echoed for %s", got, least)
		}
	})
}

func TestFramesThatStopMakeAnswersUnavailableAfterTheBound(t *testing.T) {
	for name, stop := range map[string]func(*blocks.Publisher, *wire){
		"cut":      func(_ *blocks.Publisher, w *wire) { w.set(func() { w.down = true; w.cut() }) },
		"stopped":  func(p *blocks.Publisher, w *wire) { w.set(func() { w.down = true }); p.Close() },
		"watching": func(*blocks.Publisher, *wire) {}, // the segment service lives, but asks no more for a head
		"very slow": func(_ *blocks.Publisher, w *wire) {
			w.set(func() { w.delay = 4 * time.Second })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, w, _, r := follow(t)
				if _, err := r.Begin(t.Context(), blocks.MinimizeLatency()); !errors.Is(err, blocks.ErrNotReady) {
					t.Errorf("before the first frame: %v", err)
				}
				for n := range uint64(100) {
					publish(t, p, blocks.Update{Definitions: &blocks.Definitions{}, Through: at(n + 1), Asked: time.Now()})
					time.Sleep(10 * time.Millisecond)
				}
				s, err := r.Begin(t.Context(), blocks.MinimizeLatency())
				if err != nil || s.Age() > time.Second {
					t.Fatalf("while frames come: age %v, %v", s.Age(), err)
				}
				stop(p, w)
				time.Sleep(3 * time.Second)
				if _, err := r.Begin(t.Context(), blocks.MinimizeLatency()); err != nil {
					t.Errorf("within the bound: %v", err)
				}
				if _, err := r.Begin(t.Context(), blocks.BoundedStaleness(time.Second)); !errors.Is(err, blocks.ErrStale) {
					t.Errorf("beyond a bound of its own: %v", err)
				}
				time.Sleep(5 * time.Second)
				if _, err := r.Begin(t.Context(), blocks.MinimizeLatency()); !errors.Is(err, blocks.ErrStale) {
					t.Errorf("beyond the bound: %v", err)
				}
				if _, err := s.Refresh(); !errors.Is(err, blocks.ErrStale) {
					t.Errorf("a long answer beyond the bound: %v", err)
				}
				s, err = r.Begin(t.Context(), blocks.MinimizeLatency().AllowStale())
				if err != nil || s.Age() < 5*time.Second {
					t.Errorf("allowed to be stale: %v", err)
				}
				if s, err := r.Begin(t.Context(), blocks.BoundedStaleness(time.Minute)); err != nil || s.Age() < 5*time.Second {
					t.Errorf("within a wide bound: %v", err)
				}
			})
		})
	}
}

func TestTheFollowerComesBackAfterTheServiceRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w, f, r := follow(t)
		publish(t, p, blocks.Update{Definitions: &blocks.Definitions{}, Through: at(5), Asked: time.Now()})
		synctest.Wait()
		w.set(func() { w.down = true })
		p.Close()
		time.Sleep(time.Minute)
		next, err := blocks.NewPublisher(blocks.PublisherConfig{Store: "s", Layout: 1})
		if err != nil {
			t.Fatal(err)
		}
		publish(t, next, blocks.Update{Definitions: &blocks.Definitions{}, Through: at(6), Asked: time.Now()})
		w.set(func() { w.publisher, w.down = next, false })
		waited := time.Now()
		if _, err := f.Wait(t.Context(), blocks.Position{Revision: 6}); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(waited); d > 10*time.Second {
			t.Errorf("came back after %s", d)
		}
		publish(t, next, blocks.Update{Through: at(6), Asked: time.Now()})
		time.Sleep(time.Second)
		if _, err := r.Begin(t.Context(), blocks.MinimizeLatency()); err != nil {
			t.Error(err)
		}
	})
}

func TestASilentStreamIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w, _, _ := follow(t)
		publish(t, p, blocks.Update{Definitions: &blocks.Definitions{}, Through: at(1), Asked: time.Now()})
		time.Sleep(time.Second)
		w.set(func() { w.dropping = true })
		time.Sleep(20 * time.Second)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.streams < 2 {
			t.Error("one stream, although it brought nothing for 20 s")
		}
	})
}

func TestWaitingForAPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, _, r := follow(t)
		publish(t, p, blocks.Update{Definitions: &blocks.Definitions{}, Through: at(1), Asked: time.Now()})
		time.Sleep(time.Second)

		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begun := time.Now()
		_, err := r.Begin(ctx, blocks.AtLeast(blocks.Position{Revision: 2}))
		if !errors.Is(err, blocks.ErrTokenNotReached) {
			t.Errorf("%v, want ErrTokenNotReached", err)
		}
		if ctx.Err() != nil || time.Since(begun) < time.Second {
			t.Errorf("gave up after %s: it should be a little before the deadline", time.Since(begun))
		}
		gone, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		if _, err := r.Begin(gone, blocks.AtLeast(blocks.Position{Revision: 2})); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want context.Canceled", err)
		}
		time.AfterFunc(300*time.Millisecond, func() { _ = p.Publish(blocks.Update{Through: at(2), Asked: time.Now()}) })
		head := func(context.Context) (blocks.Position, error) { return blocks.Position{Revision: 2}, nil }
		s, err := r.Begin(t.Context(), blocks.FullyConsistent(head))
		if err != nil || s.Through().Profiles.Revision != 2 {
			t.Fatalf("fully consistent: %v", err)
		}
		broken := errors.New("no head")
		if _, err := r.Begin(t.Context(), blocks.FullyConsistent(func(context.Context) (blocks.Position, error) { return blocks.Position{}, broken })); !errors.Is(err, broken) {
			t.Errorf("%v, want the head's error", err)
		}
		// A definition revision is waited for too.
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Begin(ctx, blocks.AtLeast(blocks.Position{Definition: 1})); !errors.Is(err, blocks.ErrTokenNotReached) {
			t.Errorf("%v, want ErrTokenNotReached", err)
		}
	})
}

func TestASlowSubscriberIsCutAndBeginsAnew(t *testing.T) {
	p, err := blocks.NewPublisher(blocks.PublisherConfig{Store: "s", Layout: 1, Frames: 3})
	if err != nil {
		t.Fatal(err)
	}
	slow, quick := p.Subscribe(), p.Subscribe()
	publish(t, p, blocks.Update{Definitions: &blocks.Definitions{Zone: "UTC"}, Through: at(1)})
	for _, s := range []*blocks.Subscription{slow, quick} {
		if f, err := s.Next(t.Context()); err != nil || !f.Full || f.Definitions.Zone != "UTC" {
			t.Fatalf("first frame %+v, %v", f, err)
		}
	}
	state := func(v uint64) blocks.BlockState {
		return blocks.BlockState{Block: 4, Version: v, Base: v - 1, Entries: []blocks.Listed{{Field: "live"}}}
	}
	for v := uint64(1); v <= 4; v++ {
		publish(t, p, blocks.Update{Blocks: []blocks.BlockState{state(v)}, Through: at(v + 1)})
		f, err := quick.Next(t.Context())
		if err != nil || f.Full || len(f.Blocks) != 1 || f.Blocks[0].Version != v || f.Through.Profiles.Revision != v+1 {
			t.Fatalf("frame %+v, %v", f, err)
		}
	}
	if _, err := slow.Next(t.Context()); !errors.Is(err, blocks.ErrTooSlow) {
		t.Errorf("%v, want ErrTooSlow", err)
	}
	anew := p.Subscribe()
	f, err := anew.Next(t.Context())
	if err != nil || !f.Full || len(f.Blocks) != 1 || f.Blocks[0].Version != 4 || f.Blocks[0].Base != 4 || f.Through.Profiles.Revision != 5 {
		t.Errorf("anew: %+v, %v", f, err)
	}
	p.Close()
	if _, err := anew.Next(t.Context()); !errors.Is(err, blocks.ErrPublisherClosed) {
		t.Errorf("%v, want ErrPublisherClosed", err)
	}
	if err := p.Publish(blocks.Update{}); !errors.Is(err, blocks.ErrPublisherClosed) {
		t.Errorf("%v, want ErrPublisherClosed", err)
	}
}

func TestAFrameThatWaitedIsAsOldAsWhatItSays(t *testing.T) {
	start := time.Now()
	now := start
	p, err := blocks.NewPublisher(blocks.PublisherConfig{Store: "s", Layout: 1, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	s := p.Subscribe()
	age := func(want time.Duration, echo uint64) {
		t.Helper()
		f, err := s.Next(t.Context())
		if err != nil || f.Through.Age != want || f.Through.Echo != echo {
			t.Errorf("age %s, echo %d, %v; want %s, %d", f.Through.Age, f.Through.Echo, err, want, echo)
		}
	}
	publish(t, p, blocks.Update{Definitions: &blocks.Definitions{}, Through: at(1), Asked: start})
	age(0, 0)
	publish(t, p, blocks.Update{Through: at(2), Asked: start.Add(1 * time.Second)})
	publish(t, p, blocks.Update{Through: at(3), Asked: start.Add(5 * time.Second)})
	publish(t, p, blocks.Update{Through: at(3), Asked: start.Add(6 * time.Second)}) // nothing new but that
	now = start.Add(10 * time.Second)
	s.Echo(4)
	age(9*time.Second, 4)
	age(5*time.Second, 4)
	s.Echo(5)
	s.Echo(3) // late
	age(4*time.Second, 5)
}

func TestAnUpdateThatBreaksTheRulesIsRefusedWithoutEffect(t *testing.T) {
	p, err := blocks.NewPublisher(blocks.PublisherConfig{Store: "s", Layout: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(blocks.Update{Through: at(1)}); err == nil {
		t.Error("a manifest without definitions was accepted")
	}
	publish(t, p, blocks.Update{Definitions: &blocks.Definitions{}, Through: at(1)})
	two := []blocks.BlockState{{Block: 1, Version: 1}, {Block: 1, Version: 2}}
	if err := p.Publish(blocks.Update{Blocks: two, Through: at(2)}); err == nil {
		t.Error("two states of one block were accepted")
	}
	if err := p.Publish(blocks.Update{Blocks: []blocks.BlockState{{Block: 1, Version: 1, Base: 2}}, Through: at(2)}); err == nil {
		t.Error("a base after its version was accepted")
	}
	f, err := p.Subscribe().Next(t.Context())
	if err != nil || f.Through.Profiles.Revision != 1 || len(f.Blocks) != 0 {
		t.Errorf("frame %+v, %v", f, err)
	}
}

// script is a stream of prepared frames, which then waits.
type script struct{ frames []blocks.Frame }

func (s *script) Watch(ctx context.Context) (blocks.Stream, error) {
	c := make(chan blocks.Frame, len(s.frames))
	for _, f := range s.frames {
		c <- f
	}
	return scripted{ctx, c}, nil
}

type scripted struct {
	ctx    context.Context
	frames chan blocks.Frame
}

func (s scripted) Send(uint64) error { return nil }

func (s scripted) Recv() (blocks.Frame, error) {
	select {
	case f := <-s.frames:
		return f, nil
	default:
	}
	<-s.ctx.Done()
	return blocks.Frame{}, s.ctx.Err()
}

func TestFramesBecomeDirectories(t *testing.T) {
	listed := func(names ...audience.Field) (list []blocks.Listed) {
		for i, f := range names {
			list = append(list, blocks.Listed{Field: f, Entry: blocks.Entry{Cardinality: uint32(i + 1), Checksum: 5, Size: 6}})
		}
		return list
	}
	frame := func(full bool, states ...blocks.BlockState) blocks.Frame {
		f := blocks.Frame{Full: full, Store: "s", Layout: 1, Format: blocks.Format, Blocks: states}
		if full {
			f.Definitions = &blocks.Definitions{}
		}
		return f
	}
	epoch := blocks.Epoch{Number: 1, Random: 1}
	whole := frame(true, blocks.BlockState{Block: 1, Epoch: epoch, Version: 3, Entries: listed("f/a=1", "f/c=1", "live")})
	change := blocks.BlockState{Block: 1, Epoch: epoch, Version: 5, Base: 3, Entries: listed("f/b=1"), Lost: []audience.Field{"f/c=1"}}
	skipped, foreign := change, change
	skipped.Base = 4
	foreign.Epoch.Random = 2
	for _, c := range []struct {
		name string
		next blocks.Frame
		want []audience.Field // nil: to be read
	}{
		{"a change of what is held", frame(false, change), []audience.Field{"f/a=1", "f/b=1", "live"}},
		{"a change of what is not held", frame(false, skipped), nil},
		{"a change in another epoch", frame(false, foreign), nil},
		{"another block", frame(false, blocks.BlockState{Block: 2, Epoch: epoch, Version: 1}), []audience.Field{"f/a=1", "f/c=1", "live"}},
		{"the version held, confirmed", frame(true, blocks.BlockState{Block: 1, Epoch: epoch, Version: 3, Base: 3}), []audience.Field{"f/a=1", "f/c=1", "live"}},
		{"a later version by name alone", frame(true, blocks.BlockState{Block: 1, Epoch: epoch, Version: 4, Base: 4}), nil},
		{"announced by a new holder", frame(true, blocks.BlockState{Block: 1, Epoch: blocks.Epoch{Number: 2}}), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				last := c.next
				last.Through.Profiles.Revision = 9
				f, err := blocks.NewFollower(blocks.FollowerConfig{Source: &script{[]blocks.Frame{whole, last}}})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- f.Run(ctx) }()
				v, err := f.Wait(t.Context(), blocks.Position{Revision: 9})
				if err != nil {
					t.Fatal(err)
				}
				var got []audience.Field
				if d := v.Directory(1); d != nil {
					for _, l := range d.Entries {
						got = append(got, l.Field)
					}
				}
				if len(got) != len(c.want) {
					t.Fatalf("fields %q, want %q", got, c.want)
				}
				for i := range got {
					if got[i] != c.want[i] {
						t.Errorf("fields %q, want %q", got, c.want)
					}
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
