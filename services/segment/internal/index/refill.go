package index

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/segment"
)

// Reasons of the segment service's contract.
const (
	reasonStoreUnavailable = "STORE_UNAVAILABLE"
	reasonNotReady         = "INDEX_NOT_READY"
	reasonBuilding         = "SEGMENT_BUILDING"
	reasonGoingAway        = "SERVER_GOING_AWAY"
)

var (
	errStoreUnavailable = fault.New(fault.Unavailable, reasonStoreUnavailable, "the block store does not answer; send the request again")
	errNotReady         = fault.New(fault.Unavailable, reasonNotReady, "the index is being built; send the request again")
	errGoingAway        = fault.New(fault.Unavailable, reasonGoingAway, "the server is stopping; send the request elsewhere")
)

// refills are the blocks that readers asked to have written again.
type refills struct {
	mu      sync.Mutex
	ended   bool
	waiting map[uint32]*refill // by block
}

// refill is one block that was asked for, by any number of readers.
type refill struct {
	layout  uint32
	callers int
	caller  trace.SpanContext // of the first who asked: the write belongs to that trace
	answers chan struct{}     // closed when it is done
	epoch   blocks.Epoch
	version uint64
	err     error
}

// Refill writes a block again, whole, and returns the epoch and version under which it is now written. Many calls for one
// block make one write.
//
// Errors: BLOCK_NOT_FOUND if the layout is not the current one or has no such block; STORE_UNAVAILABLE; INDEX_NOT_READY.
func (x *Index) Refill(ctx context.Context, layout, n uint32) (blocks.Epoch, uint64, error) {
	x.mu.RLock()
	st := x.st
	ready := st != nil && st.live
	found := ready && st.layout == layout && n < uint32(len(st.blocks))
	x.mu.RUnlock()
	switch {
	case !ready:
		return blocks.Epoch{}, 0, errNotReady
	case !found:
		return blocks.Epoch{}, 0, segment.LayoutNotFound(layout)
	}
	r, err := x.refills.ask(layout, n, trace.SpanContextFromContext(ctx))
	if err != nil {
		return blocks.Epoch{}, 0, err
	}
	x.signal()
	select {
	case <-r.answers:
		return r.epoch, r.version, r.err
	case <-ctx.Done():
		return blocks.Epoch{}, 0, ctx.Err()
	}
}

// ask joins the request for a block that waits, or makes one.
func (q *refills) ask(layout, n uint32, caller trace.SpanContext) (*refill, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return nil, errGoingAway
	}
	r := q.waiting[n]
	if r == nil {
		r = &refill{layout: layout, caller: caller, answers: make(chan struct{})}
		q.waiting[n] = r
	}
	r.callers++
	return r, nil
}

// take takes the requests that wait. Those for another layout are answered at once.
func (q *refills) take(st *state) map[uint32]*refill {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.waiting
	q.waiting = make(map[uint32]*refill)
	for n, r := range taken {
		if r.layout != st.layout || n >= uint32(len(st.blocks)) {
			r.finish(segment.LayoutNotFound(r.layout))
			delete(taken, n)
		}
	}
	return taken
}

// answer tells those who asked. A write that failed, or was not tried, may succeed when they ask again.
func answer(asks map[uint32]*refill) {
	for _, r := range asks {
		switch {
		case r.err != nil:
			r.finish(errStoreUnavailable.Wrap(r.err))
		case r.version == 0:
			r.finish(errStoreUnavailable)
		default:
			r.finish(nil)
		}
	}
}

// fail answers all that wait with an error.
func (q *refills) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for n, r := range q.waiting {
		r.finish(err)
		delete(q.waiting, n)
	}
}

// end answers all that wait, and all that come, that the index has ended.
func (q *refills) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.fail(errGoingAway)
}

// context makes the write a part of the trace of who asked first. A nil refill leaves ctx as it is.
func (r *refill) context(ctx context.Context) context.Context {
	if r == nil || !r.caller.IsValid() {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, r.caller)
}

// done notes what came of the write.
func (r *refill) done(state blocks.BlockState, err error) {
	if r != nil {
		r.epoch, r.version, r.err = state.Epoch, state.Version, err
	}
}

func (r *refill) finish(err error) {
	r.err = err
	close(r.answers)
}
