package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/segment"
)

func testCreate(t *testing.T, s segment.Store, clock *Clock) {
	base := create(t, s, rule("base", "true"))
	in := segment.Segment{
		ID: "young", UID: newUID(), DisplayName: "Jeunes «été» 东", Description: "a\nb", Rule: `segment("base")`,
		Owner: "personas/p", References: []segment.Reference{{UID: base.UID}},
	}
	got, p, err := s.Create(t.Context(), in, false)
	if err != nil {
		t.Fatal(err)
	}
	want := in
	want.References = []segment.Reference{{ID: "base", UID: base.UID}}
	want.Version, want.Revision, want.DefinitionRevision = 1, 2, 2
	want.CreateTime, want.UpdateTime = clock.Now(), clock.Now()
	want.ETag = got.ETag
	if !reflect.DeepEqual(got, want) {
		t.Errorf("created %+v, want %+v", got, want)
	}
	if len(got.ETag) < 3 || got.ETag[0] != '"' || !strings.HasSuffix(got.ETag, `"`) || got.ETag == base.ETag {
		t.Errorf("etag %s is not a quoted text of its own", got.ETag)
	}
	if p.Revision != 2 || p.Mark == "" || p != head(t, s) {
		t.Errorf("position %+v, head %+v", p, head(t, s))
	}
	read, err := s.Get(t.Context(), "young")
	if err != nil || !reflect.DeepEqual(read, want) {
		t.Errorf("read %+v, %v; want %+v", read, err, want)
	}
	list := create(t, s, segment.Segment{ID: "list", UID: newUID(), Static: true})
	if !list.Static || list.Members != 0 || list.Version != 1 {
		t.Errorf("new list %+v", list)
	}
}

func testIDs(t *testing.T, s segment.Store, _ *Clock) {
	create(t, s, rule("a", "true"))
	_, _, err := s.Create(t.Context(), rule("a", "false"), false)
	f := wantReason(t, err, fault.Exists, segment.ReasonExists)
	if f.Metadata["name"] != "segments/a" {
		t.Errorf("metadata %v", f.Metadata)
	}
	if got, err := s.Get(t.Context(), "a"); err != nil || got.Rule != "true" {
		t.Errorf("the refused create changed the segment: %+v, %v", got, err)
	}
	_, err = s.Get(t.Context(), "A")
	wantReason(t, err, fault.NotFound, segment.ReasonNotFound)
}

func testList(t *testing.T, s segment.Store, _ *Clock) {
	var want []string
	for i := range 7 {
		id := fmt.Sprintf("s%d", i*10)
		want = append(want, id)
		create(t, s, rule(id, "true"))
	}
	want = append(want, "s-a") // a hyphen is before digits, digits before letters
	create(t, s, rule("s-a", "true", create(t, s, rule("sa", "true"))))
	want = append(want, "sa")
	slices.Sort(want)
	var got []string
	for after, n := "", 0; ; n++ {
		page, err := s.List(t.Context(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > 2 {
			t.Fatalf("a page of %d", len(page))
		}
		if len(page) == 0 {
			break
		}
		for _, seg := range page {
			got = append(got, seg.ID)
			if (seg.ID == "s-a") != (len(seg.References) == 1) {
				t.Errorf("%s has references %v", seg.ID, seg.References)
			}
		}
		after = page[len(page)-1].ID
		if n == 1 {
			create(t, s, rule("a-late", "true")) // behind the reader: it must not shift the pages
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
}

func testUpdate(t *testing.T, s segment.Store, clock *Clock) {
	before := create(t, s, segment.Segment{ID: "a", UID: newUID(), DisplayName: "n", Description: "d", Rule: "true"})
	clock.Advance(time.Minute)
	text := "false"
	got, p, err := s.Update(t.Context(), segment.Change{ID: "a", Rule: &text, ETag: before.ETag})
	if err != nil {
		t.Fatal(err)
	}
	want := before
	want.Rule, want.Version, want.Revision, want.DefinitionRevision = "false", 2, 2, 2
	want.UpdateTime, want.ETag = before.CreateTime.Add(time.Minute), got.ETag
	if !reflect.DeepEqual(got, want) || got.ETag == before.ETag || p.Revision != 2 {
		t.Errorf("updated to %+v at %d, want %+v", got, p.Revision, want)
	}
	empty := ""
	if got, _, err = s.Update(t.Context(), segment.Change{ID: "a", Description: &empty}); err != nil || got.Description != "" || got.DisplayName != "n" {
		t.Errorf("clearing the description gave %+v, %v", got, err)
	}
	again, p, err := s.Update(t.Context(), segment.Change{ID: "a", Rule: &text, Description: &empty})
	if err != nil || !reflect.DeepEqual(again, got) || p != head(t, s) || p.Revision != 3 {
		t.Errorf("an update to the same: %+v at %+v, %v; want %+v at the head 3", again, p, err, got)
	}
	if read, err := s.Get(t.Context(), "a"); err != nil || !reflect.DeepEqual(read, got) {
		t.Errorf("read %+v, %v; want %+v", read, err, got)
	}
	_, _, err = s.Update(t.Context(), segment.Change{ID: "none", Rule: &text})
	wantReason(t, err, fault.NotFound, segment.ReasonNotFound)
	create(t, s, segment.Segment{ID: "list", UID: newUID(), Static: true})
	_, _, err = s.Update(t.Context(), segment.Change{ID: "list", Rule: &text})
	wantReason(t, err, fault.Precondition, segment.ReasonNotStatic)
}

func testETag(t *testing.T, s segment.Store, _ *Clock) {
	first := create(t, s, rule("a", "true"))
	name := "x"
	if _, _, err := s.Update(t.Context(), segment.Change{ID: "a", DisplayName: &name}); err != nil {
		t.Fatal(err)
	}
	at := head(t, s)
	other := "y"
	_, _, err := s.Update(t.Context(), segment.Change{ID: "a", ETag: first.ETag, DisplayName: &other})
	wantReason(t, err, fault.Conflict, segment.ReasonETagMismatch)
	_, err = s.Delete(t.Context(), "a", first.ETag, "")
	wantReason(t, err, fault.Conflict, segment.ReasonETagMismatch)
	if got, err := s.Get(t.Context(), "a"); err != nil || got.DisplayName != "x" || head(t, s) != at {
		t.Errorf("after refused writes: %+v, %v at %+v, was at %+v", got, err, head(t, s), at)
	}
}

func testOwned(t *testing.T, s segment.Store, _ *Clock) {
	seg := rule("a", "true")
	seg.Owner = "personas/p"
	create(t, s, seg)
	text := "false"
	for _, as := range []string{"", "personas/q"} {
		_, _, err := s.Update(t.Context(), segment.Change{ID: "a", As: as, Rule: &text, ETag: "old"})
		if f := wantReason(t, err, fault.Precondition, segment.ReasonOwned); f.Metadata["owner"] != "personas/p" {
			t.Errorf("metadata %v", f.Metadata)
		}
		_, err = s.Delete(t.Context(), "a", "", as)
		wantReason(t, err, fault.Precondition, segment.ReasonOwned)
	}
	if got, _, err := s.Update(t.Context(), segment.Change{ID: "a", As: "personas/p", Rule: &text}); err != nil || got.Rule != "false" {
		t.Errorf("the owner's update: %+v, %v", got, err)
	}
	list := segment.Segment{ID: "list", UID: newUID(), Static: true, Owner: "personas/p"}
	create(t, s, list)
	_, _, err := s.ChangeMembers(t.Context(), "list", "", people(0, 1), nil)
	wantReason(t, err, fault.Precondition, segment.ReasonOwned)
	if _, err := s.Delete(t.Context(), "a", "", "personas/p"); err != nil {
		t.Errorf("the owner's deletion: %v", err)
	}
}

func testReferences(t *testing.T, s segment.Store, _ *Clock) {
	a, b := create(t, s, rule("a", "true")), create(t, s, segment.Segment{ID: "b", UID: newUID(), Static: true})
	got := create(t, s, rule("c", "x", b, a, b))
	want := []segment.Reference{{ID: "a", UID: a.UID}, {ID: "b", UID: b.UID}}
	slices.SortFunc(want, func(x, y segment.Reference) int { return strings.Compare(x.UID, y.UID) })
	if !slices.Equal(got.References, want) {
		t.Errorf("references %v, want %v", got.References, want)
	}
	at := head(t, s)
	_, _, err := s.Create(t.Context(), rule("d", "x", rule("gone", "")), false)
	if f := wantReason(t, err, fault.Invalid, segment.ReasonUnknownSegment); f.Metadata["segment"] != "segments/gone" {
		t.Errorf("metadata %v", f.Metadata)
	}
	_, err = s.Get(t.Context(), "d")
	wantReason(t, err, fault.NotFound, segment.ReasonNotFound)
	_, _, err = s.Update(t.Context(), change("c", a, rule("gone", "")))
	wantReason(t, err, fault.Invalid, segment.ReasonUnknownSegment)
	if read, err := s.Get(t.Context(), "c"); err != nil || !reflect.DeepEqual(read, got) || head(t, s) != at {
		t.Errorf("a refused update left %+v, %v; want %+v", read, err, got)
	}
	if got, _, err = s.Update(t.Context(), change("c", a)); err != nil || len(got.References) != 1 || got.References[0].ID != "a" {
		t.Errorf("update to name a alone: %+v, %v", got, err)
	}
}

func testCycles(t *testing.T, s segment.Store, _ *Clock) {
	self := rule("self", "x")
	self.References = []segment.Reference{{ID: "self", UID: self.UID}}
	_, _, err := s.Create(t.Context(), self, false)
	if f := wantReason(t, err, fault.Invalid, segment.ReasonCycle); f.Metadata["path"] != "segments/self -> segments/self" {
		t.Errorf("path %q", f.Metadata["path"])
	}
	a := create(t, s, rule("a", "true"))
	b := create(t, s, rule("b", "x", a))
	c := create(t, s, rule("c", "x", a, b))
	_, _, err = s.Update(t.Context(), change("a", b))
	if f := wantReason(t, err, fault.Invalid, segment.ReasonCycle); f.Metadata["path"] != "segments/a -> segments/b -> segments/a" {
		t.Errorf("path %q", f.Metadata["path"])
	}
	d := create(t, s, rule("d", "x", c))
	_, _, err = s.Update(t.Context(), change("b", d))
	if f := wantReason(t, err, fault.Invalid, segment.ReasonCycle); f.Metadata["path"] != "segments/b -> segments/d -> segments/c -> segments/b" {
		t.Errorf("path %q", f.Metadata["path"])
	}
	if got, err := s.Get(t.Context(), "a"); err != nil || got.Rule != "true" || len(got.References) != 0 {
		t.Errorf("after the refusal a is %+v, %v", got, err)
	}
	// Without b's reference the other direction is free.
	if _, _, err := s.Update(t.Context(), change("b")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Update(t.Context(), change("a", b)); err != nil {
		t.Errorf("a may name b once b does not name a: %v", err)
	}
}

func testCyclesConcurrently(t *testing.T, s segment.Store, _ *Clock) {
	// Each writer closes the ring from its own place; together they would make a circle, so at least one is refused, and only
	// as many as needed to leave it open.
	const n = 8
	ring := make([]segment.Segment, n)
	for i := range ring {
		ring[i] = create(t, s, rule(fmt.Sprintf("r%d", i), "true"))
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range ring {
		wg.Go(func() { _, _, errs[i] = s.Update(t.Context(), change(ring[i].ID, ring[(i+1)%n])) })
	}
	wg.Wait()
	refused := 0
	for i, err := range errs {
		if err == nil {
			continue
		}
		refused++
		wantReason(t, err, fault.Invalid, segment.ReasonCycle)
		got, err := s.Get(t.Context(), ring[i].ID)
		if err != nil || got.Rule != "true" || len(got.References) != 0 {
			t.Errorf("refused writer left %+v, %v", got, err)
		}
	}
	if refused != 1 {
		t.Errorf("%d of %d were refused, want 1: the last", refused, n)
	}
}

func testDelete(t *testing.T, s segment.Store, _ *Clock) {
	a := create(t, s, segment.Segment{ID: "a", UID: newUID(), Static: true})
	create(t, s, rule("b", "x", a))
	if _, _, err := s.ChangeMembers(t.Context(), "a", "", people(0, 3), nil); err != nil {
		t.Fatal(err)
	}
	_, err := s.Delete(t.Context(), "a", "", "")
	if f := wantReason(t, err, fault.Precondition, segment.ReasonInUse); f.Metadata["used_by"] != "segments/b" || f.Metadata["name"] != "segments/a" {
		t.Errorf("metadata %v", f.Metadata)
	}
	if _, err := s.Delete(t.Context(), "b", "", ""); err != nil {
		t.Fatal(err)
	}
	p, err := s.Delete(t.Context(), "a", "", "")
	if err != nil || p.Revision != 5 || p != head(t, s) {
		t.Errorf("deleted at %+v, %v; head %+v", p, err, head(t, s))
	}
	_, err = s.Delete(t.Context(), "a", "", "")
	wantReason(t, err, fault.NotFound, segment.ReasonNotFound)
	_, err = s.Members(t.Context(), a.UID, func([]audience.UID) error { return nil })
	wantReason(t, err, fault.NotFound, segment.ReasonNotFound)
	again := create(t, s, segment.Segment{ID: "a", UID: newUID(), Static: true})
	if got := membersOf(t, s, again.UID); len(got) != 0 || again.Version != 1 {
		t.Errorf("a new segment of the old name has %d members, version %d", len(got), again.Version)
	}
}

func testCheckOnly(t *testing.T, s segment.Store, _ *Clock) {
	a := create(t, s, rule("a", "true"))
	at := head(t, s)
	got, p, err := s.Create(t.Context(), rule("b", "x", a), true)
	if err != nil || got.ID != "b" || got.Version != 1 || p != (segment.Position{}) {
		t.Errorf("checked %+v at %+v, %v", got, p, err)
	}
	c := change("a", a)
	c.CheckOnly = true
	_, _, err = s.Update(t.Context(), c)
	wantReason(t, err, fault.Invalid, segment.ReasonCycle)
	text := "false"
	got, _, err = s.Update(t.Context(), segment.Change{ID: "a", Rule: &text, CheckOnly: true})
	if err != nil || got.Rule != "false" || got.Version != 2 {
		t.Errorf("checked %+v, %v", got, err)
	}
	_, err = s.Get(t.Context(), "b")
	wantReason(t, err, fault.NotFound, segment.ReasonNotFound)
	if read, err := s.Get(t.Context(), "a"); err != nil || !reflect.DeepEqual(read, a) || head(t, s) != at {
		t.Errorf("checking left %+v, %v at %+v; want %+v at %+v", read, err, head(t, s), a, at)
	}
}
