package blocks_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/memblocks"
)

// and is the live ordinals that are in every row.
type and []audience.Field

func (e and) Fields() []audience.Field { return e }

func (e and) Guess(b audience.Block) int {
	least := audience.BlockSize
	for _, f := range e {
		if n, ok := b.Cardinality(f); ok {
			least = min(least, n)
		}
	}
	return least
}

func (e and) Eval(b audience.Block, _, out *audience.Bits) error {
	live, ok := b.Row(audience.FieldLive)
	if !ok || live.IsEmpty() {
		return audience.ErrUnknown
	}
	for _, f := range e {
		if n, ok := b.Cardinality(f); ok && n == 0 {
			return nil // as a planner would: out is empty already
		}
	}
	*out = *live.Bits()
	for _, f := range e {
		row, ok := b.Row(f)
		if !ok {
			return audience.ErrUnknown
		}
		if out.And(row.Bits()); row.IsEmpty() {
			return nil
		}
	}
	return nil
}

// setting is a follower and reader over a writer's store, in a bubble.
type setting struct {
	store   *spy
	writer  *blocks.Writer
	p       *blocks.Publisher
	r       *blocks.Reader
	f       *blocks.Follower
	refills atomic.Int64
	fail    atomic.Bool
	gate    chan struct{} // if set, refills wait for it
	change  blocks.Change
}

func (s *setting) Refill(ctx context.Context, _, _ uint32) error {
	s.refills.Add(1)
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if s.fail.Load() {
		return errors.New("not now")
	}
	_, err := s.writer.Rewrite(ctx, s.change)
	return err
}

func set(t *testing.T) *setting {
	t.Helper()
	s := &setting{store: &spy{Store: memblocks.New()}, change: whole()}
	s.writer = newWriter(t, s.store, 1)
	var r *blocks.Reader
	s.p, _, s.f, r = follow(t)
	r.Close() // of an empty store
	var err error
	s.r, err = blocks.NewReader(blocks.ReaderConfig{Store: s.store, Follower: s.f, Refiller: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.r.Close)
	st, err := s.writer.Rewrite(t.Context(), s.change)
	if err != nil {
		t.Fatal(err)
	}
	defs := &blocks.Definitions{Attributes: []audience.Attribute{{Name: "custom.new", Revision: 7}, {Name: "custom.old", Revision: 1}}}
	publish(t, s.p, blocks.Update{Definitions: defs, Blocks: []blocks.BlockState{st}, Through: at(1), Asked: time.Now()})
	synctest.Wait()
	return s
}

func (s *setting) count(ctx context.Context, e blocks.Expression) (n int, stats blocks.Stats, err error) {
	err = s.r.Answer(ctx, blocks.MinimizeLatency().AllowStale(), func(session *blocks.Session) error {
		n = 0
		err := session.ForEachBlock(ctx, blocks.Query{Select: e}, func(_ uint32, b audience.Block) error {
			var out audience.Bits
			err := e.Eval(b, nil, &out)
			n += out.Count()
			return err
		})
		stats = session.Stats()
		return err
	})
	return n, stats, err
}

func TestBlocksProvenEmptyAreNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t)
		if n, _, err := s.count(t.Context(), and{"f/gender=female"}); n != 1 || err != nil {
			t.Fatalf("%d, %v; want one", n, err) // and the directory is known now
		}
		reads := s.store.reads.Load()
		for _, e := range []and{{"f/gender=other"}, {"f/gender=female", "p/education"}, {"s/b@1", "f/gender=male"}} {
			n, stats, err := s.count(t.Context(), e)
			if n != 0 || err != nil || stats.BlocksSkipped != 1 || s.store.reads.Load() != reads {
				t.Errorf("%q: %d, %v, %+v, %d reads", e, n, err, stats, s.store.reads.Load()-reads)
			}
		}
		// An unknown row beside an empty one does no harm.
		if n, stats, err := s.count(t.Context(), and{"f/gender=other", "s/unknown@1"}); n != 0 || err != nil || stats.BlocksSkipped != 1 {
			t.Errorf("%d, %v, %+v", n, err, stats)
		}
	})
}

func TestWhatIsNotDeclaredYetIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t)
		s.fail.Store(true)
		for f, ok := range map[audience.Field]bool{
			"f/custom.old=x": true, "f/custom.new=x": false, "f/custom.never=x": false, "p/custom.new": false,
			"s/b@1": true, "s/b@2": false, "s/b@1@20000": false, "x/what": false,
		} {
			n, _, err := s.count(t.Context(), and{"live", f})
			if ok && (err != nil || n != 0) {
				t.Errorf("%s: %d, %v; want nobody", f, n, err)
			}
			if !ok && !errors.Is(err, blocks.ErrBlockUnknown) {
				t.Errorf("%s: %d, %v; want ErrBlockUnknown", f, n, err)
			}
		}
	})
}

func TestAStoreThatDoesNotAnswerIsUnavailableUnlessAllIsInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t)
		s.store.down = blocks.ErrStoreUnreachable
		if _, _, err := s.count(t.Context(), and{"f/gender=female"}); !errors.Is(err, blocks.ErrStoreUnreachable) {
			t.Errorf("%v, want ErrStoreUnreachable", err)
		}
		s.store.down = errors.New("something of a driver")
		if _, _, err := s.count(t.Context(), and{"f/gender=female"}); !errors.Is(err, blocks.ErrStoreUnreachable) {
			t.Errorf("%v, want ErrStoreUnreachable", err)
		}
		s.store.down = nil
		if n, _, err := s.count(t.Context(), and{"f/gender=female"}); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		s.store.down = blocks.ErrStoreUnreachable
		if n, _, err := s.count(t.Context(), and{"f/gender=female"}); n != 1 || err != nil {
			t.Errorf("warm: %d, %v", n, err)
		}
		if s.refills.Load() != 0 {
			t.Error("a refill does not help a store that does not answer")
		}
	})
}

func TestManyAskersMakeOneRefillAndOneThatLeavesDoesNotEndIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t)
		if err := s.store.Drop(t.Context(), s.writer.Key(1)); err != nil {
			t.Fatal(err)
		}
		s.gate = make(chan struct{})
		leaving, leave := context.WithCancel(t.Context())
		results := make(chan error, 10)
		ask := func(ctx context.Context) {
			n, _, err := s.count(ctx, and{"f/gender=female"})
			if err == nil && n != 1 {
				err = errors.New("a wrong answer")
			}
			results <- err
		}
		go ask(leaving)
		synctest.Wait()
		for range 9 {
			go ask(t.Context())
		}
		synctest.Wait()
		leave()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("who left: %v", err)
		}
		close(s.gate)
		for range 9 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if n := s.refills.Load(); n != 1 {
			t.Errorf("%d refills, want 1", n)
		}
	})
}

func TestAnUnknownBlockIsReportedBeforeTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t)
		if err := s.store.Drop(t.Context(), s.writer.Key(1)); err != nil {
			t.Fatal(err)
		}
		s.gate = make(chan struct{}) // a refill that never ends
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, _, err := s.count(ctx, and{"f/gender=female"})
		if !errors.Is(err, blocks.ErrBlockUnknown) || ctx.Err() != nil {
			t.Errorf("%v, deadline passed: %t", err, ctx.Err() != nil)
		}
		// Without a deadline the reader's own bound ends the wait.
		begun := time.Now()
		if _, _, err := s.count(t.Context(), and{"f/gender=female"}); !errors.Is(err, blocks.ErrBlockUnknown) || time.Since(begun) > 11*time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
}

func TestARefillThatFailsAtFirstIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t)
		if err := s.store.Drop(t.Context(), s.writer.Key(1)); err != nil {
			t.Fatal(err)
		}
		s.fail.Store(true)
		time.AfterFunc(3*time.Second, func() { s.fail.Store(false) })
		n, stats, err := s.count(t.Context(), and{"f/gender=female"})
		if n != 1 || err != nil || stats.BlocksRefilled != 1 || s.refills.Load() < 3 || s.refills.Load() > 20 {
			t.Errorf("%d, %v, %+v, %d refills", n, err, stats, s.refills.Load())
		}
	})
}

func TestALiveOrdinalWithoutAUIDIsNotLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t)
		c := whole()
		c.UIDs = map[int][]audience.UID{0: {1: {1}}} // 2 and 3 are live too
		st, err := s.writer.Rewrite(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		publish(t, s.p, blocks.Update{Blocks: []blocks.BlockState{st}, Through: at(2), Asked: time.Now()})
		session, err := s.r.Begin(t.Context(), blocks.AtLeast(blocks.Position{Revision: 2}))
		if err != nil {
			t.Fatal(err)
		}
		if uids, _, err := session.UIDs(t.Context(), 1, bitsOf(1, 2), nil); err == nil {
			t.Errorf("%d uids, want an error", len(uids))
		}
		if uids, gone, err := session.UIDs(t.Context(), 1, bitsOf(1, 9), nil); err != nil || gone != 1 || len(uids) != 1 {
			t.Errorf("%d uids, %d gone, %v", len(uids), gone, err)
		}
	})
}
