package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Bounds of a group, unless configured.
const (
	DefaultMaxDelay   = 5 * time.Millisecond
	DefaultMaxChanges = 1000
	DefaultQueue      = 4096
	DefaultTxTimeout  = 30 * time.Second
)

// GroupConfig says what a [Group] does with its requests. Apply is needed.
type GroupConfig[Req, Res any] struct {
	// Apply makes one request's changes in tx and returns its result. It sees what requests before it in the group changed. If
	// it fails, only its own changes are undone. It must use tx alone and must not keep it. ctx carries the submitter's span, but
	// not its deadline. It may be called again for the same request, after its changes were undone, so it keeps nothing outside
	// tx: what shall be told of a change is told in Committed. An error that wraps [ErrRetryGroup] runs the whole group again.
	Apply func(ctx context.Context, tx *sql.Tx, req Req) (Res, error)
	// Stamp is called once for each group, after the last Apply, with the requests that succeeded, in their order; then the
	// group is committed. It is the place to advance the counter of revisions and to complete the results. If it fails, every
	// request of the group fails; but if another process was in the way (a unique violation, serialisation failure or deadlock
	// of PostgreSQL, here or at the commit, or an error that wraps [ErrRetryGroup]), the group is run again from the start, up to
	// 8 times, and then fails with [ConditionBusy]. It is not called for a group in which all failed.
	Stamp func(ctx context.Context, tx *sql.Tx, done []*Done[Req, Res]) error
	// Committed is called after each commit, in the order of commits, before the submitters get their answers. It must be quick.
	Committed func(done []*Done[Req, Res])
	// Order, if set, sorts the requests of a group (stably), so that groups of several processes lock rows in one order.
	Order func(a, b Req) int
	// Changes says how many changes a request holds, for MaxChanges; nil counts each request as one.
	Changes func(Req) int

	// ApplyReads promises that Apply changes nothing in tx: it reads, and Stamp writes. Then no savepoint is made around each
	// request, which on PostgreSQL saves two round trips for each. If a statement of Apply fails all the same, the group is run
	// again with savepoints, so that the request fails alone.
	ApplyReads bool

	// MaxDelay is the longest wait for more requests to join a group, default 5 ms. A request that comes alone does not wait.
	MaxDelay time.Duration
	// MaxChanges ends a group, default 1,000. A request that holds more is a group of its own.
	MaxChanges int
	// Queue is how many requests may wait before Submit blocks, default 4,096.
	Queue int
	// TxTimeout bounds one group, its tries together, default 30 s. A commit that has begun may take as long again.
	TxTimeout time.Duration
}

// Done is a request that was applied, with its result, which Stamp may complete.
type Done[Req, Res any] struct {
	Req Req
	Res Res
}

// Group coalesces concurrent requests into one transaction at a time. Make one for each counter with [NewGroup]; all groups of
// changes to one table of revisions must go through one Group.
type Group[Req, Res any] struct {
	db    *DB
	cfg   GroupConfig[Req, Res]
	queue chan *item[Req, Res]
	done  chan struct{} // closed when the committer has ended

	mu     sync.RWMutex // held for reading while a request enters the queue, for writing to close
	closed bool
	stop   chan struct{} // closed by Close: who waits for room gives up
	shut   sync.Once
}

// State of an item: whoever moves it out of waiting owns it.
const (
	waiting int32 = iota
	taken
	withdrawn
)

type item[Req, Res any] struct {
	Done[Req, Res]
	span   trace.SpanContext
	state  atomic.Int32
	err    error
	answer chan struct{}
}

// NewGroup starts the committer of a group. Close it before closing db.
func NewGroup[Req, Res any](db *DB, cfg GroupConfig[Req, Res]) (*Group[Req, Res], error) {
	if cfg.Apply == nil {
		return nil, errors.New("make commit group: Apply is nil")
	}
	if cfg.MaxDelay <= 0 {
		cfg.MaxDelay = DefaultMaxDelay
	}
	if cfg.MaxChanges <= 0 {
		cfg.MaxChanges = DefaultMaxChanges
	}
	if cfg.Queue <= 0 {
		cfg.Queue = DefaultQueue
	}
	if cfg.TxTimeout <= 0 {
		cfg.TxTimeout = DefaultTxTimeout
	}
	if cfg.Changes == nil {
		cfg.Changes = func(Req) int { return 1 }
	}
	g := &Group[Req, Res]{
		db: db, cfg: cfg, queue: make(chan *item[Req, Res], cfg.Queue),
		done: make(chan struct{}), stop: make(chan struct{}),
	}
	go g.run()
	return g, nil
}

// Submit hands in one request and waits for its outcome. If ctx ends while the request still waits, it is withdrawn, nothing of
// it is written, and the context's error is returned. Once its transaction has begun, Submit waits for the outcome, so that no
// caller is told "cancelled" about a write that was made. A nil error means committed, and durable as the store is. An error with
// the condition [ConditionCommitUnknown] means that nobody knows; any other error, that nothing of the request was written.
func (g *Group[Req, Res]) Submit(ctx context.Context, req Req) (Res, error) {
	it := &item[Req, Res]{Done: Done[Req, Res]{Req: req}, span: trace.SpanContextFromContext(ctx), answer: make(chan struct{})}
	var none Res
	if err := g.enter(ctx, it); err != nil {
		return none, err
	}
	select {
	case <-it.answer:
	case <-ctx.Done():
		if it.state.CompareAndSwap(waiting, withdrawn) {
			return none, ctx.Err()
		}
		<-it.answer
	}
	if it.err != nil {
		return none, it.err
	}
	return it.Res, nil
}

func (g *Group[Req, Res]) enter(ctx context.Context, it *item[Req, Res]) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return closedFault()
	}
	select {
	case g.queue <- it:
		return nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			// The caller's time went by in our queue: that is overload, not a slow answer.
			return unavailable(ConditionOverloaded, "more writes are waiting than the store can take; try again later", time.Second).Wrap(ctx.Err())
		}
		return ctx.Err()
	case <-g.stop:
		return closedFault()
	}
}

// Close refuses new requests, commits those that wait, and returns when the committer has ended, or with ctx's error if that
// comes first; the committer then still ends by itself. Closing twice is allowed.
func (g *Group[Req, Res]) Close(ctx context.Context) error {
	g.shut.Do(func() {
		close(g.stop) // who waits for room in the queue holds the lock for reading and leaves now
		g.mu.Lock()
		defer g.mu.Unlock()
		g.closed = true
		close(g.queue)
	})
	select {
	case <-g.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close commit group: %w", ctx.Err())
	}
}

// Waiting returns how many requests wait for a group now.
func (g *Group[Req, Res]) Waiting() int { return len(g.queue) }
