package index

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// announce writes what differs from the store and publishes a frame of it. Only if the store has acknowledged everything does
// the frame go further than the one before, and do definitions switch. It reports whether work is left for the next tick.
func (x *Index) announce(ctx context.Context, st *state) (again bool, err error) {
	asks := x.refills.take(st)
	x.metrics.refills.Add(ctx, int64(len(asks)))
	states, writeErr := x.write(ctx, st, asks)
	answer(asks)
	if errors.Is(writeErr, blocks.ErrSuperseded) || ctx.Err() != nil {
		return false, errors.Join(writeErr, ctx.Err())
	}
	if writeErr != nil {
		if err := x.passing(ctx, "blocks not written", errors.Join(writeErr, errRetry)); err != nil {
			return false, err
		}
		if !st.live {
			return false, nil
		}
		// What was written is announced, so that readers find it; the position stays.
		return false, x.publish(st, blocks.Update{Blocks: states, Through: x.published.get()})
	}
	x.retry.succeeded()
	x.mu.Lock()
	dropped := st.promote()
	definitions := st.definitions()
	st.live = true
	x.mu.Unlock()

	u := blocks.Update{Blocks: states, Through: blocks.Through{Profiles: st.read, Definitions: st.reached()}}
	if st.announced == nil {
		u.Reset, u.Blocks = st.reset, st.whole()
	}
	if st.announced == nil || !reflect.DeepEqual(definitions, st.announced) {
		u.Definitions = definitions
	}
	if err := x.publish(st, u); err != nil {
		return false, err
	}
	st.announced = definitions
	return dropped, nil
}

// publish hands an update to the subscribers, and then tells who waits for a position.
func (x *Index) publish(st *state, u blocks.Update) error {
	u.Asked = x.asked(u.Through.Profiles)
	if err := st.publisher.Publish(u); err != nil {
		return fmt.Errorf("publish the manifest: %w", err)
	}
	x.published.set(u.Through, u.Asked)
	return nil
}

// write writes the blocks that differ from the store, first those that somebody leaves, and returns what to announce of them.
// Blocks asked for are written whole.
func (x *Index) write(ctx context.Context, st *state, asks map[uint32]*refill) (states []blocks.BlockState, err error) {
	var first, then []*block
	for _, b := range st.blocks {
		switch {
		case b.clean() && asks[b.n] == nil:
		case b.loses:
			first = append(first, b)
		default:
			then = append(then, b)
		}
	}
	for _, list := range [2][]*block{first, then} {
		done, err := x.writeAll(ctx, st, list, asks)
		states = append(states, done...)
		if err != nil {
			return states, err
		}
	}
	return states, nil
}

// writeAll writes blocks, several at a time. The first error is returned after all have ended.
func (x *Index) writeAll(ctx context.Context, st *state, list []*block, asks map[uint32]*refill) ([]blocks.BlockState, error) {
	var (
		mu     sync.Mutex
		states []blocks.BlockState
		errs   []error
		wg     sync.WaitGroup
	)
	slots := make(chan struct{}, x.cfg.Parallelism)
	for _, b := range list {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			ask := asks[b.n]
			state, changed, err := x.writeBlock(ask.context(ctx), st, b, ask != nil)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			} else if changed {
				states = append(states, state)
			}
			ask.done(state, err)
		})
	}
	wg.Wait()
	if len(errs) > 0 {
		for _, err := range errs {
			if errors.Is(err, blocks.ErrSuperseded) {
				return states, err
			}
		}
		return states, fmt.Errorf("%d of %d blocks: %w", len(errs), len(list), errs[0])
	}
	return states, nil
}

func (x *Index) writeBlock(ctx context.Context, st *state, b *block, whole bool) (state blocks.BlockState, changed bool, err error) {
	if whole = whole || b.rewrite; whole {
		changed = true
		state, err = st.writer.Rewrite(ctx, b.change(true, st.defs()))
	} else {
		state, changed, err = st.writer.Apply(ctx, b.change(false, st.defs()))
	}
	if err != nil {
		b.rewrite = true
		return state, false, err
	}
	b.written()
	return state, changed, nil
}

// whole is what a first frame says of all blocks.
func (st *state) whole() []blocks.BlockState {
	all := make([]blocks.BlockState, 0, len(st.blocks))
	for _, b := range st.blocks {
		if d := st.writer.Directory(b.n); d != nil {
			all = append(all, blocks.BlockState{
				Block: d.Block, Epoch: d.Epoch, Version: d.Version, Defs: d.Defs, Pending: d.Pending, Entries: d.Entries,
			})
		}
	}
	return all
}

// promote makes states answer whose rows every block has, and days be named. It reports whether rows were dropped in turn, which
// the next tick takes out of the store. Called with the lock held, after the store has acknowledged all.
func (st *state) promote() (dropped bool) {
	switched := false
	for _, d := range st.segments {
		v := d.newest
		d.blocks = 0
		if v.err != nil || len(v.rows) == 0 {
			continue
		}
		for _, b := range st.blocks {
			if b.hasAll(v) {
				d.blocks++
			}
		}
		if d.blocks == len(st.blocks) {
			switched = switched || d.answering != nil && d.answering != v
			d.answering, d.ready = v, st.snapshot
		}
	}
	if !st.sameDays() && st.everywhere() {
		st.days = st.target
		switched = true
	}
	if !switched {
		return false
	}
	before := len(st.rules)
	st.plan()
	return len(st.rules) < before
}

// everywhere reports whether every block has every row.
func (st *state) everywhere() bool {
	for _, b := range st.blocks {
		for _, r := range st.rules {
			if b.segments[r.field] == nil {
				return false
			}
		}
	}
	return true
}

func (b *block) hasAll(v *version) bool {
	for _, r := range v.rows {
		if b.segments[r.field] == nil {
			return false
		}
	}
	return true
}

// reached is the highest definition position at or below which nothing is pending.
func (st *state) reached() blocks.Point {
	at := st.snapshot
	for _, d := range st.segments {
		if d.answering != d.newest && d.ready.Revision < at.Revision {
			at = d.ready
		}
	}
	return blocks.Point(at)
}

// progress is the share of the blocks that have the newest definition, in percent.
func (d *definition) progress(all int) int {
	if d.answering == d.newest || all == 0 {
		return 100
	}
	return 100 * d.blocks / all
}

// definitions are what can be asked. Called with the lock held.
func (st *state) definitions() *blocks.Definitions {
	d := &blocks.Definitions{Currency: st.identity.Currency, Zone: st.zone.String(), Days: slices.Clone(st.days)}
	for _, a := range st.attributes {
		d.Attributes = append(d.Attributes, a)
	}
	slices.SortFunc(d.Attributes, func(a, b audience.Attribute) int { return strings.Compare(a.Name, b.Name) })
	for uid, s := range st.segments {
		def := blocks.SegmentDefinition{
			UID: uid, Name: s.segment.Name(), Owner: s.segment.Owner, Pending: s.answering != s.newest, Progress: s.progress(len(st.blocks)),
		}
		if v := s.answering; v != nil {
			def.Version, def.RuleState, def.Rule, def.DateRelative = uint64(v.number), v.state, v.rule, v.dated
		}
		d.Segments = append(d.Segments, def)
	}
	slices.SortFunc(d.Segments, func(a, b blocks.SegmentDefinition) int { return strings.Compare(a.UID, b.UID) })
	return d
}

// published is the position that was announced last.
type published struct {
	mu      sync.Mutex
	ok      bool
	through blocks.Through
	asked   time.Time
	changed chan struct{} // closed when the position changes
}

func (p *published) get() blocks.Through {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.through
}

func (p *published) set(t blocks.Through, asked time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if asked.After(p.asked) {
		p.asked = asked
	}
	if p.ok && p.through == t {
		return
	}
	p.ok, p.through = true, t
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *published) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ok, p.through, p.asked = false, blocks.Through{}, time.Time{}
}

// await returns when the position has reached at.
func (p *published) await(ctx context.Context, at blocks.Position) error {
	for {
		p.mu.Lock()
		reached, changed := p.ok && p.through.Position().Reaches(at), p.changed
		p.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}
