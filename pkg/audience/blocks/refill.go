package blocks

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// Refiller asks for a block to be written again: an adapter of the segment service's RPC.
type Refiller interface {
	// Refill returns when the block has been written, whole, and the store has acknowledged it.
	Refill(ctx context.Context, layout, block uint32) error
}

// refills makes one call of many askers for one block.
type refills struct {
	refiller Refiller
	timeout  time.Duration
	count    metric.Int64Counter

	ctx    context.Context // ends with the reader
	cancel context.CancelFunc
	calls  sync.WaitGroup

	mu   sync.Mutex
	open map[[2]uint32]*refillCall
}

type refillCall struct {
	done chan struct{}
	err  error
}

func newRefills(refiller Refiller, timeout time.Duration, count metric.Int64Counter) *refills {
	r := &refills{refiller: refiller, timeout: timeout, count: count, open: make(map[[2]uint32]*refillCall)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// ask waits for a refill of the block, its own or one that is under way. A caller that goes away does not end it for the others.
func (r *refills) ask(ctx context.Context, layout, block uint32) error {
	key := [2]uint32{layout, block}
	r.mu.Lock()
	if r.ctx.Err() != nil {
		r.mu.Unlock()
		return ErrClosed
	}
	call := r.open[key]
	if call == nil {
		call = &refillCall{done: make(chan struct{})}
		r.open[key] = call
		// The first asker's trace shows the call, its cancellation does not reach it.
		work, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timeout)
		stop := context.AfterFunc(r.ctx, cancel)
		r.calls.Go(func() {
			defer cancel()
			defer stop()
			call.err = r.refiller.Refill(work, layout, block)
			r.count.Add(work, 1, metric.WithAttributes(attrFailed.Bool(call.err != nil)))
			r.mu.Lock()
			delete(r.open, key)
			r.mu.Unlock()
			close(call.done)
		})
	}
	r.mu.Unlock()
	select {
	case <-call.done:
		return call.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *refills) close() {
	r.mu.Lock()
	r.cancel()
	r.mu.Unlock()
	r.calls.Wait()
}
