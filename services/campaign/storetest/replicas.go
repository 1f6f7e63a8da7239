package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/campaign"
)

// Pair opens one empty store twice, as two replicas do; the test closes both.
type Pair func(t testing.TB, now func() time.Time) [2]campaign.Store

// RunReplicas checks a driver that several processes may have open at the same time on one database.
func RunReplicas(t *testing.T, open Pair) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, [2]campaign.Store)
	}{
		{"names are taken once", replicaNames},
		{"no update of an audience is lost", replicaUpdates},
		{"of writers with one etag one wins", replicaCampaignRace},
		{"an audience never goes from under a campaign", replicaInUse},
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
func both(stores [2]campaign.Store, n int, fn func(s campaign.Store, i int) error) []error {
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

// oneWins checks that one call succeeded and that all others failed for one reason.
func oneWins(t *testing.T, errs []error, kind fault.Kind, reason string) {
	t.Helper()
	f, won := fixture{T: t}, 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		f.fails(err, kind, reason)
	}
	if won != 1 {
		t.Errorf("%d of %d won", won, len(errs))
	}
}

func replicaNames(t *testing.T, stores [2]campaign.Store) {
	oneWins(t, both(stores, 6, func(s campaign.Store, i int) error {
		a := audience("a")
		a.UID = fmt.Sprint("uid-", i)
		_, err := s.CreateAudience(t.Context(), a)
		return err
	}), fault.Exists, campaign.ReasonAudienceExists)
	oneWins(t, both(stores, 6, func(s campaign.Store, i int) error {
		_, err := s.CreateCampaign(t.Context(), campaign.Campaign{
			Name: "campaigns/c", UID: fmt.Sprint("uid-", i), Objective: "growth", Audience: "audiences/a", State: campaign.StateDraft,
		})
		return err
	}), fault.Exists, campaign.ReasonCampaignExists)
}

func replicaUpdates(t *testing.T, stores [2]campaign.Store) {
	f := &fixture{T: t, store: stores[0]}
	a := f.audience("a")
	const n, each = 3, 4
	// Everybody makes a version with a region of its own, again and again until the etag is still the one that was read.
	for _, err := range both(stores, n, func(s campaign.Store, i int) error {
		for k := range each {
			for {
				now, err := s.Audience(t.Context(), a.Name)
				if err != nil {
					return err
				}
				now.Spec = campaign.Spec{Regions: []string{fmt.Sprintf("%d-%d", i, k)}}
				if _, err = s.UpdateAudience(t.Context(), now); err == nil {
					break
				}
				if fault.ReasonOf(err) != campaign.ReasonEtagMismatch {
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
	got, err := stores[1].Audience(t.Context(), a.Name)
	if err != nil || got.Version != 1+2*n*each {
		t.Fatalf("version %d, %v; want %d", got.Version, err, 1+2*n*each)
	}
	seen := map[string]bool{}
	for v := int64(2); v <= got.Version; v++ {
		spec, err := stores[1].AudienceSpec(t.Context(), a.Name, v)
		if err != nil || len(spec.Regions) != 1 {
			t.Fatalf("version %d: %+v, %v", v, spec, err)
		}
		seen[spec.Regions[0]] = true
	}
	if len(seen) != 2*n*each {
		t.Errorf("%d of %d specs are kept", len(seen), 2*n*each)
	}
}

func replicaCampaignRace(t *testing.T, stores [2]campaign.Store) {
	f := &fixture{T: t, store: stores[0]}
	a := f.audience("a")
	c := f.campaign("c", a.Name)
	oneWins(t, both(stores, 4, func(s campaign.Store, i int) error {
		mine := c
		mine.DisplayName = fmt.Sprint(i)
		_, err := s.UpdateCampaign(t.Context(), mine)
		return err
	}), fault.Conflict, campaign.ReasonEtagMismatch)
	oneWins(t, both(stores, 4, func(s campaign.Store, i int) error {
		mine := a
		mine.Spec = campaign.Spec{Regions: []string{fmt.Sprint(i)}}
		_, err := s.UpdateAudience(t.Context(), mine)
		return err
	}), fault.Conflict, campaign.ReasonEtagMismatch)
	one, err1 := stores[0].Audience(t.Context(), a.Name)
	two, err2 := stores[1].Audience(t.Context(), a.Name)
	if err1 != nil || err2 != nil || one.Version != 2 {
		t.Errorf("version %d, %v, %v", one.Version, err1, err2)
	}
	if d := cmp.Diff(one, two); d != "" {
		t.Errorf("the replicas differ: %s", d)
	}
}

func replicaInUse(t *testing.T, stores [2]campaign.Store) {
	for i := range 12 {
		f := &fixture{T: t, store: stores[i%2]}
		a := f.audience(fmt.Sprint("a", i))
		errs := both(stores, 1, func(s campaign.Store, r int) error {
			if r == i%2 {
				return s.DeleteAudience(t.Context(), a.Name, "")
			}
			_, err := s.CreateCampaign(t.Context(), campaign.Campaign{
				Name: fmt.Sprint("campaigns/c", i), UID: fmt.Sprint("c", i), Objective: "growth", Audience: a.Name, State: campaign.StateDraft,
			})
			return err
		})
		switch deleted, created := errs[i%2], errs[1-i%2]; {
		case deleted == nil:
			f.fails(created, fault.Invalid, campaign.ReasonAudienceNotFound)
		case created == nil:
			f.fails(deleted, fault.Precondition, campaign.ReasonAudienceInUse)
		default:
			t.Errorf("both were refused: %v, %v", deleted, created)
		}
	}
}
