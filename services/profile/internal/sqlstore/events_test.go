package sqlstore_test

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/behaviour"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func event(id, kind string, of audience.UID, days int) *profile.Event {
	return &profile.Event{ID: id, Kind: kind, UID: of, Time: began.Add(-time.Duration(days) * day)}
}

func rows(events ...*profile.Event) []profile.EventRow {
	list := make([]profile.EventRow, len(events))
	for i, e := range events {
		list[i].Event = e.Clone()
	}
	return list
}

func create(t testing.TB, s *sqlstore.Store, n int) audience.UID {
	t.Helper()
	p, _, err := s.Create(t.Context(), person(n), "")
	if err != nil {
		t.Fatal(err)
	}
	return p.UID
}

func recordAll(t testing.TB, s *sqlstore.Store, events ...*profile.Event) {
	t.Helper()
	if _, _, err := s.Record(t.Context(), rows(events...)); err != nil {
		t.Fatal(err)
	}
}

// recompute does what is due and returns how much that was.
func recompute(t testing.TB, s *sqlstore.Store) (total int) {
	t.Helper()
	for {
		n, err := s.Recompute(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if total += n; n == 0 {
			return total
		}
	}
}

// has compares a profile with what follows from exactly these events.
func has(t testing.TB, s *sqlstore.Store, now time.Time, settings behaviour.Settings, uid audience.UID, events ...*profile.Event) {
	t.Helper()
	list := make([]profile.Event, len(events))
	for i, e := range events {
		list[i] = *e
	}
	var want profile.Profile
	behaviour.Apply(&want, list, settings.Day(now), settings)
	p, err := s.Get(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(p.Traits, want.Traits) || p.Lifecycle != want.Lifecycle {
		t.Errorf("%q with %+v, want %q with %+v", p.Lifecycle, p.Traits, want.Lifecycle, want.Traits)
	}
	stored, err := s.Events(t.Context(), uid, nil, len(events)+10)
	if err != nil || len(stored) != len(events) {
		t.Errorf("%d events are stored (%v), want %d", len(stored), err, len(events))
	}
}

func TestEventsAreGivenUpAfterTheirTime(t *testing.T) {
	settings := behaviour.Settings{Currency: "EUR"}
	for name, where := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := began
			s := open(t, sqlstore.Config{
				SQL: where(t), Now: func() time.Time { return now }, Behaviour: settings,
				Retention: profile.Retention{Days: 40, Of: map[string]int64{"visit": 10, "survey": 0}},
			})
			a := create(t, s, 1)
			buy, old, visit := event("buy", "purchase", a, 39), event("old", "purchase", a, 41), event("visit", "visit", a, 10)
			answer := event("answer", "survey", a, 300)
			if got, _, err := s.Record(t.Context(), rows(buy, old, visit, answer)); err != nil || got[1].UID != a || got[1].Duplicate {
				t.Fatalf("recorded %+v (%v)", got, err)
			}
			has(t, s, now, settings, a, buy, visit, answer) // what is too old already is taken and not kept
			for d, want := range [][]*profile.Event{{buy, answer}, {answer}, {answer}} {
				now = now.Add(day)
				recompute(t, s)
				has(t, s, now, settings, a, want...)
				if left, err := s.CountDue(t.Context()); err != nil || left != 0 {
					t.Errorf("day %d: %d profiles are still due (%v)", d, left, err)
				}
			}
			// An id that was given up is free.
			again := event("visit", "visit", a, -3)
			recordAll(t, s, again)
			has(t, s, now, settings, a, answer, again)
		})
	}
}

func TestOtherSettingsHaveAllTraitsComputedAnew(t *testing.T) {
	for name, where := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := sqlstore.Config{SQL: where(t), Keys: newKeys(t), Now: func() time.Time { return began }, Behaviour: behaviour.Settings{Currency: "EUR"}}
			s := open(t, cfg)
			a, b := create(t, s, 1), create(t, s, 2)
			buy, late := event("buy", "purchase", a, 3), event("late", "visit", b, 0)
			buy.Amount = &profile.Money{Currency: "USD", Amount: 700}
			late.Time = began.Add(11*time.Hour + 30*time.Minute) // tomorrow in Paris, today elsewhere
			recordAll(t, s, buy, late)
			has(t, s, began, cfg.Behaviour, a, buy)
			for _, settings := range []behaviour.Settings{{Currency: "USD"}, {Currency: "USD"}, {Currency: "EUR", Location: time.FixedZone("east", 3600)}} {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				other := !reflect.DeepEqual(settings, cfg.Behaviour)
				cfg.Behaviour = settings
				s = open(t, cfg)
				if n := recompute(t, s); (n == 2) != other || n != 0 && n != 2 {
					t.Errorf("%d profiles were computed anew", n)
				}
				has(t, s, began, settings, a, buy)
				has(t, s, began, settings, b, late)
			}
		})
	}
}

func TestEventsMoveAndMoveBack(t *testing.T) {
	settings := behaviour.Settings{Currency: "EUR"}
	for name, where := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, sqlstore.Config{SQL: where(t), Now: func() time.Time { return began }, Behaviour: settings})
			a, b, c := create(t, s, 1), create(t, s, 2), create(t, s, 3)
			one, two, three, coming := event("1", "purchase", a, 3), event("2", "purchase", b, 9), event("3", "visit", c, 200), event("4", "visit", a, -5)
			recordAll(t, s, one, two, three, coming)
			move := func(from, to audience.UID, of ...audience.UID) {
				t.Helper()
				if _, err := s.MoveEvents(t.Context(), from, to, of...); err != nil {
					t.Fatal(err)
				}
			}
			move(a, b)
			has(t, s, began, settings, a)
			has(t, s, began, settings, b, one, two, coming)
			move(b, c)
			later := event("5", "click", c, 1)
			recordAll(t, s, later)
			has(t, s, began, settings, c, one, two, three, coming, later)
			if got, _, err := s.Record(t.Context(), rows(one)); err != nil || !got[0].Duplicate || got[0].UID != c {
				t.Errorf("an event that moved is recorded again as %+v (%v)", got, err)
			}
			move(c, b, b, a)
			has(t, s, began, settings, c, three, later)
			has(t, s, began, settings, b, one, two, coming)
			move(b, a, a)
			has(t, s, began, settings, b, two)
			has(t, s, began, settings, a, one, coming)
			if _, err := s.DeleteEvent(t.Context(), a, "1"); err != nil {
				t.Error(err)
			}
			has(t, s, began, settings, a, coming)
		})
	}
}

// TestTwoProcessesRecordEventsOfTheSamePeople has two processes record, repeat, delete and recompute at once: nothing is counted twice
// or forgotten, also what makes no revision.
func TestTwoProcessesRecordEventsOfTheSamePeople(t *testing.T) {
	a, b, _ := two(t)
	settings := behaviour.Settings{}
	now := time.Now()
	uids := []audience.UID{create(t, a, 1), create(t, a, 2), create(t, a, 3)}
	var fresh, duplicates atomic.Int64
	var mu sync.Mutex
	known := make(map[string]*profile.Event)
	var wg sync.WaitGroup
	for w := range 8 {
		s := []*sqlstore.Store{a, b}[w%2]
		wg.Go(func() {
			for n := range 40 {
				// Both processes record the same; every second is still to come and makes no revision.
				uid := uids[n%3]
				ev := &profile.Event{ID: fmt.Sprint(w/2, "-", n), Kind: "visit", UID: uid, Time: now.Add(-time.Duration(n%30) * day).Truncate(time.Microsecond)}
				if n%2 == 1 {
					ev.Time = ev.Time.Add(1000 * day)
				}
				got, _, err := s.Record(t.Context(), rows(ev))
				if err != nil {
					t.Error(err)
					return
				}
				if got[0].Duplicate {
					duplicates.Add(1)
				} else {
					fresh.Add(1)
				}
				mu.Lock()
				known[ev.ID] = ev.Clone()
				mu.Unlock()
				switch n % 10 {
				case 4:
					if _, err := s.Recompute(t.Context(), 10); err != nil {
						t.Error(err)
					}
				case 7: // a profile's own change, at the same time
					if _, _, err := s.Update(t.Context(), uid, "", func(p *profile.Profile) error { p.Occupation = fmt.Sprint(w, n); return nil }); err != nil {
						t.Error(err)
					}
				case 9: // comes and goes
					ev.ID = fmt.Sprint("gone-", w, "-", n)
					if _, _, err := s.Record(t.Context(), rows(ev)); err != nil {
						t.Error(err)
					}
					if _, err := s.DeleteEvent(t.Context(), uid, ev.ID); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if fresh.Load() != 160 || duplicates.Load() != 160 {
		t.Errorf("%d events were new and %d duplicates, want 160 each", fresh.Load(), duplicates.Load())
	}
	for _, uid := range uids {
		stored, err := b.Events(t.Context(), uid, nil, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range stored {
			if want := known[e.ID]; want == nil || want.UID != uid {
				t.Errorf("the event %s is not what was recorded", e.ID)
			}
			delete(known, e.ID)
		}
		has(t, a, time.Now(), settings, uid, stored...)
	}
	if len(known) > 0 {
		t.Errorf("%d events were acknowledged and are gone", len(known))
	}
	checkDue(t, a, settings, uids)
}

// checkDue holds the stored days to those that follow from the events: turning the clock far ahead leaves nothing out.
func checkDue(t *testing.T, s *sqlstore.Store, settings behaviour.Settings, uids []audience.UID) {
	t.Helper()
	for _, uid := range uids {
		stored, err := s.Events(t.Context(), uid, nil, 1000)
		if err != nil {
			t.Fatal(err)
		}
		list := make([]profile.Event, len(stored))
		for i, e := range stored {
			list[i] = *e
		}
		_, want := behaviour.Compute(list, settings.Day(time.Now()), settings)
		if got := s.Due(t, uid); got != want {
			t.Errorf("the profile is due on day %d, want %d", got, want)
		}
	}
}

// BenchmarkImportEvents imports purchases of people who have more and more of them.
func BenchmarkImportEvents(b *testing.B) {
	for _, c := range []struct{ people, each int }{{5000, 0}, {500, 100}, {50, 1000}} {
		b.Run(fmt.Sprint("people=", c.people, "/events already=", c.each), func(b *testing.B) {
			s := open(b, sqlstore.Config{Now: func() time.Time { return began }, Behaviour: behaviour.Settings{Currency: "EUR"}})
			const size = 1000
			uids := make([]audience.UID, c.people)
			for n := range uids {
				uids[n] = create(b, s, n)
			}
			n, through := 0, int64(0)
			unit := func(ctx context.Context, size int) {
				list := make([]profile.EventRow, size)
				for i := range list {
					list[i].Event = &profile.Event{
						ID: fmt.Sprint("event-", n), UID: uids[n%c.people], Kind: "purchase", Time: began.Add(-time.Duration(n%400) * day), Order: fmt.Sprint(n / 3),
						Amount: &profile.Money{Currency: "EUR", Amount: int64(n % 9000)}, Brand: "National", Category: "grocery", Channel: "in_person",
					}
					n++
				}
				_, p, _, err := s.ImportEvents(ctx, "bench", through, list, false)
				if err != nil {
					b.Fatal(err)
				}
				through = p.Through
			}
			for n < c.people*c.each {
				unit(b.Context(), 5000)
			}
			before := n
			b.ResetTimer()
			for b.Loop() {
				unit(b.Context(), size)
			}
			b.ReportMetric(float64(n-before)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
