package storetest

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/segment"
)

var someStore = segment.ProfileStore{Store: "st", Incarnation: "i1"}

func acquire(t testing.TB, s segment.Store) segment.Epoch {
	t.Helper()
	e, err := s.AcquireLease(t.Context(), "holder", time.Minute)
	if err != nil {
		t.Fatalf("acquire lease: %v", err)
	}
	return e
}

func begin(t testing.TB, s segment.Store, e segment.Epoch) uint32 {
	t.Helper()
	l, err := s.BeginLayout(t.Context(), e, someStore)
	if err != nil {
		t.Fatalf("begin layout: %v", err)
	}
	return l.Number
}

// load puts the runs of a layout together, checking that they follow each other.
func load(t testing.TB, s segment.Store, layout uint32) map[uint32][]audience.UID {
	t.Helper()
	got := make(map[uint32][]audience.UID)
	last := uint32(0)
	for run, err := range s.LoadOrdinals(t.Context(), layout) {
		if err != nil {
			t.Fatalf("load ordinals: %v", err)
		}
		if int(run.First) != len(got[run.Block]) || run.Block < last || len(run.UIDs) == 0 {
			t.Fatalf("block %d after %d goes on at %d of %d", run.Block, last, run.First, len(got[run.Block]))
		}
		last = run.Block
		got[run.Block] = append(got[run.Block], run.UIDs...)
	}
	return got
}

func testOrdinals(t *testing.T, s segment.Store, _ *Clock) {
	e := acquire(t, s)
	layout, other := begin(t, s, e), begin(t, s, e)
	want := make(map[uint32][]audience.UID)
	n := 0
	// Runs of every size up to some thousands, in two blocks that grow in turn.
	for _, size := range []int{1, 2, 255, 1, 256, 257, 1, 3000, 7, 513} {
		var runs []segment.OrdinalRun
		for _, block := range []uint32{70000, 3} {
			uids := people(n, n+size)
			n += size
			runs = append(runs, segment.OrdinalRun{Block: block, First: uint32(len(want[block])), UIDs: uids})
			want[block] = append(want[block], uids...)
		}
		if err := s.AppendOrdinals(t.Context(), e, layout, runs); err != nil {
			t.Fatal(err)
		}
	}
	got := load(t, s, layout)
	for block, uids := range want {
		if !slices.Equal(got[block], uids) {
			t.Errorf("block %d holds %d ordinals, want %d", block, len(got[block]), len(uids))
		}
	}
	if len(got) != 2 || len(load(t, s, other)) != 0 || len(load(t, s, 99)) != 0 {
		t.Errorf("ordinals of %d blocks, or of other layouts", len(got))
	}
	list, err := s.Layouts(t.Context())
	if err != nil || !slices.Equal(list, []segment.Layout{{Number: layout, Of: someStore, Ordinals: uint64(n)}, {Number: other, Of: someStore}}) {
		t.Errorf("layouts %+v, %v", list, err)
	}
	for _, err := range s.LoadOrdinals(t.Context(), layout) {
		if err != nil {
			t.Error(err)
		}
		break // a walk may end early
	}
	// Both runs of one call may be of one block; and a block may be filled to its end.
	full := []segment.OrdinalRun{
		{Block: 1, First: 0, UIDs: people(n, n+audience.BlockSize-1)},
		{Block: 1, First: audience.BlockSize - 1, UIDs: people(n+audience.BlockSize, n+audience.BlockSize+1)},
	}
	if err := s.AppendOrdinals(t.Context(), e, other, full); err != nil {
		t.Errorf("filling a block: %v", err)
	}
}

func testOrdinalsOnce(t *testing.T, s segment.Store, _ *Clock) {
	e := acquire(t, s)
	layout := begin(t, s, e)
	if err := s.AppendOrdinals(t.Context(), e, layout, []segment.OrdinalRun{{Block: 0, First: 0, UIDs: people(0, 10)}}); err != nil {
		t.Fatal(err)
	}
	good := segment.OrdinalRun{Block: 5, First: 0, UIDs: people(50, 60)}
	for name, bad := range map[string]segment.OrdinalRun{
		"again":          {Block: 0, First: 0, UIDs: people(10, 20)},
		"overlapping":    {Block: 0, First: 9, UIDs: people(10, 20)},
		"with a gap":     {Block: 0, First: 11, UIDs: people(10, 20)},
		"not from 0":     {Block: 1, First: 1, UIDs: people(10, 20)},
		"over the end":   {Block: 0, First: 10, UIDs: people(10, 10+audience.BlockSize-9)},
		"with a blank":   {Block: 0, First: 10, UIDs: make([]audience.UID, 1)},
		"far over 2^16":  {Block: 0, First: 1 << 31, UIDs: people(10, 20)},
		"blank in a new": {Block: 9, First: 0, UIDs: []audience.UID{person(1), {}, person(2)}},
	} {
		err := s.AppendOrdinals(t.Context(), e, layout, []segment.OrdinalRun{good, bad})
		if err == nil || fault.KindOf(err) != fault.Internal {
			t.Errorf("a run %s: %v", name, err)
		}
	}
	wantReason(t, s.AppendOrdinals(t.Context(), e, layout+1, []segment.OrdinalRun{good}), fault.NotFound, segment.ReasonBlockNotFound)
	if got := load(t, s, layout); len(got) != 1 || !slices.Equal(got[0], people(0, 10)) {
		t.Errorf("refused runs left %d blocks", len(got))
	}
}

func testBlank(t *testing.T, s segment.Store, _ *Clock) {
	e := acquire(t, s)
	layout := begin(t, s, e)
	want := people(0, 1000)
	if err := s.AppendOrdinals(t.Context(), e, layout, []segment.OrdinalRun{{Block: 2, First: 0, UIDs: want}}); err != nil {
		t.Fatal(err)
	}
	var at []segment.Ordinal
	for _, o := range []uint32{0, 255, 256, 999, 999} {
		at = append(at, segment.Ordinal{Block: 2, Ordinal: o})
		want[o] = audience.UID{}
	}
	for range 2 {
		if err := s.BlankOrdinals(t.Context(), e, layout, at); err != nil {
			t.Fatal(err)
		}
	}
	if got := load(t, s, layout); !slices.Equal(got[2], want) {
		t.Error("other ordinals than those named are blank")
	}
	for _, missing := range []segment.Ordinal{{Block: 2, Ordinal: 1000}, {Block: 3, Ordinal: 0}} {
		err := s.BlankOrdinals(t.Context(), e, layout, []segment.Ordinal{{Block: 2, Ordinal: 5}, missing})
		wantReason(t, err, fault.NotFound, segment.ReasonBlockNotFound)
	}
	if got := load(t, s, layout); !slices.Equal(got[2], want) {
		t.Error("a refused blanking changed something")
	}
	if err := s.AppendOrdinals(t.Context(), e, layout, []segment.OrdinalRun{{Block: 2, First: 999, UIDs: people(2000, 2001)}}); err == nil {
		t.Error("a blank ordinal at the end was given again")
	}
	if err := s.AppendOrdinals(t.Context(), e, layout, []segment.OrdinalRun{{Block: 2, First: 1000, UIDs: people(2000, 2001)}}); err != nil {
		t.Errorf("the next ordinal: %v", err)
	}
}

func testLayouts(t *testing.T, s segment.Store, _ *Clock) {
	e := acquire(t, s)
	first := begin(t, s, e)
	if first == 0 {
		t.Error("a layout has number 0")
	}
	if err := s.AppendOrdinals(t.Context(), e, first, []segment.OrdinalRun{{UIDs: people(0, 5)}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.DropLayout(t.Context(), e, first); err != nil {
			t.Fatal(err)
		}
	}
	second := begin(t, s, e)
	if second <= first || len(load(t, s, first)) != 0 || len(load(t, s, second)) != 0 {
		t.Errorf("layout %d after %d was dropped", second, first)
	}
	if list, err := s.Layouts(t.Context()); err != nil || len(list) != 1 || list[0].Number != second {
		t.Errorf("layouts %+v, %v", list, err)
	}
}

func testLease(t *testing.T, s segment.Store, _ *Clock) {
	wantReason(t, s.RenewLease(t.Context(), segment.Epoch{}, time.Minute), fault.Unavailable, segment.ReasonNotLeaseHolder)
	first := acquire(t, s)
	layout := begin(t, s, first)
	_, err := s.AcquireLease(t.Context(), "other", time.Minute)
	if f := wantReason(t, err, fault.Unavailable, segment.ReasonNotLeaseHolder); f.RetryAfter != time.Minute {
		t.Errorf("retry after %v, want the rest of the lease", f.RetryAfter)
	}
	// The same holder comes back, as after a restart, and need not wait.
	second := acquire(t, s)
	if first.Number < 1 || second.Number <= first.Number || second.Random == first.Random {
		t.Errorf("epochs %+v, then %+v", first, second)
	}
	for name, old := range map[string]segment.Epoch{
		"old": first, "none": {}, "of another random value": {Number: second.Number, Random: second.Random + 1},
		"to come": {Number: second.Number + 1, Random: second.Random},
	} {
		for what, call := range map[string]func() error{
			"append": func() error {
				return s.AppendOrdinals(t.Context(), old, layout, []segment.OrdinalRun{{UIDs: people(0, 5)}})
			},
			"blank": func() error {
				return s.BlankOrdinals(t.Context(), old, layout, []segment.Ordinal{{}})
			},
			"begin": func() error { _, err := s.BeginLayout(t.Context(), old, someStore); return err },
			"drop":  func() error { return s.DropLayout(t.Context(), old, layout) },
			"renew": func() error { return s.RenewLease(t.Context(), old, time.Hour) },
		} {
			if err := call(); fault.ReasonOf(err) != segment.ReasonNotLeaseHolder {
				t.Errorf("%s under a lease %s: %v", what, name, err)
			}
		}
		if err := s.ReleaseLease(t.Context(), old); err != nil {
			t.Errorf("releasing a lease %s: %v", name, err)
		}
	}
	if err := s.AppendOrdinals(t.Context(), second, layout, []segment.OrdinalRun{{UIDs: people(0, 5)}}); err != nil {
		t.Errorf("append under the lease: %v", err)
	}
	if err := s.ReleaseLease(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	wantReason(t, s.RenewLease(t.Context(), second, time.Minute), fault.Unavailable, segment.ReasonNotLeaseHolder)
	third, err := s.AcquireLease(t.Context(), "other", time.Minute)
	if err != nil || third.Number <= second.Number {
		t.Errorf("after the release: %+v, %v", third, err)
	}
}

func testLeaseExpiry(t *testing.T, s segment.Store, clock *Clock) {
	first := acquire(t, s)
	clock.Advance(50 * time.Second)
	if err := s.RenewLease(t.Context(), first, time.Minute); err != nil {
		t.Fatal(err)
	}
	clock.Advance(50 * time.Second)
	_, err := s.AcquireLease(t.Context(), "other", time.Minute)
	wantReason(t, err, fault.Unavailable, segment.ReasonNotLeaseHolder)
	clock.Advance(11 * time.Second)
	// Expired, but nobody has taken it: it is still the holder's.
	if err := s.RenewLease(t.Context(), first, time.Second); err != nil {
		t.Errorf("renewing an expired lease: %v", err)
	}
	clock.Advance(2 * time.Second)
	second, err := s.AcquireLease(t.Context(), "other", time.Minute)
	if err != nil || second.Number != first.Number+1 {
		t.Fatalf("taking over: %+v, %v", second, err)
	}
	wantReason(t, s.RenewLease(t.Context(), first, time.Minute), fault.Unavailable, segment.ReasonNotLeaseHolder)
}

func testLeaseRace(t *testing.T, s segment.Store, _ *Clock) {
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, err := s.AcquireLease(t.Context(), string(rune('a'+i)), time.Minute)
			if err == nil {
				won.Add(1)
			} else if fault.ReasonOf(err) != segment.ReasonNotLeaseHolder {
				t.Errorf("acquire: %v", err)
			}
		})
	}
	wg.Wait()
	if n := won.Load(); n != 1 {
		t.Errorf("%d holders", n)
	}
}
