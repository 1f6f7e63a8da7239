package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/segment"
)

func membersOf(t testing.TB, s segment.Store, uid string) []audience.UID {
	t.Helper()
	var got []audience.UID
	if _, err := s.Members(t.Context(), uid, func(some []audience.UID) error {
		got = append(got, some...)
		return nil
	}); err != nil {
		t.Fatalf("members: %v", err)
	}
	return got
}

func testMembers(t *testing.T, s segment.Store, _ *Clock) {
	list := create(t, s, segment.Segment{ID: "list", UID: newUID(), Static: true})
	got, p, err := s.ChangeMembers(t.Context(), "list", "", []audience.UID{person(3), person(1), person(3)}, nil)
	if err != nil || got.Members != 2 || got.Version != 2 || got.DefinitionRevision != 2 || p.Revision != 2 || got.ETag == list.ETag {
		t.Errorf("added: %+v at %d, %v", got, p.Revision, err)
	}
	if m := membersOf(t, s, list.UID); !slices.Equal(m, []audience.UID{person(1), person(3)}) {
		t.Errorf("members %v", m)
	}
	// What is there already, or not there, changes nothing and takes no revision.
	same, p, err := s.ChangeMembers(t.Context(), "list", "", people(1, 2), people(7, 9))
	if err != nil || same.Version != 2 || same.ETag != got.ETag || p.Revision != 2 {
		t.Errorf("no change: %+v at %d, %v", same, p.Revision, err)
	}
	got, p, err = s.ChangeMembers(t.Context(), "list", "", people(4, 6), []audience.UID{person(1), person(5)})
	if err != nil || got.Members != 2 || got.Version != 3 || p.Revision != 3 {
		t.Errorf("changed: %+v at %d, %v", got, p.Revision, err)
	}
	revision, err := s.Members(t.Context(), list.UID, func(some []audience.UID) error {
		if !slices.Equal(some, []audience.UID{person(3), person(4)}) {
			t.Errorf("members %v", some)
		}
		return nil
	})
	if err != nil || revision != 3 {
		t.Errorf("members are of revision %d, %v", revision, err)
	}
	stop := errors.New("stop")
	if _, err := s.Members(t.Context(), list.UID, func([]audience.UID) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the visitor's error became %v", err)
	}
	name := "n"
	if _, _, err := s.Update(t.Context(), segment.Change{ID: "list", DisplayName: &name}); err != nil {
		t.Fatal(err)
	}
	if revision, err = s.Members(t.Context(), list.UID, func([]audience.UID) error { return nil }); err != nil || revision != 3 {
		t.Errorf("after a new display name the members are of revision %d, %v", revision, err)
	}
	seg := create(t, s, rule("rule", "true"))
	_, _, err = s.ChangeMembers(t.Context(), "rule", "", people(0, 1), nil)
	wantReason(t, err, fault.Precondition, segment.ReasonNotStatic)
	if m := membersOf(t, s, seg.UID); len(m) != 0 {
		t.Errorf("a rule has members %v", m)
	}
	_, _, err = s.ChangeMembers(t.Context(), "none", "", people(0, 1), nil)
	wantReason(t, err, fault.NotFound, segment.ReasonNotFound)
	_, _, err = s.ChangeMembers(t.Context(), "list", "", people(0, segment.MaxChange+1), nil)
	wantReason(t, err, fault.Invalid, "VALIDATION_FAILED")
}

func testMembersLimit(t *testing.T, s segment.Store, _ *Clock) {
	list := create(t, s, segment.Segment{ID: "list", UID: newUID(), Static: true})
	for from := 0; from < maxMembers; from += maxMembers / 2 {
		if _, _, err := s.ChangeMembers(t.Context(), "list", "", people(from, from+maxMembers/2), nil); err != nil {
			t.Fatal(err)
		}
	}
	at := head(t, s)
	// One of the two is on the list already, the other would be one too many.
	_, _, err := s.ChangeMembers(t.Context(), "list", "", people(maxMembers-1, maxMembers+1), nil)
	if f := wantReason(t, err, fault.Exhausted, segment.ReasonListTooLong); f.Metadata["limit"] != fmt.Sprint(maxMembers) {
		t.Errorf("metadata %v", f.Metadata)
	}
	if got := membersOf(t, s, list.UID); !slices.Equal(got, people(0, maxMembers)) || head(t, s) != at {
		t.Errorf("a refused change left %d members at %+v", len(got), head(t, s))
	}
	// One off, another on, is within the limit.
	got, _, err := s.ChangeMembers(t.Context(), "list", "", people(maxMembers, maxMembers+1), people(0, 1))
	if err != nil || got.Members != maxMembers {
		t.Errorf("an exchange: %+v, %v", got, err)
	}
}

func testMembersWalk(t *testing.T, s segment.Store, _ *Clock) {
	list := create(t, s, segment.Segment{ID: "list", UID: newUID(), Static: true})
	other := create(t, s, segment.Segment{ID: "other", UID: newUID(), Static: true})
	want := people(0, segment.MaxChange)
	backwards := slices.Clone(want)
	slices.Reverse(backwards)
	for id, m := range map[string][]audience.UID{"list": backwards, "other": people(5, 6)} {
		if _, _, err := s.ChangeMembers(t.Context(), id, "", m, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := membersOf(t, s, list.UID); !slices.Equal(got, want) {
		t.Errorf("%d members, not the %d in order", len(got), len(want))
	}
	if got := membersOf(t, s, other.UID); !slices.Equal(got, people(5, 6)) {
		t.Errorf("the other list holds %v", got)
	}
}
