package resolve_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/campaign"
	"github.com/narrowcast/narrowcast/services/campaign/internal/indextest"
	"github.com/narrowcast/narrowcast/services/campaign/internal/neighbours"
	"github.com/narrowcast/narrowcast/services/campaign/internal/resolve"
	"github.com/narrowcast/narrowcast/services/internal/manifestwire"
)

type fixture struct {
	index    *indextest.Index
	resolver *resolve.Resolver
	follower *blocks.Follower
}

func start(t *testing.T, x *indextest.Index) *fixture {
	t.Helper()
	f, err := blocks.NewFollower(blocks.FollowerConfig{Source: manifestwire.NewSource(x.Conn())})
	if err != nil {
		t.Fatal(err)
	}
	r, err := blocks.NewReader(blocks.ReaderConfig{Store: x.Blocks, Follower: f, Refiller: manifestwire.NewRefiller(x.Conn()), Staleness: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := resolve.New(resolve.Config{
		Reader: r, Follower: f, Neighbours: neighbours.New(x.Conn(), x.Conn()), Now: func() time.Time { return time.Unix(x.Today*24*60*60, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		r.Close()
	})
	fx := &fixture{index: x, resolver: resolver, follower: f}
	fx.seen(t)
	return fx
}

// seen waits until the follower has the index's newest revision.
func (f *fixture) seen(t *testing.T) {
	t.Helper()
	if _, err := f.follower.Wait(t.Context(), blocks.Position{Revision: f.index.Revision()}); err != nil {
		t.Fatal(err)
	}
}

// granted is an index in which everybody has given consent to e-mail marketing, for ever.
func granted(t *testing.T, n int) *indextest.Index {
	x := indextest.New(t, 11, n, 2)
	x.Commit(func() {
		for _, p := range x.People {
			p.Facts["consent.marketing.email"] = audience.Value{Num: audience.MaxDay}
		}
	})
	return x
}

func TestWhoWithdrawsWhileAStreamIsOnItsWayIsHeldBack(t *testing.T) {
	for name, spec := range map[string]campaign.Spec{
		"by the channel": {Channel: "email"},
		"by a filter":    {Filter: `consent("marketing", "email") && true`},
	} {
		t.Run(name, func(t *testing.T) {
			x := granted(t, 60)
			f := start(t, x)
			withdrawn, deleted := x.People[7], x.People[20]
			var want []audience.UID
			for _, p := range x.People {
				if p != withdrawn && p != deleted {
					want = append(want, p.UID)
				}
			}
			var got []audience.UID
			sent, err := f.resolver.Stream(t.Context(), resolve.Stream{
				Spec: spec,
				Begin: func(resolve.Info) error { // all blocks are evaluated, nothing is sent
					x.Commit(func() {
						withdrawn.Facts["consent.marketing.email"] = audience.Value{Num: audience.MinDay}
						x.People = slices.DeleteFunc(slices.Clone(x.People), func(p *indextest.Person) bool { return p == deleted })
					})
					f.seen(t)
					return nil
				},
				Send: func(uids []audience.UID, _ resolve.Place) error {
					got = append(got, uids...)
					return nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) || sent.HeldBack != 2 || sent.Count != int64(len(want)) {
				t.Errorf("sent %d (%d), held back %d; want %d and 2", len(got), sent.Count, sent.HeldBack, len(want))
			}
		})
	}
}

func TestAConsentThatTheSpecDoesNotNeedHoldsNobodyBack(t *testing.T) {
	x := granted(t, 30)
	f := start(t, x)
	sent, err := f.resolver.Stream(t.Context(), resolve.Stream{
		Spec: campaign.Spec{Filter: `consent("marketing", "email") || true`},
		Begin: func(resolve.Info) error {
			x.Commit(func() { x.People[3].Facts["consent.marketing.email"] = audience.Value{Num: audience.MinDay} })
			f.seen(t)
			return nil
		},
		Send: func([]audience.UID, resolve.Place) error { return nil },
	})
	if err != nil || sent.HeldBack != 0 || sent.Count != int64(len(x.People)) {
		t.Errorf("%+v, %v", sent, err)
	}
}

func TestALimitIsFilledThoughSomeAreHeldBack(t *testing.T) {
	x := granted(t, 60)
	f := start(t, x)
	var batches []int
	sent, err := f.resolver.Stream(t.Context(), resolve.Stream{
		Spec: campaign.Spec{Channel: "email"}, Limit: 10,
		Begin: func(resolve.Info) error {
			x.Commit(func() {
				for _, p := range x.People[:4] {
					p.Facts["consent.marketing.email"] = audience.Value{Num: audience.MinDay}
				}
			})
			f.seen(t)
			return nil
		},
		Send: func(uids []audience.UID, _ resolve.Place) error {
			batches = append(batches, len(uids))
			return nil
		},
	})
	if err != nil || sent.Count != 10 || sent.HeldBack != 4 || !slices.Equal(batches, []int{6, 4}) {
		t.Errorf("%+v in batches of %v, %v", sent, batches, err)
	}
}

func TestLargeAudiencesGoInFullBatches(t *testing.T) {
	n := 2*resolve.BatchSize + 100
	x := indextest.New(t, 12, 10, 2)
	x.Commit(func() {
		x.People = nil
		for i := range n {
			p := &indextest.Person{Block: uint32(i % 2), Ordinal: uint16(i), Facts: audience.Facts{}}
			p.UID[0], p.UID[14], p.UID[15], p.UID[1] = 1, byte(i>>8), byte(i), byte(i>>16)
			x.People = append(x.People, p)
		}
	})
	f := start(t, x)
	seen := make(map[audience.UID]bool)
	var batches []int
	var last resolve.Place
	_, err := f.resolver.Stream(t.Context(), resolve.Stream{Send: func(uids []audience.UID, next resolve.Place) error {
		batches = append(batches, len(uids))
		for _, u := range uids {
			if seen[u] {
				t.Fatal("somebody was sent twice")
			}
			seen[u] = true
		}
		if last = next; len(batches) == 2 {
			return errors.New("the caller goes away")
		}
		return nil
	}})
	if err == nil || !slices.Equal(batches, []int{resolve.BatchSize, resolve.BatchSize}) {
		t.Fatalf("batches of %v, %v", batches, err)
	}
	// It comes back, behind the last batch that it took.
	if _, err := f.resolver.Stream(t.Context(), resolve.Stream{Resume: &last, Send: func(uids []audience.UID, _ resolve.Place) error {
		for _, u := range uids {
			if seen[u] {
				t.Fatal("somebody was sent twice")
			}
			seen[u] = true
		}
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	if len(seen) != n {
		t.Errorf("%d of %d were sent", len(seen), n)
	}
}

func TestAnotherLayoutEndsAResumedStream(t *testing.T) {
	f := start(t, granted(t, 10))
	fingerprint, err := resolve.Fingerprint(campaign.Spec{}, f.index.Today)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.resolver.Stream(t.Context(), resolve.Stream{
		Resume: &resolve.Place{Store: indextest.StoreID, Layout: 2, Fingerprint: fingerprint, Day: f.index.Today},
		Send:   func([]audience.UID, resolve.Place) error { return nil },
	})
	if fault.KindOf(err) != fault.Precondition || fault.ReasonOf(err) != "LAYOUT_GONE" {
		t.Errorf("got %v", err)
	}
}

func TestASpecMayNameASegmentCreatedAMomentAgo(t *testing.T) {
	x := indextest.New(t, 1, 20, 1, &indextest.Segment{Name: "segments/new", Rule: "true", Hidden: true})
	f := start(t, x)
	if err := f.resolver.Check(t.Context(), campaign.Spec{AllSegments: []string{"segments/new"}, Filter: `segment("new")`}); err != nil {
		t.Errorf("check: %v", err)
	}
	if err := f.resolver.Check(t.Context(), campaign.Spec{AllSegments: []string{"segments/none"}}); fault.ReasonOf(err) != "UNKNOWN_SEGMENT" {
		t.Errorf("check: %v", err)
	}
}
