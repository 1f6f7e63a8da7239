package behaviour_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // the zones are the same on every machine

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/behaviour"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// zones are those in which clocks do what clocks can do: change by day and by night and by half an hour, over midnight in both
// directions, leave out a whole day, and never change.
func zones(t testing.TB) []*time.Location {
	list := []*time.Location{nil, time.UTC, time.FixedZone("", 14*3600)}
	for _, name := range []string{
		"Europe/Paris", "America/New_York", "America/St_Johns", "America/Havana", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia",
	} {
		list = append(list, zone(t, name))
	}
	return list
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// around is the day around which random events lie: near the leap day of 2024.
var around = time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)

// someEvent is one of few shapes, so that orders are shared and favourites tie.
func someEvent(r *rand.Rand, id int, about time.Time) profile.Event {
	e := profile.Event{ID: fmt.Sprint("e", id), Kind: pick(r, append([]string{"purchase", "purchase", "purchase", "survey", "download", "store_tour"}, profile.EventKinds...))}
	span := pick(r, []int64{3, 40, 100, 400, 1500})
	e.Time = about.AddDate(0, 0, int(r.Int64N(2*span)-span*3/2)).Add(time.Duration(r.Int64N(4)) * 6 * time.Hour)
	if r.IntN(3) == 0 {
		e.Time = e.Time.Add(time.Duration(r.Int64N(24*3600*1e6)) * time.Microsecond)
	}
	e.Channel = pick(r, []string{"", "email", "web", "post"})
	e.Brand = pick(r, []string{"", "a", "b", "É"})
	e.Category = pick(r, []string{"", "x", "y"})
	switch e.Kind {
	case "purchase":
		e.Order = pick(r, []string{"", "", "1", "2", "3", "4", "5"})
		if r.IntN(4) > 0 {
			e.Amount = &profile.Money{Currency: pick(r, []string{"EUR", "EUR", "USD"}), Amount: pick(r, []int64{0, 1, r.Int64N(10_000), r.Int64N(10_000)})}
			if r.IntN(60) == 0 {
				e.Amount.Amount = 1<<63 - 1 - r.Int64N(2)
			}
		}
	case "survey":
		if r.IntN(4) > 0 {
			score := r.Int64N(profile.MaxScore + 1)
			e.Score = &score
		}
	}
	return e
}

func someEvents(r *rand.Rand) []profile.Event {
	events := make([]profile.Event, r.IntN(pick(r, []int{1, 4, 12, 60})+1))
	for i := range events {
		events[i] = someEvent(r, i, around)
	}
	return events
}

func someSettings(t testing.TB, r *rand.Rand) behaviour.Settings {
	return behaviour.Settings{Currency: "EUR", Location: pick(r, zones(t)), Silence: pick(r, []int64{0, 1, 7, 365, 500})}
}

// same fails unless Compute says of the events what the twin says.
func same(t *testing.T, events []profile.Event, today int64, s behaviour.Settings) (*profile.Traits, int64) {
	t.Helper()
	got, due := behaviour.Compute(events, today, s)
	if want := naive(events, today, s); !reflect.DeepEqual(got, want) {
		t.Fatalf("on %s in %v\n%+v\nare\n%+v, want\n%+v", audience.FormatDay(today), s.Location, events, got, want)
	}
	if due != 0 && due <= today {
		t.Fatalf("on %d the next day is %d: computing would never end", today, due)
	}
	return got, due
}

func TestTraitsAreWhatTheirDefinitionsSay(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 1500 {
		events, s := someEvents(r), someSettings(t, r)
		same(t, events, s.Day(around)+r.Int64N(600)-300, s)
	}
}

func TestTheOrderOfEventsMeansNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 500 {
		events, s := someEvents(r), someSettings(t, r)
		today := s.Day(around)
		want, due := behaviour.Compute(events, today, s)
		for range 3 {
			r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			if got, again := behaviour.Compute(events, today, s); !reflect.DeepEqual(got, want) || again != due {
				t.Fatalf("%+v\ngive %+v and %d, and in another order %+v and %d", events, want, due, got, again)
			}
		}
	}
}

// Between a day and the day returned nothing changes; from there on the same holds, to the end.
func TestNothingChangesBeforeItIsDue(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	exact, early := 0, 0
	for range 60 {
		events, s := someEvents(r), someSettings(t, r)
		declared := pick(r, append([]string{""}, audience.Lifecycles...))
		today := s.Day(around) - 200
		for range 400 {
			traits, due := same(t, events, today, s)
			lifecycle := newTwin(events, today, s).lifecycle(declared)
			end := due
			if due == 0 {
				end = today + 2500
			}
			step := max(1, (end-today)/12) // every day of short waits, some of long ones, and always the last
			for day := today + 1; day < end; day = min(day+step, max(day+1, end-1)) {
				if got := naive(events, day, s); !reflect.DeepEqual(got, traits) || newTwin(events, day, s).lifecycle(declared) != lifecycle {
					t.Fatalf("%+v\nare %+v on %d, due on %d, but already %+v on %d", events, traits, today, due, got, day)
				}
			}
			if due == 0 {
				break
			}
			if reflect.DeepEqual(naive(events, due, s), traits) && newTwin(events, due, s).lifecycle(declared) == lifecycle {
				early++
			} else {
				exact++
			}
			today = due
		}
		if _, due := behaviour.Compute(events, today, s); due != 0 {
			t.Fatalf("%d events are still due on %d after 400 steps", len(events), due)
		}
	}
	t.Logf("on %d days something changed, on %d nothing did", exact, early)
	if early*10 > exact {
		t.Errorf("%d of %d days were needless", early, exact+early)
	}
}

// A store that computes when events come and go, when a writer writes, and on the days that are due, always has what computing
// everything every day gives.
func TestDayByDayEqualsAllAtOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range 25 {
		s := someSettings(t, r)
		p := &profile.Profile{}
		var events []profile.Event
		var due int64
		declared := ""
		start := s.Day(around)
		for day := start; day < start+500; day++ {
			touched := day == due
			for r.IntN(12) == 0 {
				// New ones may be late or early by days or years.
				events = append(events, someEvent(r, len(events), around.AddDate(0, 0, int(day-start))))
				touched = true
			}
			if len(events) > 0 && r.IntN(30) == 0 {
				i := r.IntN(len(events))
				events = slices.Delete(events, i, i+1)
				touched = true
			}
			if touched {
				due = behaviour.Apply(p, events, day, s)
			}
			if r.IntN(20) == 0 {
				written := &profile.Profile{Lifecycle: pick(r, append([]string{""}, audience.Lifecycles...))}
				if written.Lifecycle != p.Lifecycle {
					declared = written.Lifecycle
				}
				profile.KeepComputed(written, p)
				p = written
			}
			want := naive(events, day, s)
			if want != nil {
				want.Declared = declared
			}
			if !reflect.DeepEqual(p.Traits, want) {
				t.Fatalf("on %d %+v\nare %+v, want %+v", day, events, p.Traits, want)
			}
			if l := newTwin(events, day, s).lifecycle(declared); p.Lifecycle != l {
				t.Fatalf("on %d %+v\nof whom %q was said is %q, want %q", day, events, declared, p.Lifecycle, l)
			}
		}
	}
}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return t
}

func day(text string) int64 {
	d, err := audience.ParseDay(text)
	if err != nil {
		panic(err)
	}
	return d
}

func TestDaysAreThoseOfTheZone(t *testing.T) {
	for _, c := range []struct{ zone, instant, day string }{
		{"Europe/Paris", "2026-03-28T22:59:59.999999Z", "2026-03-28"},
		{"Europe/Paris", "2026-03-28T23:00:00Z", "2026-03-29"}, // the clocks go forward this night
		{"Europe/Paris", "2026-03-29T21:59:59.999999Z", "2026-03-29"},
		{"Europe/Paris", "2026-03-29T22:00:00Z", "2026-03-30"},
		{"Europe/Paris", "2026-10-24T22:00:00Z", "2026-10-25"}, // and back: a day of 25 hours
		{"Europe/Paris", "2026-10-25T22:59:59Z", "2026-10-25"},
		{"Europe/Paris", "2026-10-25T23:00:00Z", "2026-10-26"},
		{"America/Havana", "2026-11-01T04:59:59Z", "2026-11-01"},
		{"America/St_Johns", "2006-10-29T02:30:30Z", "2006-10-29"}, // 00:00:30, before the clocks go back at 00:01
		{"America/St_Johns", "2006-10-29T02:31:00Z", "2006-10-28"}, // 23:01 of the day before, once more
		{"Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29"},
		{"Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31"}, // 30 December was left out
		{"UTC", "1969-12-31T23:59:59Z", "1969-12-31"},
		{"Asia/Kathmandu", "2024-02-28T18:15:00Z", "2024-02-29"},
	} {
		s := behaviour.Settings{Location: zone(t, c.zone)}
		if got := s.Day(at(c.instant)); got != day(c.day) {
			t.Errorf("%s in %s is on %s, want %s", c.instant, c.zone, audience.FormatDay(got), c.day)
		}
	}
}

// What is remembered of the clocks for one event holds for another one only until they change.
func TestDaysAreRightOnBothSidesOfAChangeOfTheClocks(t *testing.T) {
	for name, change := range map[string]time.Time{
		"America/Sao_Paulo": at("2018-02-18T02:00:00Z"), "America/St_Johns": at("2006-10-29T02:31:00Z"), "Pacific/Apia": at("2011-12-30T10:00:00Z"),
		"Europe/Paris": at("2026-03-29T01:00:00Z"),
	} {
		s := behaviour.Settings{Currency: "EUR", Location: zone(t, name)}
		for shift := -4 * time.Hour; shift <= 4*time.Hour; shift += 20 * time.Minute {
			for _, other := range []time.Duration{-10 * 24 * time.Hour, 10 * 24 * time.Hour} {
				events := []profile.Event{{Kind: "visit", Time: change.Add(other)}, {Kind: "click", Time: change.Add(shift)}}
				same(t, events, s.Day(change)+20, s)
			}
		}
	}
}

// The days at which windows end, by hand: the last day of a window of w days that began with an event of day d is d+w-1.
func TestWindowsEndOnTheirDay(t *testing.T) {
	s := behaviour.Settings{Currency: "EUR", Silence: 400}
	events := []profile.Event{{Kind: "purchase", Time: at("2024-02-29T12:00:00Z"), Amount: &profile.Money{Currency: "EUR", Amount: 500}}}
	for _, c := range []struct {
		today               string
		in30, in90, in365   int64
		due, lifecycle, why string
	}{
		{"2024-02-28", 0, 0, 0, "2024-02-29", "", "before"},
		{"2024-02-29", 1, 1, 1, "2024-03-30", "customer", "the day itself"},
		{"2024-03-29", 1, 1, 1, "2024-03-30", "customer", "the 30th day"},
		{"2024-03-30", 0, 1, 1, "2024-05-29", "customer", "the 31st day"},
		{"2024-05-28", 0, 1, 1, "2024-05-29", "customer", "the 90th day"},
		{"2024-05-29", 0, 0, 1, "2025-02-28", "customer", "the 91st day"},
		{"2025-02-27", 0, 0, 1, "2025-02-28", "customer", "the 365th day, a year with a leap day"},
		{"2025-02-28", 0, 0, 0, "2025-04-05", "customer", "the 366th day"},
		{"2025-04-04", 0, 0, 0, "2025-04-05", "customer", "400 days later"},
		{"2025-04-05", 0, 0, 0, "", "lapsed", "401 days later"},
	} {
		p := &profile.Profile{}
		due := behaviour.Apply(p, events, day(c.today), s)
		if c.due == "" && due != 0 || c.due != "" && due != day(c.due) {
			t.Errorf("%s: due on %s, want %s", c.why, audience.FormatDay(due), c.due)
		}
		if p.Lifecycle != c.lifecycle {
			t.Errorf("%s: %q, want %q", c.why, p.Lifecycle, c.lifecycle)
		}
		if p.Traits == nil {
			if c.lifecycle != "" {
				t.Errorf("%s: no traits", c.why)
			}
			continue
		}
		got := p.Traits.Purchases
		if got.Count != 1 || got.Count30 != c.in30 || got.Count90 != c.in90 || got.Count365 != c.in365 ||
			got.Sum != 500 || got.Sum30 != 500*c.in30 || got.Sum90 != 500*c.in90 || got.Sum365 != 500*c.in365 {
			t.Errorf("%s: %+v", c.why, got)
		}
	}
}

// One person by hand.
func TestAPersonByHand(t *testing.T) {
	eur := func(n int64) *profile.Money { return &profile.Money{Currency: "EUR", Amount: n} }
	score := func(n int64) *int64 { return &n }
	today := day("2026-03-01")
	events := []profile.Event{
		{Kind: "purchase", Time: at("2026-02-20T10:00:00Z"), Order: "7", Amount: eur(1000), Brand: "b", Channel: "web"},
		{Kind: "purchase", Time: at("2026-02-20T10:00:00Z"), Order: "7", Amount: eur(501), Brand: "a", Channel: "web", Category: "tea"},
		{Kind: "purchase", Time: at("2026-01-01T10:00:00Z"), Amount: eur(0), Brand: "a", Channel: "post"},
		{Kind: "purchase", Time: at("2025-06-01T10:00:00Z"), Amount: &profile.Money{Currency: "USD", Amount: 9}, Brand: "b", Channel: "post"},
		{Kind: "purchase", Time: at("2020-01-01T10:00:00Z"), Amount: eur(70), Brand: "old"},
		{Kind: "purchase", Time: at("2026-03-02T10:00:00Z"), Amount: eur(9999)},
		{Kind: "survey", Time: at("2026-02-01T10:00:00Z"), Score: score(750)}, {Kind: "survey", Time: at("2026-02-02T10:00:00Z"), Score: score(801)},
		{Kind: "survey", Time: at("2026-02-03T10:00:00Z")},
		{Kind: "test_drive", Time: at("2026-02-03T10:00:00Z")},
	}
	traits, due := behaviour.Compute(events, today, behaviour.Settings{Currency: "EUR"})
	basket, loyalty, satisfaction := int64(751), int64(5000), int64(776) // 1501 cents by 2 orders; 2 of 4; 1551 hundredths by 2
	want := &profile.Traits{
		Purchases: profile.Purchases{
			Activity: profile.Activity{Last: day("2026-02-20"), Count: 4, Count30: 1, Count90: 2, Count365: 3},
			First:    day("2020-01-01"), Currency: "EUR", Sum: 1571, Sum30: 1501, Sum90: 1501, Sum365: 1501, AverageBasket: &basket,
			FavouriteChannel: "web", FavouriteBrand: "a", FavouriteCategory: "tea", Loyalty: &loyalty,
		},
		Surveys:      profile.Activity{Last: day("2026-02-03"), Count: 3, Count30: 3, Count90: 3, Count365: 3},
		Satisfaction: &satisfaction,
		Own:          map[string]profile.Activity{"test_drive": {Last: day("2026-02-03"), Count: 1, Count30: 1, Count90: 1, Count365: 1}},
	}
	if !reflect.DeepEqual(traits, want) || due != day("2026-03-02") {
		t.Errorf("%+v, due on %s, want %+v", traits, audience.FormatDay(due), want)
	}
}

// Computing shares nothing between calls but memory: what came before, or goes on beside, does not matter.
func TestComputeMayBeCalledConcurrently(t *testing.T) {
	for n := range uint64(8) {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(5, n))
			for range 100 {
				events, s := someEvents(r), someSettings(t, r)
				same(t, events, s.Day(around), s)
			}
		})
	}
}

func TestExtraordinaryPeopleAreCountedToo(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	events := make([]profile.Event, 12_000)
	for i := range events {
		events[i] = someEvent(r, i, around)
		events[i].Kind, events[i].Score = "purchase", nil
		events[i].Order, events[i].Brand = fmt.Sprint(r.IntN(9000)), fmt.Sprint(r.IntN(9000))
	}
	same(t, events, 19783, behaviour.Settings{Currency: "EUR", Location: zone(t, "Europe/Paris")})
	same(t, events[:5], 19783, behaviour.Settings{Currency: "EUR"})
}

func FuzzCompute(f *testing.F) {
	f.Add(uint64(1), int64(19783), uint8(10), int64(0), int64(0))
	f.Add(uint64(9), int64(20000), uint8(40), int64(1<<62), int64(3))
	list := zones(f)
	f.Fuzz(func(t *testing.T, seed uint64, today int64, n uint8, shift, silence int64) {
		today = max(audience.MinDay, min(audience.MaxDay, today))
		r := rand.New(rand.NewPCG(seed, 7))
		s := behaviour.Settings{Currency: "EUR", Location: pick(r, list), Silence: silence}
		events := make([]profile.Event, n)
		for i := range events {
			e := someEvent(r, i, time.Unix(today*24*60*60, 0).UTC())
			if seconds := e.Time.Unix() + shift%(400*24*60*60); seconds > audience.MinDay*24*60*60 && seconds < audience.MaxDay*24*60*60 {
				e.Time = time.Unix(seconds, int64(e.Time.Nanosecond())).UTC()
			}
			events[i] = e
			if err := e.Clone().Canonicalize(); err != nil && e.Time.Year() > 1 && e.Time.Year() < 9999 {
				t.Fatalf("%+v is not canonical: %v", e, err)
			}
		}
		if today == audience.MinDay || today == audience.MaxDay {
			behaviour.Compute(events, today, s) // the twin's calendar ends near here
			return
		}
		_, due := same(t, events, today, s)
		if due > today+1 && due-today < 1000 {
			same(t, events, due-1, s)
		}
	})
}

func BenchmarkCompute(b *testing.B) {
	paris := zone(b, "Europe/Paris")
	for _, n := range []int{10, 100, 1000, 10_000} {
		r := rand.New(rand.NewPCG(8, 8))
		events := make([]profile.Event, n)
		for i := range events {
			e := someEvent(r, i, around)
			e.Time = around.Add(-time.Duration(r.Int64N(1000*24*3600)) * time.Second)
			if e.Order != "" {
				e.Order = fmt.Sprint("order-", r.IntN(n/2))
			}
			e.Brand = fmt.Sprint("brand-", min(r.IntN(40), r.IntN(40)))
			events[i] = e
		}
		s := behaviour.Settings{Currency: "EUR", Location: paris}
		for _, sorted := range []bool{false, true} {
			if sorted {
				slices.SortFunc(events, func(a, b profile.Event) int { return a.Time.Compare(b.Time) })
			}
			b.Run(fmt.Sprintf("events=%d/sorted=%v", n, sorted), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					behaviour.Compute(events, s.Day(around), s)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/event")
			})
		}
	}
}
