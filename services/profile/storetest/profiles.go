package storetest

import (
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
)

func roundTrip(t *testing.T, e *env) {
	want := full()
	made, at, err := e.Create(t.Context(), full(), "")
	must(t, err)
	if made.UID == (audience.UID{}) || made.UID[6]>>4 != 7 {
		t.Errorf("the store gave the uid %x, want a UUIDv7", made.UID)
	}
	if made.Revision != 1 || at.Revision != 1 || len(at.Mark) == 0 {
		t.Errorf("the first change has revision %d and position %+v", made.Revision, at)
	}
	want.UID, want.Revision, want.CreateTime, want.UpdateTime = made.UID, 1, e.now, e.now
	if !reflect.DeepEqual(made, want) {
		t.Errorf("created\n%+v, want\n%+v", made, want)
	}
	got, err := e.Get(t.Context(), made.UID)
	must(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	blank := e.create(t, &profile.Profile{UID: uid(5)})
	got, err = e.Get(t.Context(), uid(5))
	must(t, err)
	if !reflect.DeepEqual(got, &profile.Profile{UID: uid(5), Revision: 2, CreateTime: e.now, UpdateTime: e.now}) || blank.UID != uid(5) {
		t.Errorf("a profile of which nothing is known came back as %+v", got)
	}
	_, err = e.Get(t.Context(), uid(6))
	wantFault(t, err, fault.NotFound, profile.ReasonProfileNotFound)
}

func taken(t *testing.T, e *env) {
	a := e.create(t, person(1))
	before := e.head(t)
	_, _, err := e.Create(t.Context(), &profile.Profile{UID: a.UID}, "")
	wantFault(t, err, fault.Exists, profile.ReasonProfileExists)
	two := person(2)
	two.Identifiers = append(two.Identifiers, external("crm", 1))
	_, _, err = e.Create(t.Context(), two, "")
	wantFault(t, err, fault.Exists, profile.ReasonExternalIDTaken)
	if after := e.head(t); after.Revision != before.Revision {
		t.Errorf("refused writes moved the head from %d to %d", before.Revision, after.Revision)
	}
	// Neither the case of letters nor the source is ignored, and what was refused took nothing.
	for _, id := range []profile.Identifier{
		{Kind: profile.KindExternalID, Source: "crm", Value: "ID-00001"}, {Kind: profile.KindExternalID, Source: "CRM", Value: "id-00001"}, external("crm", 2),
		{Kind: "email", Source: "crm", Value: "id-00001"},
	} {
		e.create(t, &profile.Profile{Identifiers: []profile.Identifier{id}})
	}
}

func requestIDs(t *testing.T, e *env) {
	first, _, err := e.Create(t.Context(), person(1), "r1")
	must(t, err)
	_, _, err = e.Update(t.Context(), first.UID, "", func(p *profile.Profile) error { p.Occupation = "changed"; return nil })
	must(t, err)
	e.advance(59 * time.Minute)
	before := e.head(t)
	again, at, err := e.Create(t.Context(), person(1), "r1")
	must(t, err)
	if !reflect.DeepEqual(again, first) {
		t.Errorf("the same request again returned %+v, want the first answer %+v", again, first)
	}
	if at.Revision < first.Revision || e.head(t).Revision != before.Revision {
		t.Errorf("the same request again made a change, or its position %d does not include it", at.Revision)
	}
	// At the same time: one of them creates, all return it.
	var wg sync.WaitGroup
	got := make([]*profile.Profile, 8)
	for i := range got {
		wg.Go(func() {
			p, _, err := e.Create(t.Context(), person(2), "r2")
			if err != nil {
				t.Errorf("one of several same requests: %v", err)
			}
			got[i] = p
		})
	}
	wg.Wait()
	for _, p := range got {
		if p != nil && got[0] != nil && p.UID != got[0].UID {
			t.Error("the same request at the same time created two profiles")
		}
	}
	_, _, err = e.Create(t.Context(), person(1), "r3")
	wantFault(t, err, fault.Exists, profile.ReasonExternalIDTaken)
	third, _, err := e.Create(t.Context(), person(3), "r3") // a request that failed was not answered
	must(t, err)
	if third.Occupation != "occupation 3" {
		t.Errorf("a request id whose first request failed returned %+v", third)
	}
}

func batchGet(t *testing.T, e *env) {
	var uids []audience.UID
	for n := range 300 { // more than any driver puts into one statement
		uids = append(uids, e.create(t, person(n)).UID)
	}
	ask := append([]audience.UID{uids[7], uid(1), uids[3], uids[7]}, uids...)
	got, err := e.BatchGet(t.Context(), ask)
	must(t, err)
	for i, p := range got {
		switch {
		case i == 1:
			if p != nil {
				t.Errorf("a profile that is not there is %+v", p)
			}
		case p == nil || p.UID != ask[i]:
			t.Fatalf("place %d holds %+v, want %x", i, p, ask[i])
		}
	}
	got[0].Identifiers[0].Value = "changed"
	if got[3].Identifiers[0].Value == "changed" {
		t.Error("a profile asked for twice comes as one that shares memory")
	}
}

func listing(t *testing.T, e *env) {
	for n := range 30 {
		e.create(t, &profile.Profile{UID: uid(2 * n)})
	}
	var got []audience.UID
	var after audience.UID
	for {
		page, err := e.List(t.Context(), after, 7)
		must(t, err)
		for _, p := range page {
			got = append(got, p.UID)
		}
		if len(page) < 7 {
			break
		}
		after = page[6].UID
		if len(got) == 14 {
			e.create(t, &profile.Profile{UID: uid(1)}) // behind the reader
			e.create(t, &profile.Profile{UID: uid(29)})
		}
	}
	if len(got) != 31 {
		t.Errorf("listed %d profiles, want the 30 and the one that came before the reader", len(got))
	}
	for i := 1; i < len(got); i++ {
		if string(got[i-1][:]) >= string(got[i][:]) {
			t.Fatalf("profile %d is not above the one before", i)
		}
	}
}

func updates(t *testing.T, e *env) {
	a, b := e.create(t, person(1)), e.create(t, person(2))
	e.advance(time.Minute)
	set := func(text string) func(*profile.Profile) error {
		return func(p *profile.Profile) error { p.Occupation = text; return nil }
	}
	got, at, err := e.Update(t.Context(), a.UID, profile.Etag(a.Revision), set("new"))
	must(t, err)
	if got.Occupation != "new" || got.Revision != 3 || at.Revision != 3 || !got.UpdateTime.Equal(e.now) || !got.CreateTime.Equal(a.CreateTime) {
		t.Errorf("updated to %+v at %d", got, at.Revision)
	}
	stored, err := e.Get(t.Context(), a.UID)
	must(t, err)
	if !reflect.DeepEqual(stored, got) {
		t.Errorf("stored %+v, answered %+v", stored, got)
	}
	_, _, err = e.Update(t.Context(), a.UID, profile.Etag(a.Revision), set("late"))
	wantFault(t, err, fault.Conflict, profile.ReasonEtagMismatch)
	_, _, err = e.Update(t.Context(), a.UID, `"nonsense"`, set("late"))
	wantFault(t, err, fault.Conflict, profile.ReasonEtagMismatch)
	_, _, err = e.Update(t.Context(), uid(1), "", set("x"))
	wantFault(t, err, fault.NotFound, profile.ReasonProfileNotFound)
	_, _, err = e.Update(t.Context(), b.UID, "", func(p *profile.Profile) error {
		p.Identifiers = append(p.Identifiers, external("crm", 1))
		return nil
	})
	wantFault(t, err, fault.Exists, profile.ReasonExternalIDTaken)
	own := errors.New("no")
	_, _, err = e.Update(t.Context(), b.UID, "", func(p *profile.Profile) error {
		p.Occupation = "half"
		return fault.New(fault.Invalid, "X", "x").Wrap(own)
	})
	if !errors.Is(err, own) {
		t.Errorf("the change's own error came back as %v", err)
	}
	same, at, err := e.Update(t.Context(), a.UID, "", set("new"))
	must(t, err)
	if same.Revision != 3 || at.Revision != 3 || e.head(t).Revision != 3 {
		t.Errorf("an update that changes nothing has revision %d at %d", same.Revision, at.Revision)
	}
	// An external id that is given up is free, and moves in the same way.
	_, _, err = e.Update(t.Context(), a.UID, "", func(p *profile.Profile) error { p.Identifiers = nil; return nil })
	must(t, err)
	_, _, err = e.Update(t.Context(), b.UID, "", func(p *profile.Profile) error {
		p.Identifiers = []profile.Identifier{external("crm", 1), external("crm", 2)}
		return nil
	})
	must(t, err)
}

func deletes(t *testing.T, e *env) {
	a := e.create(t, person(1))
	_, err := e.Delete(t.Context(), a.UID, `"9"`)
	wantFault(t, err, fault.Conflict, profile.ReasonEtagMismatch)
	at, err := e.Delete(t.Context(), a.UID, profile.Etag(a.Revision))
	must(t, err)
	if at.Revision != 2 {
		t.Errorf("the deletion has revision %d, want 2", at.Revision)
	}
	_, err = e.Get(t.Context(), a.UID)
	wantFault(t, err, fault.NotFound, profile.ReasonProfileNotFound)
	_, err = e.Delete(t.Context(), a.UID, "")
	wantFault(t, err, fault.NotFound, profile.ReasonProfileNotFound)
	_, _, err = e.Create(t.Context(), &profile.Profile{UID: a.UID}, "")
	wantFault(t, err, fault.Exists, profile.ReasonProfileExists)
	_, _, err = e.Upsert(t.Context(), []profile.Row{{Profile: &profile.Profile{UID: a.UID}}})
	wantFault(t, err, fault.Exists, profile.ReasonProfileExists)
	b := e.create(t, person(1)) // the external id is free
	if b.UID == a.UID {
		t.Error("the uid of a deleted profile was given again")
	}
}

func upserts(t *testing.T, e *env) {
	a, b := e.create(t, person(1)), e.create(t, person(2))
	byUID := person(3)
	byUID.UID = a.UID
	both := &profile.Profile{Occupation: "both", Identifiers: []profile.Identifier{external("crm", 2), external("shop", 2)}}
	again := &profile.Profile{Occupation: "again", Identifiers: []profile.Identifier{external("shop", 2)}}
	given := &profile.Profile{UID: uid(9)}
	got, at, err := e.Upsert(t.Context(), []profile.Row{
		{Profile: byUID}, {Profile: both}, {Profile: again}, {Profile: given}, {Profile: person(4)}, {Profile: person(4)}, {Profile: &profile.Profile{}},
	})
	must(t, err)
	want := []profile.Upserted{
		{UID: a.UID, Outcome: profile.Updated}, {UID: b.UID, Outcome: profile.Updated}, {UID: b.UID, Outcome: profile.Updated},
		{UID: uid(9), Outcome: profile.Created}, {UID: got[4].UID, Outcome: profile.Created}, {UID: got[4].UID, Outcome: profile.Unchanged},
		{UID: got[6].UID, Outcome: profile.Created},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("upserts gave\n%+v, want\n%+v", got, want)
	}
	if at.Revision != 8 || e.head(t).Revision != 8 { // six changes after the first two
		t.Errorf("the head is %d, want 8", e.head(t).Revision)
	}
	p, err := e.Get(t.Context(), b.UID)
	must(t, err)
	if p.Occupation != "again" || len(p.Identifiers) != 1 {
		t.Errorf("the last row left %+v", p)
	}
	e.create(t, person(2)) // given up by the last row
	e.create(t, person(1)) // given up by the first
	_, _, err = e.Upsert(t.Context(), []profile.Row{{Profile: again.Clone(), Etag: profile.Etag(a.Revision)}})
	wantFault(t, err, fault.Conflict, profile.ReasonEtagMismatch)
}

func upsertWhole(t *testing.T, e *env) {
	a, b := e.create(t, person(1)), e.create(t, person(2))
	before := e.head(t)
	across := person(1)
	across.Identifiers = append(across.Identifiers, external("crm", 2))
	_, _, err := e.Upsert(t.Context(), []profile.Row{{Profile: person(3)}, {Profile: across}})
	wantFault(t, err, fault.Exists, profile.ReasonExternalIDTaken)
	if f := fault.As(err); len(f.Violations) != 1 || f.Violations[0].Field != "profiles[1]" {
		t.Errorf("the fault names %v, want profiles[1]", f.Violations)
	}
	wrong := person(2)
	wrong.UID = a.UID
	_, _, err = e.Upsert(t.Context(), []profile.Row{{Profile: wrong}})
	wantFault(t, err, fault.Exists, profile.ReasonExternalIDTaken)
	if after := e.head(t); after.Revision != before.Revision {
		t.Errorf("refused upserts moved the head from %d to %d", before.Revision, after.Revision)
	}
	list, err := e.List(t.Context(), audience.UID{}, 10)
	must(t, err)
	if len(list) != 2 || list[0].UID != a.UID || list[1].UID != b.UID {
		t.Errorf("refused upserts left %d profiles", len(list))
	}
	e.create(t, person(3)) // nothing of the refused rows holds its external id
}
