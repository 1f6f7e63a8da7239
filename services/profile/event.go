package profile

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Event is one thing that a person did or said. An empty text or nil pointer is unknown.
type Event struct {
	// ID is 1 to 128 of a-z, A-Z, 0-9 and . _ : ~ -, beginning with a letter or digit, unique in the store: the same id again is the
	// same event.
	ID string
	// UID is whose event it is. Canonicalize does not look at it.
	UID audience.UID
	// CreateTime is when the store got it, to the microsecond; zero before.
	CreateTime time.Time
	// Kind is one of EventKinds, or an own kind: 1 to 63 of a-z, 0-9 and _, beginning with a letter.
	Kind string
	// Time is when it happened, to the microsecond.
	Time time.Time
	// Amount is what a purchase cost, 0 or more.
	Amount *Money
	// Order joins purchases: those that share an order are lines of one basket and count once; "" is an order of its own. Other
	// events may name one too, which counts nothing.
	Order string
	// Brand and Category are what was bought, or what the event is about.
	Brand, Category string
	Channel         string // of audience.Channels
	// Score is the score of a survey answer in hundredths, 0 to MaxScore.
	Score *int64
	// Campaign is the resource name of the campaign that it belongs to, campaigns/{campaign}.
	Campaign string
	// Details are kept, at most MaxDetails by keys like own kinds, and never computed with.
	Details map[string]string
}

// The built-in kinds of events.
const (
	EventPurchase  = "purchase"
	EventVisit     = "visit"
	EventOpen      = "open"
	EventClick     = "click"
	EventResponse  = "response"
	EventComplaint = "complaint"
	EventSurvey    = "survey"
)

// EventKinds are the built-in kinds of events, of which traits are attributes of the audience schema.
var EventKinds = []string{EventPurchase, EventVisit, EventOpen, EventClick, EventResponse, EventComplaint, EventSurvey}

// Bounds of an event.
const (
	MaxOrder      = 128 // characters
	MaxEventText  = 200 // characters of a brand or a category
	MaxScore      = 1000
	MaxDetails    = 32
	MaxDetailText = 500 // characters
	// Events lie within the years 1 and 9999 wherever on earth they are dated.
	minEventDay = audience.MinDay + 1
	maxEventDay = audience.MaxDay - 1
)

var (
	eventID      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$`)
	ownKind      = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	campaignName = regexp.MustCompile(`^campaigns/[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// IsEventKind says that a word can be the kind of an event.
func IsEventKind(kind string) bool { return ownKind.MatchString(kind) }

// Clone returns a copy that shares nothing that a caller could change.
func (e *Event) Clone() *Event {
	c := *e
	c.Amount, c.Score = clonePtr(e.Amount), clonePtr(e.Score)
	c.Details = maps.Clone(e.Details)
	return &c
}

// Canonicalize checks an event and brings it into its one form: texts in NFC, the time in UTC and cut to microseconds, no empty
// map. The fault is Invalid and names every wrong field by its path relative to the event, never a value (INVALID_EVENT;
// INVALID_DATE for the time). After a fault the event may be half changed.
func (e *Event) Canonicalize() error {
	var v fault.Violations
	if !eventID.MatchString(e.ID) {
		v.Add("event_id", ReasonInvalidEvent, "an event's id is 1 to 128 of a-z, A-Z, 0-9 and . _ : ~ -, beginning with a letter or digit")
	}
	if !ownKind.MatchString(e.Kind) {
		v.Add("kind", ReasonInvalidEvent, "a kind is one of the list, or an own one of 1 to 63 of a-z, 0-9 and _, beginning with a letter")
	}
	if e.Time.IsZero() {
		v.Add("event_time", ReasonInvalidDate, "an event says when it happened")
	} else if day := floorDay(e.Time.Unix()); day < minEventDay || day > maxEventDay {
		v.Add("event_time", ReasonInvalidDate, "a time lies between the years 1 and 9999")
	} else {
		e.Time = canonicalTime(e.Time)
	}
	e.CreateTime = canonicalTime(e.CreateTime)
	e.canonicalAmount(&v)
	for _, f := range []struct {
		path string
		text *string
		most int
	}{{"order", &e.Order, MaxOrder}, {"brand", &e.Brand, MaxEventText}, {"category", &e.Category, MaxEventText}} {
		*f.text = audience.NormalizeText(*f.text)
		if tooLong(*f.text, f.most) {
			v.Add(f.path, ReasonInvalidEvent, "the text is UTF-8 of at most "+strconv.Itoa(f.most)+" characters")
		}
	}
	if e.Channel != "" && place(audience.Channels, e.Channel) < 0 {
		v.Add("channel", ReasonInvalidEvent, "the channel is not one of the list")
	}
	if e.Score != nil && e.Kind != EventSurvey {
		v.Add("score", ReasonInvalidEvent, "only a survey has a score; leave it out")
	} else if e.Score != nil && (*e.Score < 0 || *e.Score > MaxScore) {
		v.Add("score", ReasonInvalidEvent, "a score is 0.00 to 10.00")
	}
	if e.Campaign != "" && !campaignName.MatchString(e.Campaign) {
		v.Add("campaign", ReasonInvalidEvent, "a campaign is named campaigns/ and its id")
	}
	e.canonicalDetails(&v)
	return AsInvalid(v.Err())
}

func (e *Event) canonicalAmount(v *fault.Violations) {
	switch m := e.Amount; {
	case m == nil:
	case e.Kind != EventPurchase:
		v.Add("amount", ReasonInvalidEvent, "only a purchase has an amount; leave it out")
	case !isCurrency(m.Currency):
		v.Add("amount.currency_code", ReasonInvalidEvent, "a currency is an ISO 4217 code of three capitals such as EUR")
	case m.Amount < 0:
		v.Add("amount.amount", ReasonInvalidEvent, "an amount is 0 or more; delete the purchase that was given back")
	}
}

func (e *Event) canonicalDetails(v *fault.Violations) {
	if len(e.Details) == 0 {
		e.Details = nil
		return
	}
	if len(e.Details) > MaxDetails {
		v.Add("details", ReasonInvalidEvent, "an event has at most 32 details")
		return
	}
	for _, key := range slices.Sorted(maps.Keys(e.Details)) {
		if !ownKind.MatchString(key) {
			v.Add("details", ReasonInvalidEvent, "a key is 1 to 63 of a-z, 0-9 and _, beginning with a letter")
			continue
		}
		text := audience.NormalizeText(e.Details[key])
		if e.Details[key] = text; tooLong(text, MaxDetailText) {
			v.Add("details."+key, ReasonInvalidEvent, "a detail is UTF-8 of at most "+strconv.Itoa(MaxDetailText)+" characters")
		}
	}
}

// tooLong reports whether a text has more characters than it may, or is none.
func tooLong(text string, most int) bool {
	return !utf8.ValidString(text) || len(text) > most && utf8.RuneCountInString(text) > most
}

// floorDay is the day, since 1970-01-01 in UTC, of a number of seconds since then.
func floorDay(seconds int64) int64 {
	const length = 24 * 60 * 60
	day := seconds / length
	if seconds%length < 0 {
		day--
	}
	return day
}
