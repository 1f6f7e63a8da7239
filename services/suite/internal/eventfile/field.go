package eventfile

import (
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/identity"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/suite/internal/mapping"
)

// draft is an event that is put together from fields.
type draft struct {
	event            *profilev1.Event
	identifier       *profilev1.Identifier
	amount, currency string
	zone             *time.Location
	at               string // field that is being set
	problems         []mapping.Problem
}

func (d *draft) fail(reason, message string) {
	d.problems = append(d.problems, mapping.Problem{Reason: reason, Field: d.at, Message: message})
}

// field sets a field from text that is not empty.
type field func(d *draft, text string)

// fields are those that a column can stand for, beside details.
var fields = map[string]field{
	"event_id": func(d *draft, text string) { d.event.EventId = text },
	"profile": func(d *draft, text string) {
		d.event.Whose = &profilev1.Event_Profile{Profile: named("profiles/", text)}
	},
	"identifier":        func(d *draft, text string) { d.identifier.Value = text },
	"identifier_source": func(d *draft, text string) { d.identifier.Source = text },
	"identifier_kind": func(d *draft, text string) {
		if d.identifier.Kind = wire.IdentifierKinds.Value(text); d.identifier.Kind == 0 {
			d.fail(ReasonValue, "a kind of identifier is one of "+strings.Join(identity.Kinds, ", "))
		}
	},
	"kind": func(d *draft, text string) { d.event.Kind = text },
	"time": func(d *draft, text string) {
		t, ok := ParseTime(text, d.zone)
		if !ok {
			d.fail(ReasonTime, "a time is written like 2026-01-31T18:30:00Z, 2026-01-31 18:30:00 or 2026-01-31")
			return
		}
		d.event.EventTime = timestamppb.New(t)
	},
	"amount":   func(d *draft, text string) { d.amount = text },
	"currency": func(d *draft, text string) { d.currency = text },
	"order":    func(d *draft, text string) { d.event.Order = text },
	"brand":    func(d *draft, text string) { d.event.Brand = text },
	"category": func(d *draft, text string) { d.event.Category = text },
	"channel": func(d *draft, text string) {
		if d.event.Channel = wire.Channels.Value(strings.ToLower(text)); d.event.Channel == 0 {
			d.fail(ReasonValue, "a channel is one of "+strings.Join(audience.Channels, ", "))
		}
	},
	"score":    func(d *draft, text string) { d.event.Score = text },
	"campaign": func(d *draft, text string) { d.event.Campaign = named("campaigns/", text) },
}

// details begins the names of fields that are details of the event.
const details = "details."

// Fields are the names of all fields but details, sorted.
func Fields() []string { return sortedKeys(fields) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// fieldOf returns a field by its name.
func fieldOf(name string) (field, bool) {
	if key, isDetail := strings.CutPrefix(name, details); isDetail && key != "" {
		return func(d *draft, text string) {
			if d.event.Details == nil {
				d.event.Details = make(map[string]string)
			}
			d.event.Details[key] = text
		}, true
	}
	f, ok := fields[name]
	return f, ok
}

// named completes a resource name.
func named(collection, text string) string {
	if strings.HasPrefix(text, collection) {
		return text
	}
	return collection + text
}

// done returns the event, or what is wrong with it.
func (d *draft) done() (*profilev1.Event, []mapping.Problem) {
	if d.amount != "" {
		d.event.Amount = &typev1.Money{CurrencyCode: strings.ToUpper(d.currency), Amount: d.amount}
		if d.currency == "" {
			d.at = "currency"
			d.fail(ReasonMissing, "an amount needs a currency; name its column, or one for all rows")
		}
	}
	switch id := d.identifier; {
	case d.event.Whose != nil && id.GetValue() != "":
		d.at = "identifier"
		d.fail(ReasonValue, "the row names a profile and an identifier; give one of them")
	case d.event.Whose != nil:
	case id.GetValue() == "":
		d.at = "profile"
		d.fail(ReasonMissing, "the row does not say whose event it is")
	case id.GetKind() == 0:
		if !slices.ContainsFunc(d.problems, func(p mapping.Problem) bool { return p.Field == "identifier_kind" }) {
			d.at = "identifier_kind"
			d.fail(ReasonMissing, "an identifier needs a kind; name its column, or one for all rows")
		}
	default:
		d.event.Whose = &profilev1.Event_Identifier{Identifier: id}
	}
	if len(d.problems) > 0 {
		return nil, d.problems
	}
	return d.event, nil
}

// layouts are how times are written, the first with a zone of its own.
var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04", time.DateOnly}

// ParseTime reads a time; one without a zone is of the zone given.
func ParseTime(text string, zone *time.Location) (time.Time, bool) {
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
