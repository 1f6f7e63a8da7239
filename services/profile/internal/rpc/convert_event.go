package rpc

import (
	"time"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/profile"
)

// eventFromWire returns the event that a message means, in its one form, and by what its person is recognised: nil where the event
// has their UID. Else an Invalid fault with every wrong field, relative to the message. The identifier is as it was given.
func eventFromWire(m *profilev1.Event) (*profile.Event, *profile.Identifier, error) {
	var v fault.Violations
	e := &profile.Event{
		ID: m.GetEventId(), Kind: m.GetKind(), Order: m.GetOrder(), Brand: m.GetBrand(), Category: m.GetCategory(),
		Channel: wire.Channels.Text(m.GetChannel()), Campaign: m.GetCampaign(),
	}
	var who *profile.Identifier
	switch m.GetWhose().(type) {
	case *profilev1.Event_Profile:
		var ok bool
		if e.UID, ok = wire.ParseProfileName(m.GetProfile()); !ok {
			v.Add("profile", profile.ReasonInvalidEvent, "a name is profiles/ and a UUID in lower-case letters")
		}
	case *profilev1.Event_Identifier:
		id := m.GetIdentifier()
		who = &profile.Identifier{Kind: wire.IdentifierKinds.Text(id.GetKind()), Source: id.GetSource(), Value: id.GetValue()}
	default:
		v.Add("profile", profile.ReasonInvalidEvent, "an event says whose it is; name the profile, or an identifier that it has")
	}
	if t := m.GetEventTime(); t.IsValid() {
		e.Time = t.AsTime()
	} else if t != nil {
		v.Add("event_time", profile.ReasonInvalidDate, "a time lies between the years 1 and 9999")
		e.Time = time.Unix(0, 0) // so that the same is not said twice
	}
	if m.GetAmount() != nil {
		currency, amount, err := wire.Money(m.GetAmount())
		v.AddErr("amount", err)
		e.Amount = &profile.Money{Currency: currency, Amount: amount}
	}
	if m.GetScore() != "" {
		score, err := audience.ParseDecimal(m.GetScore(), audience.SatisfactionScale)
		if err != nil {
			v.Add("score", fault.ReasonOf(err), fault.As(err).Message)
		}
		e.Score = &score
	}
	if len(m.GetDetails()) > 0 {
		e.Details = make(map[string]string, len(m.GetDetails()))
		for key, text := range m.GetDetails() {
			e.Details[key] = text
		}
	}
	err := e.Canonicalize()
	if v.Len() == 0 {
		if err != nil {
			return nil, nil, err
		}
		return e, who, nil
	}
	if !v.AddErr("", err) {
		return nil, nil, err
	}
	return nil, nil, profile.AsInvalid(v.Err())
}

// eventToWire is the inverse of eventFromWire, for an event that has its UID.
func eventToWire(e *profile.Event) *profilev1.Event {
	m := &profilev1.Event{
		Name: wire.EventName(e.UID, e.ID), EventId: e.ID, Whose: &profilev1.Event_Profile{Profile: wire.ProfileName(e.UID)},
		Kind: e.Kind, EventTime: stamp(e.Time), Order: e.Order, Brand: e.Brand, Category: e.Category,
		Channel: wire.Channels.Value(e.Channel), Campaign: e.Campaign, Details: e.Details, CreateTime: stamp(e.CreateTime),
	}
	if e.Amount != nil {
		m.Amount = wire.MoneyOf(e.Amount.Currency, e.Amount.Amount)
	}
	if e.Score != nil {
		m.Score = audience.FormatDecimal(*e.Score, audience.SatisfactionScale)
	}
	return m
}
