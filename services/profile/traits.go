package profile

import "maps"

// Traits are what follows from a person's events on a day: how often, how much, when last, and what they favour. Package
// behaviour computes them, nobody writes them. A profile without traits has no event up to that day, and all of them are unknown; with
// any event all counts and sums are known, and may be 0.
//
// A window of 30, 90 or 365 days holds the events of that day and of the 29, 89 or 364 days before, in the store's time zone.
type Traits struct {
	Purchases Purchases
	// Visits to Surveys count events of the other built-in kinds.
	Visits, Opens, Clicks, Responses, Complaints, Surveys Activity
	// Satisfaction is the mean score of the survey answers of 365 days, in hundredths of 0 to 10, half up; nil: there is none.
	Satisfaction *int64
	// Own counts events of own kinds, those with any event only; nil if there are none.
	Own map[string]Activity
	// Declared is what a writer said of the lifecycle; the profile's own Lifecycle is what follows from it and the traits.
	Declared string
}

// Activity counts events of one kind. Its zero value is that of no event.
type Activity struct {
	// Last is the day of the last one, since 1970-01-01; it means nothing where Count is 0.
	Last int64
	// Count is the number of all, the others are those of a window.
	Count, Count30, Count90, Count365 int64
}

// Purchases are the traits that come of purchases. Counts are of orders, Last is the day of the last purchase.
type Purchases struct {
	Activity
	// First is the day of the first purchase; it means nothing where Count is 0.
	First int64
	// Currency is the store's, in hundredths of which the amounts are. Purchases in other currencies count and add no amount.
	Currency string
	// Sum adds up all amounts, the others those of a window. A sum beyond the largest number is that number.
	Sum, Sum30, Sum90, Sum365 int64
	// AverageBasket is Sum365 by the orders of 365 days that have an amount in the store's currency, half up; nil: there is none.
	AverageBasket *int64
	// The favourites are the most frequent among the purchases of 365 days, each line counting; of several the one used last, then
	// the first by code point. "": no such purchase has one.
	FavouriteChannel, FavouriteBrand, FavouriteCategory string
	// Loyalty is the share that the favourite brand has of the purchases of 365 days with a brand, in ten thousandths, half up; nil
	// without a favourite brand.
	Loyalty *int64
}

// Clone returns a copy that shares nothing that a caller could change; nil for nil.
func (t *Traits) Clone() *Traits {
	if t == nil {
		return nil
	}
	c := *t
	c.Purchases.AverageBasket, c.Purchases.Loyalty = clonePtr(t.Purchases.AverageBasket), clonePtr(t.Purchases.Loyalty)
	c.Satisfaction = clonePtr(t.Satisfaction)
	c.Own = maps.Clone(t.Own)
	return &c
}

// Activity returns the counts of a built-in kind of events, nil for another one.
func (t *Traits) Activity(kind string) *Activity {
	switch kind {
	case EventPurchase:
		return &t.Purchases.Activity
	case EventVisit:
		return &t.Visits
	case EventOpen:
		return &t.Opens
	case EventClick:
		return &t.Clicks
	case EventResponse:
		return &t.Responses
	case EventComplaint:
		return &t.Complaints
	case EventSurvey:
		return &t.Surveys
	}
	return nil
}

// Lifecycles that follow from traits.
const (
	LifecycleProspect = "prospect"
	LifecycleCustomer = "customer"
	LifecycleLapsed   = "lapsed"
)

// DefaultSilence is the number of days after a purchase for which its buyer is a customer, unless the store says otherwise.
const DefaultSilence = 365

// Lifecycle returns the lifecycle of somebody with these traits on a day, of whom a writer said declared: after a purchase customer
// within silence days of the last one and lapsed from the next day on, whatever was declared; without any what was declared,
// or prospect where that is unknown. Without traits (nil) it is what was declared.
func (t *Traits) Lifecycle(today, silence int64, declared string) string {
	switch {
	case t == nil:
		return declared
	case t.Purchases.Count > 0 && today-t.Purchases.Last <= silence:
		return LifecycleCustomer
	case t.Purchases.Count > 0:
		return LifecycleLapsed
	case declared == "":
		return LifecycleProspect
	}
	return declared
}

// KeepComputed gives to, which a writer made and which is about to replace from, what is computed and no writer sets: the traits of
// from, and with a purchase in them its lifecycle, whatever to says. A store calls it for every profile that it creates, updates
// or replaces, before it compares or encodes it; from is nil for a new profile, which has no events.
//
// What to says of the lifecycle is kept in the traits, for the day on which no purchase is left. The lifecycle that from has is no
// word of a writer: who reads a profile and writes it back declares nothing. to shares no memory with from afterwards that it
// did not share before.
func KeepComputed(to, from *Profile) {
	if from == nil || from.Traits == nil {
		to.Traits = nil
		return
	}
	declared := from.Traits.Declared
	if to.Lifecycle != from.Lifecycle {
		declared = to.Lifecycle
	}
	to.Traits = from.Traits.Clone()
	to.Traits.Declared = declared
	switch {
	case from.Traits.Purchases.Count > 0:
		to.Lifecycle = from.Lifecycle
	default:
		to.Lifecycle = to.Traits.Lifecycle(0, 0, declared)
	}
}

// SetTraits gives a profile the traits that were computed for a day, nil for none, and the lifecycle that follows from them with
// what a writer declared before. It owns t from then on.
func (p *Profile) SetTraits(t *Traits, today, silence int64) {
	declared := p.Lifecycle
	if p.Traits != nil {
		declared = p.Traits.Declared
	}
	if t != nil {
		t.Declared = declared
	}
	p.Traits, p.Lifecycle = t, t.Lifecycle(today, silence, declared)
}
