package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/segment"
)

// Pair opens one empty store twice, as two replicas do, and closes both when the test ends.
type Pair func(t testing.TB, o Options) [2]segment.Store

// RunReplicas checks a driver that several processes may have open at the same time on one database.
func RunReplicas(t *testing.T, open Pair) {
	for _, c := range []struct {
		name string
		test func(*testing.T, [2]segment.Store, *Clock)
	}{
		{"revisions are dense and no update is lost", replicaRevisions},
		{"an id is taken once", replicaIDs},
		{"one etag lets one writer pass", replicaETag},
		{"no circle is made together", replicaCycles},
		{"what is named is not deleted", replicaInUse},
		{"a list that both change holds what both put on it", replicaMembers},
		{"one of many wins the lease", replicaLeaseRace},
		{"nothing is written under a lease that another has taken", replicaFence},
		{"layouts have numbers of their own", replicaLayouts},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			clock := new(Clock)
			clock.Advance(time.Hour)
			c.test(t, open(t, Options{Now: clock.Now, MaxMembers: maxMembers}), clock)
		})
	}
}

// both runs fn n times on each of the stores, all at once, and returns what each call returned.
func both[T any](stores [2]segment.Store, n int, fn func(s segment.Store, replica, i int) T) []T {
	all := make([]T, 2*n)
	var wg sync.WaitGroup
	for r, s := range stores {
		for i := range n {
			wg.Go(func() { all[r*n+i] = fn(s, r, i) })
		}
	}
	wg.Wait()
	return all
}

func replicaRevisions(t *testing.T, stores [2]segment.Store, _ *Clock) {
	const writers, each = 6, 8
	create(t, stores[0], rule("shared", "0"))
	positions := both(stores, writers, func(s segment.Store, replica, i int) (list []segment.Position) {
		id := fmt.Sprintf("w%d-%d", replica, i)
		_, p, err := s.Create(t.Context(), rule(id, "0"), false)
		if err != nil {
			t.Errorf("create: %v", err)
			return nil
		}
		list = append(list, p)
		for k := range each {
			change := segment.Change{ID: id}
			if k%2 == 0 {
				change.ID = "shared"
			}
			text := fmt.Sprint(id, " ", k)
			change.Rule = &text
			got, p, err := s.Update(t.Context(), change)
			if err != nil || got.Revision != p.Revision || p.Revision <= list[len(list)-1].Revision {
				t.Errorf("update: %+v at %+v after %+v, %v", got, p, list[len(list)-1], err)
				return list
			}
			list = append(list, p)
		}
		return list
	})
	all := slices.Concat(positions...)
	slices.SortFunc(all, func(a, b segment.Position) int { return int(int64(a.Revision) - int64(b.Revision)) })
	for i, p := range all {
		if p.Revision != uint64(i+2) {
			t.Fatalf("revision %d is at place %d", p.Revision, i+2)
		}
		if held, err := stores[i%2].Holds(t.Context(), p); err != nil || !held {
			t.Errorf("position %d is not held: %v", p.Revision, err)
		}
	}
	for _, s := range stores {
		if got, err := s.Get(t.Context(), "shared"); err != nil || got.Version != 1+2*writers*each/2 {
			t.Errorf("after all updates %+v, %v", got, err)
		}
		if p := head(t, s); p.Revision != uint64(len(all)+1) {
			t.Errorf("head is %d after %d writes", p.Revision, len(all)+1)
		}
	}
}

// won counts the nil errors and checks that all others are of one kind and reason.
func won(t *testing.T, errs []error, kind fault.Kind, reason string) int {
	t.Helper()
	n := 0
	for _, err := range errs {
		if err == nil {
			n++
			continue
		}
		wantReason(t, err, kind, reason)
	}
	return n
}

func replicaIDs(t *testing.T, stores [2]segment.Store, _ *Clock) {
	errs := both(stores, 8, func(s segment.Store, _, _ int) error {
		_, _, err := s.Create(t.Context(), rule("a", "true"), false)
		return err
	})
	if n := won(t, errs, fault.Exists, segment.ReasonExists); n != 1 {
		t.Errorf("%d segments have one id", n)
	}
}

func replicaETag(t *testing.T, stores [2]segment.Store, _ *Clock) {
	a := create(t, stores[0], rule("a", "true"))
	errs := both(stores, 8, func(s segment.Store, replica, i int) error {
		text := fmt.Sprint(replica, i)
		_, _, err := s.Update(t.Context(), segment.Change{ID: "a", ETag: a.ETag, Rule: &text})
		return err
	})
	if n := won(t, errs, fault.Conflict, segment.ReasonETagMismatch); n != 1 {
		t.Errorf("%d writers passed with one etag", n)
	}
}

func replicaCycles(t *testing.T, stores [2]segment.Store, _ *Clock) {
	for round := range 12 {
		var pair [2]segment.Segment
		for i := range pair {
			pair[i] = create(t, stores[i], rule(fmt.Sprintf("r%d-%d", round, i), "true"))
		}
		errs := both(stores, 1, func(s segment.Store, replica, _ int) error {
			_, _, err := s.Update(t.Context(), change(pair[replica].ID, pair[1-replica]))
			return err
		})
		if passed := won(t, errs, fault.Invalid, segment.ReasonCycle); passed != 1 {
			t.Errorf("%d of two that name each other passed", passed)
		}
	}
}

func replicaInUse(t *testing.T, stores [2]segment.Store, _ *Clock) {
	for i := range 12 {
		base := create(t, stores[i%2], rule(fmt.Sprintf("base%d", i), "true"))
		errs := both(stores, 1, func(s segment.Store, replica, _ int) error {
			if replica == i%2 {
				_, err := s.Delete(t.Context(), base.ID, "", "")
				return err
			}
			_, _, err := s.Create(t.Context(), rule(fmt.Sprintf("user%d", i), "x", base), false)
			return err
		})
		deleted, created := errs[i%2], errs[1-i%2]
		switch {
		case deleted == nil:
			wantReason(t, created, fault.Invalid, segment.ReasonUnknownSegment)
		case created == nil:
			wantReason(t, deleted, fault.Precondition, segment.ReasonInUse)
		default:
			t.Errorf("both were refused: %v, %v", deleted, created)
		}
	}
}

func replicaMembers(t *testing.T, stores [2]segment.Store, _ *Clock) {
	list := create(t, stores[0], segment.Segment{ID: "list", UID: newUID(), Static: true})
	const n, some = 6, 50
	// Neighbouring runs overlap by half, so that both put the same profiles on the list.
	errs := both(stores, n, func(s segment.Store, replica, i int) error {
		from := (2*i + replica) * some / 2
		_, _, err := s.ChangeMembers(t.Context(), "list", "", people(from, from+some), nil)
		return err
	})
	for _, err := range errs {
		if err != nil {
			t.Errorf("change members: %v", err)
		}
	}
	want := people(0, (2*n-1)*some/2+some)
	for _, s := range stores {
		if got := membersOf(t, s, list.UID); !slices.Equal(got, want) {
			t.Errorf("%d members, want %d", len(got), len(want))
		}
		if got, err := s.Get(t.Context(), "list"); err != nil || got.Members != int64(len(want)) {
			t.Errorf("the list counts %d, %v; want %d", got.Members, err, len(want))
		}
	}
}

func replicaLeaseRace(t *testing.T, stores [2]segment.Store, clock *Clock) {
	for round := range 3 { // the first on a lease that was never taken
		errs := both(stores, 4, func(s segment.Store, replica, i int) error {
			_, err := s.AcquireLease(t.Context(), fmt.Sprintf("%d-%d-%d", round, replica, i), time.Minute)
			return err
		})
		if n := won(t, errs, fault.Unavailable, segment.ReasonNotLeaseHolder); n != 1 {
			t.Errorf("%d holders", n)
		}
		clock.Advance(time.Hour)
	}
}

func replicaFence(t *testing.T, stores [2]segment.Store, clock *Clock) {
	for round := range 4 {
		old, err := stores[0].AcquireLease(t.Context(), "old", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		layout := begin(t, stores[0], old)
		begun := make(chan struct{}) // closed after some appends, or when none is made any more
		var once sync.Once
		var appended int
		var refused error
		var wg sync.WaitGroup
		wg.Go(func() {
			for refused == nil {
				runs := []segment.OrdinalRun{{First: uint32(appended), UIDs: people(appended, appended+3)}}
				if refused = stores[0].AppendOrdinals(t.Context(), old, layout, runs); refused == nil {
					appended += 3
				}
				if appended >= 9*round+3 || refused != nil {
					once.Do(func() { close(begun) })
				}
			}
		})
		<-begun
		clock.Advance(time.Hour)
		taken, err := stores[1].AcquireLease(t.Context(), "new", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		seen := load(t, stores[1], layout)[0]
		wg.Wait()
		wantReason(t, refused, fault.Unavailable, segment.ReasonNotLeaseHolder)
		if len(seen) != appended || !slices.Equal(seen, people(0, appended)) {
			t.Errorf("the new holder saw %d ordinals, and the old one gave %d", len(seen), appended)
		}
		if err := stores[1].AppendOrdinals(t.Context(), taken, layout, []segment.OrdinalRun{{First: uint32(appended), UIDs: []audience.UID{person(appended)}}}); err != nil {
			t.Errorf("the new holder goes on: %v", err)
		}
		if err := stores[1].ReleaseLease(t.Context(), taken); err != nil {
			t.Fatal(err)
		}
	}
}

func replicaLayouts(t *testing.T, stores [2]segment.Store, _ *Clock) {
	lease := acquire(t, stores[0])
	numbers := both(stores, 6, func(s segment.Store, _, _ int) uint32 {
		l, err := s.BeginLayout(t.Context(), lease, someStore)
		if err != nil {
			t.Errorf("begin layout: %v", err)
		}
		return l.Number
	})
	slices.Sort(numbers)
	if len(slices.Compact(numbers)) != 12 || numbers[0] < 1 {
		t.Errorf("layouts %v", numbers)
	}
	list, err := stores[1].Layouts(t.Context())
	if err != nil || len(list) != 12 {
		t.Errorf("%d layouts, %v", len(list), err)
	}
}
