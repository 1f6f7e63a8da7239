package blocks

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/uidtable"
)

// locator says where uids are: a table over the dictionaries of all blocks, brought up to date with the view of each question. What it
// says is only where to look: whether a uid lives there is read of the block, under one directory. It is safe for concurrent use.
type locator struct {
	// updating is held by the one who brings the table up to date; it alone changes what is not under mu.
	updating chan struct{}
	blocks   map[uint32]*located
	stale    int // references to what is somewhere else, or nowhere, by now

	mu     sync.RWMutex
	store  string
	layout uint32
	slots  uint64 // of the newest view that the table has all uids of
	table  *uidtable.Table
}

func newLocator() *locator {
	return &locator{updating: make(chan struct{}, 1), blocks: make(map[uint32]*located), table: uidtable.New(0)}
}

// located is what the table has of one block.
type located struct {
	slot  uint64
	parts [Chunks]locatedPart
}

// locatedPart is a part of a dictionary as the table has it: of what bytes, and which places are in the table.
type locatedPart struct {
	entry Entry
	in    []uint64 // a bit for each uid of the part
}

// refOf is an ordinal of a layout as the table keeps it.
func refOf(block uint32, ordinal int) uint32 { return block<<16 | uint32(ordinal) }

// has reports whether the table has all uids of a view, and whether it is of a layout that came after the view's. Called with the lock
// held. Within a layout a uid keeps its place, so a table of a newer view does for an older one: who is missing from it was deleted since.
func (k *locator) has(v *View) (all, beyond bool) {
	same := k.store == v.Store && k.layout == v.Layout
	return same && k.slots >= v.slotsID, !same && k.slots > v.slotsID
}

// bytes is about how much memory the table takes.
func (k *locator) bytes() int64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return int64(k.table.Size())
}

// update brings the table up to date with the session's view, unless another does: the parts of dictionaries that changed are read, and
// what is new in them added. What was read before an error stays. Errors as for ForEachBlock.
func (k *locator) update(ctx context.Context, s *Session) error {
	select {
	case k.updating <- struct{}{}:
		defer func() { <-k.updating }()
	case <-ctx.Done():
		return ctx.Err()
	}
	v := s.view
	k.mu.RLock()
	all, beyond := k.has(v)
	k.mu.RUnlock()
	if all || beyond {
		return nil
	}
	if k.store != v.Store || k.layout != v.Layout || k.stale > k.table.Len()/4+ChunkSize {
		k.restart(v)
	}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(loaders)
	for _, sl := range v.slots {
		b := k.blocks[sl.block]
		if b == nil {
			b = new(located)
			k.blocks[sl.block] = b
		}
		if b.slot == sl.id {
			continue
		}
		changed := b.changed(sl)
		if len(changed) == 0 {
			b.slot = sl.id
			continue
		}
		work.Go(func() error { return k.updateBlock(ctx, s, sl, b, changed) })
	}
	if err := work.Wait(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.slots = v.slotsID
	return nil
}

// restart begins a table with room for all of a view.
func (k *locator) restart(v *View) {
	live := 0
	for _, sl := range v.slots {
		if dir := sl.dir.Load(); dir != nil {
			live += max(0, dir.index.live)
		}
	}
	k.blocks, k.stale = make(map[uint32]*located, len(v.slots)), 0
	k.mu.Lock()
	defer k.mu.Unlock()
	k.table, k.store, k.layout, k.slots = uidtable.New(live), v.Store, v.Layout, 0
}

// changed returns the parts of a block's dictionary that the table may not have as they are.
func (b *located) changed(sl *slot) (changed []int) {
	dir := sl.dir.Load()
	for n, f := range dictionary().fields[1:] {
		if dir != nil {
			if e, _, presence := dir.look(&f); presence != Unknown && e == b.parts[n].entry {
				continue
			}
		}
		changed = append(changed, n)
	}
	return changed
}

// updateBlock adds what is new in parts of the dictionary of one block.
func (k *locator) updateBlock(ctx context.Context, s *Session, sl *slot, b *located, changed []int) error {
	fields := make([]audience.Field, len(changed))
	for i, n := range changed {
		fields[i] = UIDField(n)
	}
	l, err := s.block(ctx, sl.block, s.view.plan(Query{Fields: fields}))
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, n := range changed {
		held, _ := l.known(fields[i])
		var uids []audience.UID
		if held.content != nil {
			uids = held.content.uids
		}
		k.updatePart(sl.block, n, &b.parts[n], uids)
		b.parts[n].entry = held.Entry
	}
	b.slot = sl.id
	return nil
}

// updatePart adds the uids that are new in one part of a dictionary. An ordinal is one uid's for ever, or blank.
func (k *locator) updatePart(block uint32, n int, part *locatedPart, uids []audience.UID) {
	if more := (len(uids)+63)/64 - len(part.in); more > 0 {
		part.in = append(part.in, make([]uint64, more)...)
	}
	for i, uid := range uids {
		in := part.in[i>>6]&(1<<(i&63)) != 0
		switch blank := uid == (audience.UID{}); {
		case blank && in:
			k.stale++
			part.in[i>>6] &^= 1 << (i & 63)
		case !blank && !in:
			k.table.Add(uid, refOf(block, n*ChunkSize+i))
			part.in[i>>6] |= 1 << (i & 63)
		}
	}
}

// lookedFor is a uid with a place where it may be.
type lookedFor struct {
	at  int // in the list asked for
	ref uint32
}

// Locate finds each of the uids that live, and calls do for it with its place in the list, the number of a block, what it has of the
// prepared fields, and the ordinal there. Block and ordinal are of one version of the block. A call that needs what is not in memory fails with
// audience.ErrUnknown and is repeated, so it must not leave anything behind unless it succeeds. Only with no error is it an answer that do
// was not called for a uid: nobody has it.
//
// Errors: the first of do; those of ForEachBlock.
func (s *Session) Locate(ctx context.Context, uids []audience.UID, fields *Prepared, do func(at int, block uint32, b audience.Block, ordinal uint16) error) error {
	found, err := s.candidates(ctx, uids)
	if err != nil {
		return gone(ctx, err)
	}
	p := fields.located()
	if fields.defs != s.view.Definitions {
		p = s.view.again(p)
	}
	for len(found) > 0 {
		block := found[0].ref >> 16
		n := 1
		for n < len(found) && found[n].ref>>16 == block {
			n++
		}
		here := found[:n]
		found = found[n:]
		done := 0 // of here: what succeeded is not repeated
		err := s.with(ctx, block, p, func(b audience.Block) error {
			for done < len(here) {
				if err := s.visit(b, uids, here[done], do); err != nil {
					return err
				}
				done++
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// candidates returns where each uid may be, by block and ordinal.
func (s *Session) candidates(ctx context.Context, uids []audience.UID) ([]lookedFor, error) {
	k := s.r.locator
	for {
		k.mu.RLock()
		all, beyond := k.has(s.view)
		if all {
			break
		}
		k.mu.RUnlock()
		if beyond {
			return nil, ErrLayoutGone
		}
		if err := k.update(ctx, s); err != nil {
			return nil, err
		}
	}
	defer k.mu.RUnlock()
	found := make([]lookedFor, 0, len(uids))
	for at, uid := range uids {
		k.table.Find(uid, func(ref uint32) bool {
			found = append(found, lookedFor{at, ref})
			return false
		})
	}
	slices.SortFunc(found, func(a, b lookedFor) int { return cmp.Compare(a.ref, b.ref) })
	return found, nil
}

// visit calls do if the uid is where it may be.
func (s *Session) visit(b audience.Block, uids []audience.UID, one lookedFor, do func(at int, block uint32, b audience.Block, ordinal uint16) error) error {
	ordinal := uint16(one.ref)
	live, ok := b.Row(audience.FieldLive)
	if !ok {
		return &audience.UnknownError{Field: audience.FieldLive}
	}
	if !live.Has(ordinal) {
		return nil
	}
	uid, err := uidAt(b, ordinal)
	if err != nil || uid != uids[one.at] {
		return err
	}
	return do(one.at, one.ref>>16, b, ordinal)
}

// contents is what the blocks of a reader have beside audience.Block.
type contents interface {
	// get returns the content of a field that is present, nil of one that is empty; false if it is not known.
	get(f audience.Field) (*content, bool)
	// at is get by the number of a prepared field.
	at(i int) (*content, bool)
}

var (
	_ contents = (*hot)(nil)
	_ contents = (*loaded)(nil)
)

// Number returns the number of a prepared field, for Holds; -1 if it is not prepared.
func (p *Prepared) Number(f audience.Field) int { return p.plan.at(f) }

// Holds says in which rows of prepared fields, by their numbers, an ordinal is: in is as long as numbers, which must not change. The block is
// one that a reader handed out with the prepared fields. It is for questions that read hundreds of rows for one ordinal, and returns
// audience.ErrUnknown if one of them is not known.
func Holds(b audience.Block, numbers []int, ordinal uint16, in []bool) error {
	if len(numbers) == 0 {
		return nil
	}
	var w wanted
	if h, ok := b.(*hot); ok {
		cells, known := h.dir.gather(h.plan, numbers)
		if !known {
			h.missed = true
			return audience.ErrUnknown
		}
		for len(cells) > 0 {
			n := min(len(cells), len(w.words))
			for i, c := range cells[:n] {
				w.contents[i] = nil
				if c == nil {
					continue
				}
				if w.contents[i] = c.get(); w.contents[i] == nil {
					h.missed = true
					return audience.ErrUnknown
				}
				h.hits++
			}
			w.holds(n, ordinal, in)
			cells, in = cells[n:], in[n:]
		}
		return nil
	}
	c := b.(contents) //nolint:forcetypeassert // readers hand out nothing else
	for len(numbers) > 0 {
		n := min(len(numbers), len(w.words))
		for i, number := range numbers[:n] {
			var known bool
			if w.contents[i], known = c.at(number); !known {
				return audience.ErrUnknown
			}
		}
		w.holds(n, ordinal, in)
		numbers, in = numbers[n:], in[n:]
	}
	return nil
}

// wanted are some rows that are looked into together. Each is somewhere else in memory: what is known of all is gone through before what
// follows from it is looked at, so that the processor waits for many at a time.
type wanted struct {
	contents [64]*content // nil: empty
	words    [64]*uint64  // of bitmaps
	wordOf   [64]int
	lists    [64][]uint16 // where in a list the ordinal can be
	listOf   [64]int
	// touched keeps the pass over the beginnings of lists from being left out.
	touched uint16
}

// holds fills in the first n of in, from as many contents.
func (w *wanted) holds(n int, ordinal uint16, in []bool) {
	dense, lists := 0, 0
	for i, k := range w.contents[:n] {
		in[i] = false
		if k == nil {
			continue
		}
		if bits := k.row.Dense(); bits != nil {
			w.words[dense], w.wordOf[dense] = &bits[ordinal>>6], i
			dense++
		} else if list := k.row.List(); list != nil {
			w.lists[lists], w.listOf[lists] = k.near(list, ordinal), i
			lists++
		} else {
			in[i] = k.row.Has(ordinal)
		}
	}
	for i, word := range w.words[:dense] {
		in[w.wordOf[i]] = *word>>(ordinal&63)&1 != 0
	}
	first := uint16(0)
	for _, list := range w.lists[:lists] {
		if len(list) > 0 {
			first |= list[0]
		}
	}
	for i, list := range w.lists[:lists] {
		is := false
		for _, o := range list {
			is = is || o == ordinal
		}
		in[w.listOf[i]] = is
	}
	w.touched = first
}

// At is the row or column of a prepared field, by its number, in a block that a reader handed out with the prepared fields.
func At(b audience.Block, number int) (row audience.Row, c *audience.Column, ok bool) {
	k, ok := b.(contents).at(number) //nolint:forcetypeassert // readers hand out nothing else
	if k == nil {
		return row, nil, ok
	}
	return k.row, k.column, true
}

// uidAt returns the uid of an ordinal of a block that is a reader's.
func uidAt(b audience.Block, ordinal uint16) (uid audience.UID, err error) {
	n, i := int(ordinal)/ChunkSize, int(ordinal)%ChunkSize
	f := dictionary().fields[n+1].name
	k, known := b.(contents).get(f) //nolint:forcetypeassert // readers hand out nothing else
	switch {
	case !known:
		return uid, &audience.UnknownError{Field: f}
	case k == nil || i >= len(k.uids):
		return uid, ErrBlockUnknown.Wrap(errors.New("a live ordinal without a uid"))
	}
	return k.uids[i], nil
}
