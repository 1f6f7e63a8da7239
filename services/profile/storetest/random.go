package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/behaviour"
)

func concurrent(t *testing.T, e *env) {
	const writers, writes = 8, 60
	shared := e.create(t, person(0))
	var mu sync.Mutex
	seen := map[int64]bool{shared.Revision: true}
	refused := 0
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range writes {
				var p *profile.Profile
				var at profile.Position
				var err error
				switch n % 3 {
				case 0: // only one of the writers can have this external id
					p, at, err = e.Create(t.Context(), person(1+n), "")
				case 1:
					p, at, err = e.Create(t.Context(), person(1000+w*writes+n), "")
				case 2:
					p, at, err = e.Update(t.Context(), shared.UID, "", func(p *profile.Profile) error { p.Occupation = fmt.Sprint(w, n); return nil })
				}
				mu.Lock()
				switch {
				case err != nil && fault.ReasonOf(err) == profile.ReasonExternalIDTaken && n%3 == 0:
					refused++
				case err != nil:
					t.Errorf("writer %d: %v", w, err)
				case seen[p.Revision] || p.Revision > at.Revision:
					t.Errorf("revision %d at %d was given twice, or its position does not include it", p.Revision, at.Revision)
				default:
					seen[p.Revision] = true
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if want := (writers - 1) * writes / 3; refused != want {
		t.Errorf("%d writes were refused, want %d", refused, want)
	}
	if head := e.head(t).Revision; head != int64(len(seen)) {
		t.Errorf("%d writes succeeded and the head is %d", len(seen), head)
	}
}

// following writes with several writers and reads changes meanwhile. Each writer notes what was committed; whenever the reader
// has come to a head, it must know of every write noted up to there.
func following(t *testing.T, e *env) {
	const writers, writes = 6, 150
	type note struct {
		uid      audience.UID
		revision int64
	}
	var mu sync.Mutex
	var notes []note
	var uids []audience.UID
	for n := range 40 {
		uids = append(uids, e.create(t, person(n)).UID)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 7))
			for n := range writes {
				uid := uids[r.IntN(len(uids))]
				p, _, err := e.Update(ctx, uid, "", func(p *profile.Profile) error { p.Occupation = fmt.Sprint(w, "-", n); return nil })
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				mu.Lock()
				notes = append(notes, note{uid, p.Revision})
				mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	known := make(map[audience.UID]int64)
	var after int64
	heads, finished := 0, false
	r := rand.New(rand.NewPCG(1, 1))
	for last := false; !last; {
		last = finished
		changed := e.Changed()
		page, err := e.Changes(ctx, after, profile.PageOptions{Limit: 1 + r.IntN(30), Bytes: 1 << 20})
		must(t, err)
		ascending(t, page.Changes, after)
		for _, c := range page.Changes {
			if c.Profile.Revision != c.Revision || c.Revision <= known[c.Profile.UID] {
				t.Fatalf("change %d holds revision %d after %d was known", c.Revision, c.Profile.Revision, known[c.Profile.UID])
			}
			known[c.Profile.UID], after = c.Revision, c.Revision
		}
		if page.More {
			last = false
			continue
		}
		after = page.Head.Revision
		heads++
		mu.Lock()
		for _, n := range notes {
			if n.revision <= after && known[n.uid] < n.revision {
				t.Fatalf("at %d the write of revision %d is not known, only %d", after, n.revision, known[n.uid])
			}
		}
		mu.Unlock()
		if !last && !finished {
			select {
			case <-changed:
			case <-done:
				finished = true // and read once more
			}
		}
	}
	if heads < 2 || after != int64(40+writers*writes) {
		t.Errorf("the reader came to %d heads, the last %d", heads, after)
	}
}

// naive is a store as simple as can be: a list of people.
type naive struct {
	people map[audience.UID]*profile.Profile
	dead   map[audience.UID]bool
	events map[string]*profile.Event
}

func (n *naive) holder(id profile.ExternalID) (audience.UID, bool) {
	for uid, p := range n.people {
		if slices.Contains(p.ExternalIDs(), id) {
			return uid, true
		}
	}
	return audience.UID{}, false
}

// upsert judges a row by the contract's words; false: refused.
func (n *naive) upsert(p *profile.Profile) (audience.UID, bool) {
	target, known := p.UID, p.UID != audience.UID{}
	for _, id := range p.ExternalIDs() {
		if !known {
			target, known = n.holder(id)
		}
	}
	for _, id := range p.ExternalIDs() {
		if holder, held := n.holder(id); held && (!known || holder != target) {
			return target, false
		}
	}
	return target, !n.dead[target]
}

// resolve asks for every identifier there may be.
func (n *naive) resolve(t *testing.T, e *env) {
	t.Helper()
	var ids []profile.Identifier
	for i := range 25 {
		ids = append(ids, external("s", i))
	}
	for i := range 24 {
		ids = append(ids, email(fmt.Sprintf("%c%d@example.com", 'a'+i/12, i%12)))
	}
	want := make([][]audience.UID, len(ids))
	for i, id := range ids {
		for uid, p := range n.people {
			if slices.Contains(p.Identifiers, id) {
				want[i] = append(want[i], uid)
			}
		}
		slices.SortFunc(want[i], func(a, b audience.UID) int { return bytes.Compare(a[:], b[:]) })
	}
	e.resolve(t, "after random operations", ids, want...)
}

// record imports events of people by uid and by external id, some of whom are not there.
func (n *naive) record(t *testing.T, e *env, r *rand.Rand) {
	t.Helper()
	rows := make([]profile.EventRow, 1+r.IntN(8))
	asked := make([]profile.EventRow, len(rows))
	for i := range rows {
		ev := purchase(fmt.Sprint("e", r.IntN(200)), audience.UID{}, begin.Sub(e.clock())+time.Duration(r.IntN(400)-20)*day, r.Int64N(100))
		var who profile.Identifier
		if r.IntN(2) == 0 {
			ev.UID = uid(r.IntN(30))
		} else {
			who = external("s", r.IntN(25))
		}
		rows[i] = profile.EventRow{Event: ev, Whose: who}
		asked[i] = profile.EventRow{Event: ev.Clone(), Whose: who}
	}
	progress, _, err := e.EventImportProgress(t.Context(), "random")
	must(t, err)
	create := r.IntN(2) == 0
	got, _, _, err := e.ImportEvents(t.Context(), "random", progress.Through, rows, create)
	must(t, err)
	for i, row := range asked {
		var want profile.Recorded
		if old := n.events[row.Event.ID]; old != nil {
			want = profile.Recorded{UID: old.UID, Duplicate: true}
		} else if holder, held := n.holder(profile.ExternalID{Source: row.Whose.Source, Value: row.Whose.Value}); held {
			want.UID = holder
		} else if n.people[row.Event.UID] != nil {
			want.UID = row.Event.UID
		} else if create && row.Whose.Kind != "" {
			want.UID = got[i].UID
			n.people[want.UID] = &profile.Profile{UID: want.UID, Identifiers: []profile.Identifier{row.Whose}}
		}
		if (want.UID == audience.UID{}) != (got[i].Err != nil) || got[i].UID != want.UID || got[i].Duplicate != want.Duplicate {
			t.Fatalf("event %+v became %+v, the naive store says %+v", row, got[i], want)
		}
		if want.UID != (audience.UID{}) && !want.Duplicate {
			row.Event.UID = want.UID
			n.events[row.Event.ID] = row.Event
		}
	}
}

func (n *naive) deleteEvent(t *testing.T, e *env, r *rand.Rand) {
	t.Helper()
	id, of := fmt.Sprint("e", r.IntN(200)), uid(r.IntN(30))
	if ev := n.events[id]; ev != nil && r.IntN(4) > 0 {
		of = ev.UID
	}
	_, err := e.DeleteEvent(t.Context(), of, id)
	if there := n.events[id] != nil && n.events[id].UID == of; there != (err == nil) {
		t.Fatalf("deleting the event %s: %v", id, err)
	} else if there {
		delete(n.events, id)
	}
}

// compute gives the naive people what follows from their events, and compares the events.
func (n *naive) compute(t *testing.T, e *env) {
	t.Helper()
	some := false
	for id, p := range n.people {
		var events []profile.Event
		for _, ev := range n.events {
			if ev.UID == id {
				events = append(events, *ev)
			}
		}
		behaviour.Apply(p, events, Settings.Day(e.clock()), Settings)
		some = some || p.Traits != nil
		stored, err := e.Events(t.Context(), id, nil, 1000)
		must(t, err)
		if len(stored) != len(events) {
			t.Errorf("%d events are stored, the naive store has %d", len(stored), len(events))
		}
	}
	if !some {
		t.Error("nobody has traits")
	}
}

func metamorphic(t *testing.T, e *env) {
	r := rand.New(rand.NewPCG(42, 1))
	n := &naive{people: make(map[audience.UID]*profile.Profile), dead: make(map[audience.UID]bool), events: make(map[string]*profile.Event)}
	random := func() *profile.Profile {
		p := &profile.Profile{Occupation: fmt.Sprint(r.IntN(3))}
		for range r.IntN(3) {
			if id := external("s", r.IntN(25)); !slices.Contains(p.Identifiers, id) {
				p.Identifiers = append(p.Identifiers, id)
			}
		}
		slices.SortFunc(p.Identifiers, func(a, b profile.Identifier) int { return slices.Compare([]byte(a.Value), []byte(b.Value)) })
		for n := range r.IntN(3) {
			p.Identifiers = append(p.Identifiers, email(fmt.Sprintf("%c%d@example.com", 'a'+n, r.IntN(12))))
		}
		if len(p.Identifiers) == 0 {
			p.Identifiers = nil
		}
		if r.IntN(3) == 0 {
			p.UID = uid(r.IntN(30))
		}
		return p
	}
	var through int64
	for range 600 {
		switch r.IntN(7) {
		case 0, 1:
			rows := make([]profile.Row, 1+r.IntN(6))
			for i := range rows {
				rows[i].Profile = random()
			}
			asked := make([]*profile.Profile, len(rows))
			for i := range rows {
				asked[i] = rows[i].Profile.Clone()
			}
			got, p, _, err := e.Import(t.Context(), "random", through, rows)
			must(t, err)
			through = p.Through
			for i, want := range asked {
				target, ok := n.upsert(want)
				if ok != (got[i].Err == nil) {
					t.Fatalf("row %+v became %+v, the naive store says %v", want, got[i], ok)
				}
				if !ok {
					continue
				}
				if target != (audience.UID{}) && target != got[i].UID {
					t.Fatalf("row %+v went to %x, want %x", want, got[i].UID, target)
				}
				want.UID = got[i].UID
				n.people[want.UID] = want
			}
		case 2:
			id := uid(r.IntN(30))
			_, err := e.Delete(t.Context(), id, "")
			if (err == nil) != (n.people[id] != nil) {
				t.Fatalf("deleting %x: %v", id, err)
			}
			if err == nil {
				delete(n.people, id)
				n.dead[id] = true
				maps.DeleteFunc(n.events, func(_ string, ev *profile.Event) bool { return ev.UID == id })
			}
		case 3:
			p := random()
			asked := p.Clone()
			_, exists := n.people[p.UID]
			target, free := n.upsert(&profile.Profile{UID: p.UID, Identifiers: p.Identifiers})
			made, _, err := e.Create(t.Context(), p, "")
			want := free && !exists && (target == asked.UID)
			if (err == nil) != want {
				t.Fatalf("creating %+v: %v, the naive store says %v", asked, err, want)
			}
			if err == nil {
				asked.UID = made.UID
				n.people[asked.UID] = asked
			}
		case 4:
			n.record(t, e, r)
		case 5:
			n.deleteEvent(t, e, r)
		case 6:
			e.advance(time.Duration(r.IntN(40)) * day)
			for {
				done, err := e.Recompute(t.Context(), 4)
				must(t, err)
				if done == 0 {
					break
				}
			}
		}
	}
	n.resolve(t, e)
	n.compute(t, e)
	list, err := e.List(t.Context(), audience.UID{}, 10_000)
	must(t, err)
	if len(list) != len(n.people) || len(list) == 0 {
		t.Fatalf("%d profiles are stored, the naive store has %d", len(list), len(n.people))
	}
	// What a watcher folds is the same, too.
	folded := make(map[audience.UID]*profile.Profile)
	for _, c := range e.changesAfter(t, 0, 50, 1<<20) {
		if c.Deleted != nil {
			delete(folded, *c.Deleted)
		} else {
			folded[c.Profile.UID] = c.Profile
		}
	}
	for _, p := range list {
		if !reflect.DeepEqual(folded[p.UID], p) {
			t.Errorf("a watcher has %+v, the store %+v", folded[p.UID], p)
		}
		p.Revision, p.CreateTime, p.UpdateTime = 0, n.people[p.UID].CreateTime, n.people[p.UID].UpdateTime
		if !reflect.DeepEqual(p, n.people[p.UID]) {
			t.Errorf("stored %+v, the naive store has %+v", p, n.people[p.UID])
		}
	}
	if len(folded) != len(list) {
		t.Errorf("a watcher has %d profiles, the store %d", len(folded), len(list))
	}
}

func cancelled(t *testing.T, e *env) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"create": func() error { _, _, err := e.Create(ctx, person(1), ""); return err },
		"get":    func() error { _, err := e.Get(ctx, uid(1)); return err },
		"head":   func() error { _, err := e.Head(ctx); return err },
		"import": func() error { _, _, _, err := e.Import(ctx, "i", 0, []profile.Row{{Profile: person(1)}}); return err },
		"watch":  func() error { _, err := e.Changes(ctx, 0, profile.PageOptions{Limit: 1, Bytes: 1}); return err },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want the context's error", name, err)
		}
	}
	if e.head(t).Revision != 0 {
		t.Error("a cancelled write was made")
	}
}

func closed(t *testing.T, e *env) {
	must(t, e.Close())
	must(t, e.Close())
	_, _, err := e.Create(t.Context(), person(1), "")
	wantFault(t, err, fault.Unavailable, profile.ReasonStoreUnavailable)
	_, err = e.Get(t.Context(), uid(1))
	wantFault(t, err, fault.Unavailable, profile.ReasonStoreUnavailable)
	wantFault(t, e.Ping(t.Context()), fault.Unavailable, profile.ReasonStoreUnavailable)
}
