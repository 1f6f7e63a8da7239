package record

import (
	"maps"
	"slices"
	"time"

	"github.com/narrowcast/narrowcast/services/profile"
)

// eventVersion is the first byte of every event's record.
const eventVersion = 1

// Numbers of the fields of an event.
const (
	eKind = iota + 1
	eTime
	eAmount
	eOrder
	eBrand
	eCategory
	eChannel
	eScore
	eCampaign
	eDetail // one field for each, by key
)

// EncodeEvent appends the record of a canonical event to b: all of it but the ID, UID and CreateTime, which are columns. The time
// is in the record, so that two events of one id are the same where their UIDs and records are.
func EncodeEvent(b []byte, e *profile.Event) []byte {
	w := writer{b: append(b, eventVersion)}
	w.text(eKind, e.Kind)
	if !e.Time.IsZero() {
		w.field(eTime, func() { w.int(e.Time.UnixMicro()) })
	}
	if m := e.Amount; m != nil {
		w.field(eAmount, func() { w.string(m.Currency); w.int(m.Amount) })
	}
	w.text(eOrder, e.Order)
	w.text(eBrand, e.Brand)
	w.text(eCategory, e.Category)
	w.text(eChannel, e.Channel)
	w.optionalInt(eScore, e.Score)
	w.text(eCampaign, e.Campaign)
	if len(e.Details) > 0 {
		for _, key := range slices.Sorted(maps.Keys(e.Details)) {
			w.field(eDetail, func() { w.string(key); w.string(e.Details[key]) })
		}
	}
	return w.b
}

// DecodeEvent reads a record into e, which must be empty but for what is a column. The error of bytes that are none has no details
// of them.
func DecodeEvent(b []byte, e *profile.Event) error {
	if len(b) == 0 || b[0] != eventVersion {
		return errMalformed
	}
	return fields(b[1:], func(number uint64, r *reader) { r.event(number, e) })
}

func (r *reader) event(number uint64, e *profile.Event) {
	switch number {
	case eKind:
		e.Kind = r.text
	case eTime:
		e.Time = time.UnixMicro(r.int()).UTC()
	case eAmount:
		e.Amount = &profile.Money{Currency: r.string(), Amount: r.int()}
	case eOrder:
		e.Order = r.text
	case eBrand:
		e.Brand = r.text
	case eCategory:
		e.Category = r.text
	case eChannel:
		e.Channel = r.text
	case eScore:
		e.Score = r.optionalInt()
	case eCampaign:
		e.Campaign = r.text
	case eDetail:
		if e.Details == nil {
			e.Details = make(map[string]string)
		}
		key := r.string()
		e.Details[key] = r.string()
	}
}
