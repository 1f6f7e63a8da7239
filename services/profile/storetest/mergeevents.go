package storetest

import (
	"reflect"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
)

// mergingEvents merges and parts people with events: what each did goes with them, and traits follow.
func mergingEvents(t *testing.T, e *env) {
	names := make([]audience.UID, 3)
	for n, declared := range []string{"", "prospect", ""} {
		p := person(n)
		p.UID, p.Lifecycle = uid(n), declared
		names[n] = e.create(t, p).UID
		e.advance(time.Minute)
	}
	a, b, c := names[0], names[1], names[2]
	one, two, three, four := purchase("e1", a, 400*day, 500), visit("e2", b, day), purchase("e3", b, 10*day, 700), visit("e4", c, 2*day)
	e.record(t, one, two, three, four)
	lapsed := e.has(t, a, "", one)
	before := e.head(t).Revision
	merged := e.merge(t, a, b)
	if got := e.has(t, a, "prospect", one, two, three); got.Lifecycle != "customer" || got.Revision != merged.Revision || !reflect.DeepEqual(got.Traits, merged.Traits) {
		t.Errorf("merged into %+v with %+v, returned was %+v", got, got.Traits, merged.Traits)
	} else if basket := got.Traits.Purchases.AverageBasket; basket == nil || *basket != 700 {
		t.Errorf("the purchases are %+v, want a basket of 700 in this year", got.Traits.Purchases)
	}
	if changes := e.changesAfter(t, before, 10, 1<<20); len(changes) != 2 || changes[0].Deleted == nil || changes[1].Profile == nil || changes[1].Profile.Traits == nil {
		t.Errorf("the changes are %+v", changes)
	}
	// Whatever is said of the former uid is said of the person.
	five, six := purchase("e5", b, 5*day, 300), purchase("e6", a, 4*day, 100)
	got, _, err := e.Record(t.Context(), eventRows(five, six))
	must(t, err)
	if got[0] != (profile.Recorded{UID: a}) || got[1] != (profile.Recorded{UID: a}) {
		t.Errorf("recorded %+v", got)
	}
	e.has(t, a, "prospect", one, two, three, five, six)
	listed, err := e.Events(t.Context(), b, nil, 10)
	must(t, err)
	if len(listed) != 5 || listed[0].UID != a {
		t.Errorf("the former uid has %d events", len(listed))
	}
	_, err = e.DeleteEvent(t.Context(), b, "e2")
	must(t, err)
	e.has(t, a, "prospect", one, three, five, six)
	// On into a third one, and back.
	e.merge(t, c, a)
	e.has(t, c, "prospect", one, three, four, five, six)
	seven, eight := visit("e7", b, day), visit("e8", c, day)
	_, _, err = e.Record(t.Context(), eventRows(seven, eight))
	must(t, err)
	imported, progress, _, err := e.ImportEvents(t.Context(), "i", 0, eventRows(seven, visit("e9", a, 3*day)), false)
	must(t, err)
	if imported[0] != (profile.Recorded{UID: c, Duplicate: true}) || imported[1] != (profile.Recorded{UID: c}) || progress.Recorded != 1 {
		t.Errorf("imported %+v", imported)
	}
	nine := visit("e9", a, 3*day)
	e.has(t, c, "prospect", one, three, four, five, six, seven, eight, nine)
	restored, remaining, _, err := e.Unmerge(t.Context(), a)
	must(t, err)
	if x, y := e.has(t, a, "prospect", one, three, five, six, seven, nine), e.has(t, c, "", four, eight); x.Revision != restored.Revision || y.Revision != remaining.Revision {
		t.Errorf("returned were %+v and %+v", restored, remaining)
	}
	_, _, _, err = e.Unmerge(t.Context(), b)
	must(t, err)
	back := e.has(t, a, "", one, six, nine)
	e.has(t, b, "prospect", three, five, seven)
	if back.CreateTime != lapsed.CreateTime {
		t.Error("the survivor has another time of creation")
	}
	// Days go on for both.
	e.advance(400 * day)
	for n := 1; n > 0; {
		n, err = e.Recompute(t.Context(), 100)
		must(t, err)
	}
	if x, y := e.has(t, a, "", one, six, nine), e.has(t, b, "prospect", three, five, seven); x.Lifecycle != "lapsed" || y.Lifecycle != "lapsed" {
		t.Errorf("after a year they are %q and %q", x.Lifecycle, y.Lifecycle)
	}
	// With the person go the events of all that were merged.
	e.merge(t, b, a)
	_, err = e.Delete(t.Context(), a, "")
	must(t, err)
	_, err = e.Events(t.Context(), b, nil, 10)
	wantFault(t, err, fault.NotFound, profile.ReasonProfileNotFound)
	_, _, err = e.Record(t.Context(), eventRows(visit("e1", a, 0)))
	wantFault(t, err, fault.NotFound, profile.ReasonProfileNotFound)
	again, _, err := e.Record(t.Context(), eventRows(visit("e1", c, 0), visit("e7", c, 0)))
	must(t, err)
	if again[0] != (profile.Recorded{UID: c}) || again[1] != (profile.Recorded{UID: c}) {
		t.Errorf("ids of events that went with their person are taken: %+v", again)
	}
}

// mergingAfterEvents has events move the time of update of one of two profiles: what it says was not said later for that.
func mergingAfterEvents(t *testing.T, e *env) {
	a, b := e.pair(t) // b later
	e.advance(time.Hour)
	e.record(t, visit("e1", a.UID, day))
	if got := e.get(t, a.UID); !got.UpdateTime.Equal(e.now) {
		t.Fatalf("an event left the time of update at %v", got.UpdateTime)
	}
	if got := e.merge(t, a.UID, b.UID); got.Occupation != "baker" {
		t.Errorf("the occupation is %q, want the one that was said last", got.Occupation)
	}
}
