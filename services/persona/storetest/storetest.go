package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/persona"
)

// Factory makes a fresh store whose clock is now; the test closes it.
type Factory func(t testing.TB, now func() time.Time) persona.Store

// Run runs every case of the suite.
func Run(t *testing.T, open Factory) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, persona.Store)
	}{
		{"what was created is what is read", createRead},
		{"names are taken once, by case", taken},
		{"an update needs the current etag and keeps what cannot change", update},
		{"a deleted name is free, and its etags are void", reborn},
		{"a page follows a name by bytes, whatever is inserted", pages},
		{"of concurrent writers with one etag one wins", race},
		{"a cancelled context ends a call", cancelled},
		{"a closed store is unavailable", closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, ticking())
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.run(t, s)
		})
	}
}

// ticking is a clock that goes on by a second each time it is asked.
func ticking() func() time.Time {
	var mu sync.Mutex
	clock := time.Date(2026, 11, 22, 3, 4, 5, 6789, time.UTC)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		clock = clock.Add(time.Second)
		return clock
	}
}

func sample(id string) persona.Persona {
	return persona.Persona{
		Name: persona.Prefix + id, UID: "uid-" + id, DisplayName: "Zoé", Kind: persona.KindBuyer, Headline: "Directrice, 31", Narrative: "n\nm",
		Goals: []string{"g1", "g\"2"}, Frustrations: []string{"f"}, SourceSegment: "segments/src", Rule: `segment("src")`,
		Segment: persona.SegmentPrefix + persona.SegmentID(id),
		Evidence: &persona.Evidence{
			SampleSize: 1<<53 + 1, BaseSize: 1 << 60, MedianAge: 31, AsOfToken: "tok", GenerateTime: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
			Traits: []persona.Trait{{Attribute: "age", Value: "25-34", Share: 0.1, BaseShare: 1.0 / 3, Lift: 0.3, Count: 7}, {Attribute: "gender", Value: "ü"}},
		},
	}
}

func create(t *testing.T, s persona.Store, id string) persona.Persona {
	t.Helper()
	p, err := s.Create(t.Context(), sample(id))
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	return p
}

func fails(t *testing.T, err error, kind fault.Kind, reason string) {
	t.Helper()
	if fault.KindOf(err) != kind || fault.ReasonOf(err) != reason {
		t.Errorf("got %v, want kind %v and reason %s", err, kind, reason)
	}
}

func createRead(t *testing.T, s persona.Store) {
	want, got := sample("a"), create(t, s, "a")
	if len(got.Etag) < 10 || got.Etag[0] != '"' || got.Etag[len(got.Etag)-1] != '"' || got.CreateTime.IsZero() || !got.CreateTime.Equal(got.UpdateTime) {
		t.Errorf("etag %s, times %v and %v", got.Etag, got.CreateTime, got.UpdateTime)
	}
	want.Etag, want.CreateTime, want.UpdateTime = got.Etag, got.CreateTime, got.UpdateTime
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("created differs: %s", d)
	}
	read, err := s.Get(t.Context(), got.Name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(got, read); d != "" {
		t.Errorf("read differs from created: %s", d)
	}
	byHand := sample("b")
	byHand.Evidence, byHand.Goals, byHand.Frustrations = nil, nil, nil
	if _, err := s.Create(t.Context(), byHand); err != nil {
		t.Fatal(err)
	}
	if read, err = s.Get(t.Context(), byHand.Name); err != nil || read.Evidence != nil || read.Goals != nil || read.Frustrations != nil {
		t.Errorf("a persona made by hand: %+v, %v", read, err)
	}
	_, err = s.Get(t.Context(), "personas/nobody")
	fails(t, err, fault.NotFound, persona.ReasonNotFound)
}

func taken(t *testing.T, s persona.Store) {
	create(t, s, "a")
	again := sample("a")
	again.UID = "another"
	_, err := s.Create(t.Context(), again)
	fails(t, err, fault.Exists, persona.ReasonExists)
	for _, id := range []string{"A", "a ", "á"} {
		create(t, s, id)
	}
}

func update(t *testing.T, s persona.Store) {
	was := create(t, s, "a")
	change := was
	change.DisplayName, change.Kind, change.Headline, change.Narrative = "n", persona.KindPrescriber, "", "x"
	change.Goals, change.Frustrations, change.Rule = nil, []string{"1", "2"}, "true"
	change.UID, change.SourceSegment, change.Segment, change.Evidence = "no", "segments/no", "segments/no", nil
	now, err := s.Update(t.Context(), change)
	if err != nil {
		t.Fatal(err)
	}
	want := was
	want.DisplayName, want.Kind, want.Headline, want.Narrative = "n", persona.KindPrescriber, "", "x"
	want.Goals, want.Frustrations, want.Rule = nil, []string{"1", "2"}, "true"
	want.Etag, want.UpdateTime = now.Etag, now.UpdateTime
	if d := cmp.Diff(want, now); d != "" {
		t.Errorf("updated: %s", d)
	}
	if now.Etag == was.Etag || !now.UpdateTime.After(was.UpdateTime) {
		t.Errorf("etag %s, update time %v", now.Etag, now.UpdateTime)
	}
	read, err := s.Get(t.Context(), was.Name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(now, read); d != "" {
		t.Errorf("read differs from updated: %s", d)
	}
	_, err = s.Update(t.Context(), change)
	fails(t, err, fault.Conflict, persona.ReasonEtagMismatch)
	fails(t, s.Delete(t.Context(), was.Name, was.Etag), fault.Conflict, persona.ReasonEtagMismatch)
	if err := s.Delete(t.Context(), now.Name, now.Etag); err != nil {
		t.Error(err)
	}
	fails(t, s.Delete(t.Context(), now.Name, ""), fault.NotFound, persona.ReasonNotFound)
	_, err = s.Update(t.Context(), now)
	fails(t, err, fault.NotFound, persona.ReasonNotFound)
}

func reborn(t *testing.T, s persona.Store) {
	first := create(t, s, "a")
	if err := s.Delete(t.Context(), first.Name, ""); err != nil {
		t.Fatal(err)
	}
	if second := create(t, s, "a"); second.Etag == first.Etag {
		t.Error("the second life has the first one's etag")
	}
	fails(t, s.Delete(t.Context(), first.Name, first.Etag), fault.Conflict, persona.ReasonEtagMismatch)
}

func pages(t *testing.T, s persona.Store) {
	for _, id := range []string{"b", "B", "a-", "a0", "aa", "é", "z"} {
		create(t, s, id)
	}
	var got []string
	after := ""
	for {
		page, err := s.List(t.Context(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > 2 {
			t.Fatalf("a page of 2 holds %d", len(page))
		}
		for _, p := range page {
			got = append(got, p.Name[len(persona.Prefix):])
			after = p.Name
		}
		if len(page) < 2 {
			break
		}
		if len(got) == 2 {
			create(t, s, "A")  // before the place that was reached: not seen
			create(t, s, "ab") // behind it: seen
		}
	}
	// By bytes: capitals before small letters, "-" before digits, and what is not ASCII last.
	if want := []string{"B", "a-", "a0", "aa", "ab", "b", "z", "é"}; !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
}

func race(t *testing.T, s persona.Store) {
	p := create(t, s, "a")
	const n = 8
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			mine := p
			mine.DisplayName = fmt.Sprint(i)
			_, errs[i] = s.Update(t.Context(), mine)
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		fails(t, err, fault.Conflict, persona.ReasonEtagMismatch)
	}
	if won != 1 {
		t.Errorf("%d of %d writers with one etag won", won, n)
	}
}

func cancelled(t *testing.T, s persona.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Create(ctx, sample("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("create under a cancelled context: %v", err)
	}
	if _, err := s.Get(t.Context(), "personas/a"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a cancelled create was made: %v", err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
}

func closed(t *testing.T, s persona.Store) {
	create(t, s, "a")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get(t.Context(), "personas/a")
	fails(t, err, fault.Unavailable, persona.ReasonStoreUnavailable)
	_, err = s.Create(t.Context(), sample("b"))
	fails(t, err, fault.Unavailable, persona.ReasonStoreUnavailable)
	fails(t, s.Ping(t.Context()), fault.Unavailable, persona.ReasonStoreUnavailable)
}
