package blockstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// RunReader tests a reader's promises over the store: what it answers while the store's content is lost or damaged, while the
// lease and the definitions change hands, and while others write.
func RunReader(t *testing.T, factory Factory) {
	t.Run("a damaged store makes no wrong answer", func(t *testing.T) { damaged(t, factory) })
	t.Run("a warm answer reads nothing", func(t *testing.T) { warm(t, factory(t)) })
	t.Run("a new lease holder", func(t *testing.T) { leaseMoves(t, factory(t)) })
	t.Run("definitions move under an answer", func(t *testing.T) { definitionsMove(t, factory(t)) })
	t.Run("members, uids and protective rows", func(t *testing.T) { members(t, factory(t)) })
	t.Run("answers while others write and destroy", func(t *testing.T) { storm(t, factory(t)) })
}

const large, tiny = 64 << 20, 1 // bytes of memory: of everything, of nothing

// damage is done to block 1 by who knows the key. The world has two versions of it: old is a copy of the first.
type damage struct {
	name string
	do   func(s *Server, k blocks.Key, old any, seg audience.Field)
	// harmless damage is to what the question does not need.
	harmless bool
}

func flip(s *Server, k blocks.Key, f audience.Field) {
	data := s.Get(k, f)
	data[len(data)/2] ^= 0x40
	s.Set(k, f, data)
}

// substitute puts another valid row, of as many ordinals and bytes, in place of one.
func substitute(s *Server, k blocks.Key, f audience.Field) {
	data := s.Get(k, f)
	row, err := blocks.DecodeRow(data)
	if err != nil {
		panic(err)
	}
	for from := range row.All() {
		for to := range uint16(4096) {
			other := *row.Bits()
			other.Unset(from)
			other.Set(to)
			if again, n := blocks.EncodeRow(&other); !row.Has(to) && n == row.Count() && len(again) == len(data) {
				s.Set(k, f, again)
				return
			}
		}
	}
	panic("no other row of this size")
}

func damages() []damage {
	list := []damage{
		{name: "flushed", do: func(s *Server, k blocks.Key, _ any, _ audience.Field) {
			for b := range uint32(3) {
				s.PutBack(s.key(b), nil)
			}
		}},
		{name: "block deleted", do: func(s *Server, k blocks.Key, _ any, _ audience.Field) { s.PutBack(k, nil) }},
		{name: "old copy", do: func(s *Server, k blocks.Key, old any, _ audience.Field) { s.PutBack(k, old) }},
		{name: "another block's copy", do: func(s *Server, k blocks.Key, _ any, _ audience.Field) { s.PutBack(k, s.Take(s.key(2))) }},
		{name: "meta of another block", do: func(s *Server, k blocks.Key, _ any, _ audience.Field) {
			s.Set(k, blocks.MetaField, s.Get(s.key(2), blocks.MetaField))
		}},
		{name: "old meta over new rows", do: func(s *Server, k blocks.Key, old any, _ audience.Field) {
			now := s.Take(k)
			s.PutBack(k, old)
			meta := s.Get(k, blocks.MetaField)
			s.PutBack(k, now)
			s.Set(k, blocks.MetaField, meta)
		}},
		{name: "new meta over old rows", do: func(s *Server, k blocks.Key, old any, _ audience.Field) {
			meta := s.Get(k, blocks.MetaField)
			s.PutBack(k, old)
			s.Set(k, blocks.MetaField, meta)
		}},
		{name: "one row under another's name", do: func(s *Server, k blocks.Key, _ any, _ audience.Field) {
			s.Set(k, female, s.Get(k, others))
		}},
		{name: "female replaced by as many others", do: func(s *Server, k blocks.Key, _ any, _ audience.Field) { substitute(s, k, female) }},
		{name: "segment replaced by as many others", do: func(s *Server, k blocks.Key, _ any, seg audience.Field) { substitute(s, k, seg) }},
		{name: "an unneeded field corrupted", harmless: true, do: func(s *Server, k blocks.Key, _ any, _ audience.Field) {
			s.Set(k, "f/region=FR", []byte("rubbish"))
			s.Set(k, blocks.UIDField(0), nil)
		}},
	}
	for _, name := range []string{"live", "female", "segment", "column", "meta"} {
		field := func(seg audience.Field) audience.Field {
			return map[string]audience.Field{"live": audience.FieldLive, "female": female, "segment": seg, "column": revisions, "meta": blocks.MetaField}[name]
		}
		list = append(list,
			damage{name: name + " removed", do: func(s *Server, k blocks.Key, _ any, seg audience.Field) { s.Set(k, field(seg), nil) }},
			damage{name: name + " corrupted", do: func(s *Server, k blocks.Key, _ any, seg audience.Field) { flip(s, k, field(seg)) }},
			damage{name: name + " emptied", do: func(s *Server, k blocks.Key, _ any, seg audience.Field) { s.Set(k, field(seg), []byte{}) }},
			damage{name: name + " longer", do: func(s *Server, k blocks.Key, _ any, seg audience.Field) {
				s.Set(k, field(seg), append(bytes.Clone(s.Get(k, field(seg))), 0))
			}},
		)
	}
	return list
}

func damaged(t *testing.T, factory Factory) {
	for _, d := range damages() {
		t.Run(d.name, func(t *testing.T) {
			for _, reader := range []string{"cold", "warm", "behind", "forgetful"} {
				for _, broken := range []bool{true, false} {
					t.Run(fmt.Sprintf("%s reader, refill broken %t", reader, broken), func(t *testing.T) {
						t.Parallel()
						one(t, factory(t), d, reader, broken)
					})
				}
			}
		})
	}
}

func one(t *testing.T, srv *Server, d damage, kind string, broken bool) {
	w := newWorld(t, srv, 3)
	// The excluded row must not be empty, or there would be nothing to lose.
	for w.truth[1].excluded.IsEmpty() {
		w.commit(1)
	}
	k := srv.key(1)
	old := srv.Take(k)
	w.commit(0, 1, 2)
	for w.truth[1].excluded.IsEmpty() || w.truth[1].excluded == w.history[1][len(w.history[1])-2].excluded {
		w.commit(1)
	}
	memory := int64(large)
	if kind == "forgetful" {
		memory = tiny
	}
	patience := time.Duration(0)
	if broken {
		patience = 50 * time.Millisecond
	}
	r, f := w.reader(memory, patience)
	ctx := t.Context()
	_, err := f.Wait(ctx, w.position())
	w.must(err)
	if kind != "cold" {
		a, err := w.ask(ctx, r, blocks.MinimizeLatency())
		w.must(err)
		w.right(a)
	}
	if kind == "behind" {
		// Its directories come with the frames, but not the rows that change.
		w.commit(0, 1, 2)
		_, err = f.Wait(ctx, w.position())
		w.must(err)
	}
	d.do(srv, k, old, w.segmentField())
	if broken {
		w.mu.Lock()
		w.broken = true
		w.mu.Unlock()
	}
	a, err := w.ask(ctx, r, blocks.MinimizeLatency())
	switch {
	case err == nil:
		w.right(a)
		if broken && !d.harmless && (kind == "cold" || kind == "forgetful") {
			t.Error("an answer, from nothing")
		}
		if !broken && kind == "warm" && a.stats.BlocksRefilled > 0 {
			t.Error("a warm reader asked for what it has")
		}
	case !broken:
		t.Errorf("no answer: %v", err)
	case d.harmless:
		t.Errorf("no answer, for damage to what was not needed: %v", err)
	case !errors.Is(err, blocks.ErrBlockUnknown):
		t.Errorf("%v, want ErrBlockUnknown", err)
	case kind == "warm":
		t.Errorf("a warm reader needs no store: %v", err)
	}
}

func warm(t *testing.T, srv *Server) {
	w := newWorld(t, srv, 3)
	r, _ := w.reader(large, 0)
	for i := range 3 {
		a, err := w.ask(t.Context(), r, blocks.AtLeast(w.position()))
		w.must(err)
		w.right(a)
		if i > 0 && (a.stats.FieldsFromStore != 0 || a.stats.FieldsFromMemory == 0) {
			t.Errorf("round %d: %+v, want all from memory", i, a.stats)
		}
	}
	// Only what changed is read: rows and column of one block at most.
	w.commit(2)
	a, err := w.ask(t.Context(), r, blocks.AtLeast(w.position()))
	w.must(err)
	w.right(a)
	if a.stats.FieldsFromStore == 0 || a.stats.FieldsFromStore > 5 {
		t.Errorf("%+v, want what changed of one block", a.stats)
	}
}

func leaseMoves(t *testing.T, srv *Server) {
	w := newWorld(t, srv, 3)
	readers := map[string]*blocks.Reader{}
	readers["warm"], _ = w.reader(large, 0)
	readers["forgetful"], _ = w.reader(tiny, 0)
	for _, r := range readers {
		a, err := w.ask(t.Context(), r, blocks.AtLeast(w.position()))
		w.must(err)
		w.right(a)
	}
	zombie, old := w.writer, w.change(1)
	w.takeOver(2)
	w.commit(0)
	for name, r := range readers {
		a, err := w.ask(t.Context(), r, blocks.AtLeast(w.position()))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		w.right(a)
	}
	// The former holder cannot write over what the new one wrote.
	old.Defs.Revision++
	if _, _, err := zombie.Apply(t.Context(), old); !errors.Is(err, blocks.ErrSuperseded) {
		t.Errorf("the former holder: %v, want ErrSuperseded", err)
	}
	if _, err := zombie.Rewrite(t.Context(), old); !errors.Is(err, blocks.ErrSuperseded) {
		t.Errorf("the former holder again: %v, want ErrSuperseded", err)
	}
	a, err := w.ask(t.Context(), readers["forgetful"], blocks.AtLeast(w.position()))
	w.must(err)
	w.right(a)
}

func definitionsMove(t *testing.T, srv *Server) {
	w := newWorld(t, srv, 3)
	r, f := w.reader(tiny, 0)
	tries := 0
	err := r.Answer(t.Context(), blocks.AtLeast(w.position()), func(s *blocks.Session) error {
		e := exclusion{s.View().Segment(segment).Field(0)}
		if tries++; tries == 1 {
			w.redefine()
			// The session's view stays what it was.
			if _, err := f.Wait(t.Context(), w.position()); err != nil {
				return err
			}
		}
		return s.ForEachBlock(t.Context(), blocks.Query{Fields: e.Fields()}, func(b uint32, block audience.Block) error {
			var out audience.Bits
			if err := e.Eval(block, nil, &out); err != nil {
				return err
			}
			if !out.Equal(w.truth[b].members()) {
				t.Errorf("block %d: wrong members", b)
			}
			return nil
		})
	})
	if err != nil || tries != 2 {
		t.Errorf("%d tries, %v; want the second to succeed", tries, err)
	}
	if w.refills > 0 {
		t.Errorf("%d refills for a definition that moved", w.refills)
	}
}

func members(t *testing.T, srv *Server) {
	w := newWorld(t, srv, 2)
	r, f := w.reader(large, 0)
	s, err := r.Begin(t.Context(), blocks.AtLeast(w.position()))
	w.must(err)
	found := *w.truth[1].members()
	uids, gone, err := s.UIDs(t.Context(), 1, &found, nil)
	if err != nil || gone != 0 || len(uids) != found.Count() {
		t.Fatalf("%d uids, %d gone, %v; want %d", len(uids), gone, err, found.Count())
	}
	i := 0
	for o := range found.All() {
		if want := w.truth[1].uids[o]; uids[i] != want {
			t.Fatalf("ordinal %d has another uid", o)
		}
		i++
	}
	// The same uids are in every block; the search says one where it is.
	find := func(uid audience.UID) (block uint32, ordinal uint16, ok bool, err error) {
		err = s.Locate(t.Context(), []audience.UID{uid}, s.View().Prepare(nil), func(_ int, n uint32, _ audience.Block, o uint16) error {
			block, ordinal, ok = n, o, true
			return nil
		})
		return block, ordinal, ok, err
	}
	block, ordinal, ok, err := find(uids[0])
	if err != nil || !ok || w.truth[block].uids[ordinal] != uids[0] {
		t.Errorf("found %t at %d/%d, %v", ok, block, ordinal, err)
	}
	if _, _, ok, err := find(audience.UID{9}); ok || err != nil {
		t.Errorf("found nobody: %t, %v", ok, err)
	}
	b, err := s.Block(t.Context(), block, []audience.Field{female})
	w.must(err)
	if row, ok := b.Row(female); !ok || !row.Bits().Equal(&w.truth[block].female) {
		t.Error("another row")
	}

	for range 5 {
		w.commit(1)
	}
	_, err = f.Wait(t.Context(), w.position())
	w.must(err)
	now, err := s.Refresh()
	w.must(err)
	kept := found
	kept.And(w.truth[1].members())
	held, err := now.Reapply(t.Context(), 1, exclusion{w.segmentField()}, &found)
	if err != nil || held == 0 || !found.Equal(&kept) {
		t.Errorf("%d held back, %d left, %v; want %d left", held, found.Count(), err, kept.Count())
	}
	// Without a protective test only those that are gone are held back.
	some := w.history[1][0].live
	want := some
	want.And(&w.truth[1].live)
	before := some.Count()
	if _, gone, err := now.UIDs(t.Context(), 1, &some, nil); err != nil || gone != before-want.Count() {
		t.Errorf("%d gone, %v; want %d", gone, err, before-want.Count())
	}
	if held, err := now.Reapply(t.Context(), 1, nil, &some); err != nil || held != before-want.Count() || !some.Equal(&want) {
		t.Errorf("%d held back, %v; want %d", held, err, before-want.Count())
	}
}

// storm has a writer change blocks at random and a vandal destroy them, while readers of different memory check every answer.
func storm(t *testing.T, srv *Server) {
	const count = 4
	rounds := 100
	if testing.Short() {
		rounds = 30
	}
	w := newWorld(t, srv, count)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var readers, vandal sync.WaitGroup
	done := make(chan struct{})
	for _, memory := range []int64{tiny, 200 << 10, large} {
		r, _ := w.reader(memory, 0)
		readers.Go(func() {
			for n := 0; ; n++ {
				c := blocks.MinimizeLatency()
				if n%2 == 0 {
					c = blocks.AtLeast(w.position())
				}
				a, err := w.ask(ctx, r, c)
				if err != nil {
					t.Errorf("no answer: %v", err)
					return
				}
				w.right(a)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	vandal.Go(func() {
		rnd := rand.New(rand.NewPCG(7, 8))
		var copies []any
		for {
			b := uint32(rnd.IntN(count))
			k := srv.key(b)
			switch rnd.IntN(5) {
			case 0:
				srv.PutBack(k, nil)
			case 1:
				copies = append(copies, srv.Take(k))
			case 2:
				if len(copies) > 0 {
					// Of this block or another one, of this epoch or one before.
					srv.PutBack(k, copies[rnd.IntN(len(copies))])
				}
			case 3:
				srv.Set(k, []audience.Field{female, audience.FieldLive, blocks.MetaField, revisions}[rnd.IntN(4)], nil)
			case 4:
				if data := srv.Get(k, female); len(data) > 0 {
					data[rnd.IntN(len(data))] ^= 1
					srv.Set(k, female, data)
				}
			}
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	rnd := rand.New(rand.NewPCG(9, 10))
	for n := range rounds {
		list := slices.Compact(slices.Sorted(slices.Values([]uint32{uint32(rnd.IntN(count)), uint32(rnd.IntN(count))})))
		switch {
		case n%50 == 49:
			w.takeOver(uint64(n))
		case n%20 == 19:
			w.redefineAll()
		default:
			w.commit(list...)
		}
	}
	close(done)
	readers.Wait()
	vandal.Wait()
}

// redefineAll is redefine after a lease has moved: every block must have been written by the new holder first.
func (w *world) redefineAll() {
	w.mu.Lock()
	var missing []uint32
	for b := range w.truth {
		if w.writer.Directory(b) == nil {
			missing = append(missing, b)
		}
	}
	w.mu.Unlock()
	slices.Sort(missing)
	w.commit(missing...)
	w.redefine()
}
