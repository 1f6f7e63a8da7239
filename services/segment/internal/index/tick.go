package index

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/segment"
)

// many is the number of changes from which a tick counts as one of many changes, so that the next one waits for more: each
// writes whole columns, which is dear for few changes.
const many = 1000

// idle is the longest time between two ticks: days turn, and stores that failed are tried again.
const idle = 500 * time.Millisecond

// Run ticks until ctx ends, and then returns nil. It returns an error if it cannot go on: another holder has written blocks or
// ordinals under a newer lease, or the content contradicts itself. The index must be made anew then.
func (x *Index) Run(ctx context.Context) error {
	defer x.stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	// The pause is taken by the timer: the injected clock is for days and ages.
	last, pause := time.Now(), time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-x.wake:
		case <-timer.C:
		}
		// Not more often than the pause allows, unless enough has come together.
		for wait := pause - time.Since(last); wait > 0 && x.feed.queued() < x.cfg.TickChanges; wait = pause - time.Since(last) {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return nil
			case <-x.wake:
			case <-timer.C:
			}
		}
		last = time.Now()
		more, changes, err := x.tick(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("index: %w", err)
		}
		pause = x.cfg.Tick
		if changes >= many {
			pause = x.cfg.TickMax
		}
		if more {
			x.signal()
		}
		timer.Reset(idle)
	}
}

// Tick does one round of the index: it takes changes, updates, writes and announces. It returns whether more work waits. Errors
// are those that end Run; what may pass (a store that does not answer) is logged and tried again by a later tick.
func (x *Index) Tick(ctx context.Context) (more bool, err error) {
	more, _, err = x.tick(ctx)
	return more, err
}

func (x *Index) tick(ctx context.Context) (more bool, changes int, err error) {
	began := x.now()
	if id, from := x.feed.begin(); id != nil {
		if x.retry.waiting(began) {
			return false, 0, nil
		}
		if err := x.begin(ctx, *id, from); err != nil {
			return false, 0, x.passing(ctx, "replay cannot begin", err)
		}
		x.feed.begun(id)
	}
	st := x.st
	if st == nil {
		return false, 0, nil
	}
	batches, changes := x.feed.take(x.cfg.TickChanges)
	if err := x.update(ctx, st, batches); err != nil {
		return false, changes, err
	}
	defer func() { x.metrics.tick(ctx, x.now().Sub(began), changes) }()
	more = x.feed.queued() > 0
	if x.retry.waiting(x.now()) {
		x.refills.fail(errStoreUnavailable)
		return false, changes, nil
	}
	if !st.replayed {
		// Nothing is announced before the replay has ended; ordinals are stored as they are given.
		return more, changes, x.passing(ctx, "ordinals not stored", x.storeOrdinals(ctx, st))
	}
	left, err := x.define(ctx, st)
	if err != nil {
		return more, changes, err
	}
	more = more || left
	if err := x.storeOrdinals(ctx, st); err != nil {
		return more, changes, x.passing(ctx, "ordinals not stored", err)
	}
	x.audit(ctx, st)
	again, err := x.announce(ctx, st)
	if err != nil {
		return more, changes, err
	}
	if err := x.blankOrdinals(ctx, st); err != nil {
		return more, changes, x.passing(ctx, "ordinals not blanked", err)
	}
	x.save(ctx, st)
	return more || again, changes, nil
}

// update applies changes and evaluates the segments where they are.
func (x *Index) update(ctx context.Context, st *state, batches []Batch) error {
	if len(batches) == 0 {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	done := st.apply(x.assigner, batches)
	if done.refused > 0 {
		x.metrics.refused.Add(ctx, int64(done.refused))
		x.log.ErrorContext(ctx, "profiles hold facts that the schema does not allow; they count as unknown",
			"facts", done.refused, "first", done.err)
	}
	if done.declared {
		if err := st.recompile(); err != nil {
			return err
		}
		x.moved.Store(true) // rules that named the attribute before it was declared
	}
	if !st.live {
		return nil
	}
	for _, b := range st.blocks {
		if !b.changed.empty() {
			if err := st.update(b); err != nil {
				return err
			}
			b.settle()
		}
	}
	return nil
}

// define reads definitions that were written, follows the day, and builds rows. It reports whether rows are left to build.
func (x *Index) define(ctx context.Context, st *state) (left bool, err error) {
	replan := false
	if x.moved.Swap(false) || st.snapshot.Incarnation == "" {
		all, at, lists, err := x.readDefinitions(ctx, st)
		if err != nil {
			x.moved.Store(true)
			if err := x.passing(ctx, "definitions not read", err); err != nil || !st.live {
				return false, err
			}
		} else {
			x.mu.Lock()
			st.define(all, at, lists)
			x.mu.Unlock()
			replan = true
		}
	}
	today := st.today(x.now())
	if len(st.target) == 0 || st.target[0] != today {
		st.target = []int64{today, today + 1}
		if len(st.days) == 0 {
			st.days = st.target
		}
		replan = true
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if replan {
		for _, err := range st.plan() {
			x.log.ErrorContext(ctx, "a rule cannot be used yet", "error", err)
		}
	}
	if !st.live {
		// The first manifest is whole: nothing of it is built in slices.
		for _, b := range st.blocks {
			b.rewrite = true
			if b.restored && st.keepSegments {
				// Rows of segments are named by the state of all that they are made of, so those that are still wanted are right but
				// for what has changed since.
				if err := st.update(b); err != nil {
					return false, err
				}
			} else {
				b.changed.clear()
				clear(b.segments)
			}
			b.settle()
		}
		_, err := st.build(x.now, x.now().Add(24*time.Hour))
		return false, err
	}
	return st.build(x.now, x.now().Add(x.cfg.BuildSlice))
}

// passing logs an error that may pass, and makes the next ticks wait; others are returned.
func (x *Index) passing(ctx context.Context, what string, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	switch {
	case errors.Is(err, blocks.ErrSuperseded), fault.ReasonOf(err) == segment.ReasonNotLeaseHolder:
		return err
	case fault.KindOf(err) == fault.Unavailable, fault.KindOf(err) == fault.Exhausted, fault.KindOf(err) == fault.Deadline,
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, errRetry):
		x.retry.failed(x.now(), x.cfg.Retry, x.cfg.RetryMax)
		x.log.WarnContext(ctx, what, "error", err, "retry_after", x.retry.pause)
		return nil
	}
	return err
}

// errRetry marks what is tried again although its kind does not say so.
var errRetry = errors.New("tried again")

// stop ends what waits for the index.
func (x *Index) stop() {
	x.refills.end()
	x.saver.abandon()
	if err := x.metrics.observed.Unregister(); err != nil {
		x.log.Error("metrics are still observed", "error", err)
	}
	x.mu.RLock()
	st := x.st
	x.mu.RUnlock()
	if st != nil {
		st.publisher.Close()
	}
}

// sameDays reports whether the manifest names the days that it is to name.
func (st *state) sameDays() bool { return slices.Equal(st.days, st.target) }
