package profile

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Event is one thing that a person did or said. An empty text or nil pointer is unknown.
type Event struct {
	// ID is 1 to 128 printable ASCII characters without spaces, unique in the store: the same id again is the same event.
	ID string
	// UID is whose event it is. Canonicalize does not look at it.
	UID audience.UID
	// Kind is one of EventKinds, or an own kind: 1 to 63 of a-z, 0-9 and _, beginning with a letter.
	Kind string
	// Time is when it happened, to the microsecond.
	Time time.Time
	// Amount is what a purchase cost, 0 or more.
	Amount *Money
	// Order joins purchases: those that share an order are lines of one basket and count once; "" is an order of its own.
	Order    string
	Brand    string
	Category string
	Channel  string // of audience.Channels
	// Score is the score of a survey answer in hundredths, 0 to MaxScore.
	Score *int64
	// Campaign is the resource name of the campaign that it answers, campaigns/{campaign}.
	Campaign string
	// Details are kept, at most MaxDetails, and never indexed.
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
	MaxEventID    = 128  // bytes
	MaxEventText  = 200  // characters of an order, a brand or a category
	MaxScore      = 1000 // hundredths
	MaxDetails    = 32
	MaxDetailKey  = 64   // characters
	MaxDetailText = 1000 // characters
	// Events lie within the years 1 and 9999 wherever on earth they are dated.
	minEventDay = audience.MinDay + 1
	maxEventDay = audience.MaxDay - 1
)

var (
	ownKind      = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	campaignName = regexp.MustCompile(`^campaigns/[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// IsOwnKind reports whether a kind of events is one that is not built in.
func IsOwnKind(kind string) bool {
	return ownKind.MatchString(kind) && !slices.Contains(EventKinds, kind)
}

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
	if !isToken(e.ID) {
		v.Add("id", ReasonInvalidEvent, "an event's id is 1 to 128 printable ASCII characters without spaces")
	}
	if !ownKind.MatchString(e.Kind) {
		v.Add("kind", ReasonInvalidEvent, "a kind is one of the list, or an own one of 1 to 63 of a-z, 0-9 and _, beginning with a letter")
	}
	if e.Time.IsZero() {
		v.Add("time", ReasonInvalidDate, "an event says when it happened")
	} else if day := floorDay(e.Time.Unix()); day < minEventDay || day > maxEventDay {
		v.Add("time", ReasonInvalidDate, "a time lies between the years 1 and 9999")
	} else {
		e.Time = canonicalTime(e.Time)
	}
	e.canonicalPurchase(&v)
	for _, f := range []struct {
		path string
		text *string
	}{{"order", &e.Order}, {"brand", &e.Brand}, {"category", &e.Category}} {
		*f.text = audience.NormalizeText(*f.text)
		if *f.text != "" && badText(*f.text, MaxEventText) {
			v.Add(f.path, ReasonInvalidEvent, "a text is UTF-8 of at most 200 characters, without control characters and without a space at its ends")
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

// canonicalPurchase checks what only purchases have.
func (e *Event) canonicalPurchase(v *fault.Violations) {
	if e.Kind != EventPurchase {
		if e.Amount != nil {
			v.Add("amount", ReasonInvalidEvent, "only a purchase has an amount; leave it out")
		}
		if e.Order != "" {
			v.Add("order", ReasonInvalidEvent, "only a purchase has an order; leave it out")
		}
		return
	}
	if m := e.Amount; m != nil {
		if !isCurrency(m.Currency) {
			v.Add("amount.currency_code", ReasonInvalidEvent, "a currency is an ISO 4217 code of three capitals such as EUR")
		}
		if m.Amount < 0 {
			v.Add("amount.amount", ReasonInvalidEvent, "an amount is 0 or more; delete the purchase that was given back")
		}
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
	details := make(map[string]string, len(e.Details))
	for _, key := range slices.Sorted(maps.Keys(e.Details)) {
		text := audience.NormalizeText(e.Details[key])
		key = audience.NormalizeText(key)
		switch _, twice := details[key]; {
		case twice:
			v.Add("details", ReasonInvalidEvent, "two keys of the details are the same text; give one")
		case badText(key, MaxDetailKey):
			v.Add("details", ReasonInvalidEvent, "a key is UTF-8 of 1 to 64 characters, without control characters and without a space at its ends")
		case !utf8.ValidString(text) || utf8.RuneCountInString(text) > MaxDetailText:
			v.Add("details", ReasonInvalidEvent, "a detail is UTF-8 of at most 1,000 characters")
		}
		details[key] = text
	}
	e.Details = details
}

// isToken reports whether a text is 1 to MaxEventID printable ASCII characters without spaces.
func isToken(text string) bool {
	if text == "" || len(text) > MaxEventID {
		return false
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

func badText(text string, most int) bool {
	return text == "" || !utf8.ValidString(text) || utf8.RuneCountInString(text) > most ||
		strings.TrimSpace(text) != text || strings.ContainsFunc(text, unicode.IsControl)
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
