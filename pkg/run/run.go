package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// State says where a part is in its life.
type State int

// The states, in order. A part moves forward only.
const (
	New State = iota
	Starting
	Running
	Stopping
	Terminated
	Failed
)

var stateNames = [...]string{"new", "starting", "running", "stopping", "terminated", "failed"}

// String returns the state in lower case.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("state %d", int(s))
	}
	return stateNames[s]
}

// Part is something that runs. Every function may be nil.
type Part struct {
	// Name is unique in its group: "profile store".
	Name string
	// Start acquires what the part needs and returns when the part can be used. Its ctx ends when the process is to stop. What a
	// failing Start had acquired it must release itself: Stop is not called for it.
	Start func(ctx context.Context) error
	// Run works until ctx ends, or until Stop makes it return. Returning before that, even nil, is a failure of the part.
	Run func(ctx context.Context) error
	// Stop ends the part in an orderly way. Its ctx ends when the time for that is over. Run's ctx is cancelled after it.
	Stop func(ctx context.Context) error
}

// Options of a group. The zero value is usable: no delay and 10 s for each part to stop.
type Options struct {
	// Logger gets one line for each change of state; nil logs nothing.
	Logger *slog.Logger
	// ShutdownDelay is the wait between not ready and the first stop, when the process was asked to stop. A failure does not wait.
	ShutdownDelay time.Duration
	// StopTimeout bounds the stop of each part, default 10 s.
	StopTimeout time.Duration
}

// Group is an ordered set of parts. Add parts, then call Run once.
type Group struct {
	opts     Options
	parts    []*part
	draining chan struct{}

	mu    sync.Mutex
	ready bool
	used  bool
}

type part struct {
	Part
	state  State
	cancel context.CancelFunc
	ended  chan struct{} // closed when Run has returned
	err    error         // what Run returned; read after ended is closed
}

// NewGroup returns a group without parts.
func NewGroup(opts Options) *Group {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.StopTimeout <= 0 {
		opts.StopTimeout = 10 * time.Second
	}
	return &Group{opts: opts, draining: make(chan struct{})}
}

// Add appends a part. What it needs must have been added before it. Parts added after Run began are not started.
func (g *Group) Add(p Part) { g.parts = append(g.parts, &part{Part: p, ended: make(chan struct{})}) }

// Ready reports whether all parts are running and no stop has begun. Readiness probes ask it, among other things.
func (g *Group) Ready() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ready
}

// Draining is closed when a stop begins, before the shutdown delay.
func (g *Group) Draining() <-chan struct{} { return g.draining }

// States returns each part's state by name.
func (g *Group) States() map[string]State {
	g.mu.Lock()
	defer g.mu.Unlock()
	states := make(map[string]State, len(g.parts))
	for _, p := range g.parts {
		states[p.Name] = p.state
	}
	return states
}

// Run starts all parts, waits until ctx ends or a part fails, and stops all. It returns nil only if every part started and stopped
// without error; otherwise the first failure, which names its part, joined with those of the stop.
func (g *Group) Run(ctx context.Context) error {
	g.mu.Lock()
	if g.used {
		g.mu.Unlock()
		return errors.New("run group: it was run before")
	}
	g.used = true
	g.mu.Unlock()

	failed := make(chan *part, len(g.parts))
	err := g.start(ctx, failed)
	if err == nil && ctx.Err() == nil {
		g.setReady(true)
		g.opts.Logger.Info("ready", "parts", len(g.parts))
		select {
		case <-ctx.Done():
			g.setReady(false)
			close(g.draining)
			err = g.delay(failed)
		case p := <-failed:
			g.setReady(false)
			close(g.draining)
			err = p.failure()
		}
	} else {
		close(g.draining)
	}
	return errors.Join(err, g.stop())
}

// start starts the parts one after the other. On an error those before it keep running, for stop to end.
func (g *Group) start(ctx context.Context, failed chan *part) error {
	for _, p := range g.parts {
		select {
		case bad := <-failed:
			return bad.failure()
		default:
		}
		if isClosed(ctx.Done()) {
			return nil // asked to stop before all were up: not a failure
		}
		g.to(p, Starting, nil)
		if p.Start != nil {
			if err := guard(ctx, p.Start); err != nil {
				if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
					g.to(p, Terminated, nil) // asked to stop while it started: not a failure
					return nil
				}
				err = fmt.Errorf("start %s: %w", p.Name, err)
				g.to(p, Failed, err)
				return err
			}
		}
		g.to(p, Running, nil)
		g.launch(ctx, p, failed)
	}
	return nil
}

// launch runs the part's Run in a goroutine that stop waits for.
func (g *Group) launch(ctx context.Context, p *part, failed chan *part) {
	if p.Run == nil {
		close(p.ended)
		return
	}
	// The part must not end because the process is asked to stop: it ends when its turn comes.
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	go func() {
		p.err = guard(runCtx, p.Run)
		close(p.ended)
		failed <- p // room for every part; after a stop has begun nobody reads it
	}()
}

// delay waits for load balancers to notice, unless a part fails meanwhile.
func (g *Group) delay(failed chan *part) error {
	if g.opts.ShutdownDelay <= 0 {
		return nil
	}
	g.opts.Logger.Info("not ready, waiting before the stop", "delay", g.opts.ShutdownDelay)
	select {
	case <-time.After(g.opts.ShutdownDelay):
		return nil
	case p := <-failed:
		return p.failure()
	}
}

// stop ends the running parts in reverse order.
func (g *Group) stop() error {
	var errs []error
	for i := len(g.parts) - 1; i >= 0; i-- {
		p := g.parts[i]
		if g.States()[p.Name] != Running {
			continue
		}
		early := p.Run != nil && isClosed(p.ended) // it failed by itself, which has been reported
		g.to(p, Stopping, nil)
		err := g.stopOne(p)
		if early {
			g.to(p, Failed, p.err)
		} else if err != nil {
			err = fmt.Errorf("stop %s: %w", p.Name, err)
			g.to(p, Failed, err)
		} else {
			g.to(p, Terminated, nil)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (g *Group) stopOne(p *part) error {
	ctx, cancel := context.WithTimeout(context.Background(), g.opts.StopTimeout)
	defer cancel()
	early := isClosed(p.ended)
	var errs []error
	if p.Stop != nil {
		stopped := make(chan error, 1)
		go func() { stopped <- guard(ctx, p.Stop) }()
		select {
		case err := <-stopped:
			errs = append(errs, err)
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("it did not stop within %v", g.opts.StopTimeout))
		}
	}
	if p.cancel != nil {
		p.cancel()
	}
	select {
	case <-p.ended:
	default:
		select {
		case <-p.ended:
		case <-ctx.Done():
			return errors.Join(append(errs, fmt.Errorf("it did not end within %v", g.opts.StopTimeout))...)
		}
	}
	if !early && p.err != nil && !errors.Is(p.err, context.Canceled) {
		errs = append(errs, p.err)
	}
	return errors.Join(errs...)
}

// to moves a part to a state and logs it.
func (g *Group) to(p *part, s State, err error) {
	g.mu.Lock()
	p.state = s
	g.mu.Unlock()
	if err != nil {
		g.opts.Logger.Error("part "+s.String(), "part", p.Name, "error", err)
		return
	}
	g.opts.Logger.Debug("part "+s.String(), "part", p.Name)
}

func (g *Group) setReady(ready bool) {
	g.mu.Lock()
	g.ready = ready
	g.mu.Unlock()
}

// failure is the error of a part whose Run returned before it was asked to.
func (p *part) failure() error {
	if p.err == nil {
		return fmt.Errorf("run %s: it ended although nobody stopped it", p.Name)
	}
	return fmt.Errorf("run %s: %w", p.Name, p.err)
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// guard turns a panic of one part into its failure, so that the others still stop in order.
func guard(ctx context.Context, fn func(context.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return fn(ctx)
}

// Signals returns a context that ends on the first SIGINT or SIGTERM. The second one ends the process at once, as if nobody
// listened, so that a stop that hangs can be cut short. Call the function when done.
func Signals(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
