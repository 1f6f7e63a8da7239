package blockstest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// The fields of the test's blocks. Everybody live is either female or not (others); excluded is a segment's row; revisions is
// a column whose value is, for everybody, the revision at which the block was last changed. So a reader that mixed two versions
// of a block would be seen.
const (
	female    audience.Field = "f/gender=female"
	others    audience.Field = "f/gender=other"
	revisions audience.Field = "c/custom.revision"
	segment                  = "seg"
)

// state is a block's content at one revision. It does not change.
type state struct {
	revision                       uint64
	live, female, others, excluded audience.Bits
	column                         *audience.Column
	uids                           [audience.BlockSize / 16]audience.UID // the dictionary's first part
}

// members is the naive answer to the question of exclusion.
func (s *state) members() *audience.Bits {
	out := s.live
	for o := range out.All() {
		if !s.female.Has(o) || s.excluded.Has(o) {
			out.Unset(o)
		}
	}
	return &out
}

// exclusion asks for the live women who are not in the segment.
type exclusion struct{ segment audience.Field }

func (e exclusion) Fields() []audience.Field { return []audience.Field{female, e.segment} }

func (e exclusion) Guess(b audience.Block) int {
	n, ok := b.Cardinality(female)
	if !ok {
		return audience.BlockSize
	}
	return n
}

func (e exclusion) Eval(b audience.Block, within, out *audience.Bits) error {
	var result audience.Bits
	for i, f := range []audience.Field{audience.FieldLive, female, e.segment} {
		held, ok := b.Row(f)
		row := held.Bits()
		switch {
		case !ok:
			return audience.ErrUnknown
		case i == 0:
			if row != nil {
				result = *row
			}
			if within != nil {
				result.And(within)
			}
		case i == 1:
			result.And(row)
			if result.IsEmpty() {
				*out = result
				return nil
			}
		default:
			result.AndNot(row)
		}
	}
	*out = result
	return nil
}

// world is a segment service in small: one writer that holds the truth, its publisher, and one reader.
type world struct {
	t   testing.TB
	srv *Server

	mu        sync.Mutex // one write at a time
	rand      *rand.Rand
	epoch     blocks.Epoch
	writer    *blocks.Writer
	publisher *blocks.Publisher
	defs      *blocks.Definitions
	revision  uint64
	truth     map[uint32]*state
	history   map[uint32][]*state // ascending
	// looks are those of w.ask, by definitions.
	looks   sync.Map
	broken  bool // refills fail
	refills int
}

func newWorld(t testing.TB, srv *Server, count uint32) *world {
	w := &world{t: t, srv: srv, rand: rand.New(rand.NewPCG(5, 6)), truth: make(map[uint32]*state), history: make(map[uint32][]*state)}
	w.defs = &blocks.Definitions{
		Attributes: []audience.Attribute{{Name: "custom.revision", Kind: audience.KindDecimal}},
		Segments:   []blocks.SegmentDefinition{{UID: segment, Name: "segments/seg", RuleState: 1, Rule: "true"}},
		Currency:   "EUR", Zone: "UTC",
	}
	w.takeOver(1)
	var all []uint32
	for b := range count {
		all = append(all, b)
	}
	w.commit(all...)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// takeOver begins a new holding of the lease. What was written is rewritten when it is asked for, or changed.
func (w *world) takeOver(number uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.epoch = blocks.Epoch{Number: number, Random: number * 7}
	var err error
	w.writer, err = blocks.NewWriter(w.srv.Store, blocks.WriterConfig{Store: w.srv.ID, Layout: 1, Epoch: w.epoch})
	w.must(err)
	if w.publisher != nil {
		w.publisher.Close()
	}
	w.publisher, err = blocks.NewPublisher(blocks.PublisherConfig{Store: w.srv.ID, Layout: 1})
	w.must(err)
	var list []blocks.BlockState
	for b := range w.truth {
		list = append(list, blocks.BlockState{Block: b, Epoch: w.epoch})
	}
	w.publish(w.defs, list...)
}

func (w *world) publish(defs *blocks.Definitions, list ...blocks.BlockState) {
	w.must(w.publisher.Publish(blocks.Update{
		Definitions: defs, Blocks: list, Asked: time.Now(),
		Through: blocks.Through{Profiles: blocks.Point{Revision: w.revision}, Definitions: blocks.Point{Revision: w.defs.Segments[0].RuleState}},
	}))
}

func (w *world) segmentField() audience.Field { return w.defs.Segments[0].Field(0) }

func (w *world) position() blocks.Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return blocks.Position{Revision: w.revision}
}

// commit changes blocks at random, in one revision and one frame.
func (w *world) commit(list ...uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revision++
	var states []blocks.BlockState
	for _, b := range list {
		s := w.mutate(w.truth[b])
		w.truth[b] = s
		w.history[b] = append(w.history[b], s)
		if w.writer.Directory(b) == nil {
			states = append(states, w.rewrite(b))
			continue
		}
		st, _, err := w.writer.Apply(context.WithoutCancel(w.t.Context()), w.change(b))
		w.must(err)
		states = append(states, st)
	}
	w.publish(nil, states...)
}

// mutate makes the next state. Some rows stay as they are, now and then one is empty.
func (w *world) mutate(was *state) *state {
	s := &state{revision: w.revision}
	if was == nil {
		was = s
	}
	s.live, s.female, s.excluded = was.live, was.female, was.excluded
	for range 200 {
		o := uint16(w.rand.IntN(len(s.uids)))
		switch w.rand.IntN(4) {
		case 0, 1:
			s.live.Set(o)
		case 2:
			s.live.Unset(o)
		}
		if w.rand.IntN(2) == 0 {
			s.female[o>>6] ^= 1 << (o & 63)
		}
	}
	switch w.rand.IntN(6) {
	case 0:
		s.excluded = audience.Bits{}
	case 1, 2:
		s.excluded[w.rand.IntN(60)] ^= w.rand.Uint64()
	}
	s.live.Set(0)
	s.female.And(&s.live)
	s.others = s.live
	s.others.AndNot(&s.female)
	for o := range s.live.All() {
		s.uids[o] = audience.UID{0: 1, 14: byte(o >> 8), 15: byte(o)}
	}
	s.column = audience.NewNumColumn(func(yield func(uint16, int64) bool) {
		for o := range s.live.All() {
			if !yield(o, int64(s.revision)) {
				return
			}
		}
	})
	return s
}

func (w *world) change(b uint32) blocks.Change {
	s := w.truth[b]
	return blocks.Change{
		Block:   b,
		Rows:    map[audience.Field]*audience.Bits{audience.FieldLive: &s.live, female: &s.female, others: &s.others, w.segmentField(): &s.excluded},
		Columns: map[audience.Field]*audience.Column{revisions: s.column},
		UIDs:    map[int][]audience.UID{0: s.uids[:]},
		Defs:    blocks.Position{Revision: w.revision, Definition: w.defs.Segments[0].RuleState},
	}
}

func (w *world) rewrite(b uint32) blocks.BlockState {
	st, err := w.writer.Rewrite(context.WithoutCancel(w.t.Context()), w.change(b))
	w.must(err)
	return st
}

// redefine gives the segment a new rule state: all blocks get its row, the definitions switch in one frame, and then the old
// row goes.
func (w *world) redefine() {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.segmentField()
	w.revision++
	defs := *w.defs
	defs.Segments = []blocks.SegmentDefinition{w.defs.Segments[0]}
	defs.Segments[0].RuleState++
	w.defs = &defs
	ctx := context.WithoutCancel(w.t.Context())
	var with, without []blocks.BlockState
	for b := range w.truth {
		w.truth[b] = w.mutate(w.truth[b])
		w.history[b] = append(w.history[b], w.truth[b])
		c := w.change(b)
		c.Rows[was] = &w.truth[b].excluded // the old rule's row stays current while it may be asked for
		st, _, err := w.writer.Apply(ctx, c)
		w.must(err)
		with = append(with, st)
	}
	w.publish(w.defs, with...)
	for b := range w.truth {
		c := w.change(b)
		c.Removed = []audience.Field{was}
		st, _, err := w.writer.Apply(ctx, c)
		w.must(err)
		without = append(without, st)
	}
	w.publish(nil, without...)
}

// Refill implements blocks.Refiller.
func (w *world) Refill(_ context.Context, layout, block uint32) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken || layout != 1 {
		return errors.New("no lease holder")
	}
	w.refills++
	w.publish(nil, w.rewrite(block))
	return nil
}

// Watch implements blocks.Source.
func (w *world) Watch(ctx context.Context) (blocks.Stream, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.publisher.Subscribe()
	context.AfterFunc(ctx, s.Close)
	return &stream{ctx, s}, nil
}

type stream struct {
	ctx context.Context
	s   *blocks.Subscription
}

func (s *stream) Send(number uint64) error {
	s.s.Echo(number)
	return nil
}

func (s *stream) Recv() (blocks.Frame, error) { return s.s.Next(s.ctx) }

// reader starts a cold reader that follows the world until the test ends.
func (w *world) reader(memory int64, maxWait time.Duration) (*blocks.Reader, *blocks.Follower) {
	w.t.Helper()
	f, err := blocks.NewFollower(blocks.FollowerConfig{Source: w, Retry: time.Millisecond, RetryMax: 10 * time.Millisecond})
	w.must(err)
	r, err := blocks.NewReader(blocks.ReaderConfig{Store: w.srv.Store, Follower: f, Refiller: w, MemoryBytes: memory, MaxWait: maxWait, Parallelism: 4})
	w.must(err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.Run(ctx); err != nil {
			w.t.Errorf("follow: %v", err)
		}
	})
	w.t.Cleanup(func() {
		cancel()
		running.Wait()
		r.Close()
	})
	return r, f
}

// answer is what the reader said of each block that it did not skip.
type answer struct {
	through  blocks.Through
	stats    blocks.Stats
	mu       sync.Mutex
	members  map[uint32]*audience.Bits
	revision map[uint32]uint64
}

// ask asks the question of exclusion: of every other revision by a scan, which takes from memory what is there first.
func (w *world) ask(ctx context.Context, r *blocks.Reader, c blocks.Consistency) (*answer, error) {
	var a *answer
	err := r.Answer(ctx, c, func(s *blocks.Session) error {
		a = &answer{through: s.Through(), members: make(map[uint32]*audience.Bits), revision: make(map[uint32]uint64)}
		e := exclusion{s.View().Segment(segment).Field(0)}
		fields := []audience.Field{revisions, others}
		var err error
		if s.Through().Profiles.Revision%2 == 0 {
			// What was said of a block's directory before is kept as long as the definitions are.
			looks, _ := w.looks.LoadOrStore(s.View().Definitions, new(blocks.Looks))
			_, err = s.Scan(ctx, blocks.Scan{
				Fields: s.View().Prepare(append(fields, e.Fields()...)),
				Look:   blocks.Absent(e),
				Looks:  looks.(*blocks.Looks), //nolint:forcetypeassert // nothing else is kept
				Do:     func(_, at int, b audience.Block) error { return a.examine(e, s.View().Block(at), b) },
			})
		} else {
			err = s.ForEachBlock(ctx, blocks.Query{Fields: fields, Select: e}, func(block uint32, b audience.Block) error { return a.examine(e, block, b) })
		}
		a.stats = s.Stats()
		return err
	})
	return a, err
}

// examine evaluates one block, and holds its rows against each other.
func (a *answer) examine(e exclusion, number uint32, block audience.Block) error {
	out := new(audience.Bits)
	if err := e.Eval(block, nil, out); err != nil {
		return err
	}
	c, ok := block.Column(revisions)
	live, ok2 := block.Row(audience.FieldLive)
	women, ok3 := block.Row(female)
	men, ok4 := block.Row(others)
	switch {
	case !ok || !ok2 || !ok3 || !ok4:
		return audience.ErrUnknown
	case c == nil || len(c.Nums) != 1:
		return errors.New("the revisions are not those of one version")
	case women.Bits().Intersects(men.Bits()) || women.Count()+men.Count() != live.Count() || !c.Present.Equal(live.Bits()):
		return errors.New("rows of different versions")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.members[number], a.revision[number] = out, uint64(c.Nums[0])
	return nil
}

// right fails the test unless the answer is the truth, block by block, at some revision from its own to the one at its end.
func (w *world) right(a *answer) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for b, states := range w.history {
		got, there := a.members[b]
		ok := false
		for i, s := range states {
			if i+1 < len(states) && states[i+1].revision <= a.through.Profiles.Revision {
				continue // older than the answer
			}
			if there && s.revision == a.revision[b] && got.Equal(s.members()) || !there && s.members().IsEmpty() {
				ok = true
			}
		}
		if !ok && states[0].revision <= a.through.Profiles.Revision {
			w.t.Errorf("block %d: %d members at revision %d are not the truth at or after revision %d", b, got.Count(), a.revision[b], a.through.Profiles.Revision)
		}
	}
}
