package rpc_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/internal/profilefacts"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/behaviour"
	"github.com/narrowcast/narrowcast/services/profile/internal/rpc"
)

const whose = "profiles/01890000-0000-7000-8000-0000000000ff"

var someUID = audience.UID{0x01, 0x89, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0xff}

func wholeEvent() *profilev1.Event {
	return &profilev1.Event{
		Name: whose + "/events/shop:1", EventId: "shop:1", Whose: &profilev1.Event_Profile{Profile: whose}, Kind: "purchase",
		EventTime: timestamppb.New(time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC)), Amount: &typev1.Money{CurrencyCode: "EUR", Amount: "0.05"},
		Order: "o", Brand: "été", Category: "c", Channel: typev1.Channel_CHANNEL_WEB, Campaign: "campaigns/spring", Details: map[string]string{"size": "m"},
	}
}

func TestEventsComeBackAsTheyWere(t *testing.T) {
	survey := &profilev1.Event{
		Name: whose + "/events/2", EventId: "2", Whose: &profilev1.Event_Profile{Profile: whose}, Kind: "survey",
		EventTime: timestamppb.New(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), Score: "10.00",
	}
	plain := proto.CloneOf(survey)
	plain.Kind, plain.Score = "test_drive", ""
	for _, want := range []*profilev1.Event{wholeEvent(), survey, plain} {
		e, who, err := rpc.EventFromWire(want)
		if err != nil || who != nil || e.UID != someUID {
			t.Fatalf("%s: of %x (%v, %v)", want.GetKind(), e.UID, who, err)
		}
		if got := rpc.EventToWire(e); !proto.Equal(got, want) {
			t.Errorf("came back as\n%s, want\n%s", prototext.Format(got), prototext.Format(want))
		}
	}
	// Every field is tested by one of them.
	fields := wholeEvent().ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !wholeEvent().ProtoReflect().Has(f) && !survey.ProtoReflect().Has(f) && f.Name() != "identifier" && f.Name() != "create_time" {
			t.Errorf("the field %s is not tested", f.Name())
		}
	}
	e, _, err := rpc.EventFromWire(wholeEvent())
	must(t, err)
	e.CreateTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if got := rpc.EventToWire(e).GetCreateTime().AsTime(); !got.Equal(e.CreateTime) {
		t.Errorf("was created at %v", got)
	}
	// Another way of saying the same.
	other := wholeEvent()
	other.Name, other.Brand, other.Amount.Amount = "", "e\u0301te\u0301", "0.05"
	other.CreateTime = timestamppb.Now() // the service's
	e, _, err = rpc.EventFromWire(other)
	if err != nil || !proto.Equal(rpc.EventToWire(e), wholeEvent()) {
		t.Errorf("became %+v (%v)", e, err)
	}
}

func TestAnEventCanNameAnIdentifier(t *testing.T) {
	m := wholeEvent()
	m.Whose = &profilev1.Event_Identifier{Identifier: &profilev1.Identifier{Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EXTERNAL_ID, Source: "crm", Value: "1"}}
	e, who, err := rpc.EventFromWire(m)
	if err != nil || e.UID != (audience.UID{}) || who == nil || *who != (profile.Identifier{Kind: "external_id", Source: "crm", Value: "1"}) {
		t.Errorf("is of %x, %v (%v)", e.UID, who, err)
	}
}

func TestEveryWrongFieldOfAnEventMessageIsNamed(t *testing.T) {
	_, _, err := rpc.EventFromWire(&profilev1.Event{
		Kind: "survey", EventTime: &timestamppb.Timestamp{Seconds: 1, Nanos: -1}, Amount: &typev1.Money{CurrencyCode: "EUR", Amount: "31337.001"},
		Score: "31337", Campaign: "x", Details: map[string]string{"A": "31337"},
	})
	f := fault.As(err)
	if f == nil || f.Kind != fault.Invalid || f.Reason != profile.ReasonValidationFailed {
		t.Fatalf("the fault is %v", err)
	}
	var got []string
	for _, v := range f.Violations {
		got = append(got, v.Field+" "+v.Reason)
		if strings.Contains(v.Description, "31337") {
			t.Errorf("%s repeats the value: %s", v.Field, v.Description)
		}
	}
	want := []string{
		"profile INVALID_EVENT", "event_time INVALID_DATE", "amount.amount INVALID_NUMBER", "event_id INVALID_EVENT", "amount INVALID_EVENT",
		"score INVALID_EVENT", "campaign INVALID_EVENT", "details INVALID_EVENT",
	}
	if !slices.Equal(got, want) {
		t.Errorf("wrong are\n%q, want\n%q", got, want)
	}
	for field, change := range map[string]func(*profilev1.Event){
		"profile":    func(m *profilev1.Event) { m.Whose = &profilev1.Event_Profile{Profile: "profiles/1"} },
		"event_time": func(m *profilev1.Event) { m.EventTime = nil },
		"score":      func(m *profilev1.Event) { m.Kind, m.Amount, m.Score = "survey", nil, "1.005" },
	} {
		m := wholeEvent()
		change(m)
		_, _, err := rpc.EventFromWire(m)
		if f := fault.As(err); f == nil || f.Kind != fault.Invalid || len(f.Violations) != 1 || f.Violations[0].Field != field {
			t.Errorf("a wrong %s: %v", field, err)
		}
	}
}

func TestTraitsOnTheWire(t *testing.T) {
	at := func(d int64) time.Time { return time.Unix(d*24*60*60, 0).UTC() }
	score := int64(775)
	events := []profile.Event{
		{Kind: "purchase", Time: at(1), Amount: &profile.Money{Currency: "EUR", Amount: 1}, Brand: "a", Category: "c", Channel: "web"},
		{Kind: "purchase", Time: at(400), Amount: &profile.Money{Currency: "EUR", Amount: 1999}, Brand: "b", Category: "d", Channel: "post"},
		{Kind: "visit", Time: at(3)}, {Kind: "open", Time: at(399)}, {Kind: "survey", Time: at(380), Score: &score}, {Kind: "test_drive", Time: at(0)},
	}
	p := &profile.Profile{UID: someUID}
	behaviour.Apply(p, events, 400, behaviour.Settings{Currency: "EUR"})
	m := rpc.ToWire(p)
	eur := func(amount string) *typev1.Money { return &typev1.Money{CurrencyCode: "EUR", Amount: amount} }
	want := &profilev1.Traits{
		Purchases: &profilev1.Purchases{
			FirstDate: &date.Date{Year: 1970, Month: 1, Day: 2},
			Activity:  &profilev1.Activity{LastDate: &date.Date{Year: 1971, Month: 2, Day: 5}, Count: 2, Count_30D: 1, Count_90D: 1, Count_365D: 1},
			Sum:       eur("20.00"), Sum_30D: eur("19.99"), Sum_90D: eur("19.99"), Sum_365D: eur("19.99"), AverageBasket: eur("19.99"),
			FavouriteChannel: typev1.Channel_CHANNEL_POST, FavouriteBrand: "b", FavouriteCategory: "d", Loyalty: proto.String("1.0000"),
		},
		Visits: &profilev1.Activity{LastDate: &date.Date{Year: 1970, Month: 1, Day: 4}, Count: 1},
		Opens:  &profilev1.Activity{LastDate: &date.Date{Year: 1971, Month: 2, Day: 4}, Count: 1, Count_30D: 1, Count_90D: 1, Count_365D: 1},
		Clicks: &profilev1.Activity{}, Responses: &profilev1.Activity{}, Complaints: &profilev1.Activity{},
		Surveys:      &profilev1.Activity{LastDate: &date.Date{Year: 1971, Month: 1, Day: 16}, Count: 1, Count_30D: 1, Count_90D: 1, Count_365D: 1},
		Satisfaction: proto.String("7.75"),
		Own:          map[string]*profilev1.Activity{"test_drive": {LastDate: &date.Date{Year: 1970, Month: 1, Day: 1}, Count: 1}},
	}
	if !proto.Equal(m.GetTraits(), want) || m.GetLifecycle() != typev1.Lifecycle_LIFECYCLE_CUSTOMER {
		t.Errorf("traits are\n%s, want\n%s", prototext.Format(m.GetTraits()), prototext.Format(want))
	}
	// What the index knows of them is what was computed, and fits the schema.
	_, facts, err := profilefacts.Of(m, nil)
	must(t, err)
	schema, err := audience.NewSchema("EUR", nil)
	must(t, err)
	if _, err := audience.Derive(schema, facts); err != nil {
		t.Errorf("the schema refuses the facts: %v", err)
	}
	known := audience.Facts{
		"purchase.first_date": {Num: 1}, "purchase.last_date": {Num: 400}, "purchase.sum": {Num: 2000, Currency: "EUR"},
		"purchase.average_basket": {Num: 1999, Currency: "EUR"}, "purchase.loyalty": {Num: 10_000}, "purchase.favourite_channel": {Text: "post"},
		"survey.satisfaction": {Num: 775}, "visit.last_date": {Num: 3}, "visit.count_365d": {Num: 0}, "click.count": {Num: 0},
	}
	for name, v := range known {
		if !reflect.DeepEqual(facts[name], v) {
			t.Errorf("%s is %+v, want %+v", name, facts[name], v)
		}
	}
	if _, ok := facts["click.last_date"]; ok {
		t.Error("the day of something that never happened is known")
	}
	// Nobody writes them.
	var wrong fault.Violations
	if back := rpc.FromWire(m, &wrong); back.Traits != nil || wrong.Err() != nil {
		t.Errorf("were read as %+v (%v)", back.Traits, wrong.Err())
	}
	if m := rpc.ToWire(&profile.Profile{}); m.GetTraits() != nil {
		t.Errorf("of no event there are %v", m.GetTraits())
	}
}
