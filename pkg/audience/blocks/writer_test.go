package blocks_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/memblocks"
)

// spy records writes, and fails them when told to: before or after they reach the store.
type spy struct {
	blocks.Store
	writes        []blocks.BlockWrite
	before, after error
	reads         atomic.Int64
	down          error
}

func (s *spy) Write(ctx context.Context, w blocks.BlockWrite) error {
	if s.before != nil {
		return s.before
	}
	s.writes = append(s.writes, w)
	return errors.Join(s.Store.Write(ctx, w), s.after)
}

func (s *spy) Read(ctx context.Context, key blocks.Key, fields []audience.Field) ([]byte, [][]byte, error) {
	s.reads.Add(1)
	if s.down != nil {
		return nil, nil, s.down
	}
	return s.Store.Read(ctx, key, fields)
}

func newWriter(t *testing.T, s blocks.Store, epoch uint64) *blocks.Writer {
	t.Helper()
	w, err := blocks.NewWriter(s, blocks.WriterConfig{Store: "s", Layout: 1, Epoch: blocks.Epoch{Number: epoch}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func whole() blocks.Change {
	return blocks.Change{
		Block: 1,
		Rows: map[audience.Field]*audience.Bits{
			"live": bitsOf(1, 2, 3), "f/gender=female": bitsOf(1), "f/gender=male": nil, "s/a@1": bitsOf(2), "s/b@1": {},
		},
		Columns: map[audience.Field]*audience.Column{"c/postal_code": audience.NewTextColumn(func(yield func(uint16, string) bool) { yield(1, "40100") }), "c/household": nil},
		UIDs:    map[int][]audience.UID{0: {1: {1}, 2: {2}, 3: {3}}, 5: nil},
		Defs:    blocks.Position{Revision: 1, Definition: 1},
	}
}

func names(list []blocks.Listed) (names []audience.Field) {
	for _, l := range list {
		names = append(names, l.Field)
	}
	return names
}

func setNames(w blocks.BlockWrite) (names []audience.Field) {
	for _, v := range w.Set {
		names = append(names, v.Field)
	}
	return names
}

func TestAWriterListsWhatIsThereAndSegmentsEvenIfEmpty(t *testing.T) {
	s := &spy{Store: memblocks.New()}
	w := newWriter(t, s, 1)
	if _, _, err := w.Apply(t.Context(), whole()); !errors.Is(err, blocks.ErrRewriteNeeded) {
		t.Errorf("a change of nothing: %v", err)
	}
	st, err := w.Rewrite(t.Context(), whole())
	if err != nil {
		t.Fatal(err)
	}
	want := []audience.Field{"c/postal_code", "f/gender=female", "live", "s/a@1", "s/b@1", "u/0"}
	if !slices.Equal(names(st.Entries), want) || st.Base != 0 || st.Version != 1 {
		t.Errorf("state %+v, want entries %q", st, want)
	}
	if got := setNames(s.writes[0]); !slices.Equal(got, []audience.Field{"c/postal_code", "f/gender=female", "live", "s/a@1", "u/0"}) || !s.writes[0].Whole {
		t.Errorf("written %q", got)
	}
	d, err := blocks.DecodeMeta(w.Key(1), s.writes[0].Meta)
	if err != nil || !slices.Equal(d.Entries, st.Entries) {
		t.Errorf("meta %+v, %v", d, err)
	}
}

func TestAWriterWritesWhatDiffersAndNothingElse(t *testing.T) {
	s := &spy{Store: memblocks.New()}
	w := newWriter(t, s, 1)
	if _, err := w.Rewrite(t.Context(), whole()); err != nil {
		t.Fatal(err)
	}
	if _, changed, err := w.Apply(t.Context(), whole()); changed || err != nil || len(s.writes) != 1 {
		t.Errorf("nothing changed: %t, %v, %d writes", changed, err, len(s.writes))
	}
	c := whole()
	c.Rows["f/gender=male"] = bitsOf(3)
	c.Rows["f/gender=female"] = nil
	c.Rows["s/a@1"] = nil
	c.Removed = []audience.Field{"s/b@1", "s/never@1", "live"} // live is set too, and stays
	delete(c.Rows, "s/b@1")
	c.Columns = nil
	st, changed, err := w.Apply(t.Context(), c)
	if err != nil || !changed {
		t.Fatal(err)
	}
	last := s.writes[1]
	if got := setNames(last); !slices.Equal(got, []audience.Field{"f/gender=male"}) || last.Whole {
		t.Errorf("written %q", got)
	}
	if !slices.Equal(last.Delete, []audience.Field{"f/gender=female", "s/a@1"}) {
		t.Errorf("deleted %q", last.Delete)
	}
	if !slices.Equal(names(st.Entries), []audience.Field{"f/gender=male", "s/a@1"}) || !slices.Equal(st.Lost, []audience.Field{"f/gender=female", "s/b@1"}) || st.Base != 1 || st.Version != 2 {
		t.Errorf("state %+v", st)
	}
	// Definitions alone are a change.
	c = blocks.Change{Block: 1, Defs: blocks.Position{Revision: 2, Definition: 1}, Pending: []audience.Field{"b", "a", "b"}}
	st, changed, err = w.Apply(t.Context(), c)
	if err != nil || !changed || len(st.Entries)+len(st.Lost) != 0 || st.Base != 2 || !slices.Equal(st.Pending, []audience.Field{"a", "b"}) {
		t.Errorf("state %+v, %t, %v", st, changed, err)
	}
}

func TestAVersionWhoseWriteMayHaveHappenedIsNeverUsedAgain(t *testing.T) {
	for _, reached := range []bool{true, false} {
		s := &spy{Store: memblocks.New()}
		w := newWriter(t, s, 1)
		if _, err := w.Rewrite(t.Context(), whole()); err != nil {
			t.Fatal(err)
		}
		lost := errors.New("connection lost")
		if reached {
			s.after = lost
		} else {
			s.before = lost
		}
		c := whole()
		c.Rows["f/gender=female"] = bitsOf(1, 2)
		if _, _, err := w.Apply(t.Context(), c); !errors.Is(err, lost) {
			t.Fatalf("%v, want the store's error", err)
		}
		s.before, s.after = nil, nil
		if _, _, err := w.Apply(t.Context(), c); !errors.Is(err, blocks.ErrRewriteNeeded) {
			t.Errorf("%v, want ErrRewriteNeeded", err)
		}
		st, err := w.Rewrite(t.Context(), c)
		if err != nil || st.Version != 3 || st.Base != 1 || !slices.Equal(names(st.Entries), []audience.Field{"f/gender=female"}) {
			t.Errorf("state %+v, %v", st, err)
		}
		if _, changed, err := w.Apply(t.Context(), c); changed || err != nil {
			t.Errorf("afterwards: %t, %v", changed, err)
		}
	}
}

func TestASupersededWriterStaysSo(t *testing.T) {
	s := memblocks.New()
	old := newWriter(t, s, 1)
	if _, err := old.Rewrite(t.Context(), whole()); err != nil {
		t.Fatal(err)
	}
	if _, err := newWriter(t, s, 2).Rewrite(t.Context(), whole()); err != nil {
		t.Fatal(err)
	}
	c := whole()
	c.Defs.Revision++
	if _, _, err := old.Apply(t.Context(), c); !errors.Is(err, blocks.ErrSuperseded) {
		t.Errorf("%v, want ErrSuperseded", err)
	}
	c.Block = 2
	if _, err := old.Rewrite(t.Context(), c); !errors.Is(err, blocks.ErrSuperseded) {
		t.Errorf("another block: %v, want ErrSuperseded", err)
	}
}

// TestFramesLeadToTheWritersDirectory applies the states of random changes as a follower does.
func TestFramesLeadToTheWritersDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, f, _ := follow(t)
		w := newWriter(t, memblocks.New(), 1)
		r := rand.New(rand.NewPCG(1, 1))
		publish(t, p, blocks.Update{Definitions: &blocks.Definitions{}, Through: at(1), Asked: time.Now()})
		synctest.Wait()
		fields := []audience.Field{"live", "f/a=1", "f/a=2", "f/b=1", "s/x@1", "s/y@2", "p/a"}
		for n := range uint64(200) {
			c := blocks.Change{Block: 3, Rows: map[audience.Field]*audience.Bits{}, Defs: blocks.Position{Revision: n}}
			for _, f := range fields {
				switch r.IntN(6) {
				case 0:
					c.Rows[f] = bitsOf(uint16(r.IntN(3)))
				case 1:
					c.Rows[f] = nil
				case 2:
					c.Removed = append(c.Removed, f)
				}
			}
			var st blocks.BlockState
			var err error
			if n == 0 || r.IntN(20) == 0 {
				st, err = w.Rewrite(t.Context(), c)
			} else {
				st, _, err = w.Apply(t.Context(), c)
			}
			if err != nil {
				t.Fatal(err)
			}
			publish(t, p, blocks.Update{Blocks: []blocks.BlockState{st}, Through: at(n + 2), Asked: time.Now()})
			synctest.Wait()
			got, want := f.View().Directory(3), w.Directory(3)
			if got == nil || got.Version != want.Version || !slices.Equal(got.Entries, want.Entries) || got.Defs != want.Defs {
				t.Fatalf("after %d changes: %+v\nwant %+v", n, got, want)
			}
		}
	})
}
