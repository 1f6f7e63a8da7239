package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/persona"
)

// Pair opens one empty store twice, as two replicas do; the test closes both.
type Pair func(t testing.TB, now func() time.Time) [2]persona.Store

// RunReplicas checks a driver that several processes may have open at the same time on one database.
func RunReplicas(t *testing.T, open Pair) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, [2]persona.Store)
	}{
		{"a name is taken once", replicaNames},
		{"no update is lost", replicaUpdates},
		{"what one has deleted is gone for the other", replicaDelete},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stores := open(t, ticking())
			t.Cleanup(func() {
				for _, s := range stores {
					if err := s.Close(); err != nil {
						t.Errorf("close: %v", err)
					}
				}
			})
			c.run(t, stores)
		})
	}
}

// both runs fn n times on each of the stores, all at once, and returns what each call returned.
func both(stores [2]persona.Store, n int, fn func(s persona.Store, i int) error) []error {
	errs := make([]error, 2*n)
	var wg sync.WaitGroup
	for r, s := range stores {
		for i := range n {
			wg.Go(func() { errs[r*n+i] = fn(s, r*n+i) })
		}
	}
	wg.Wait()
	return errs
}

func replicaNames(t *testing.T, stores [2]persona.Store) {
	errs := both(stores, 6, func(s persona.Store, i int) error {
		p := sample("a")
		p.UID = fmt.Sprint("uid-", i)
		_, err := s.Create(t.Context(), p)
		return err
	})
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
			continue
		}
		fails(t, err, fault.Exists, persona.ReasonExists)
	}
	if made != 1 {
		t.Errorf("%d personas have one name", made)
	}
}

func replicaUpdates(t *testing.T, stores [2]persona.Store) {
	p := create(t, stores[0], "a")
	const n, each = 3, 4
	// Everybody adds a goal, again and again until the etag is still the one that was read.
	for _, err := range both(stores, n, func(s persona.Store, i int) error {
		for k := range each {
			for {
				now, err := s.Get(t.Context(), p.Name)
				if err != nil {
					return err
				}
				now.Goals = append(now.Goals, fmt.Sprintf("%d-%d", i, k))
				if _, err = s.Update(t.Context(), now); err == nil {
					break
				}
				if fault.ReasonOf(err) != persona.ReasonEtagMismatch {
					return err
				}
			}
		}
		return nil
	}) {
		if err != nil {
			t.Errorf("update: %v", err)
		}
	}
	if got, err := stores[1].Get(t.Context(), p.Name); err != nil || len(got.Goals) != len(p.Goals)+2*n*each {
		t.Errorf("%d goals, %v; want %d more than %d", len(got.Goals), err, 2*n*each, len(p.Goals))
	}
}

func replicaDelete(t *testing.T, stores [2]persona.Store) {
	for i := range 10 {
		p := create(t, stores[i%2], "a")
		errs := both(stores, 1, func(s persona.Store, r int) error {
			if r == i%2 {
				return s.Delete(t.Context(), p.Name, "")
			}
			_, err := s.Update(t.Context(), p)
			return err
		})
		if deleted, updated := errs[i%2], errs[1-i%2]; deleted != nil {
			t.Errorf("delete: %v", deleted)
		} else if updated != nil {
			fails(t, updated, fault.NotFound, persona.ReasonNotFound)
		}
		for _, s := range stores {
			_, err := s.Get(t.Context(), p.Name)
			fails(t, err, fault.NotFound, persona.ReasonNotFound)
		}
	}
}
