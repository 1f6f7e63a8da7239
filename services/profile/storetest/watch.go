package storetest

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
)

func attributes(t *testing.T, e *env) {
	made, at, err := e.CreateAttribute(t.Context(), &profile.Attribute{ID: "plan", Type: profile.TypeString, Allowed: []string{"b", "a"}, Description: "d"})
	must(t, err)
	want := &profile.Attribute{
		ID: "plan", Type: profile.TypeString, Allowed: []string{"b", "a"}, Description: "d", Declared: 1, Revision: 1, CreateTime: e.now, UpdateTime: e.now,
	}
	if !reflect.DeepEqual(made, want) || at.Revision != 1 {
		t.Errorf("declared %+v at %d, want %+v", made, at.Revision, want)
	}
	_, _, err = e.CreateAttribute(t.Context(), &profile.Attribute{ID: "plan", Type: profile.TypeBool})
	wantFault(t, err, fault.Exists, profile.ReasonAttributeExists)
	_, _, err = e.UpdateAttribute(t.Context(), "none", "", func(*profile.Attribute) error { return nil })
	wantFault(t, err, fault.NotFound, profile.ReasonAttributeNotFound)
	_, _, err = e.UpdateAttribute(t.Context(), "plan", `"7"`, func(*profile.Attribute) error { return nil })
	wantFault(t, err, fault.Conflict, profile.ReasonEtagMismatch)
	e.create(t, person(1))
	changed, at, err := e.UpdateAttribute(t.Context(), "plan", `"1"`, func(a *profile.Attribute) error {
		a.Allowed, a.Sensitive = append(a.Allowed, "c"), true
		return nil
	})
	must(t, err)
	want.Allowed, want.Sensitive, want.Revision = []string{"b", "a", "c"}, true, 3
	if !reflect.DeepEqual(changed, want) || at.Revision != 3 {
		t.Errorf("changed to %+v at %d, want %+v", changed, at.Revision, want)
	}
	same, _, err := e.UpdateAttribute(t.Context(), "plan", "", func(*profile.Attribute) error { return nil })
	must(t, err)
	if same.Revision != 3 || e.head(t).Revision != 3 {
		t.Errorf("an update that changes nothing moved the head to %d", e.head(t).Revision)
	}
	_, _, err = e.UpdateAttribute(t.Context(), "plan", "", func(a *profile.Attribute) error {
		a.Description = "half"
		return fault.New(fault.Invalid, "X", "x")
	})
	wantFault(t, err, fault.Invalid, "X")
	schema, err := e.Schema(t.Context())
	must(t, err)
	if !reflect.DeepEqual(schema, profile.Schema{"plan": want}) {
		t.Errorf("the schema is %+v", schema)
	}
	// Each change of a declaration is told, before the profiles that were written after it, with the last state.
	all := e.changesAfter(t, 0, 100, 1<<20)
	if len(all) != 3 || all[0].Attribute == nil || all[1].Profile == nil || all[2].Attribute == nil || !reflect.DeepEqual(all[0].Attribute, want) {
		t.Errorf("changes are %+v", all)
	}
}

func changes(t *testing.T, e *env) {
	a, b, c := e.create(t, person(1)), e.create(t, person(2)), e.create(t, person(3))
	_, _, err := e.Update(t.Context(), a.UID, "", func(p *profile.Profile) error { p.Occupation = "x"; return nil })
	must(t, err)
	_, err = e.Delete(t.Context(), b.UID, "")
	must(t, err)
	all := e.changesAfter(t, 0, 100, 1<<20)
	if !reflect.DeepEqual(revisions(all), []int64{3, 4, 5}) {
		t.Fatalf("changes have the revisions %v, want 3, 4, 5", revisions(all))
	}
	stored, err := e.Get(t.Context(), a.UID)
	must(t, err)
	if all[0].Profile == nil || all[0].Profile.UID != c.UID || !reflect.DeepEqual(all[1].Profile, stored) || all[2].Deleted == nil || *all[2].Deleted != b.UID {
		t.Errorf("changes are %+v", all)
	}
	page, err := e.Changes(t.Context(), 5, profile.PageOptions{Limit: 100, Bytes: 1 << 20})
	must(t, err)
	if len(page.Changes) != 0 || page.More || page.Head.Revision != 5 || !bytes.Equal(page.Head.Mark, e.head(t).Mark) {
		t.Errorf("after the last change: %+v", page)
	}
	woken := e.Changed()
	select {
	case <-woken:
		t.Fatal("woken before a commit")
	default:
	}
	e.create(t, person(4))
	<-woken
}

func changePages(t *testing.T, e *env) {
	rows := make([]profile.Row, 40)
	for i := range rows {
		rows[i].Profile = person(i)
	}
	got, _, err := e.Upsert(t.Context(), rows)
	must(t, err)
	for i := 0; i < 40; i += 3 {
		_, err := e.Delete(t.Context(), got[i].UID, "")
		must(t, err)
		_, _, err = e.CreateAttribute(t.Context(), &profile.Attribute{ID: "a" + string(rune('a'+i)), Type: profile.TypeBool})
		if i < 26 {
			must(t, err)
		}
	}
	want := revisions(e.changesAfter(t, 0, 1000, 1<<20))
	for _, limit := range []int{1, 2, 7, 39} {
		all := e.changesAfter(t, 0, limit, 1<<20)
		ascending(t, all, 0)
		if !reflect.DeepEqual(revisions(all), want) {
			t.Errorf("pages of %d give %v, want %v", limit, revisions(all), want)
		}
	}
	all := e.changesAfter(t, 11, 1000, 1) // a page is never so small that nothing fits
	ascending(t, all, 11)
	if n := len(want) - len(all); !reflect.DeepEqual(revisions(all), want[n:]) || n > 0 && want[n-1] > 11 {
		t.Errorf("pages of one byte give %v", revisions(all))
	}
}

func positions(t *testing.T, e *env) {
	h := e.head(t)
	if h.Store == "" || h.Incarnation == "" || h.Store == h.Incarnation || h.Revision != 0 || len(h.Mark) == 0 {
		t.Errorf("a new store's head is %+v", h)
	}
	given := []profile.Position{h.Position}
	for n := range 5 {
		_, at, err := e.Upsert(t.Context(), []profile.Row{{Profile: person(3 * n)}, {Profile: person(3*n + 1)}, {Profile: person(3*n + 2)}})
		must(t, err)
		given = append(given, at)
	}
	now := e.head(t)
	for i, at := range given {
		if err := e.Check(t.Context(), h.Store, h.Incarnation, at); err != nil {
			t.Errorf("position %d: %v", at.Revision, err)
		}
		for _, other := range given[:i] {
			if bytes.Equal(other.Mark, at.Mark) {
				t.Errorf("the commits of %d and %d have one mark", other.Revision, at.Revision)
			}
		}
	}
	for r := int64(0); r <= now.Revision; r++ { // in the middle of a commit too
		mark, err := e.Mark(t.Context(), r)
		must(t, err)
		if err := e.Check(t.Context(), h.Store, h.Incarnation, profile.Position{Revision: r, Mark: mark}); err != nil {
			t.Errorf("position %d: %v", r, err)
		}
	}
	for _, c := range []struct {
		store, incarnation string
		at                 profile.Position
	}{
		{"other", h.Incarnation, given[1]}, {h.Store, "other", given[1]},
		{h.Store, h.Incarnation, profile.Position{Revision: given[1].Revision, Mark: given[2].Mark}},
		{h.Store, h.Incarnation, profile.Position{Revision: given[1].Revision}},
		{h.Store, h.Incarnation, profile.Position{Revision: now.Revision + 1, Mark: now.Mark}},
	} {
		wantFault(t, e.Check(t.Context(), c.store, c.incarnation, c.at), fault.Precondition, profile.ReasonCursorOfAnotherStore)
	}
}
