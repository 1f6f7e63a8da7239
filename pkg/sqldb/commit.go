package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// savepoint is the name under which each request of a group is undone alone.
const savepoint = "nc_request"

// maxTries is how often a group is run that other processes get in the way of.
const maxTries = 8

// errNothingDone rolls back a transaction in which no request succeeded. It never leaves this file.
var errNothingDone = errors.New("no request succeeded")

// errApart rolls back a transaction without savepoints in which a statement of one request failed. It never leaves this file.
var errApart = errors.New("a request needs to be undone alone")

// ErrRetryGroup is what Apply and Stamp of a [Group] return, wrapped, when they find that another process has committed what the
// requests of the group must be applied to again. The group is then run again from the start in a new transaction.
var ErrRetryGroup = errors.New("another process was faster")

// run is the committer: one group after another until the queue is closed and empty.
func (g *Group[Req, Res]) run() {
	defer close(g.done)
	var next *item[Req, Res] // the request that did not fit into the group before
	crowd := 1               // how many requests the last group held
	for {
		first := next
		if first == nil {
			var open bool
			if first, open = <-g.queue; !open {
				return
			}
		}
		var group []*item[Req, Res]
		group, next = g.gather(first, crowd)
		crowd = len(group)
		g.commit(group)
	}
}

// gather collects the requests of one group, beginning with first: all that wait now, and, if the last group shows that several
// callers are at work, those that come within MaxDelay, until as many are together as then. A caller that works alone therefore
// never waits, and many callers who ask again as soon as they are answered are not split into one early bird and the rest.
func (g *Group[Req, Res]) gather(first *item[Req, Res], crowd int) (group []*item[Req, Res], next *item[Req, Res]) {
	group = append(group, first)
	changes := g.cfg.Changes(first.Req)
	var patience <-chan time.Time
	for changes < g.cfg.MaxChanges {
		var it *item[Req, Res]
		var open bool
		select {
		case it, open = <-g.queue:
		default:
			if len(group) >= crowd {
				return group, nil
			}
			if patience == nil {
				patience = time.After(g.cfg.MaxDelay)
			}
			select {
			case it, open = <-g.queue:
			case <-patience:
				return group, nil
			}
		}
		if !open {
			return group, nil
		}
		n := g.cfg.Changes(it.Req)
		if changes+n > g.cfg.MaxChanges {
			return group, it
		}
		group, changes = append(group, it), changes+n
	}
	return group, nil
}

// commit runs one group in one transaction and answers all its requests. A transaction that another process got in the way of is
// run again from the start.
func (g *Group[Req, Res]) commit(group []*item[Req, Res]) {
	group = slices.DeleteFunc(group, func(it *item[Req, Res]) bool { return !it.state.CompareAndSwap(waiting, taken) })
	if len(group) == 0 {
		return
	}
	defer func() {
		for _, it := range group {
			close(it.answer)
		}
	}()
	if g.cfg.Order != nil {
		slices.SortStableFunc(group, func(a, b *item[Req, Res]) int { return g.cfg.Order(a.Req, b.Req) })
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.TxTimeout)
	defer cancel()
	ctx = trace.ContextWithSpanContext(ctx, group[0].span)

	savepoints := !g.cfg.ApplyReads && len(group) > 1
	for tries := 1; ; tries++ {
		done, err := g.try(ctx, group, savepoints)
		switch {
		case err == nil:
			if g.cfg.Committed != nil {
				g.cfg.Committed(done)
			}
			return
		case errors.Is(err, errApart):
			savepoints = true
			continue
		case !retryable(err) || ctx.Err() != nil:
		case tries < maxTries:
			pause(ctx, tries)
			continue
		default:
			err = busy().Wrap(err)
		}
		if ctx.Err() != nil && !isUnknown(err) { // the group's own bound, of which no caller knows
			err = unavailable(ConditionTimeout, "the store took too long to write; try again", time.Second).Wrap(err)
		}
		// A request that failed by itself keeps its own error; the group's is for those that would have succeeded.
		for _, it := range group {
			if it.err == nil || retryable(it.err) {
				it.err = fmt.Errorf("commit group: %w", err)
			}
		}
		return
	}
}

// try runs one group once and returns the requests that were committed.
func (g *Group[Req, Res]) try(ctx context.Context, group []*item[Req, Res], savepoints bool) (done []*Done[Req, Res], err error) {
	for _, it := range group {
		var none Res
		it.Res, it.err = none, nil
	}
	err = g.db.Tx(ctx, func(tx *sql.Tx) error {
		for _, it := range group {
			if err := g.applyOne(ctx, tx, it, savepoints); err != nil {
				return err
			}
			if it.err == nil {
				done = append(done, &it.Done)
				continue
			}
			switch {
			case errors.Is(it.err, ErrRetryGroup) || lostTo(it.err):
				return it.err
			case !savepoints && len(group) > 1 && engineFailed(it.err):
				return errApart
			}
		}
		if len(done) == 0 {
			return errNothingDone
		}
		if g.cfg.Stamp == nil {
			return nil
		}
		err := guard(func() error { return g.cfg.Stamp(ctx, tx, done) })
		if err != nil && conflicted(err) {
			return errors.Join(ErrRetryGroup, err)
		}
		return err
	})
	if err != nil && conflicted(err) { // a constraint that is checked at the end
		err = errors.Join(ErrRetryGroup, err)
	}
	return done, err
}

// retryable reports whether a group that failed so is to be run again. A unique violation of one request is not its group's, and
// was told apart before.
func retryable(err error) bool { return errors.Is(err, ErrRetryGroup) || lostTo(err) }

// pause waits a little before the next try, longer each time and never as long as another process does.
func pause(ctx context.Context, tries int) {
	wait := rand.N(2 * time.Millisecond << tries) // the last of 7 waits up to 256 ms
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// applyOne applies one request and, under a savepoint, undoes it alone if it fails, which sets it.err. The error returned is the
// whole group's: the engine could not go on. A request that is alone needs no savepoint, since undoing it undoes the transaction.
func (g *Group[Req, Res]) applyOne(ctx context.Context, tx *sql.Tx, it *item[Req, Res], savepoints bool) error {
	ctx = trace.ContextWithSpanContext(ctx, it.span)
	if savepoints {
		if _, err := tx.ExecContext(ctx, "savepoint "+savepoint); err != nil {
			return fmt.Errorf("begin request: %w", err)
		}
	}
	it.err = guard(func() (err error) {
		it.Res, err = g.cfg.Apply(ctx, tx, it.Req)
		return err
	})
	if it.err != nil {
		it.err = g.db.classify(ctx, it.err)
	}
	if !savepoints {
		return nil
	}
	if it.err == nil {
		_, err := tx.ExecContext(ctx, "release "+savepoint)
		if err == nil {
			return nil
		}
		it.err = fmt.Errorf("end request: %w", g.db.classify(ctx, err)) // PostgreSQL: Apply went on after a statement had failed
	}
	for _, statement := range []string{"rollback to ", "release "} {
		if _, err := tx.ExecContext(ctx, statement+savepoint); err != nil {
			// The engine gave up the whole transaction (disk full, lost connection): why, only the first error says.
			return errors.Join(it.err, fmt.Errorf("undo request: %w", err))
		}
	}
	return nil
}

// guard runs a callback and turns its panic into an internal fault, so that one request's defect does not end the committer.
func guard(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.New(fault.Internal, ReasonInternal, "the store met a defect").Wrap(fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
		}
	}()
	return fn()
}
