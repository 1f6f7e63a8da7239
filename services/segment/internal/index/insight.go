package index

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/segment/internal/rpc"
)

var _ rpc.Index = (*Index)(nil)

// Schema returns the attributes as far as the profiles' changes were read; nil before the first replay has ended.
func (x *Index) Schema() *audience.Schema {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.st == nil || !x.st.replayed {
		return nil
	}
	return x.st.schema
}

// Store returns the installation's id and the life of the profile store that the index follows; ok is false before it is known.
func (x *Index) Store() (store, profileIncarnation string, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.st == nil {
		return "", "", false
	}
	return x.st.identity.Store, x.st.identity.Incarnation, true
}

// SegmentState says how far a segment's rows are built; ok is false while the index does not know the segment yet.
func (x *Index) SegmentState(uid string) (state rpc.SegmentState, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.st == nil || !x.st.live {
		return state, false
	}
	d := x.st.segments[uid]
	if d == nil {
		return state, false
	}
	state = rpc.SegmentState{
		State: blocks.SegmentActive, DefinitionRevision: d.segment.DefinitionRevision, Progress: d.progress(len(x.st.blocks)),
	}
	if v := d.answering; v != nil {
		state.Version, state.RuleState = uint64(v.number), v.state
	}
	switch d.answering {
	case d.newest:
	case nil:
		state.State = blocks.SegmentBuilding
	default:
		state.State = blocks.SegmentRebuilding
	}
	return state, true
}

// Through returns the position that was announced last, with its Age as of now; ok is false before there is one.
func (x *Index) Through() (through blocks.Through, ok bool) {
	p := &x.published
	p.mu.Lock()
	defer p.mu.Unlock()
	through = p.through
	through.Age = max(0, x.now().Sub(p.asked))
	return through, p.ok
}

// WaitPosition returns when Through has reached the position, or with the context's error.
func (x *Index) WaitPosition(ctx context.Context, p blocks.Position) error {
	return x.published.await(ctx, p)
}

// Subscribe begins a subscription of the manifest, whose first frame is whole. Errors: INDEX_NOT_READY before the profile store
// is known.
func (x *Index) Subscribe() (*blocks.Subscription, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.st == nil {
		return nil, errNotReady
	}
	return x.st.publisher.Subscribe(), nil
}

// Preview counts the profiles of whom the predicate is true today; see rpc.Index.
func (x *Index) Preview(ctx context.Context, p audience.Pred) (rpc.Count, error) {
	var count rpc.Count
	answer, err := x.answer(ctx, p, func(*state) error {
		count = rpc.Count{}
		return nil
	}, func(_ *state, _ *view, members, live *audience.Bits) error {
		count.Members += uint64(members.Count())
		count.Base += uint64(live.Count())
		return nil
	})
	count.Answer = answer
	return count, err
}

// Breakdown divides the profiles of whom the predicate is true, and everybody, by each dimension on its own; see rpc.Index.
func (x *Index) Breakdown(ctx context.Context, p audience.Pred, dimensions []audience.Breakdown) (rpc.Division, error) {
	var div rpc.Division
	dimensions = slices.Clone(dimensions)
	if p == nil {
		p = audience.Const(true)
	}
	answer, err := x.answer(ctx, p, func(st *state) error {
		div = rpc.Division{Subject: make([]audience.Histogram, len(dimensions)), Everybody: make([]audience.Histogram, len(dimensions))}
		for i := range dimensions {
			dimensions[i].Day = st.today(x.now())
			if _, err := dimensions[i].Fields(st.schema); err != nil {
				return err
			}
		}
		return nil
	}, func(st *state, v *view, members, live *audience.Bits) error {
		div.Members += uint64(members.Count())
		div.Base += uint64(live.Count())
		for i, d := range dimensions {
			if err := div.Subject[i].Add(v, st.schema, d, members); err != nil {
				return err
			}
			if err := div.Everybody[i].Add(v, st.schema, d, live); err != nil {
				return err
			}
		}
		return nil
	})
	div.Answer = answer
	return div, err
}

// answer compiles a predicate and shows add the members and the living of each block, under the lock, one block at a time so
// that ticks go on between them. begin is called first, and again if definitions or days changed in the middle, which makes
// the answer begin anew.
func (x *Index) answer(ctx context.Context, p audience.Pred, begin func(*state) error,
	add func(st *state, v *view, members, live *audience.Bits) error,
) (a rpc.Answer, err error) {
	started := x.now()
	const attempts = 5
	for range attempts {
		a, err = x.attempt(ctx, p, begin, add)
		a.Took = x.now().Sub(started)
		if !errors.Is(err, audience.ErrUnknown) && !errors.Is(err, errLayoutChanged) {
			return a, err
		}
		select {
		case <-ctx.Done():
			return a, ctx.Err()
		case <-time.After(x.cfg.Tick): // the next day's rows may be a tick away
		}
	}
	return a, errNotReady.Wrap(err)
}

var errLayoutChanged = errors.New("the profiles are numbered anew")

func (x *Index) attempt(ctx context.Context, p audience.Pred, begin func(*state) error,
	add func(st *state, v *view, members, live *audience.Bits) error,
) (a rpc.Answer, err error) {
	through, ok := x.Through()
	x.mu.RLock()
	st := x.st
	if !ok || st == nil || !st.live {
		x.mu.RUnlock()
		return a, errNotReady
	}
	a.Through = through
	expr, used, err := st.compile(p, st.today(x.now()))
	if err == nil {
		err = begin(st)
	}
	n := len(st.blocks)
	x.mu.RUnlock()
	if err != nil {
		return a, err
	}
	a.Segments = used
	var members audience.Bits
	for i := range n {
		if err := ctx.Err(); err != nil {
			return a, err
		}
		if err := x.readBlock(st, i, func(v *view) error {
			if err := expr.Eval(v, nil, &members); err != nil {
				return err
			}
			live, _ := v.Row(audience.FieldLive)
			if live.IsEmpty() {
				return nil
			}
			a.Blocks++
			return add(st, v, &members, live.Bits())
		}); err != nil {
			return a, err
		}
	}
	return a, nil
}

// readBlock calls read with one block under the lock.
func (x *Index) readBlock(st *state, i int, read func(*view) error) error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.st != st {
		return errLayoutChanged
	}
	return read(st.blocks[i].view())
}

// compile compiles a question under what answers now. Called with the lock held for reading.
func (st *state) compile(p audience.Pred, day int64) (*audience.Expr, []rpc.UsedSegment, error) {
	var used []rpc.UsedSegment
	expr, err := audience.Compile(p, audience.Env{Schema: st.schema, Day: day, Segment: func(uid string) (audience.SegmentRef, error) {
		d := st.segments[uid]
		if d == nil || d.answering == nil {
			f := fault.New(fault.Unavailable, reasonBuilding, "the segment is not in every block yet; send the request again")
			if d != nil {
				f = f.With("name", d.segment.Name()).With("progress_percent", d.progress(len(st.blocks)))
			}
			return audience.SegmentRef{}, f.Retry(100 * time.Millisecond)
		}
		v := d.answering
		used = append(used, rpc.UsedSegment{Name: v.name, Version: uint64(v.number)})
		if v.dated {
			return audience.SegmentRef{Field: audience.SegmentDayField(uid, v.state, day), DateRelative: true}, nil
		}
		return audience.SegmentRef{Field: audience.SegmentField(uid, v.state)}, nil
	}})
	slices.SortFunc(used, func(a, b rpc.UsedSegment) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return expr, slices.Compact(used), err
}
