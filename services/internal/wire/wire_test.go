package wire_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/reflect/protoreflect"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

type protoEnum interface {
	~int32
	Descriptor() protoreflect.EnumDescriptor
}

// checkVocabulary derives each text from the name that the contract gives the value, so a value that is moved or added on one
// side only is found.
func checkVocabulary[E interface {
	protoEnum
	protoreflect.Enum
}](t *testing.T, v wire.Vocabulary[E], prefix string) {
	t.Helper()
	var zero E
	values := zero.Descriptor().Values()
	for i := range values.Len() {
		value := values.Get(i)
		name := strings.TrimPrefix(string(value.Name()), prefix)
		want := strings.ToLower(name)
		if prefix == "EMPLOYER_SIZE_" {
			want = strings.ReplaceAll(strings.ReplaceAll(want, "_plus", "+"), "_", "-")
		}
		if value.Number() == 0 {
			want = ""
		}
		if got := v.Text(E(value.Number())); got != want {
			t.Errorf("%s reads as %q, want %q", value.Name(), got, want)
		}
		if got := v.Value(want); got != E(value.Number()) {
			t.Errorf("%q is written as %d, want %s", want, got, value.Name())
		}
	}
	if got := v.Text(E(values.Len())); got != "" {
		t.Errorf("an undefined value of %s reads as %q", prefix, got)
	}
	if got := v.Text(-1); got != "" {
		t.Errorf("a negative value of %s reads as %q", prefix, got)
	}
}

func TestEveryEnumValueHasTheTextOfItsName(t *testing.T) {
	checkVocabulary(t, wire.Genders, "GENDER_")
	checkVocabulary(t, wire.JobLevels, "JOB_LEVEL_")
	checkVocabulary(t, wire.Educations, "EDUCATION_")
	checkVocabulary(t, wire.MaritalStatuses, "MARITAL_STATUS_")
	checkVocabulary(t, wire.EmployerSizes, "EMPLOYER_SIZE_")
	checkVocabulary(t, wire.Roles, "ROLE_")
	checkVocabulary(t, wire.Lifecycles, "LIFECYCLE_")
	checkVocabulary(t, wire.Channels, "CHANNEL_")
	checkVocabulary(t, wire.Purposes, "CONSENT_PURPOSE_")
	checkVocabulary(t, wire.ConsentStatuses, "CONSENT_STATUS_")
	checkVocabulary(t, wire.IdentifierKinds, "IDENTIFIER_KIND_")
}

func TestListsOfEnumsKeepEmptyApartFromAbsent(t *testing.T) {
	if got := wire.Roles.TextsOf(nil); got == nil || len(got) != 0 {
		t.Errorf("no roles read as %#v, want an empty list", got)
	}
	texts := wire.Channels.TextsOf([]typev1.Channel{typev1.Channel_CHANNEL_POST, typev1.Channel_CHANNEL_EMAIL})
	if !slices.Equal(texts, []string{"post", "email"}) {
		t.Errorf("channels read as %v", texts)
	}
	if got := wire.Channels.ValuesOf(texts); !slices.Equal(got, []typev1.Channel{typev1.Channel_CHANNEL_POST, typev1.Channel_CHANNEL_EMAIL}) {
		t.Errorf("channels are written as %v", got)
	}
}

func day(year int, month time.Month, d int) int64 {
	return time.Date(year, month, d, 0, 0, 0, 0, time.UTC).Unix() / 86400
}

func TestDatesAreIntervals(t *testing.T) {
	for _, c := range []struct {
		date        *date.Date
		first, last int64
	}{
		{&date.Date{Year: 1984, Month: 2, Day: 29}, day(1984, 2, 29), day(1984, 2, 29)},
		{&date.Date{Year: 1984, Month: 2}, day(1984, 2, 1), day(1984, 2, 29)},
		{&date.Date{Year: 1900, Month: 2}, day(1900, 2, 1), day(1900, 2, 28)},
		{&date.Date{Year: 1984}, day(1984, 1, 1), day(1984, 12, 31)},
		{&date.Date{Year: 1984, Month: 1}, day(1984, 1, 1), day(1984, 1, 31)},
		{&date.Date{Year: 1984, Month: 1, Day: 1}, day(1984, 1, 1), day(1984, 1, 1)},
		{&date.Date{Year: 1, Month: 1, Day: 1}, audience.MinDay, audience.MinDay},
		{&date.Date{Year: 9999, Month: 12, Day: 31}, audience.MaxDay, audience.MaxDay},
	} {
		first, last, err := wire.Interval(c.date)
		if err != nil || first != c.first || last != c.last {
			t.Errorf("%v is %d to %d (%v), want %d to %d", c.date, first, last, err, c.first, c.last)
		}
		back := wire.IntervalDate(first, last)
		if back.GetYear() != c.date.Year || back.GetMonth() != c.date.Month || back.GetDay() != c.date.Day {
			t.Errorf("%v comes back as %v", c.date, back)
		}
	}
	if got := wire.IntervalDate(day(2020, 1, 2), day(2020, 1, 5)); got != nil {
		t.Errorf("an interval that no date means is written as %v", got)
	}
}

func TestDatesThatDoNotExistAreRefused(t *testing.T) {
	for _, c := range []struct {
		date  *date.Date
		field string
	}{
		{&date.Date{Year: 2023, Month: 2, Day: 29}, "day"},
		{&date.Date{Year: 2023, Month: 4, Day: 31}, "day"},
		{&date.Date{Year: 2023, Month: 13}, "month"},
		{&date.Date{Year: 2023, Day: 5}, "month"},
		{&date.Date{Year: 0, Month: 2, Day: 5}, "year"},
		{&date.Date{Year: -4}, "year"},
		{&date.Date{Year: 10000}, "year"},
		{&date.Date{Year: 2023, Month: -1}, "month"},
		{&date.Date{Year: 2023, Month: 1, Day: -1}, "day"},
		{nil, "year"},
	} {
		_, _, err := wire.Interval(c.date)
		f := fault.As(err)
		if f == nil || f.Kind != fault.Invalid || f.Reason != "INVALID_DATE" || f.Violations[0].Field != c.field {
			t.Errorf("%v: %v, want INVALID_DATE at %s", c.date, err, c.field)
		}
	}
	if _, err := wire.Day(&date.Date{Year: 2023, Month: 5}); fault.ReasonOf(err) != "INVALID_DATE" {
		t.Errorf("a month as a day: %v", err)
	}
}

func FuzzDatesComeBackAsTheyWere(f *testing.F) {
	f.Add(int32(2000), int32(2), int32(29))
	f.Add(int32(1999), int32(0), int32(0))
	f.Fuzz(func(t *testing.T, y, m, d int32) {
		first, last, err := wire.Interval(&date.Date{Year: y, Month: m, Day: d})
		if err != nil {
			return
		}
		// The standard library's calendar is the independent judge.
		if first == last && day(int(y), time.Month(m), int(d)) != first {
			t.Fatalf("%d-%d-%d is day %d", y, m, d, first)
		}
		back := wire.IntervalDate(first, last)
		if back.GetYear() != y || back.GetMonth() != m || back.GetDay() != d {
			t.Fatalf("%d-%d-%d comes back as %v", y, m, d, back)
		}
	})
}

func TestMoneyIsExact(t *testing.T) {
	for in, want := range map[string]struct {
		amount int64
		back   string
	}{
		"12.5": {1250, "12.50"}, "-8019": {-801900, "-8019.00"}, "0": {0, "0.00"}, "-0.01": {-1, "-0.01"},
		"999999999999999.99": {99999999999999999, "999999999999999.99"},
	} {
		currency, amount, err := wire.Money(&typev1.Money{CurrencyCode: "EUR", Amount: in})
		if err != nil || currency != "EUR" || amount != want.amount {
			t.Errorf("%s is %d %s (%v)", in, amount, currency, err)
		}
		if back := wire.MoneyOf(currency, amount); back.GetAmount() != want.back || back.GetCurrencyCode() != "EUR" {
			t.Errorf("%s comes back as %v", in, back)
		}
	}
	_, _, err := wire.Money(&typev1.Money{CurrencyCode: "EUR", Amount: "1.005"})
	if f := fault.As(err); f == nil || f.Reason != "INVALID_NUMBER" || f.Violations[0].Field != "amount" {
		t.Errorf("a thousandth: %v", err)
	}
}

func TestCustomValuesComeBackAsTheyWere(t *testing.T) {
	for _, c := range []struct {
		attr audience.Attribute
		in   *typev1.AttributeValue
		want audience.Value
	}{
		{audience.Attribute{Kind: audience.KindText}, &typev1.AttributeValue{Value: &typev1.AttributeValue_Text{Text: "é"}}, audience.Value{Text: "é"}},
		{audience.Attribute{Kind: audience.KindDecimal, Scale: 3}, &typev1.AttributeValue{Value: &typev1.AttributeValue_Decimal{Decimal: "-0.250"}}, audience.Value{Num: -250}},
		{audience.Attribute{Kind: audience.KindBool}, &typev1.AttributeValue{Value: &typev1.AttributeValue_Boolean{Boolean: true}}, audience.Value{Num: 1}},
		{audience.Attribute{Kind: audience.KindBool}, &typev1.AttributeValue{Value: &typev1.AttributeValue_Boolean{}}, audience.Value{}},
		{audience.Attribute{Kind: audience.KindDate}, &typev1.AttributeValue{Value: &typev1.AttributeValue_Date{Date: &date.Date{Year: 2024, Month: 2, Day: 29}}}, audience.Value{Num: day(2024, 2, 29)}},
		{audience.Attribute{Kind: audience.KindTextList}, &typev1.AttributeValue{Value: &typev1.AttributeValue_Texts{Texts: &typev1.TextList{Values: []string{"a", "b"}}}}, audience.Value{List: []string{"a", "b"}}},
	} {
		got, err := wire.CustomValue(&c.attr, c.in)
		if err != nil || got.Text != c.want.Text || got.Num != c.want.Num || !slices.Equal(got.List, c.want.List) {
			t.Errorf("%v is %+v (%v), want %+v", c.in, got, err, c.want)
		}
		if back := wire.CustomValueOf(&c.attr, got); back.String() != c.in.String() {
			t.Errorf("%v comes back as %v", c.in, back)
		}
		for _, other := range []audience.Kind{audience.KindText, audience.KindDecimal, audience.KindBool, audience.KindDate, audience.KindTextList} {
			if other == c.attr.Kind {
				continue
			}
			if _, err := wire.CustomValue(&audience.Attribute{Name: "custom.x", Kind: other}, c.in); fault.ReasonOf(err) != "ATTRIBUTE_TYPE_MISMATCH" {
				t.Errorf("%v given for kind %d: %v", c.in, other, err)
			}
		}
	}
	if got, _ := wire.CustomValue(&audience.Attribute{Kind: audience.KindText}, &typev1.AttributeValue{Value: &typev1.AttributeValue_Text{Text: "e\u0301"}}); got.Text != "\u00e9" {
		t.Errorf("a text is kept as %q, want NFC", got.Text)
	}
	for path, in := range map[string]*typev1.AttributeValue{
		"decimal":  {Value: &typev1.AttributeValue_Decimal{Decimal: "1.23"}},
		"date.day": {Value: &typev1.AttributeValue_Date{Date: &date.Date{Year: 2023, Month: 2, Day: 30}}},
	} {
		kind := audience.KindDecimal
		if path != "decimal" {
			kind = audience.KindDate
		}
		_, err := wire.CustomValue(&audience.Attribute{Name: "custom.x", Kind: kind, Scale: 1}, in)
		if f := fault.As(err); f == nil || f.Kind != fault.Invalid || len(f.Violations) != 1 || f.Violations[0].Field != path {
			t.Errorf("%v: %v, want a violation at %s", in, err, path)
		}
	}
	if _, err := wire.CustomValue(&audience.Attribute{Name: "custom.x", Kind: audience.KindText}, &typev1.AttributeValue{}); fault.ReasonOf(err) != "ATTRIBUTE_TYPE_MISMATCH" {
		t.Errorf("a value without an arm: %v", err)
	}
}

func TestDeclarationsBecomeAttributesThatTheSchemaTakes(t *testing.T) {
	var all []audience.Attribute
	for number, name := range profilev1.Attribute_Type_name {
		if number == 0 {
			continue
		}
		all = append(all, wire.SchemaAttribute(&profilev1.Attribute{
			Name: "attributes/" + strings.ToLower(name), Type: profilev1.Attribute_Type(number), Revision: 7, Sensitive: true,
		}))
	}
	s, err := audience.NewSchema("EUR", all)
	if err != nil {
		t.Fatal(err)
	}
	a, ok := s.Attribute("custom.type_decimal")
	if !ok || a.Kind != audience.KindDecimal || a.Revision != 7 || !a.Sensitive {
		t.Errorf("the declared decimal is %+v", a)
	}
	if _, err := audience.NewSchema("EUR", []audience.Attribute{wire.SchemaAttribute(&profilev1.Attribute{Name: "attributes/x"})}); err == nil {
		t.Error("a declaration without a type makes a schema")
	}
}

func TestNamesOfProfiles(t *testing.T) {
	const name = "profiles/01932f4e-7c00-7abc-8def-0123456789ab"
	uid, ok := wire.ParseProfileName(name)
	if !ok || uid[0] != 0x01 || uid[15] != 0xab || wire.ProfileName(uid) != name || wire.FormatUID(uid) != name[9:] {
		t.Errorf("%s is %x (%v), comes back as %s", name, uid, ok, wire.ProfileName(uid))
	}
	for _, bad := range []string{
		"", "profiles/", "segments/01932f4e-7c00-7abc-8def-0123456789ab", "profiles/01932F4E-7c00-7abc-8def-0123456789ab",
		"profiles/01932f4e-7c00-7abc-8def-0123456789a", "profiles/01932f4e-7c00-7abc-8def-0123456789abc",
		"profiles/01932f4e07c00-7abc-8def-0123456789ab", "profiles/01932f4e-7c00-7abc-8def-0123456789ag",
		"profiles/-1932f4e-7c00-7abc-8def-0123456789ab", "profiles/0193-f4e-7c00-7abc-8def-0123456789ab",
	} {
		if uid, ok := wire.ParseProfileName(bad); ok {
			t.Errorf("%q is taken for %x", bad, uid)
		}
	}
	if id, ok := wire.AttributeID("attributes/balance"); !ok || id != "balance" || wire.AttributeName(id) != "attributes/balance" {
		t.Errorf("attribute id %q", id)
	}
	for _, bad := range []string{"", "attributes/", "balance"} {
		if _, ok := wire.AttributeID(bad); ok {
			t.Errorf("%q is taken for an attribute's name", bad)
		}
	}
}

func FuzzParseUID(f *testing.F) {
	f.Add("01932f4e-7c00-7abc-8def-0123456789ab")
	f.Fuzz(func(t *testing.T, text string) {
		if uid, ok := wire.ParseUID(text); ok && wire.FormatUID(uid) != text {
			t.Fatalf("%q comes back as %q", text, wire.FormatUID(uid))
		}
	})
}

func TestTextsAreASetInNFC(t *testing.T) {
	got := wire.Texts([]string{"z", "e\u0301", "a", "\u00e9"})
	if !slices.Equal(got, []string{"a", "z", "\u00e9"}) {
		t.Errorf("texts are %q", got)
	}
	if got := wire.Texts(nil); got == nil {
		t.Error("no texts are absent, want present and empty")
	}
}

func TestEventNames(t *testing.T) {
	const name = "profiles/01890000-0000-7000-8000-0000000000ab/events/shop:1"
	uid, id, ok := wire.ParseEventName(name)
	if !ok || uid[15] != 0xab || id != "shop:1" || wire.EventName(uid, id) != name {
		t.Errorf("%s is %x and %q (%v)", name, uid, id, ok)
	}
	for _, bad := range []string{
		"", "/events/", "/events/1", name[:45], name[:45] + "/events/", name[:45] + "/event/1", name[1:], "profiles/x/events/1",
	} {
		if uid, id, ok := wire.ParseEventName(bad); ok || id != "" || uid != (audience.UID{}) {
			t.Errorf("%q was taken for the event %x %q", bad, uid, id)
		}
	}
}
