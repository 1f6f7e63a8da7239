package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/region"
	"github.com/narrowcast/narrowcast/pkg/audience/uidtable"
	"github.com/narrowcast/narrowcast/services/segment"
	"github.com/narrowcast/narrowcast/services/segment/internal/checkpoint"
)

// Resumed says where the changes of a profile store go on that an index has the others of.
type Resumed struct {
	Cursor string
	// Newest is the cursor of the newest change that the index may have: a store that does not hold it has lost what the index knows.
	Newest     string
	Attributes []audience.Attribute
}

// Resume takes the content of this store from the checkpoint, if there is a sound one: then the batches that follow are changes after its
// cursor. Where there is none, or anything about it is wrong, ok is false, and Begin is to be called.
func (x *Index) Resume(ctx context.Context, id Identity) (from Resumed, ok bool) {
	if x.saver == nil {
		return from, false
	}
	st, err := x.restored(ctx, id)
	switch {
	case errors.Is(err, checkpoint.ErrNone):
		return from, false
	case ctx.Err() != nil:
		return from, false
	case err != nil:
		x.metrics.checkpoint(outcomeRefused)
		x.log.WarnContext(ctx, "the checkpoint cannot be used; the index is built from the beginning", "error", err)
		return from, false
	}
	x.metrics.checkpoint(outcomeUsed)
	for _, a := range st.attributes {
		from.Attributes = append(from.Attributes, a)
	}
	from.Cursor, from.Newest = st.cursor, st.newest
	f := &x.feed
	f.mu.Lock()
	f.items = []item{{begin: &id, st: st}}
	f.changes = 0
	f.release()
	f.mu.Unlock()
	f.wake()
	return from, true
}

// restored makes the content that the checkpoint holds.
func (x *Index) restored(ctx context.Context, id Identity) (*state, error) {
	dir := x.saver.dir
	m, err := dir.Load()
	if err != nil {
		return nil, err
	}
	if m.Newest == "" {
		return nil, errors.New("it does not say how new it is")
	}
	if (Identity{m.Store, m.Incarnation, m.Currency, m.Zone}) != id {
		return nil, errors.New("it is of another profile store, or of this one in a former life")
	}
	layouts, err := x.store.Layouts(ctx)
	if err != nil {
		return nil, fmt.Errorf("read layouts: %w", err)
	}
	if newest, ok := newestOf(layouts, segment.ProfileStore{Store: id.Store, Incarnation: id.Incarnation}); !ok || newest != m.Layout {
		return nil, errors.New("it is of another layout")
	}
	st, err := newState(id, m.Layout)
	if err != nil {
		return nil, err
	}
	for _, a := range m.Attributes {
		if err := st.declare(a); err != nil {
			return nil, err
		}
	}
	st.blocks, st.fill, st.files = make([]*block, len(m.Blocks)), make([]int, len(m.Blocks)), m.Blocks
	work, reading := errgroup.WithContext(ctx)
	work.SetLimit(runtime.GOMAXPROCS(0))
	for i, f := range m.Blocks {
		work.Go(func() error {
			if err := reading.Err(); err != nil {
				return err
			}
			content, err := dir.Block(m, f)
			if err != nil {
				return err
			}
			if st.blocks[i], err = restoredBlock(content); err != nil {
				return fmt.Errorf("block %d: %w", f.Number, err)
			}
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	total := 0
	for i, b := range st.blocks {
		st.fill[i] = len(b.uids)
		total += b.live().n
	}
	st.places = uidtable.New(total)
	for _, b := range st.blocks {
		for o, uid := range b.uids {
			if uid != (audience.UID{}) {
				st.places.Add(uid, place{b.n, uint16(o)}.ref())
			}
		}
	}
	if err := st.compareOrdinals(ctx, x.store); err != nil {
		return nil, err
	}
	st.read = blocks.Point{Incarnation: m.Incarnation, Revision: m.Revision, Mark: m.Mark}
	st.cursor, st.newest = m.Cursor, m.Newest
	// Where the segment store has lost definitions, a row's name may mean another rule by now.
	d := segment.Position{Incarnation: m.Definitions.Incarnation, Revision: m.Definitions.Revision, Mark: string(m.Definitions.Mark)}
	if st.keepSegments, err = x.store.Holds(ctx, d); err != nil {
		return nil, fmt.Errorf("ask for the definitions: %w", err)
	}
	return st, nil
}

// compareOrdinals holds the uids of the blocks against the ordinals that were given in the layout, and adds those that were given since.
func (st *state) compareOrdinals(ctx context.Context, store segment.Store) error {
	known := make([]int, len(st.blocks)) // of each block: how many were compared
	for run, err := range store.LoadOrdinals(ctx, st.layout) {
		if err != nil {
			return fmt.Errorf("load ordinals: %w", err)
		}
		b := st.block(run.Block)
		for int(run.Block) >= len(known) {
			known = append(known, 0)
		}
		if int(run.First) != known[run.Block] || known[run.Block]+len(run.UIDs) > audience.BlockSize {
			return fmt.Errorf("load ordinals: block %d has a gap at ordinal %d", run.Block, run.First)
		}
		for i, uid := range run.UIDs {
			o := int(run.First) + i
			blank := audience.UID{}
			switch {
			case o >= len(b.uids):
				st.number(b, uid)
			case b.uids[o] == uid:
			case uid == blank: // deleted since, as the changes will say
			case b.uids[o] == blank: // deleted, and the store was not told
				st.blank = append(st.blank, segment.Ordinal{Block: b.n, Ordinal: uint32(o)})
			default:
				return fmt.Errorf("block %d: ordinal %d is another profile's", run.Block, o)
			}
		}
		known[run.Block] += len(run.UIDs)
	}
	for i, b := range st.blocks {
		if i >= len(known) || known[i] < len(b.uids) {
			return fmt.Errorf("block %d has ordinals that were not given", i)
		}
	}
	return nil
}

// restoredBlock makes a block of its content, which it takes over.
func restoredBlock(c *checkpoint.Block) (*block, error) {
	b := newBlock(c.Number)
	b.uids, b.restored, b.unsaved = c.UIDs, true, false
	for _, f := range c.Fields {
		if isColumn(f.Name) {
			decoded, err := blocks.DecodeColumn(f.Data)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name, err)
			}
			if b.columns[f.Name], err = columnOf(decoded); err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name, err)
			}
			continue
		}
		r := new(row)
		if len(f.Data) > 0 {
			decoded, err := blocks.DecodeRow(f.Data)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name, err)
			}
			r = rowOf(ownBits(decoded))
		}
		if strings.HasPrefix(string(f.Name), "s/") {
			b.segments[f.Name] = r
		} else {
			b.rows[f.Name] = r
		}
	}
	live := b.live()
	known := 0
	for o, uid := range b.uids {
		switch has := uid != (audience.UID{}); {
		case has != live.has(uint16(o)):
			return nil, fmt.Errorf("who lives and who has a uid differ at ordinal %d", o)
		case has:
			known++
		}
	}
	if known != live.n {
		return nil, errors.New("somebody lives beyond the ordinals that were given")
	}
	return b, nil
}

// ownBits returns a row that was just decoded as a bitmap.
func ownBits(r audience.Row) *audience.Bits {
	if b := r.Dense(); b != nil {
		return b
	}
	b := new(audience.Bits)
	r.Into(b)
	return b
}

// columnOf makes a column of its shared form, which it keeps.
func columnOf(c *audience.Column) (*column, error) {
	if c.Texts != nil {
		v, err := valuesOf(c, c.Texts)
		return &column{texts: v}, err
	}
	v, err := valuesOf(c, c.Nums)
	return &column{nums: v}, err
}

func valuesOf[T cmp.Ordered](c *audience.Column, distinct []T) (*values[T], error) {
	v := &values[T]{
		present: *c.Present, n: c.Present.Count(), ids: make([]uint16, c.Ranks.Len()), of: slices.Clone(distinct), refs: make([]uint32, len(distinct)),
		index: make(map[T]uint16, len(distinct)), sorted: make([]uint16, len(distinct)), shared: c,
	}
	for i, x := range distinct {
		v.index[x], v.sorted[i] = uint16(i), uint16(i)
	}
	for o := range c.Present.All() {
		rank, ok := c.Rank(o)
		if !ok || int(rank) >= len(distinct) {
			return nil, errors.New("an ordinal without a value")
		}
		v.ids[o] = rank
		v.refs[rank]++
	}
	if slices.Contains(v.refs, 0) {
		return nil, errors.New("a value without ordinals")
	}
	return v, nil
}

// seen tells the assigner who is in the restored blocks, by region and decade of birth.
func (st *state) seen(assign Arranger) {
	for _, b := range st.blocks {
		if b.restored {
			b.seen(assign)
		}
	}
}

func (b *block) seen(assign Arranger) {
	type group struct{ region, decade int }
	const unborn = math.MinInt
	// Of the rows of regions a person is in, that of the smallest is where they live.
	codes := []string{""}
	var fields []audience.Field
	for f := range b.rows {
		if p, ok := audience.ParseField(f); ok && p.Attr == audience.AttrRegion && p.Value != "" && !p.Exact {
			codes, fields = append(codes, p.Value), append(fields, f)
		}
	}
	order := make([]int, len(fields))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return cmp.Compare(len(region.Ancestors(codes[i+1])), len(region.Ancestors(codes[j+1])))
	})
	var where [audience.BlockSize]uint16
	for _, i := range order {
		for o := range b.rows[fields[i]].shared().All() {
			where[o] = uint16(i + 1)
		}
	}
	births := b.columns[audience.ColumnField(audience.AttrBirthDate)].snapshot()
	groups := make(map[group]int)
	facts := make(map[group]audience.Facts)
	for o := range b.live().shared().All() {
		g := group{int(where[o]), unborn}
		birth := int64(0)
		if births != nil {
			var ok bool
			if birth, ok = births.Num(o); ok {
				g.decade = int(decade(birth))
			}
		}
		if groups[g]++; groups[g] == 1 {
			facts[g] = audience.Facts{}
			if g.region > 0 {
				facts[g][audience.AttrRegion] = audience.Value{Text: codes[g.region]}
			}
			if g.decade != unborn {
				facts[g][audience.AttrBirthDate] = audience.Value{Num: birth, Last: birth}
			}
		}
	}
	for g, n := range groups {
		assign.Seen(int(b.n), facts[g], n)
	}
}
