package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/segment"
)

func testRevisions(t *testing.T, s segment.Store, _ *Clock) {
	if p := head(t, s); p.Revision != 0 || p.Mark != "" || p.Incarnation == "" {
		t.Errorf("an empty store's head is %+v", p)
	}
	const writers, each = 16, 12
	type done struct {
		segment.Segment
		segment.Position
	}
	all := make([][]done, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			id := fmt.Sprintf("w%d", w)
			seg, p, err := s.Create(t.Context(), rule(id, "0"), false)
			if err != nil {
				t.Errorf("create: %v", err)
				return
			}
			all[w] = append(all[w], done{seg, p})
			for i := range each {
				text := fmt.Sprint(i + 1)
				seg, p, err := s.Update(t.Context(), segment.Change{ID: id, Rule: &text})
				if err != nil {
					t.Errorf("update: %v", err)
					return
				}
				all[w] = append(all[w], done{seg, p})
			}
		})
	}
	wg.Wait()
	incarnation := head(t, s).Incarnation
	var seen []uint64
	for _, list := range all {
		for i, d := range list {
			seen = append(seen, d.Position.Revision)
			if d.Segment.Revision != d.Position.Revision || d.DefinitionRevision != d.Position.Revision || d.Version != int64(i+1) || d.Incarnation != incarnation {
				t.Errorf("write %d of %s: %+v at %+v", i, d.ID, d.Segment, d.Position)
			}
			if i > 0 && d.Position.Revision <= list[i-1].Position.Revision {
				t.Errorf("%s went from revision %d to %d", d.ID, list[i-1].Position.Revision, d.Position.Revision)
			}
			if held, err := s.Holds(t.Context(), d.Position); err != nil || !held {
				t.Errorf("position %d of a write is not held: %v", d.Position.Revision, err)
			}
		}
	}
	slices.Sort(seen)
	for i, r := range seen {
		if r != uint64(i+1) {
			t.Fatalf("revision %d is at place %d", r, i+1)
		}
	}
	if p := head(t, s); p.Revision != uint64(len(seen)) {
		t.Errorf("head is %d after %d writes", p.Revision, len(seen))
	}
}

func testDefinitionRevision(t *testing.T, s segment.Store, _ *Clock) {
	create(t, s, rule("a", "true"))
	name, text := "n", "false"
	got, p, err := s.Update(t.Context(), segment.Change{ID: "a", DisplayName: &name})
	if err != nil || got.Revision != 2 || p.Revision != 2 || got.DefinitionRevision != 1 || got.Version != 1 {
		t.Errorf("a new display name: %+v at %d, %v", got, p.Revision, err)
	}
	// The same text again is no new definition, beside a change of something else.
	same, other := "true", "m"
	if got, _, err = s.Update(t.Context(), segment.Change{ID: "a", DisplayName: &other, Rule: &same}); err != nil || got.DefinitionRevision != 1 || got.Revision != 3 {
		t.Errorf("the same rule: %+v, %v", got, err)
	}
	if got, _, err = s.Update(t.Context(), segment.Change{ID: "a", Rule: &text}); err != nil || got.DefinitionRevision != 4 || got.Version != 2 {
		t.Errorf("a new rule: %+v, %v", got, err)
	}
	// Of a burst of both kinds, which may share a transaction, the last rule's revision remains.
	var wg sync.WaitGroup
	var mu sync.Mutex
	var highest uint64
	for i := range 30 {
		wg.Go(func() {
			c := segment.Change{ID: "a"}
			text := fmt.Sprint(i)
			if i%2 == 0 {
				c.Rule = &text
			} else {
				c.DisplayName = &text
			}
			got, p, err := s.Update(t.Context(), c)
			if err != nil || got.Revision != p.Revision || got.DefinitionRevision > got.Revision || i%2 == 0 && got.DefinitionRevision != p.Revision {
				t.Errorf("write %d: %+v at %d, %v", i, got, p.Revision, err)
			}
			if i%2 == 0 {
				mu.Lock()
				defer mu.Unlock()
				highest = max(highest, p.Revision)
			}
		})
	}
	wg.Wait()
	got, err = s.Get(t.Context(), "a")
	if err != nil || got.DefinitionRevision != highest || got.Version != 2+15 || got.Revision != 34 {
		t.Errorf("after the burst %+v, %v; the last rule was at %d", got, err, highest)
	}
}

func testDefinitions(t *testing.T, s segment.Store, _ *Clock) {
	if list, p, err := s.AllDefinitions(t.Context()); err != nil || len(list) != 0 || p.Revision != 0 || p.Incarnation == "" {
		t.Errorf("definitions of an empty store: %v, %+v, %v", list, p, err)
	}
	// One writer moves text i into both segments in turn: a state in which the second is ahead of the first, or the position
	// does not fit, is none that ever was.
	a, b := create(t, s, rule("a", "0")), create(t, s, rule("b", "0"))
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		for i := 1; i <= 60; i++ {
			for _, id := range []string{"a", "b"} {
				text := fmt.Sprint(i)
				if _, _, err := s.Update(ctx, segment.Change{ID: id, Rule: &text}); err != nil {
					if ctx.Err() == nil {
						t.Errorf("update: %v", err)
					}
					return
				}
			}
		}
	})
	for range 60 {
		list, p, err := s.AllDefinitions(t.Context())
		if err != nil || len(list) != 2 {
			t.Fatalf("definitions %v, %v", list, err)
		}
		if list[0].UID != min(a.UID, b.UID) || list[1].UID != max(a.UID, b.UID) {
			t.Fatalf("not sorted by uid: %v", list)
		}
		if newest := max(list[0].Revision, list[1].Revision); newest != p.Revision {
			t.Errorf("the newest segment is of %d, the position %d", newest, p.Revision)
		}
		byID := map[string]segment.Segment{list[0].ID: list[0], list[1].ID: list[1]}
		if d := byID["a"].Version - byID["b"].Version; d != 0 && d != 1 {
			t.Errorf("a is at version %d, b at %d", byID["a"].Version, byID["b"].Version)
		}
		for id, seg := range byID {
			if fmt.Sprint(seg.Version-1) != seg.Rule {
				t.Errorf("%s has version %d of rule %s", id, seg.Version, seg.Rule)
			}
		}
	}
	stop()
	wg.Wait()
	c := create(t, s, rule("c", "x", a, b))
	list, _, err := s.AllDefinitions(t.Context())
	if err != nil || len(list) != 3 {
		t.Fatalf("definitions %v, %v", list, err)
	}
	if i := slices.IndexFunc(list, func(x segment.Segment) bool { return x.ID == "c" }); !reflect.DeepEqual(list[i], c) {
		t.Errorf("c among the definitions is %+v, want %+v", list[i], c)
	}
}

func testHolds(t *testing.T, s segment.Store, _ *Clock) {
	_, first, err := s.Create(t.Context(), rule("a", "true"), false)
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := s.Create(t.Context(), rule("b", "true"), false)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		p    segment.Position
		want bool
	}{
		"first":                  {first, true},
		"second":                 {second, true},
		"before the first":       {segment.Position{Incarnation: first.Incarnation}, true},
		"before, with a mark":    {segment.Position{Incarnation: first.Incarnation, Mark: first.Mark}, false},
		"another mark":           {segment.Position{Incarnation: first.Incarnation, Revision: 1, Mark: second.Mark}, false},
		"no mark":                {segment.Position{Incarnation: first.Incarnation, Revision: 1}, false},
		"another life":           {segment.Position{Incarnation: "x", Revision: 1, Mark: first.Mark}, false},
		"not yet there":          {segment.Position{Incarnation: first.Incarnation, Revision: 3, Mark: second.Mark}, false},
		"before of another life": {segment.Position{Incarnation: "x"}, false},
	} {
		if held, err := s.Holds(t.Context(), c.p); err != nil || held != c.want {
			t.Errorf("%s: held %v, %v; want %v", name, held, err, c.want)
		}
	}
	if first.Mark == second.Mark {
		t.Error("two commits have one mark")
	}
}

func testCancelled(t *testing.T, s segment.Store, _ *Clock) {
	a := create(t, s, rule("a", "true"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	text := "false"
	for name, call := range map[string]func() error{
		"create":  func() error { _, _, err := s.Create(ctx, rule("b", "true"), false); return err },
		"update":  func() error { _, _, err := s.Update(ctx, segment.Change{ID: "a", Rule: &text}); return err },
		"delete":  func() error { _, err := s.Delete(ctx, "a", "", ""); return err },
		"get":     func() error { _, err := s.Get(ctx, "a"); return err },
		"acquire": func() error { _, err := s.AcquireLease(ctx, "h", 1); return err },
	} {
		if err := call(); !errors.Is(err, context.Canceled) || fault.KindOf(err) != fault.Canceled {
			t.Errorf("%s under a cancelled context: %v", name, err)
		}
	}
	list, p, err := s.AllDefinitions(t.Context())
	if err != nil || len(list) != 1 || !reflect.DeepEqual(list[0], a) || p.Revision != 1 {
		t.Errorf("afterwards %+v at %+v, %v", list, p, err)
	}
}

func testClosed(t *testing.T, s segment.Store, _ *Clock) {
	create(t, s, rule("a", "true"))
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	_, _, err := s.Create(t.Context(), rule("b", "true"), false)
	wantReason(t, err, fault.Unavailable, "STORE_UNAVAILABLE")
	_, err = s.Get(t.Context(), "a")
	wantReason(t, err, fault.Unavailable, "STORE_UNAVAILABLE")
	_, err = s.Head(t.Context())
	wantReason(t, err, fault.Unavailable, "STORE_UNAVAILABLE")
	wantReason(t, s.ReleaseLease(t.Context(), segment.Epoch{}), fault.Unavailable, "STORE_UNAVAILABLE")
	wantReason(t, s.Ping(t.Context()), fault.Unavailable, "STORE_UNAVAILABLE")
	for _, err := range s.LoadOrdinals(t.Context(), 1) {
		wantReason(t, err, fault.Unavailable, "STORE_UNAVAILABLE")
	}
}
