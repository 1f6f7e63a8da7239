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
	"github.com/narrowcast/narrowcast/services/profile/behaviour"
)

// Settings are those with which Open opens stores: east of Greenwich, where days begin before those of UTC.
var Settings = behaviour.Settings{Currency: "EUR", Location: time.FixedZone("east", 2*60*60)}

// purchase makes a purchase of a person, some time before the clock of a new env.
func purchase(id string, of audience.UID, before time.Duration, cents int64) *profile.Event {
	return &profile.Event{
		ID: id, UID: of, Kind: profile.EventPurchase, Time: begin.Add(-before), Amount: &profile.Money{Currency: "EUR", Amount: cents},
		Brand: "b" + id[len(id)-1:], Channel: "web",
	}
}

func visit(id string, of audience.UID, before time.Duration) *profile.Event {
	return &profile.Event{ID: id, UID: of, Kind: profile.EventVisit, Time: begin.Add(-before)}
}

func eventRows(events ...*profile.Event) []profile.EventRow {
	rows := make([]profile.EventRow, len(events))
	for i, e := range events {
		rows[i].Event = e.Clone()
	}
	return rows
}

const day = 24 * time.Hour

// record records events that are all new.
func (e *env) record(t testing.TB, events ...*profile.Event) profile.Position {
	t.Helper()
	got, at, err := e.Record(t.Context(), eventRows(events...))
	must(t, err)
	for i, r := range got {
		if r != (profile.Recorded{UID: events[i].UID}) {
			t.Fatalf("event %d became %+v", i, r)
		}
	}
	return at
}

// has compares a profile's traits and lifecycle, and the list of its events, with what follows from these events.
func (e *env) has(t testing.TB, uid audience.UID, declared string, events ...*profile.Event) *profile.Profile {
	t.Helper()
	want := &profile.Profile{Lifecycle: declared}
	list := make([]profile.Event, len(events))
	for i := range events {
		list[i] = *events[i]
	}
	behaviour.Apply(want, list, Settings.Day(e.clock()), Settings)
	got, err := e.Get(t.Context(), uid)
	must(t, err)
	if !reflect.DeepEqual(got.Traits, want.Traits) || got.Lifecycle != want.Lifecycle {
		t.Errorf("after %d events: lifecycle %q and traits %+v, want %q and %+v", len(events), got.Lifecycle, got.Traits, want.Lifecycle, want.Traits)
	}
	stored, err := e.Events(t.Context(), uid, nil, len(events)+1)
	must(t, err)
	if len(stored) != len(events) {
		t.Fatalf("%d events are stored, want %d", len(stored), len(events))
	}
	for _, s := range stored {
		at := slices.IndexFunc(events, func(want *profile.Event) bool { return want.ID == s.ID })
		if at < 0 {
			t.Fatalf("the event %s was not recorded", s.ID)
		}
		want := events[at].Clone()
		if want.UID, want.CreateTime = uid, s.CreateTime; !reflect.DeepEqual(s, want) || s.CreateTime.IsZero() {
			t.Errorf("stored %+v, want %+v", s, want)
		}
	}
	return got
}

func recording(t *testing.T, e *env) {
	a, b := e.create(t, person(1)).UID, e.create(t, person(2)).UID
	one, two, three := purchase("e1", a, 3*day, 500), visit("e2", a, day), purchase("e3", b, 400*day, 700)
	at := e.record(t, one, two, three)
	if at.Revision != 4 {
		t.Errorf("three events of two people made the head %d, want a revision for each", at.Revision)
	}
	if p := e.has(t, a, "", one, two); p.Lifecycle != "customer" || p.Traits.Purchases.Sum90 != 500 || p.Revision > at.Revision {
		t.Errorf("who bought last week is %q with %+v", p.Lifecycle, p.Traits)
	}
	if p := e.has(t, b, "", three); p.Lifecycle != "lapsed" {
		t.Errorf("who bought last year is %q", p.Lifecycle)
	}
	// The same id again is the same event: in a batch, later, of somebody else, with other words.
	other := purchase("e1", b, day, 900)
	four := purchase("e4", b, 5*day, 100)
	got, at, err := e.Record(t.Context(), eventRows(other, four, four, visit("e4", a, 0)))
	must(t, err)
	want := []profile.Recorded{{UID: a, Duplicate: true}, {UID: b}, {UID: b, Duplicate: true}, {UID: b, Duplicate: true}}
	if !slices.Equal(got, want) || at.Revision != 5 {
		t.Errorf("recorded %+v at %d, want %+v", got, at.Revision, want)
	}
	e.has(t, a, "", one, two)
	e.has(t, b, "", three, four) // out of order
	if _, at, err = e.Record(t.Context(), eventRows(one, two)); err != nil || at.Revision != 5 {
		t.Errorf("only duplicates moved the head to %d (%v)", at.Revision, err)
	}
	// Another currency counts and adds no amount.
	five := purchase("e5", b, 4*day, 100)
	five.Amount.Currency = "USD"
	e.record(t, five)
	if p := e.has(t, b, "", three, four, five); p.Traits.Purchases.Count != 3 || p.Traits.Purchases.Sum != 800 {
		t.Errorf("with dollars: %+v", p.Traits.Purchases)
	}
}

func recordingWhole(t *testing.T, e *env) {
	a := e.create(t, having(external("crm", 1), email("shared@example.com"), email("own@example.com"))).UID
	e.create(t, having(email("shared@example.com")))
	head := e.head(t).Revision
	whose := func(id string, who profile.Identifier) profile.EventRow {
		return profile.EventRow{Event: visit(id, audience.UID{}, 0), Whose: who}
	}
	ok := eventRows(visit("ok", a, 0))[0]
	for name, c := range map[string]struct {
		row    profile.EventRow
		kind   fault.Kind
		reason string
	}{
		"unknown profile":     {eventRows(visit("x", uid(5), 0))[0], fault.NotFound, profile.ReasonProfileNotFound},
		"unknown external id": {whose("x", external("crm", 9)), fault.NotFound, profile.ReasonProfileNotFound},
		"unknown address":     {whose("x", email("nobody@example.com")), fault.NotFound, profile.ReasonProfileNotFound},
		"address of two":      {whose("x", email("shared@example.com")), fault.Precondition, profile.ReasonNotOneProfile},
	} {
		_, _, err := e.Record(t.Context(), []profile.EventRow{ok, c.row})
		wantFault(t, err, c.kind, c.reason)
		if f := fault.As(err); len(f.Violations) != 1 || f.Violations[0].Field != "events[1]" {
			t.Errorf("%s: the fault does not say where: %+v", name, f)
		}
	}
	e.has(t, a, "")
	if got := e.head(t).Revision; got != head {
		t.Errorf("refused events moved the head from %d to %d", head, got)
	}
	got, _, err := e.Record(t.Context(), []profile.EventRow{whose("v1", external("crm", 1)), whose("v2", email("own@example.com"))})
	must(t, err)
	if got[0].UID != a || got[1].UID != a {
		t.Errorf("identifiers led to %+v, want %x", got, a)
	}
	e.has(t, a, "", visit("v1", a, 0), visit("v2", a, 0))
	// A duplicate needs nobody.
	again, _, err := e.Record(t.Context(), []profile.EventRow{whose("v1", email("nobody@example.com"))})
	must(t, err)
	if again[0] != (profile.Recorded{UID: a, Duplicate: true}) {
		t.Errorf("a duplicate of nobody became %+v", again)
	}
}

func importingEvents(t *testing.T, e *env) {
	a := e.create(t, person(1)).UID
	_, _, _, err := e.Import(t.Context(), "i", 0, []profile.Row{{}, {}})
	must(t, err)
	p, _, err := e.EventImportProgress(t.Context(), "i")
	must(t, err)
	if p != (profile.EventProgress{}) {
		t.Errorf("an import of profiles is one of events, too: %+v", p)
	}
	whose := func(id string, n int) profile.EventRow {
		return profile.EventRow{Event: visit(id, audience.UID{}, 0), Whose: external("crm", n)}
	}
	rows := []profile.EventRow{whose("v1", 1), whose("v1", 2), {}, whose("v2", 2), whose("v3", 2), eventRows(visit("v4", uid(9), 0))[0]}
	got, p, at, err := e.ImportEvents(t.Context(), "i", 0, slices.Clone(rows), false)
	must(t, err)
	if p != (profile.EventProgress{Through: 6, Recorded: 1, Duplicates: 1, Rejected: 4}) || at.Revision != 2 {
		t.Errorf("the first unit came to %+v at %d", p, at.Revision)
	}
	if got[0].UID != a || !got[1].Duplicate || got[2] != (profile.Recorded{}) {
		t.Errorf("rows became %+v", got)
	}
	wantFault(t, got[3].Err, fault.NotFound, profile.ReasonProfileNotFound)
	wantFault(t, got[5].Err, fault.NotFound, profile.ReasonProfileNotFound)
	_, _, _, err = e.ImportEvents(t.Context(), "i", 5, rows, false)
	wantFault(t, err, fault.Conflict, profile.ReasonImportProtocol)
	// Who is not known is made, once.
	got, p, at, err = e.ImportEvents(t.Context(), "i", 6, slices.Clone(rows[3:]), true)
	must(t, err)
	if p != (profile.EventProgress{Through: 9, Recorded: 3, Duplicates: 1, Rejected: 5}) || at.Revision != 4 || got[0].UID != got[1].UID || got[0].UID == a {
		t.Errorf("the second unit came to %+v at %d: %+v", p, at.Revision, got)
	}
	e.resolve(t, "made", []profile.Identifier{external("crm", 2)}, []audience.UID{got[0].UID})
	e.has(t, got[0].UID, "", visit("v2", a, 0), visit("v3", a, 0))
	stored, _, err := e.EventImportProgress(t.Context(), "i")
	must(t, err)
	if stored != p {
		t.Errorf("the import has come to %+v, want %+v", stored, p)
	}
	_, _, _, err = e.Import(t.Context(), "i", 2, []profile.Row{{}})
	must(t, err)
}

func deletingEvents(t *testing.T, e *env) {
	a, b := e.create(t, &profile.Profile{Lifecycle: "prospect"}).UID, e.create(t, person(2)).UID
	one, two := purchase("e1", a, 3*day, 500), visit("e2", a, day)
	e.record(t, one, two)
	for _, c := range []struct {
		uid audience.UID
		id  string
	}{{a, "e9"}, {b, "e1"}, {uid(7), "e1"}} {
		_, err := e.DeleteEvent(t.Context(), c.uid, c.id)
		wantFault(t, err, fault.NotFound, profile.ReasonEventNotFound)
	}
	at, err := e.DeleteEvent(t.Context(), a, "e1")
	must(t, err)
	if p := e.has(t, a, "prospect", two); p.Lifecycle != "prospect" || p.Revision != at.Revision {
		t.Errorf("without its purchase the profile is %q at %d, the deletion at %d", p.Lifecycle, p.Revision, at.Revision)
	}
	_, err = e.DeleteEvent(t.Context(), a, "e1")
	wantFault(t, err, fault.NotFound, profile.ReasonEventNotFound)
	_, err = e.DeleteEvent(t.Context(), a, "e2")
	must(t, err)
	if p := e.has(t, a, "prospect"); p.Traits != nil {
		t.Errorf("without events there are the traits %+v", p.Traits)
	}
	// Its id is free, and so are those of somebody who is deleted.
	again := purchase("e1", b, day, 100)
	e.record(t, again, two)
	e.has(t, b, "", again)
	_, err = e.Delete(t.Context(), b, "")
	must(t, err)
	if _, err := e.Events(t.Context(), b, nil, 10); err == nil {
		t.Error("a deleted profile has a list of events")
	}
	_, _, err = e.Record(t.Context(), eventRows(visit("e5", b, 0)))
	wantFault(t, err, fault.NotFound, profile.ReasonProfileNotFound)
	e.record(t, one)
	e.has(t, a, "prospect", one, two)
}

func listingEvents(t *testing.T, e *env) {
	a, b := e.create(t, person(1)).UID, e.create(t, person(2)).UID
	r := rand.New(rand.NewPCG(3, 3))
	var events []*profile.Event
	for i := range 137 {
		events = append(events, visit(fmt.Sprint("e", i), a, time.Duration(r.IntN(20))*time.Hour-10*time.Hour)) // many at one time
	}
	e.record(t, events...)
	e.record(t, visit("of-b", b, 0))
	all, err := e.Events(t.Context(), a, nil, 1000)
	must(t, err)
	if len(all) != len(events) || !slices.IsSortedFunc(all, func(x, y *profile.Event) int { return y.Time.Compare(x.Time) }) {
		t.Errorf("%d events are listed, or not by time", len(all))
	}
	for _, size := range []int{1, 7, 50} {
		var pages []*profile.Event
		var place *profile.EventPlace
		for {
			page, err := e.Events(t.Context(), a, place, size)
			must(t, err)
			if len(page) == 0 {
				break
			}
			pages = append(pages, page...)
			last := page[len(page)-1]
			place = &profile.EventPlace{Time: last.Time, ID: last.ID}
		}
		if !reflect.DeepEqual(pages, all) {
			t.Errorf("pages of %d hold %d events, or in another order", size, len(pages))
		}
	}
	_, err = e.Events(t.Context(), uid(4), nil, 1)
	wantFault(t, err, fault.NotFound, profile.ReasonProfileNotFound)
}

// computed holds writers to what they may not write.
func computed(t *testing.T, e *env) {
	junk := func() *profile.Profile {
		p := person(1)
		p.Lifecycle, p.Traits = "prospect", &profile.Traits{Visits: profile.Activity{Count: 99}}
		return p
	}
	a := e.create(t, junk()).UID
	e.has(t, a, "prospect")
	one := purchase("e1", a, 3*day, 500)
	e.record(t, one)
	head := e.head(t).Revision
	got, at, err := e.Upsert(t.Context(), []profile.Row{{Profile: junk()}, {Profile: junk()}})
	must(t, err)
	if got[0].Outcome != profile.Unchanged || got[1].Outcome != profile.Unchanged || at.Revision != head {
		t.Errorf("the same without traits became %+v at %d, want %d", got, at.Revision, head)
	}
	_, p, _, err := e.Import(t.Context(), "i", 0, []profile.Row{{Profile: junk()}})
	must(t, err)
	if p.Unchanged != 1 {
		t.Errorf("imported the same: %+v", p)
	}
	if _, at, err = e.Update(t.Context(), a, "", func(p *profile.Profile) error { p.Traits, p.Lifecycle = nil, "prospect"; return nil }); err != nil || at.Revision != head {
		t.Errorf("an update that takes traits away moved the head to %d (%v)", at.Revision, err)
	}
	e.has(t, a, "prospect", one)
	other := junk()
	other.Occupation, other.Lifecycle = "other", "lapsed"
	_, _, err = e.Upsert(t.Context(), []profile.Row{{Profile: other}})
	must(t, err)
	if p := e.has(t, a, "lapsed", one); p.Occupation != "other" || p.Lifecycle != "customer" {
		t.Errorf("the update made %+v", p)
	}
	_, err = e.DeleteEvent(t.Context(), a, "e1")
	must(t, err)
	if p := e.has(t, a, "lapsed"); p.Lifecycle != "lapsed" {
		t.Errorf("what a writer said last is %q", p.Lifecycle)
	}
}

// coming turns the clock: what has not happened yet counts from its day on, and only what differs makes revisions.
func coming(t *testing.T, e *env) {
	a := e.create(t, person(1)).UID
	quiet := e.create(t, person(2)).UID
	soon := visit("soon", a, -3*day)
	at := e.record(t, soon, purchase("old", quiet, 3000*day, 1))
	if at.Revision != 3 {
		t.Errorf("an event to come made the head %d, want 3", at.Revision)
	}
	if p := e.has(t, a, "", soon); p.Traits != nil {
		t.Errorf("before it happens: %+v", p.Traits)
	}
	for range 2 {
		e.advance(day)
		e.recompute(t, 0)
	}
	e.advance(day - 14*time.Hour - time.Minute) // 21:59 UTC: a minute before that day begins in the east
	e.recompute(t, 0)
	e.advance(time.Minute)
	e.recompute(t, 1)
	if p := e.has(t, a, "", soon); p.Revision != 4 || p.Lifecycle != "prospect" || p.Traits.Visits.Count30 != 1 {
		t.Errorf("on its day: revision %d, %q, %+v", p.Revision, p.Lifecycle, p.Traits)
	}
	e.advance(29 * day)
	e.recompute(t, 0)
	e.has(t, a, "", soon)
	e.advance(day)
	e.recompute(t, 1)
	if p := e.has(t, a, "", soon); p.Traits.Visits.Count30 != 0 || p.Traits.Visits.Count90 != 1 {
		t.Errorf("after thirty days: %+v", p.Traits)
	}
}

// recompute does what is due, and checks how many people that were.
func (e *env) recompute(t testing.TB, want int64) {
	t.Helper()
	if n, err := e.CountDue(t.Context()); err != nil || n != want {
		t.Fatalf("%d profiles are due (%v), want %d", n, err, want)
	}
	var total int64
	for {
		n, err := e.Recompute(t.Context(), 3)
		must(t, err)
		if n == 0 {
			break
		}
		total += int64(n)
	}
	if total != want {
		t.Errorf("%d profiles were computed anew, want %d", total, want)
	}
	if n, err := e.CountDue(t.Context()); err != nil || n != 0 {
		t.Errorf("%d profiles are still due (%v)", n, err)
	}
}

// days plays events day by day, each day's recomputation done, and holds the traits of each week to those of all events at once.
func days(t *testing.T, e *env) {
	r := rand.New(rand.NewPCG(9, 9))
	const people, length = 20, 430
	var uids []audience.UID
	for n := range people {
		uids = append(uids, e.create(t, person(n)).UID)
	}
	known := make(map[audience.UID][]*profile.Event)
	for d := range length {
		var events []*profile.Event
		for i := range r.IntN(4) {
			uid := uids[r.IntN(people)]
			ev := purchase(fmt.Sprintf("d%d-%d", d, i), uid, -time.Duration(d)*day+time.Duration(r.IntN(72)-30)*time.Hour, r.Int64N(9000))
			if r.IntN(3) == 0 {
				ev = visit(ev.ID, uid, begin.Sub(ev.Time))
			}
			events = append(events, ev)
			known[uid] = append(known[uid], ev)
		}
		e.record(t, events...)
		e.advance(day)
		for {
			n, err := e.Recompute(t.Context(), 7)
			must(t, err)
			if n == 0 {
				break
			}
		}
		if d%50 == 0 || d == length-1 {
			for _, uid := range uids {
				e.has(t, uid, "", known[uid]...)
			}
		}
	}
}

// together records events of the same people with many writers, some twice.
func together(t *testing.T, e *env) {
	const writers, writes = 8, 40
	var uids []audience.UID
	for n := range 3 {
		uids = append(uids, e.create(t, person(n)).UID)
	}
	var mu sync.Mutex
	known := make(map[audience.UID]map[string]*profile.Event)
	for _, uid := range uids {
		known[uid] = make(map[string]*profile.Event)
	}
	var fresh, duplicates int
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range writes {
				ev := purchase(fmt.Sprintf("e%d-%d", w/2, n), uids[n%3], time.Duration(n-4)*day, int64(n)) // two writers each say the same
				got, _, err := e.Record(t.Context(), eventRows(ev))
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				mu.Lock()
				if known[ev.UID][ev.ID] = ev; got[0].Duplicate {
					duplicates++
				} else {
					fresh++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if fresh != writers*writes/2 || duplicates != fresh {
		t.Errorf("%d were new and %d duplicates, want %d each", fresh, duplicates, writers*writes/2)
	}
	for _, uid := range uids {
		var events []*profile.Event
		for _, ev := range known[uid] {
			events = append(events, ev)
		}
		e.has(t, uid, "", events...)
	}
}
