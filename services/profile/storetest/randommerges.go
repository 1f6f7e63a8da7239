package storetest

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/merging"
)

// naiveMerges is a store as simple as can be: who is there, and who was merged into whom, in order.
type naiveMerges struct {
	people map[audience.UID]merging.Side
	merges []naiveMerge
}

type naiveMerge struct {
	from, into audience.UID
	until      time.Time
	record     merging.Record
}

// person returns who somebody is now.
func (n *naiveMerges) person(uid audience.UID) (audience.UID, bool) {
	for {
		if _, here := n.people[uid]; here {
			return uid, true
		}
		at := slices.IndexFunc(n.merges, func(m naiveMerge) bool { return m.from == uid })
		if at < 0 {
			return uid, false
		}
		uid = n.merges[at].into
	}
}

// put stores what a write made of a profile.
func (n *naiveMerges) put(p *profile.Profile, now time.Time, source string) {
	before := n.people[p.UID]
	v := merging.Track(before.Profile, p, before.Provenance, now, source)
	p.UpdateTime = now
	n.people[p.UID] = merging.Side{Profile: p, Provenance: v}
}

func (n *naiveMerges) merge(survivor, merged audience.UID, now time.Time, want profile.MergeOptions) string {
	survivor, ok := n.person(survivor)
	merged, too := n.person(merged)
	switch {
	case !ok || !too:
		return profile.ReasonProfileNotFound
	case survivor == merged:
		return profile.ReasonAlreadyMerged
	}
	r := merging.Record{Survivor: n.people[survivor], Merged: n.people[merged]}
	r.Result = merging.Merge(r.Survivor, r.Merged, want.Policy, want.Trust)
	n.merges = append(n.merges, naiveMerge{from: merged, into: survivor, until: now.Add(undoPeriod), record: r})
	delete(n.people, merged)
	after := merging.Side{Profile: r.Result.Profile.Clone(), Provenance: r.Result.Provenance}
	after.Profile.UpdateTime = now
	n.people[survivor] = after
	return ""
}

func (n *naiveMerges) unmerge(uid audience.UID, now time.Time) string {
	at := slices.IndexFunc(n.merges, func(m naiveMerge) bool { return m.from == uid })
	if at < 0 {
		return profile.ReasonMergeNotFound
	}
	m := n.merges[at]
	_, here := n.people[m.into]
	for _, later := range n.merges[at+1:] {
		here = here && later.into != m.into
	}
	switch {
	case !here:
		return profile.ReasonMergeBuiltUpon
	case !now.Before(m.until):
		return profile.ReasonMergeExpired
	}
	survivor, merged := merging.Undo(m.record, n.people[m.into])
	for _, id := range merged.Profile.ExternalIDs() {
		for holder, p := range n.people {
			if holder != m.into && slices.Contains(p.Profile.ExternalIDs(), id) {
				return profile.ReasonExternalIDTaken
			}
		}
	}
	merged.Provenance = merging.Track(merged.Profile, merged.Profile, merged.Provenance, now, "")
	survivor.Profile.UpdateTime, merged.Profile.UpdateTime = now, now
	n.people[m.into], n.people[uid] = survivor, merged
	n.merges = slices.Delete(n.merges, at, at+1)
	return ""
}

func metamorphicMerges(t *testing.T, e *env) {
	r := rand.New(rand.NewPCG(3, 1))
	n := &naiveMerges{people: make(map[audience.UID]merging.Side)}
	const people = 12
	any := func() audience.UID { return uid(r.IntN(people)) }
	sources := []string{"", "crm", "web"}
	for i := range people {
		p := &profile.Profile{UID: uid(i), Identifiers: []profile.Identifier{external("crm", i)}}
		n.put(e.create(t, p), e.now, "")
	}
	// change changes something of a profile at random.
	change := func(r *rand.Rand, p *profile.Profile) {
		words := func() []string { return slices.Clone([][]string{nil, {}, {"a"}, {"a", "b"}, {"c"}}[r.IntN(5)]) }
		switch r.IntN(6) {
		case 0:
			p.Occupation = fmt.Sprint(r.IntN(4))
		case 1:
			p.Interests = words()
		case 2:
			p.Employer = profile.Employer{Name: fmt.Sprint("e", r.IntN(2)), Size: audience.EmployerSizes[r.IntN(2)]}
		case 3:
			p.Consents = []profile.Consent{{Purpose: "marketing", Channel: []string{"", "email"}[r.IntN(2)], Status: profile.ConsentStatuses[r.IntN(3)]}}
		case 4:
			p.Custom = map[string]profile.Value{"tags": {Type: profile.TypeStringList, List: append([]string{}, words()...)}}
		case 5:
			if id := email(fmt.Sprintf("p%d@example.com", r.IntN(5))); !slices.Contains(p.Identifiers, id) {
				p.Identifiers = append(p.Identifiers, id)
				slices.SortFunc(p.Identifiers, profile.CompareIdentifiers)
			}
		}
	}
	reason := func(err error) string {
		if err != nil && fault.As(err) == nil {
			t.Fatal(err)
		}
		return fault.ReasonOf(err)
	}
	done := make(map[string]int)
	for step := range 500 {
		e.advance(time.Duration(1+r.IntN(30)) * time.Hour)
		source := sources[r.IntN(len(sources))]
		var got, want, what string
		switch r.IntN(12) {
		case 0, 1, 2, 3:
			a, b := any(), any()
			options := profile.MergeOptions{Policy: profile.MergePolicy(r.IntN(2)), Trust: []string{"web"}}
			_, until, _, err := e.Merge(t.Context(), a, b, options)
			if err == nil && !until.Equal(e.now.Add(undoPeriod)) {
				t.Fatalf("the merge can be undone until %v", until)
			}
			what, got, want = "merge", reason(err), n.merge(a, b, e.now, options)
		case 4, 5, 6:
			uid := any()
			if len(n.merges) > 0 && r.IntN(3) > 0 {
				uid = n.merges[len(n.merges)-1-r.IntN(min(len(n.merges), 3))].from
			}
			_, _, _, err := e.Unmerge(t.Context(), uid)
			what, got, want = "unmerge", reason(err), n.unmerge(uid, e.now)
		case 7, 8, 9:
			uid := any()
			seed := r.Uint64()
			made, _, err := e.Update(t.Context(), uid, "", func(p *profile.Profile) error {
				change(rand.New(rand.NewPCG(seed, 1)), p) // the same again, should it be asked again
				return nil
			}, profile.From(source))
			what, got = "update", reason(err)
			if now, ok := n.person(uid); !ok {
				want = profile.ReasonProfileNotFound
			} else if p := made.Clone(); p.UpdateTime.Equal(e.now) {
				p.UID = now
				n.put(p, e.now, source)
			}
		case 10:
			uid := any()
			now, ok := n.person(uid)
			p := &profile.Profile{UID: uid, Occupation: "upserted", Identifiers: []profile.Identifier{external("web", int(uid[4]))}}
			result, _, err := e.Upsert(t.Context(), []profile.Row{{Profile: p.Clone(), Source: source}})
			what, got = "upsert", reason(err)
			if !ok {
				want = profile.ReasonProfileExists
			} else if held := slices.IndexFunc(p.ExternalIDs(), func(id profile.ExternalID) bool {
				for holder, q := range n.people {
					if holder != now && slices.Contains(q.Profile.ExternalIDs(), id) {
						return true
					}
				}
				return false
			}); held >= 0 {
				want = profile.ReasonExternalIDTaken
			} else if p.UID = now; result[0].Outcome != profile.Unchanged {
				p.CreateTime = n.people[now].Profile.CreateTime
				n.put(p, e.now, source)
			}
		case 11:
			if r.IntN(8) > 0 {
				continue
			}
			uid := any()
			_, err := e.Delete(t.Context(), uid, "")
			what, got = "delete", reason(err)
			if now, ok := n.person(uid); ok {
				delete(n.people, now)
			} else {
				want = profile.ReasonProfileNotFound
			}
		}
		if got != want {
			t.Fatalf("step %d: %s gave %q, the naive store %q", step, what, got, want)
		}
		if got == "" {
			done[what]++
		} else {
			done[got]++
		}
		if step%20 != 0 && step != 499 {
			continue
		}
		_, err := e.PurgeMerges(t.Context())
		must(t, err)
		list, err := e.List(t.Context(), audience.UID{}, 100)
		must(t, err)
		if len(list) != len(n.people) {
			t.Fatalf("step %d: %d profiles are stored, the naive store has %d", step, len(list), len(n.people))
		}
		for i := range people {
			got, err := e.Get(t.Context(), uid(i))
			now, ok := n.person(uid(i))
			if (err == nil) != ok {
				t.Fatalf("step %d: profile %d: %v, the naive store says %v", step, i, err, ok)
			}
			if !ok {
				continue
			}
			want := n.people[now].Profile.Clone()
			want.UID, want.Revision = now, got.Revision
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("step %d: profile %d is\n%+v, the naive store has\n%+v", step, i, got, want)
			}
		}
		e.folded(t, list)
	}
	for _, what := range []string{"merge", "unmerge", "update", "upsert", profile.ReasonAlreadyMerged, profile.ReasonMergeBuiltUpon, profile.ReasonMergeNotFound} {
		if done[what] < 5 {
			t.Errorf("%s happened %d times: too seldom to say anything (%v)", what, done[what], done)
		}
	}
}

// folded holds what a watcher makes of all changes against what is stored.
func (e *env) folded(t *testing.T, list []*profile.Profile) {
	t.Helper()
	folded := make(map[audience.UID]*profile.Profile)
	for _, c := range e.changesAfter(t, 0, 7, 1<<20) {
		if c.Deleted != nil {
			delete(folded, *c.Deleted)
		} else if c.Profile != nil {
			folded[c.Profile.UID] = c.Profile
		}
	}
	if len(folded) != len(list) {
		t.Fatalf("a watcher has %d profiles, %d are stored", len(folded), len(list))
	}
	for _, p := range list {
		if !reflect.DeepEqual(folded[p.UID], p) {
			t.Fatalf("a watcher has\n%+v, stored is\n%+v", folded[p.UID], p)
		}
	}
}

func concurrentMerges(t *testing.T, e *env) { ConcurrentMerges(t, e.Store) }

// ConcurrentMerges merges, unmerges and changes the same few people through all of the stores, which are one, at the same time. Each person's
// own external id must be with the profile that the person's uid leads to at every moment, and in the end, when all merges are taken back,
// with the person, as must be just the events that were recorded by the person's uid.
func ConcurrentMerges(t *testing.T, stores ...profile.Store) {
	const people, writers, writes = 10, 6, 60
	e := &env{Store: stores[0]}
	for n := range people {
		p := person(n)
		p.UID = uid(n)
		e.create(t, p)
	}
	check := func(n int) {
		p, err := stores[n%len(stores)].Get(t.Context(), uid(n))
		if err != nil {
			t.Errorf("person %d: %v", n, err)
		} else if !slices.Contains(p.Identifiers, external("crm", n)) {
			t.Errorf("person %d lost its external id", n)
		}
	}
	expected := []string{"", profile.ReasonAlreadyMerged, profile.ReasonMergeNotFound, profile.ReasonMergeBuiltUpon}
	var mu sync.Mutex
	done := make(map[string]int)
	recorded := make(map[audience.UID]int)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 5))
			s := stores[w%len(stores)]
			for n := range writes {
				a, b := uid(r.IntN(people)), uid(r.IntN(people))
				var err error
				what := "update"
				switch r.IntN(6) {
				case 0, 1:
					what = "merge"
					_, _, _, err = s.Merge(t.Context(), a, b, profile.MergeOptions{})
				case 2, 3:
					what = "unmerge"
					_, _, _, err = s.Unmerge(t.Context(), a)
				case 4:
					what = "record"
					_, _, err = s.Record(t.Context(), eventRows(visit(fmt.Sprint("event-", w, "-", n), a, 0)))
				default:
					_, _, err = s.Update(t.Context(), a, "", func(p *profile.Profile) error { p.Occupation = fmt.Sprint(r.IntN(100)); return nil })
				}
				if !slices.Contains(expected, fault.ReasonOf(err)) || err != nil && fault.As(err) == nil {
					t.Errorf("%s: %v", what, err)
				}
				if err == nil {
					mu.Lock()
					done[what]++
					if what == "record" {
						recorded[a]++
					}
					mu.Unlock()
				}
				check(r.IntN(people))
			}
		})
	}
	wg.Wait()
	if done["merge"] < 5 || done["unmerge"] < 5 || done["update"] < 5 || done["record"] < 5 {
		t.Errorf("%v were done: too few to say anything", done)
	}
	list, err := e.List(t.Context(), audience.UID{}, 100)
	must(t, err)
	e.folded(t, list)
	// Take back whatever can be, until everybody is there.
	for round := 0; len(list) < people && round < people; round++ {
		for n := range people {
			if _, _, _, err := e.Unmerge(t.Context(), uid(n)); err != nil && !slices.Contains(expected, fault.ReasonOf(err)) {
				t.Fatal(err)
			}
		}
		list, err = e.List(t.Context(), audience.UID{}, 100)
		must(t, err)
	}
	for n := range people {
		if p := e.get(t, uid(n)); p.UID != uid(n) || !reflect.DeepEqual(p.Identifiers, []profile.Identifier{external("crm", n)}) {
			t.Errorf("person %d came back as %+v", n, p)
		}
		events, err := e.Events(t.Context(), uid(n), nil, 1000)
		must(t, err)
		if len(events) != recorded[uid(n)] {
			t.Errorf("person %d has %d events, of which %d were recorded", n, len(events), recorded[uid(n)])
		}
	}
	list, err = e.List(t.Context(), audience.UID{}, 100)
	must(t, err)
	e.folded(t, list)
}
