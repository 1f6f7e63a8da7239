package faults_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/memblocks"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/suite/e2e/worldtest"
)

// outage is a fault that lasts from begin to end.
type outage struct {
	name       string
	begin, end func()
	// warm and cold are the reasons with which readers must be seen to refuse while it lasts and people change.
	warm, cold []string
	// stale says that a caller who allows it is answered from what was.
	stale bool
}

func TestOutagesAreRefusedAndHeal(t *testing.T) {
	t.Parallel()
	private := testkit.RedisPrivate(t)
	w := newWorld(t, "redis://"+private.Addr+"/0", nil)
	warm := w.newReader("warm")
	for _, o := range []outage{
		{"store stopped and started empty", private.Stop, private.Start, []string{"INDEX_STALE"}, []string{"STORE_UNREACHABLE", "INDEX_STALE"}, true},
		{"segment service stopped", func() { w.segment.Stop() }, func() { w.startSegment() }, []string{"INDEX_STALE"}, []string{"INDEX_NOT_READY"}, true},
		{"segment service cut from profiles", w.toProfiles.Cut, func() { w.toProfiles.Lead(w.profile.Addr) }, []string{"INDEX_STALE"}, []string{"INDEX_STALE"}, true},
		{"readers cut from the manifest", w.toSegment.Cut, func() { w.toSegment.Lead(w.segment.Addr) }, []string{"INDEX_STALE"}, []string{"INDEX_NOT_READY"}, true},
		{"store and segment service stopped", func() {
			private.Stop()
			w.segment.Stop()
		}, func() {
			w.startSegment()
			private.Start()
		}, []string{"INDEX_STALE"}, []string{"INDEX_NOT_READY"}, true},
		{"segment service started without the store", func() {
			w.segment.Stop()
			private.Stop()
			w.startSegment()
		}, private.Start, []string{"INDEX_STALE"}, []string{"INDEX_NOT_READY"}, true},
	} {
		t.Run("fault="+o.name, func(t *testing.T) { o.happen(w.in(t), warm) })
		if t.Failed() {
			return
		}
	}
}

// in gives the world another test to fail, and takes what that changed back when it ends.
func (w *world) in(t *testing.T) *world {
	inner := *w
	inner.t = t
	t.Cleanup(func() { w.people = inner.people })
	return &inner
}

// happen lets the outage begin, changes people, and asks both readers until it ends and after.
func (o outage) happen(w *world, warm *reader) {
	w.t.Helper()
	warm = &reader{world: w, name: warm.name, c: warm.c}
	before := make(map[string][]string)
	for _, q := range questions {
		warm.right(q, "")
		before[q.name] = w.members(q)
	}
	o.begin()
	token := w.flip()
	// Whatever was asked later than the bound after this moment must know of the change.
	changed := time.Now()

	for _, q := range questions {
		o.refused(warm, q, before[q.name], changed, o.warm)
		if o.stale {
			a, err := warm.ask(q, &typev1.Consistency{AllowStale: true}, 5*time.Second)
			if err != nil {
				w.t.Errorf("warm reader, %s: refused although it may be stale: %v", q.name, err)
			} else if a.info.GetAge().AsDuration() <= bound || !slices.Equal(a.members, before[q.name]) {
				w.t.Errorf("warm reader, %s: a stale answer of %d members and age %v, want %d of before and more than %v", q.name,
					len(a.members), a.info.GetAge().AsDuration(), len(before[q.name]), bound)
			}
		}
	}
	cold := w.newReader("cold")
	for _, q := range questions {
		o.refused(cold, q, before[q.name], changed, o.cold)
	}
	o.end()
	healed := time.Now()
	for _, q := range questions {
		warm.right(q, token)
		cold.right(q, token)
	}
	w.t.Logf("right %v after the end", time.Since(healed).Round(time.Millisecond))
}

// refused asks until a reader refuses with one of the reasons. An answer before that must be right, or that of before and asked
// within the bound.
func (o outage) refused(r *reader, q question, before []string, changed time.Time, want []string) {
	r.t.Helper()
	seen := make(map[string]int)
	for end := time.Now().Add(healing); time.Now().Before(end); worldtest.Pause(r.t.Context(), 20*time.Millisecond) {
		a, err := r.ask(q, nil, 700*time.Millisecond)
		if err != nil {
			reason := r.refusal(q, err)
			if seen[reason]++; slices.Contains(want, reason) {
				return
			}
			continue
		}
		seen["answered"]++
		switch {
		case slices.Equal(a.members, r.members(q)):
		case slices.Equal(a.members, before) && a.began.Before(changed.Add(bound)):
		case slices.Equal(a.members, before):
			r.t.Fatalf("%s reader, %s: the answer of before, %v after the change and of age %v", r.name, q.name,
				a.began.Sub(changed), a.info.GetAge().AsDuration())
		default:
			r.t.Fatalf("%s reader, %s: %d members, neither the %d of now nor the %d of before", r.name, q.name, len(a.members), len(r.members(q)), len(before))
		}
	}
	r.t.Errorf("%s reader, %s: never refused with any of %v, but %v: the fault was not noticed", r.name, q.name, want, seen)
}

// Whoever numbers profiles anew finds blocks of a former numbering in the store, written under higher lease numbers than its own.
func TestASegmentServiceThatLostItsDataBeginsAnew(t *testing.T) {
	t.Parallel()
	private := testkit.RedisPrivate(t)
	w := newWorld(t, "redis://"+private.Addr+"/0", nil)
	warm := w.newReader("warm")
	for range 3 { // leases
		w.segment.Stop()
		w.startSegment()
		warm.right(questions[0], w.flip())
	}
	w.segment.Stop()
	w.dir = t.TempDir()
	w.startSegment()
	token := w.flip()
	cold := w.newReader("cold")
	for _, q := range questions {
		if len(q.spec.GetExcludedSegments()) > 0 {
			continue // the segment is gone with the data
		}
		warm.right(q, token)
		cold.right(q, token)
	}
}

// faulty is a store of blocks in memory that can be made to fail.
type faulty struct {
	memblocks.Store
	read  atomic.Pointer[func(meta []byte, values [][]byte) ([]byte, [][]byte, error)]
	write atomic.Pointer[func(apply func() error) error]
	hits  atomic.Int64
}

func (f *faulty) Read(ctx context.Context, key blocks.Key, fields []audience.Field) ([]byte, [][]byte, error) {
	meta, values, err := f.Store.Read(ctx, key, fields)
	if change := f.read.Load(); change != nil && err == nil {
		f.hits.Add(1)
		return (*change)(meta, values)
	}
	return meta, values, err
}

func (f *faulty) Write(ctx context.Context, w blocks.BlockWrite) error {
	if change := f.write.Load(); change != nil {
		f.hits.Add(1)
		return (*change)(func() error { return f.Store.Write(ctx, w) })
	}
	return f.Store.Write(ctx, w)
}

func TestAStoreThatFailsIsRefusedAndHeals(t *testing.T) {
	t.Parallel()
	store := &faulty{}
	w := newWorld(t, "", store)
	warm := w.newReader("warm")
	reading := func(change func([]byte, [][]byte) ([]byte, [][]byte, error)) func() {
		return func() { store.read.Store(&change) }
	}
	writing := func(change func(func() error) error) func() {
		return func() { store.write.Store(&change) }
	}
	heal := func() {
		store.read.Store(nil)
		store.write.Store(nil)
	}
	var turn atomic.Int64
	for _, o := range []outage{
		{"reads fail", reading(func([]byte, [][]byte) ([]byte, [][]byte, error) { return nil, nil, blocks.ErrStoreUnreachable }),
			heal, []string{"STORE_UNREACHABLE"}, []string{"STORE_UNREACHABLE"}, false},
		{"reads find nothing", reading(func(_ []byte, values [][]byte) ([]byte, [][]byte, error) {
			return nil, make([][]byte, len(values)), nil
		}),
			heal, []string{"BLOCK_UNKNOWN"}, []string{"BLOCK_UNKNOWN"}, false},
		{"reads lose a field", reading(func(meta []byte, values [][]byte) ([]byte, [][]byte, error) {
			if len(values) > 0 {
				values[len(values)-1] = nil
			}
			return meta, values, nil
		}), heal, []string{"BLOCK_UNKNOWN"}, []string{"BLOCK_UNKNOWN"}, false},
		{"reads are cut short", reading(func(meta []byte, values [][]byte) ([]byte, [][]byte, error) {
			for i, v := range values {
				values[i] = v[:len(v)/2]
			}
			return meta, values, nil
		}), heal, []string{"BLOCK_UNKNOWN"}, []string{"BLOCK_UNKNOWN"}, false},
		{"writes fail", writing(func(func() error) error { return blocks.ErrStoreUnreachable }),
			heal, []string{"INDEX_STALE"}, []string{"INDEX_STALE"}, true},
		{"writes happen and fail", writing(func(apply func() error) error {
			if err := apply(); err != nil {
				return err
			}
			return blocks.ErrStoreUnreachable
		}), heal, []string{"INDEX_STALE"}, []string{"INDEX_STALE"}, false},
		{"every second write happens", writing(func(apply func() error) error {
			if turn.Add(1)%2 == 0 {
				return blocks.ErrStoreUnreachable
			}
			return apply()
		}), heal, nil, nil, false},
	} {
		t.Run("fault="+o.name, func(t *testing.T) {
			hits := store.hits.Load()
			if o.warm == nil {
				o.repeat(w.in(t), warm)
			} else {
				o.happen(w.in(t), warm)
			}
			if store.hits.Load() == hits {
				t.Error("the fault was never met")
			}
		})
		if t.Failed() {
			return
		}
	}
}

// repeat changes people again and again while the fault, which does not stop everything, lasts: every answer is the right one.
func (o outage) repeat(w *world, warm *reader) {
	w.t.Helper()
	warm = &reader{world: w, name: warm.name, c: warm.c}
	o.begin()
	for range 3 {
		token := w.flip()
		for _, q := range questions {
			warm.right(q, token)
		}
		cold := w.newReader("cold")
		for _, q := range questions {
			cold.right(q, token)
		}
	}
	o.end()
}
