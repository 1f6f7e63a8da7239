package profile_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
)

func aPurchase() *profile.Event {
	return &profile.Event{
		ID: "shop:1~a.b_c-d", Kind: "purchase", Time: time.Date(2025, 1, 1, 1, 0, 0, 1999, time.FixedZone("", 3600)),
		Amount: &profile.Money{Currency: "EUR"}, Order: "e\u0301", Brand: "e\u0301", Category: "e\u0301", Channel: "web", Campaign: "campaigns/c-1",
		Details: map[string]string{"a": "e\u0301"},
	}
}

func TestTwoWaysOfSayingAnEventBecomeOne(t *testing.T) {
	e := aPurchase()
	want := &profile.Event{
		ID: "shop:1~a.b_c-d", Kind: "purchase", Time: time.Date(2025, 1, 1, 0, 0, 0, 1000, time.UTC),
		Amount: &profile.Money{Currency: "EUR"}, Order: "\u00e9", Brand: "\u00e9", Category: "\u00e9", Channel: "web", Campaign: "campaigns/c-1",
		Details: map[string]string{"a": "\u00e9"},
	}
	if err := e.Canonicalize(); err != nil || !reflect.DeepEqual(e, want) {
		t.Errorf("became %+v (%v), want %+v", e, err, want)
	}
	if again := e.Clone(); again.Canonicalize() != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("the second time it became %+v", again)
	}
	e = &profile.Event{ID: "1", Kind: "test_drive", Time: time.Unix(0, 0), Details: map[string]string{}}
	if err := e.Canonicalize(); err != nil || e.Details != nil || e.Time.Location() != time.UTC {
		t.Errorf("an event of an own kind became %+v (%v)", e, err)
	}
}

func TestEveryWrongFieldOfAnEventIsNamed(t *testing.T) {
	score := func(n int64) *int64 { return &n }
	many := make(map[string]string)
	for i := range profile.MaxDetails + 1 {
		many[fmt.Sprint("k", i)] = ""
	}
	for _, c := range []struct {
		field, reason string
		change        func(e *profile.Event)
	}{
		{"event_id", "INVALID_EVENT", func(e *profile.Event) { e.ID = "" }},
		{"event_id", "INVALID_EVENT", func(e *profile.Event) { e.ID = "a b" }},
		{"event_id", "INVALID_EVENT", func(e *profile.Event) { e.ID = "a/b" }},
		{"event_id", "INVALID_EVENT", func(e *profile.Event) { e.ID = "a\n" }},
		{"event_id", "INVALID_EVENT", func(e *profile.Event) { e.ID = strings.Repeat("x", 129) }},
		{"kind", "INVALID_EVENT", func(e *profile.Event) { e.Kind, e.Amount = "", nil }},
		{"kind", "INVALID_EVENT", func(e *profile.Event) { e.Kind, e.Amount = "Purchase", nil }},
		{"kind", "INVALID_EVENT", func(e *profile.Event) { e.Kind, e.Amount = strings.Repeat("x", 64), nil }},
		{"event_time", "INVALID_DATE", func(e *profile.Event) { e.Time = time.Time{} }},
		{"event_time", "INVALID_DATE", func(e *profile.Event) { e.Time = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) }},
		{"event_time", "INVALID_DATE", func(e *profile.Event) { e.Time = time.Date(1, 1, 1, 23, 59, 59, 0, time.UTC) }},
		{"event_time", "INVALID_DATE", func(e *profile.Event) { e.Time = time.Unix(1<<62, 0) }},
		{"amount.currency_code", "INVALID_EVENT", func(e *profile.Event) { e.Amount.Currency = "eur" }},
		{"amount.amount", "INVALID_EVENT", func(e *profile.Event) { e.Amount.Amount = -1 }},
		{"amount", "INVALID_EVENT", func(e *profile.Event) { e.Kind = "visit" }},
		{"order", "INVALID_EVENT", func(e *profile.Event) { e.Order = strings.Repeat("é", 129) }},
		{"brand", "INVALID_EVENT", func(e *profile.Event) { e.Brand = strings.Repeat("é", 201) }},
		{"category", "INVALID_EVENT", func(e *profile.Event) { e.Category = "\xff" }},
		{"channel", "INVALID_EVENT", func(e *profile.Event) { e.Channel = "fax" }},
		{"score", "INVALID_EVENT", func(e *profile.Event) { e.Score = score(5) }},
		{"score", "INVALID_EVENT", func(e *profile.Event) { e.Kind, e.Amount, e.Score = "survey", nil, score(1001) }},
		{"score", "INVALID_EVENT", func(e *profile.Event) { e.Kind, e.Amount, e.Score = "survey", nil, score(-1) }},
		{"campaign", "INVALID_EVENT", func(e *profile.Event) { e.Campaign = "c" }},
		{"details", "INVALID_EVENT", func(e *profile.Event) { e.Details = many }},
		{"details", "INVALID_EVENT", func(e *profile.Event) { e.Details = map[string]string{"A": ""} }},
		{"details.a", "INVALID_EVENT", func(e *profile.Event) { e.Details = map[string]string{"a": strings.Repeat("x", 501)} }},
	} {
		e := aPurchase()
		c.change(e)
		f := fault.As(e.Canonicalize())
		if f == nil || f.Kind != fault.Invalid || f.Reason != c.reason || len(f.Violations) != 1 || f.Violations[0].Field != c.field {
			t.Errorf("%+v: %v, want %s at %s", e, f, c.reason, c.field)
		}
	}
	for _, good := range []func(e *profile.Event){
		func(e *profile.Event) { e.Order, e.Brand = strings.Repeat("é", 128), strings.Repeat("é", 200) },
		func(e *profile.Event) { e.ID = strings.Repeat("x", 128) },
		func(e *profile.Event) { e.Kind, e.Amount, e.Score = "survey", nil, score(1000) },
		func(e *profile.Event) { e.Time = time.Date(9999, 12, 30, 23, 59, 59, 0, time.UTC) },
		func(e *profile.Event) { e.Time = time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC) },
	} {
		e := aPurchase()
		good(e)
		if err := e.Canonicalize(); err != nil {
			t.Errorf("%+v: %v", e, err)
		}
	}
	e := &profile.Event{Score: score(1), Channel: "fax"}
	f := fault.As(e.Canonicalize())
	if f == nil || f.Reason != profile.ReasonValidationFailed {
		t.Fatalf("several wrong fields are %v", f)
	}
	var got []string
	for _, v := range f.Violations {
		got = append(got, v.Field)
	}
	if want := []string{"event_id", "kind", "event_time", "channel", "score"}; !slices.Equal(got, want) {
		t.Errorf("wrong are %q, want %q", got, want)
	}
}

func FuzzCanonicalizeEvent(f *testing.F) {
	f.Add("1", "purchase", int64(0), int64(5), "EUR", "o", "b", "key", "text")
	f.Add("\xff", "survey", int64(1)<<62, int64(-5), "", "e\u0301", "\x00", "", "")
	f.Fuzz(func(t *testing.T, id, kind string, seconds, amount int64, currency, order, brand, key, text string) {
		e := &profile.Event{
			ID: id, Kind: kind, Time: time.Unix(seconds, amount), Order: order, Brand: brand, Channel: text, Campaign: text,
			Details: map[string]string{key: text},
		}
		if currency != "" {
			e.Amount = &profile.Money{Currency: currency, Amount: amount}
		} else {
			e.Score = &amount
		}
		if err := e.Canonicalize(); err != nil {
			if f := fault.As(err); f == nil || f.Kind != fault.Invalid || len(f.Violations) == 0 {
				t.Fatalf("%+v: %v", e, err)
			}
			return
		}
		want := e.Clone()
		if err := e.Canonicalize(); err != nil || !reflect.DeepEqual(e, want) {
			t.Fatalf("the second time %+v became %+v (%v)", want, e, err)
		}
	})
}
