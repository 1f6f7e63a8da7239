package behaviour_test

import (
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/behaviour"
)

// twin computes traits by their definitions, one question after the other, each over all events, with the standard library's
// calendar and big numbers.
type twin struct {
	events []dated
	today  int64
	s      behaviour.Settings
}

// dated is an event and its day.
type dated struct {
	*profile.Event
	day int64
}

func newTwin(events []profile.Event, today int64, s behaviour.Settings) twin {
	w := twin{today: today, s: s}
	for i := range events {
		w.events = append(w.events, dated{&events[i], dayOf(events[i].Time, s.Location)})
	}
	return w
}

func naive(events []profile.Event, today int64, s behaviour.Settings) *profile.Traits {
	w := newTwin(events, today, s)
	if len(w.of("", 0)) == 0 {
		return nil
	}
	t := &profile.Traits{
		Visits: w.activity("visit"), Opens: w.activity("open"), Clicks: w.activity("click"), Responses: w.activity("response"),
		Complaints: w.activity("complaint"), Surveys: w.activity("survey"),
	}
	t.Purchases = profile.Purchases{
		Activity: w.activity("purchase"), Currency: s.Currency,
		Sum: clamp(w.sum(0)), Sum30: clamp(w.sum(30)), Sum90: clamp(w.sum(90)), Sum365: clamp(w.sum(365)),
		FavouriteChannel:  w.favourite(func(e dated) string { return e.Channel }),
		FavouriteBrand:    w.favourite(func(e dated) string { return e.Brand }),
		FavouriteCategory: w.favourite(func(e dated) string { return e.Category }),
	}
	for i, e := range w.of("purchase", 0) {
		if i == 0 || e.day < t.Purchases.First {
			t.Purchases.First = e.day
		}
	}
	if n := w.orders(w.priced(365)); n > 0 {
		mean := clamp(round(w.sum(365), n))
		t.Purchases.AverageBasket = &mean
	}
	if t.Purchases.FavouriteBrand != "" {
		var branded, favourite int64
		for _, e := range w.of("purchase", 365) {
			if e.Brand != "" {
				branded++
			}
			if e.Brand == t.Purchases.FavouriteBrand {
				favourite++
			}
		}
		share := round(big.NewInt(favourite*10_000), branded).Int64()
		t.Purchases.Loyalty = &share
	}
	var scores, scored int64
	for _, e := range w.of("survey", 365) {
		if e.Score != nil {
			scores += *e.Score
			scored++
		}
	}
	if scored > 0 {
		mean := round(big.NewInt(scores), scored).Int64()
		t.Satisfaction = &mean
	}
	for _, e := range w.of("", 0) {
		if !slices.Contains(profile.EventKinds, e.Kind) {
			if t.Own == nil {
				t.Own = make(map[string]profile.Activity)
			}
			t.Own[e.Kind] = w.activity(e.Kind)
		}
	}
	return t
}

// dayOf counts midnights: the date that the clocks of the zone show, taken as one of UTC.
func dayOf(at time.Time, zone *time.Location) int64 {
	if zone != nil {
		at = at.In(zone)
	}
	y, m, d := at.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60)
}

// of returns the events of a kind ("": all) in a window (0: all that happened).
func (w twin) of(kind string, window int64) []dated {
	var list []dated
	for _, e := range w.events {
		if (kind == "" || e.Kind == kind) && e.day <= w.today && (window == 0 || w.today-window < e.day) {
			list = append(list, e)
		}
	}
	return list
}

func (w twin) activity(kind string) profile.Activity {
	number := func(window int64) int64 {
		if kind == "purchase" {
			return w.orders(w.of(kind, window))
		}
		return int64(len(w.of(kind, window)))
	}
	a := profile.Activity{Count: number(0), Count30: number(30), Count90: number(90), Count365: number(365)}
	for i, e := range w.of(kind, 0) {
		if i == 0 || e.day > a.Last {
			a.Last = e.day
		}
	}
	return a
}

func (w twin) orders(lines []dated) int64 {
	names := make(map[string]bool)
	single := 0
	for _, e := range lines {
		if e.Order == "" {
			single++
		} else {
			names[e.Order] = true
		}
	}
	return int64(len(names) + single)
}

func (w twin) priced(window int64) []dated {
	return slices.DeleteFunc(w.of("purchase", window), func(e dated) bool {
		return e.Amount == nil || e.Amount.Currency != w.s.Currency
	})
}

func (w twin) sum(window int64) *big.Int {
	total := new(big.Int)
	for _, e := range w.priced(window) {
		total.Add(total, big.NewInt(e.Amount.Amount))
	}
	return total
}

func (w twin) favourite(of func(dated) string) string {
	type candidate struct {
		name  string
		count int
		last  time.Time
	}
	var list []candidate
	for _, e := range w.of("purchase", 365) {
		name := of(e)
		if name == "" {
			continue
		}
		i := slices.IndexFunc(list, func(c candidate) bool { return c.name == name })
		if i < 0 {
			i = len(list)
			list = append(list, candidate{name: name, last: e.Time})
		}
		list[i].count++
		if e.Time.After(list[i].last) {
			list[i].last = e.Time
		}
	}
	slices.SortFunc(list, func(a, b candidate) int {
		if a.count != b.count {
			return b.count - a.count
		}
		if !a.last.Equal(b.last) {
			return b.last.Compare(a.last)
		}
		return strings.Compare(a.name, b.name)
	})
	if len(list) == 0 {
		return ""
	}
	return list[0].name
}

// lifecycle is what a person is of whom a writer said declared.
func (w twin) lifecycle(declared string) string {
	silence := w.s.Silence
	if silence == 0 {
		silence = 365
	}
	bought := w.of("purchase", 0)
	switch {
	case slices.ContainsFunc(bought, func(e dated) bool { return e.day+silence >= w.today }):
		return "customer"
	case len(bought) > 0:
		return "lapsed"
	case declared == "" && len(w.of("", 0)) > 0:
		return "prospect"
	}
	return declared
}

// round is n/d rounded half up.
func round(n *big.Int, d int64) *big.Int {
	half := new(big.Int).Add(new(big.Int).Mul(n, big.NewInt(2)), big.NewInt(d))
	return half.Div(half, big.NewInt(2*d))
}

func clamp(n *big.Int) int64 {
	if !n.IsInt64() {
		return 1<<63 - 1
	}
	return n.Int64()
}
