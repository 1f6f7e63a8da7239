package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// savepoint is the name under which each request of a group is undone alone.
const savepoint = "nc_request"

// errNothingDone rolls back a transaction in which no request succeeded. It never leaves this file.
var errNothingDone = errors.New("no request succeeded")

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

// commit runs one group in one transaction and answers all its requests.
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

	var done []*Done[Req, Res]
	err := g.db.Tx(trace.ContextWithSpanContext(ctx, group[0].span), func(tx *sql.Tx) error {
		for _, it := range group {
			if err := g.applyOne(ctx, tx, it, len(group) == 1); err != nil {
				return err
			}
			if it.err == nil {
				done = append(done, &it.Done)
			}
		}
		if len(done) == 0 {
			return errNothingDone
		}
		if g.cfg.Stamp == nil {
			return nil
		}
		return guard(func() error { return g.cfg.Stamp(trace.ContextWithSpanContext(ctx, group[0].span), tx, done) })
	})
	if err != nil {
		if ctx.Err() != nil { // the group's own bound, of which no caller knows
			err = unavailable(ConditionTimeout, "the store took too long to write; try again", time.Second).Wrap(err)
		}
		// A request that failed by itself keeps its own error; the group's is for those that would have succeeded.
		for _, it := range group {
			if it.err == nil {
				it.err = fmt.Errorf("commit group: %w", err)
			}
		}
		return
	}
	if g.cfg.Committed != nil {
		g.cfg.Committed(done)
	}
}

// applyOne applies one request and undoes it alone if it fails, which sets it.err. The error returned is the whole group's: the
// engine could not go on. A request that is alone needs no savepoint, since undoing it undoes the transaction.
func (g *Group[Req, Res]) applyOne(ctx context.Context, tx *sql.Tx, it *item[Req, Res], alone bool) error {
	ctx = trace.ContextWithSpanContext(ctx, it.span)
	if !alone {
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
	if alone {
		return nil
	}
	if it.err != nil {
		if _, err := tx.ExecContext(ctx, "rollback to "+savepoint); err != nil {
			// The engine gave up the whole transaction (disk full, lost connection): why, only the first error says.
			return errors.Join(it.err, fmt.Errorf("undo request: %w", err))
		}
	}
	if _, err := tx.ExecContext(ctx, "release "+savepoint); err != nil {
		return fmt.Errorf("end request: %w", err)
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
