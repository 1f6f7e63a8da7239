package blocks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// fieldPlan is the fields of a query, in one order for all blocks.
type fieldPlan struct {
	fields []planField
	index  map[audience.Field]int // nil where there are few
}

// fewFields is up to how many fields going through them is faster than a map: they are mostly the same strings, so that comparing
// two is comparing their lengths and places.
const fewFields = 8

func (v *View) plan(q Query) *fieldPlan {
	p := new(fieldPlan)
	seen := make(map[audience.Field]int)
	add := func(f audience.Field) {
		if _, ok := seen[f]; !ok {
			seen[f] = len(p.fields)
			p.fields = append(p.fields, newPlanField(f, v.declared(f)))
		}
	}
	add(audience.FieldLive)
	for _, f := range q.Fields {
		add(f)
	}
	if q.Select != nil {
		for _, f := range q.Select.Fields() {
			add(f)
		}
	}
	if len(p.fields) > fewFields {
		p.index = seen
	}
	return p
}

// withDictionary returns the plan with all parts of the uid dictionary behind its fields.
func (p *fieldPlan) withDictionary() *fieldPlan {
	n := &fieldPlan{fields: slices.Clone(p.fields), index: make(map[audience.Field]int)}
	for _, f := range dictionary().fields {
		if p.at(f.name) < 0 {
			n.fields = append(n.fields, f)
		}
	}
	for i := range n.fields {
		n.index[n.fields[i].name] = i
	}
	return n
}

// at returns a field's number, or -1 if it is not in the plan.
func (p *fieldPlan) at(f audience.Field) int {
	if p.index != nil {
		if i, ok := p.index[f]; ok {
			return i
		}
		return -1
	}
	for i := range p.fields {
		if p.fields[i].name == f {
			return i
		}
	}
	return -1
}

// hot is a block under the directory that is known of it, without anything being read: an audience.Block that looks a field up when
// it is asked for and has what is in memory. What it has not is unknown, and noted: then the block has to be loaded.
type hot struct {
	ctx    context.Context
	ended  *atomic.Bool // another block failed; may be nil
	plan   *fieldPlan
	dir    *Directory
	missed bool
	hits   int64
}

// get returns the content of a field that is present, nil of one that is empty.
func (h *hot) get(f audience.Field) (*content, bool) {
	i := h.plan.at(f)
	if i < 0 {
		return nil, false
	}
	return h.at(i)
}

func (h *hot) at(i int) (*content, bool) {
	_, c, presence := h.dir.look(&h.plan.fields[i])
	if presence == Empty {
		return nil, true
	}
	if presence == Present {
		if k := c.get(); k != nil {
			h.hits++
			return k, true
		}
	}
	h.missed = true
	return nil, false
}

// Row implements audience.Block.
func (h *hot) Row(f audience.Field) (audience.Row, bool) {
	k, ok := h.get(f)
	if k == nil {
		return audience.Row{}, ok
	}
	return k.row, true
}

// Column implements audience.Block.
func (h *hot) Column(f audience.Field) (*audience.Column, bool) {
	k, ok := h.get(f)
	if k == nil {
		return nil, ok
	}
	return k.column, k.column != nil
}

// Cardinality implements audience.Block.
func (h *hot) Cardinality(f audience.Field) (int, bool) {
	if f == audience.FieldLive {
		return max(0, h.dir.index.live), h.dir.index.live >= 0
	}
	i := h.plan.at(f)
	if i < 0 {
		return 0, false
	}
	e, _, presence := h.dir.look(&h.plan.fields[i])
	return int(e.Cardinality), presence != Unknown
}

// Stopped implements audience.Stopper.
func (h *hot) Stopped() error {
	if h.ended != nil && h.ended.Load() {
		return context.Canceled
	}
	return h.ctx.Err()
}

// known is one field of a block: empty where the cardinality is 0, else with content.
type known struct {
	Entry
	cell    *cell
	content *content
	have    bool
}

// loaded is a block under one directory: an audience.Block that knows the fields of its plan, and holds them.
type loaded struct {
	ctx     context.Context
	plan    *fieldPlan
	dir     *Directory
	entries []known // in the order of plan.fields
}

func (l *loaded) known(f audience.Field) (*known, bool) {
	i := l.plan.at(f)
	if i < 0 {
		return nil, false
	}
	return &l.entries[i], true
}

// get returns the content of a field that is present, nil of one that is empty.
func (l *loaded) get(f audience.Field) (*content, bool) {
	i := l.plan.at(f)
	if i < 0 {
		return nil, false
	}
	return l.at(i)
}

func (l *loaded) at(i int) (*content, bool) {
	k := &l.entries[i]
	return k.content, k.content != nil || k.Cardinality == 0
}

// Row implements audience.Block.
func (l *loaded) Row(f audience.Field) (audience.Row, bool) {
	k, ok := l.get(f)
	if k == nil {
		return audience.Row{}, ok
	}
	return k.row, true
}

// Column implements audience.Block.
func (l *loaded) Column(f audience.Field) (*audience.Column, bool) {
	k, ok := l.get(f)
	if k == nil {
		return nil, ok
	}
	return k.column, k.column != nil
}

// Cardinality implements audience.Block.
func (l *loaded) Cardinality(f audience.Field) (int, bool) {
	k, ok := l.known(f)
	if !ok {
		return 0, false
	}
	return int(k.Cardinality), true
}

// Stopped implements audience.Stopper.
func (l *loaded) Stopped() error { return l.ctx.Err() }

// unknownError says why a block cannot be used as it is.
type unknownError struct {
	cause string // a constant: also a metric's attribute
	// wait says that the manifest is about to explain it, so that a refill is not yet worth asking for.
	wait bool
	err  error
}

func (e *unknownError) Error() string {
	if e.err != nil {
		return e.cause + ": " + e.err.Error()
	}
	return e.cause
}

func (e *unknownError) Unwrap() error { return e.err }

// The pauses between attempts to read an unknown block.
const (
	firstPause = 10 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// load returns the block under one directory, and has it written again as long as it is unknown and ctx allows. ctx also ends
// evaluations of it.
func (s *Session) load(ctx context.Context, sl *slot, p *fieldPlan) (*loaded, error) {
	l, err := s.await(ctx, sl, p)
	if l != nil {
		l.ctx = ctx // and not what the waiting was bounded by
	}
	return l, err
}

func (s *Session) await(ctx context.Context, sl *slot, p *fieldPlan) (*loaded, error) {
	pause := firstPause
	refilled := false
	patience := false // ctx is bounded
	for attempt := 0; ; attempt++ {
		l, err := s.try(ctx, sl, p)
		var u *unknownError
		if !errors.As(err, &u) {
			if patience && errors.Is(err, context.DeadlineExceeded) {
				err = ErrBlockUnknown.With("block", sl.block).Wrap(err) // the time went into waiting for it
			}
			return l, err
		}
		s.r.unknown.Add(ctx, 1, metric.WithAttributes(attrCause.String(u.cause)))
		if !patience {
			bounded, cancel := context.WithTimeout(ctx, s.r.cfg.MaxWait)
			defer cancel()
			ctx, patience = bounded, true
		}
		if !u.wait || attempt >= 2 {
			rerr := s.r.refills.ask(ctx, s.view.Layout, sl.block)
			if rerr == nil && !refilled {
				refilled = true
				s.counters.refilled.Add(1)
				continue // at once: it is there now
			}
			err = errors.Join(err, rerr)
		}
		select {
		case <-ctx.Done():
			return nil, ErrBlockUnknown.With("block", sl.block).Wrap(errors.Join(ctx.Err(), err))
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

// try returns the block from memory, or with one or two reads of the store. Two are needed when the first shows a newer
// directory, under which more of the rows in memory are void; the second asks for everything, so it is always enough.
func (s *Session) try(ctx context.Context, sl *slot, p *fieldPlan) (*loaded, error) {
	want := p.all()
	if dir := sl.dir.Load(); dir != nil {
		if l, unknown := p.resolve(dir); !unknown {
			missing := s.remember(l)
			if len(missing) == 0 {
				return l, nil
			}
			want = missing
		}
	}
	for {
		l, err := s.read(ctx, sl, p, want)
		if err != nil {
			return nil, err
		}
		if len(s.remember(l)) == 0 {
			return l, nil
		}
		if len(want) == len(p.fields) {
			return nil, &unknownError{cause: "field missing"} // read would have said so
		}
		want = p.all()
	}
}

// all returns the numbers of all fields.
func (p *fieldPlan) all() []int {
	all := make([]int, len(p.fields))
	for i := range all {
		all[i] = i
	}
	return all
}

// resolve looks up every field of the plan. The second result says that one is unknown to the directory.
func (p *fieldPlan) resolve(dir *Directory) (*loaded, bool) {
	l := &loaded{plan: p, dir: dir, entries: make([]known, len(p.fields))}
	for i := range p.fields {
		e, c, presence := dir.look(&p.fields[i])
		if presence == Unknown {
			return nil, true
		}
		l.entries[i] = known{Entry: e, cell: c, have: presence == Empty}
	}
	return l, false
}

// remember fills in what is in memory, and returns the numbers of the fields that are not.
func (s *Session) remember(l *loaded) (missing []int) {
	hits := int64(0)
	for i := range l.entries {
		k := &l.entries[i]
		if k.have {
			continue
		}
		if k.content = k.cell.get(); k.content == nil {
			missing = append(missing, i)
			continue
		}
		k.have = true
		hits++
	}
	if len(missing) == 0 {
		s.remembered(hits)
	}
	return missing
}

// remembered counts fields that came from memory.
func (s *Session) remembered(hits int64) {
	if hits > 0 {
		s.counters.memory.Add(hits)
		s.r.fields.Add(context.Background(), hits, fromMemory)
	}
}

// read reads fields with the meta that they belong to, and returns the block under that directory with what was read.
func (s *Session) read(ctx context.Context, sl *slot, p *fieldPlan, want []int) (*loaded, error) {
	// The manifest is looked at first: what it says was acknowledged before, so the store must not be behind it.
	newest := s.r.cfg.Follower.View()
	if newest.Store != s.view.Store || newest.Layout != s.view.Layout {
		return nil, ErrLayoutGone
	}
	key := Key{s.view.Store, s.view.Layout, sl.block}
	names := make([]audience.Field, len(want))
	for i, at := range want {
		names[i] = p.fields[at].name
	}
	meta, values, err := s.r.cfg.Store.Read(ctx, key, names)
	if err != nil {
		// Whatever it was, the store did not answer in time; only a caller that went away is something else.
		if !errors.Is(err, ErrStoreUnreachable) && !errors.Is(ctx.Err(), context.Canceled) {
			err = ErrStoreUnreachable.Wrap(err)
		}
		return nil, err
	}
	if meta == nil || len(values) != len(want) {
		return nil, &unknownError{cause: "meta missing"}
	}
	dir := sl.dir.Load()
	if !dir.decodedFrom(meta) {
		if dir, err = DecodeMeta(key, meta); err != nil {
			return nil, &unknownError{cause: "meta refused", err: err}
		}
	}
	if err := s.usable(dir, sl, newest); err != nil {
		return nil, err
	}
	dir = newest.slot(sl.block).learn(sl.learn(dir))

	l, unknown := p.resolve(dir)
	if unknown {
		return nil, s.undefined(ctx, dir, sl)
	}
	n := int64(0)
	for i, at := range want {
		k := &l.entries[at]
		if k.have {
			continue
		}
		if values[i] == nil {
			return nil, &unknownError{cause: "field missing"}
		}
		f := &p.fields[at]
		if k.content, err = decode(f, k.Entry, values[i]); err != nil {
			return nil, &unknownError{cause: "field refused", err: err}
		}
		k.have = true
		n++
	}
	l.unify()
	for _, at := range want {
		if k := &l.entries[at]; k.content != nil {
			s.r.memoryOf(&p.fields[at]).put(k.cell, k.content)
		}
	}
	s.counters.store.Add(n)
	s.r.fields.Add(ctx, n, fromStore)
	return l, nil
}

// birth are the columns of first and last possible days of birth.
var birth = [2]audience.Field{audience.ColumnField(audience.AttrBirthDate), audience.LastField(audience.AttrBirthDate)}

// unify keeps the two columns of birth dates once where they say the same, as they do unless somebody's date is known by its year
// alone: half of the memory, and one pass for both ends of a range of ages.
func (l *loaded) unify() {
	var k [2]*known
	var c [2]*content
	for i, f := range birth {
		at := l.plan.at(f)
		if at < 0 {
			return
		}
		k[i] = &l.entries[at]
		if c[i] = k[i].content; c[i] == nil && k[i].cell != nil {
			c[i] = k[i].cell.get()
		}
		if c[i] == nil {
			return
		}
	}
	if c[0].column == c[1].column || !c[0].column.Equal(c[1].column) {
		return
	}
	one := &content{column: c[0].column, shared: true}
	if k[1].content != nil {
		k[1].content = one
	} else {
		one.column = c[1].column
		k[0].content = one
	}
}

// usable reports why a block that was read must not be used. Its epoch must be the one, and its version not older than, what the
// newest manifest says.
func (s *Session) usable(dir *Directory, sl *slot, newest *View) error {
	now := newest.slot(sl.block)
	switch {
	case now == nil:
		return &unknownError{cause: "block not in the manifest", wait: true}
	case dir.Epoch != now.epoch:
		// A higher lease than the manifest's: a frame is on its way.
		return &unknownError{cause: "other epoch", wait: dir.Epoch.Number > now.epoch.Number}
	case dir.Version < now.version:
		return &unknownError{cause: "old version"}
	case dir.Epoch == sl.epoch && dir.Version >= sl.version:
		return nil
	case !newest.Through.Position().Reaches(s.view.Through.Position()):
		// A new lease holder that has not yet come as far as this answer began.
		return &unknownError{cause: "behind the answer", wait: true}
	}
	return nil
}

// undefined is the error of a usable directory that does not know a field of the query. If the block is ahead of the answer's
// view, its definitions may have been replaced: then the answer has to begin again, under a view that has come as far.
func (s *Session) undefined(ctx context.Context, dir *Directory, sl *slot) error {
	if dir.Epoch == sl.epoch && dir.Version == sl.version {
		return &unknownError{cause: "field unknown"}
	}
	v, err := s.r.cfg.Follower.await(ctx, func(v *View) bool {
		now := v.slot(sl.block)
		return v.Layout != s.view.Layout || now != nil && now.epoch.Number >= dir.Epoch.Number && (now.epoch != dir.Epoch || now.version >= dir.Version)
	})
	if err != nil {
		return ErrBlockUnknown.With("block", sl.block).Wrap(fmt.Errorf("wait for the manifest: %w", err))
	}
	if v.Definitions != s.view.Definitions {
		return ErrDefinitionsMoved
	}
	return &unknownError{cause: "field unknown"}
}

// live returns the live row of a loaded block: the first of every plan.
func (l *loaded) live() audience.Row {
	if k := l.entries[0].content; k != nil {
		return k.row
	}
	return audience.Row{}
}

// chunkFields are the dictionary parts that hold the uids of the ordinals set in bits.
func chunkFields(bits *audience.Bits) []audience.Field {
	fields := make([]audience.Field, 0, Chunks)
	for n := range Chunks {
		if anySet(bits[n*chunkWords : (n+1)*chunkWords]) {
			fields = append(fields, UIDField(n))
		}
	}
	return fields
}

// chunkWords is the number of words of a bitmap for one dictionary part.
const chunkWords = ChunkSize / 64

func anySet(words []uint64) bool {
	for _, w := range words {
		if w != 0 {
			return true
		}
	}
	return false
}
