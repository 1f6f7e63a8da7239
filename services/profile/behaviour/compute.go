package behaviour

import (
	"time"

	"github.com/narrowcast/narrowcast/services/profile"
)

// Settings are those of a store.
type Settings struct {
	// Currency is the ISO 4217 code in which amounts are added up; purchases in others count and add no amount.
	Currency string
	// Location is the time zone whose days count; nil is UTC.
	Location *time.Location
	// Silence is the number of days after a purchase for which its buyer is a customer; 0 or less: profile.DefaultSilence.
	Silence int64
}

func (s Settings) silence() int64 {
	if s.Silence <= 0 {
		return profile.DefaultSilence
	}
	return s.Silence
}

// Day returns the day of an instant in the settings' time zone, since 1970-01-01.
func (s Settings) Day(t time.Time) int64 {
	d := dater{location: s.Location}
	return d.day(t)
}

// Windows, in days.
const (
	month   = 30
	quarter = 90
	year    = 365
)

// Compute returns the traits of a person with these events as of today (days since 1970-01-01), nil if none has happened yet,
// and due, the first later day on which the traits or the lifecycle may differ if no event comes or goes; 0: none. It does not
// change the events, and may be called concurrently.
func Compute(events []profile.Event, today int64, s Settings) (t *profile.Traits, due int64) {
	c := counters.Get().(*counter)
	c.begin(today, s)
	for i := range events {
		c.add(&events[i])
	}
	t, due = c.traits(), c.due
	c.release()
	return t, due
}

// Apply gives a profile the traits that Compute returns for its events, and the lifecycle that follows, and returns due. Whether
// that changes the profile is for the caller to compare.
func Apply(p *profile.Profile, events []profile.Event, today int64, s Settings) (due int64) {
	t, due := Compute(events, today, s)
	p.SetTraits(t, today, s.silence())
	return due
}

// counter adds up one person's events.
type counter struct {
	days     dater
	today    int64
	due      int64
	silence  int64
	currency string

	any       bool // an event has happened
	bought    bool // a purchase has
	purchases profile.Purchases
	kinds     [kinds]profile.Activity
	own       map[string]profile.Activity
	baskets   baskets
	// Of the purchases of 365 days, and how many of them have a brand.
	channels, brands, categories tally
	branded                      int64
	// The sum of the scores of 365 days, and their number.
	scores, scored int64
}

// The built-in kinds but purchases.
const (
	visits = iota
	opens
	clicks
	responses
	complaints
	surveys
	kinds
)

func (c *counter) begin(today int64, s Settings) {
	c.today, c.silence, c.currency = today, s.silence(), s.Currency
	c.days.begin(s.Location)
}

// at notes a day on which something may change.
func (c *counter) at(day int64) {
	if c.due == 0 || day < c.due {
		c.due = day
	}
}

// add counts one event.
func (c *counter) add(e *profile.Event) {
	day := c.days.day(e.Time)
	if day > c.today {
		c.at(day)
		return
	}
	c.any = true
	age := c.today - day
	switch {
	case age < month:
		c.at(day + month)
	case age < quarter:
		c.at(day + quarter)
	case age < year:
		c.at(day + year)
	}
	switch e.Kind {
	case profile.EventPurchase:
		c.purchase(e, day, age)
	case profile.EventVisit:
		count(&c.kinds[visits], day, age)
	case profile.EventOpen:
		count(&c.kinds[opens], day, age)
	case profile.EventClick:
		count(&c.kinds[clicks], day, age)
	case profile.EventResponse:
		count(&c.kinds[responses], day, age)
	case profile.EventComplaint:
		count(&c.kinds[complaints], day, age)
	case profile.EventSurvey:
		count(&c.kinds[surveys], day, age)
		if e.Score != nil && age < year && *e.Score >= 0 && *e.Score <= profile.MaxScore {
			c.scores += *e.Score
			c.scored++
		}
	default:
		a := c.own[e.Kind]
		count(&a, day, age)
		if c.own == nil {
			c.own = make(map[string]profile.Activity)
		}
		c.own[e.Kind] = a
	}
}

// count counts an event of a day that is age days past.
func count(a *profile.Activity, day, age int64) {
	if a.Count == 0 || day > a.Last {
		a.Last = day
	}
	a.Count++
	if age >= year {
		return
	}
	a.Count365++
	if age < quarter {
		a.Count90++
	}
	if age < month {
		a.Count30++
	}
}

func (c *counter) purchase(e *profile.Event, day, age int64) {
	p := &c.purchases
	if !c.bought || day > p.Last {
		p.Last = day
	}
	if !c.bought || day < p.First {
		p.First = day
	}
	c.bought = true
	amount := int64(-1)
	if e.Amount != nil && e.Amount.Currency == c.currency && e.Amount.Amount >= 0 {
		amount = e.Amount.Amount
		p.Sum = plus(p.Sum, amount)
	}
	c.baskets.line(e.Order, age, amount)
	if age >= year {
		return
	}
	if amount >= 0 {
		p.Sum365 = plus(p.Sum365, amount)
		if age < quarter {
			p.Sum90 = plus(p.Sum90, amount)
		}
		if age < month {
			p.Sum30 = plus(p.Sum30, amount)
		}
	}
	at := e.Time.UnixMicro()
	if e.Channel != "" {
		c.channels.add(e.Channel, at)
	}
	if e.Brand != "" {
		c.branded++
		c.brands.add(e.Brand, at)
	}
	if e.Category != "" {
		c.categories.add(e.Category, at)
	}
}

// traits returns what was counted.
func (c *counter) traits() *profile.Traits {
	if !c.any {
		return nil
	}
	t := &profile.Traits{
		Purchases: c.purchases, Visits: c.kinds[visits], Opens: c.kinds[opens], Clicks: c.kinds[clicks], Responses: c.kinds[responses],
		Complaints: c.kinds[complaints], Surveys: c.kinds[surveys], Own: c.own,
	}
	p := &t.Purchases
	p.Currency = c.currency
	p.Count, p.Count30, p.Count90, p.Count365 = c.baskets.counts()
	if p.Count > 0 {
		if lapsed := p.Last + c.silence + 1; lapsed > c.today {
			c.at(lapsed)
		}
	}
	p.AverageBasket = c.baskets.average()
	p.FavouriteChannel, _ = c.channels.favourite()
	p.FavouriteCategory, _ = c.categories.favourite()
	if brand, n := c.brands.favourite(); n > 0 {
		p.FavouriteBrand = brand
		share := halfUp(n*10_000, c.branded)
		p.Loyalty = &share
	}
	if c.scored > 0 {
		mean := halfUp(c.scores, c.scored)
		t.Satisfaction = &mean
	}
	return t
}

// halfUp is n/d, both not negative and far from the largest number, rounded half up.
func halfUp(n, d int64) int64 { return (2*n + d) / (2 * d) }

// plus adds two numbers that are not negative; beyond the largest it stays there, whatever the order of additions.
func plus(a, b int64) int64 {
	if sum := a + b; sum >= 0 {
		return sum
	}
	return 1<<63 - 1
}
