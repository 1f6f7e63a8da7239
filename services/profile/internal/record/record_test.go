package record_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
)

func full() *profile.Profile {
	name, empty, day := "Zoë", "", int64(-5)
	return &profile.Profile{
		GivenName: &name, FamilyName: &empty, BirthDate: &profile.Interval{First: -719162, Last: 2932896}, Gender: "other", Region: "FR-40",
		PostalCode: "40100", JobLevel: "cxo", Income: &profile.Money{Currency: "EUR", Amount: -1 << 63}, Education: "master", MaritalStatus: "single",
		Occupation: "o", Employer: profile.Employer{Name: "n", Industry: "i", Size: "1"}, Household: "h", Roles: []string{}, Lifecycle: "lapsed",
		Interests: []string{"a", "", "c"}, Values: []string{"v"}, Needs: []string{}, PreferredChannels: []string{"email"}, PreferredBrands: []string{"b"},
		Consents: []profile.Consent{
			{Purpose: "marketing", Status: "denied"},
			{Purpose: "profiling", Channel: "sms", Status: "granted", Expires: &day, Decided: time.UnixMicro(-7).UTC(), Source: "s"},
		},
		Identifiers: []profile.Identifier{{Kind: "external_id", Source: "crm", Value: "1"}, {Kind: "email", Value: "e"}},
		Custom: map[string]profile.Value{
			"a": {Type: profile.TypeString, Text: ""}, "b": {Type: profile.TypeDecimal, Text: "1.0"}, "c": {Type: profile.TypeBool, Num: 1},
			"d": {Type: profile.TypeDate, Num: -9}, "e": {Type: profile.TypeStringList, List: []string{}}, "f": {Type: profile.TypeStringList, List: []string{"x", "y"}},
		},
		Traits: traits(),
	}
}

func traits() *profile.Traits {
	activity := func(n int64) profile.Activity {
		return profile.Activity{Last: n, Count: 4, Count30: 1, Count90: 2, Count365: 3}
	}
	basket, loyalty, satisfaction := int64(0), int64(10_000), int64(1000)
	return &profile.Traits{
		Purchases: profile.Purchases{
			Activity: activity(-1), First: -2, Currency: "EUR", Sum: 1<<63 - 1, Sum30: 1, Sum90: 2, Sum365: 3, AverageBasket: &basket,
			FavouriteChannel: "web", FavouriteBrand: "b", FavouriteCategory: "c", Loyalty: &loyalty,
		},
		Visits: activity(2), Opens: activity(3), Clicks: activity(4), Responses: activity(5), Complaints: activity(6), Surveys: activity(7),
		Satisfaction: &satisfaction, Own: map[string]profile.Activity{"a": activity(8), "b": activity(9), "c": activity(10)}, Declared: "prospect",
	}
}

func event() *profile.Event {
	score := int64(0)
	return &profile.Event{
		Kind: "survey", Time: time.UnixMicro(-7).UTC(), Amount: &profile.Money{Currency: "EUR", Amount: 5}, Order: "o", Brand: "b", Category: "c",
		Channel: "web", Score: &score, Campaign: "campaigns/c", Details: map[string]string{"a": "", "b": "2", "c": "3"},
	}
}

// decode reads both parts.
func decode(body, contact []byte) (*profile.Profile, error) {
	p := &profile.Profile{}
	if err := record.Decode(body, p); err != nil || len(contact) == 0 {
		return p, err
	}
	return p, record.Decode(contact, p)
}

func TestNamesAndIdentifiersAreInTheContactAlone(t *testing.T) {
	p := full()
	var body, contact profile.Profile
	if err := errors.Join(record.Decode(record.Body(nil, p), &body), record.Decode(record.Contact(nil, p), &contact)); err != nil {
		t.Fatal(err)
	}
	want := profile.Profile{GivenName: p.GivenName, FamilyName: p.FamilyName, Identifiers: p.Identifiers}
	if !reflect.DeepEqual(contact, want) {
		t.Errorf("the contact holds %+v, want %+v", contact, want)
	}
	p.GivenName, p.FamilyName, p.Identifiers = nil, nil, nil
	if !reflect.DeepEqual(&body, p) {
		t.Errorf("the body holds %+v, want %+v", body, p)
	}
	if c := record.Contact(nil, p); len(c) != 0 {
		t.Errorf("a profile without names and identifiers has the contact %x", c)
	}
	empty := ""
	if c := record.Contact(nil, &profile.Profile{GivenName: &empty}); len(c) == 0 {
		t.Error("a name that is known to be empty is not kept")
	}
}

// TestTheOneTextOfEarlierProgramsIsRead reads what version 1 of the schema stored: both parts in one, by ascending field.
func TestTheOneTextOfEarlierProgramsIsRead(t *testing.T) {
	old := []byte{1, 1, 3, 'A', 'd', 'a', 4, 5, 'o', 't', 'h', 'e', 'r', 24, 9, 5, 'e', 'm', 'a', 'i', 'l', 0, 1, 'x'}
	var got profile.Profile
	name := "Ada"
	want := profile.Profile{GivenName: &name, Gender: "other", Identifiers: []profile.Identifier{{Kind: "email", Value: "x"}}}
	if err := record.Decode(old, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v (%v), want %+v", got, err, want)
	}
}

func TestARecordGivesBackTheProfile(t *testing.T) {
	for name, want := range map[string]*profile.Profile{"full": full(), "empty": {}, "traits of a single visit": {Traits: &profile.Traits{Visits: profile.Activity{Count: 1}}}} {
		got, err := decode(record.Body(nil, want), record.Contact(nil, want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s came back as %+v (%v), want %+v", name, got, err, want)
		}
	}
	// Every field of the struct has a place in the test; uid, revision and times are columns.
	everyField(t, *full(), "UID", "Revision", "CreateTime", "UpdateTime")
	everyField(t, *traits())
	everyField(t, traits().Purchases)
}

// everyField fails where a field of a struct is zero, so that a new one is not forgotten.
func everyField(t *testing.T, of any, except ...string) {
	t.Helper()
	v := reflect.ValueOf(of)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() != slices.Contains(except, name) {
			t.Errorf("the field %s of %T is not tested", name, of)
		}
	}
}

func TestARecordGivesBackTheEvent(t *testing.T) {
	for name, want := range map[string]*profile.Event{"full": event(), "empty": {}} {
		b := record.EncodeEvent(nil, want)
		var got profile.Event
		if err := record.DecodeEvent(b, &got); err != nil || !reflect.DeepEqual(&got, want) {
			t.Errorf("%s came back as %+v (%v), want %+v", name, got, err, want)
		}
	}
	everyField(t, *event(), "ID", "UID", "CreateTime")
	want := record.EncodeEvent(nil, event())
	for range 50 {
		if !bytes.Equal(record.EncodeEvent(nil, event()), want) {
			t.Fatal("the same event has two records")
		}
	}
	var got profile.Event
	if err := record.DecodeEvent(append(want, 99, 3, 'n', 'e', 'w'), &got); err != nil || !reflect.DeepEqual(&got, event()) {
		t.Errorf("with an unknown field: %+v (%v)", got, err)
	}
	for _, b := range [][]byte{nil, {2}, want[:len(want)-1]} {
		if record.DecodeEvent(b, new(profile.Event)) == nil {
			t.Errorf("%x was read", b)
		}
	}
}

const (
	storedBody = "010307f3e457c082e60204056f74686572050546522d343006053430313030070363786f080e03455552ffffffffffffffffff0109066d61737465720a067369" +
		"6e676c650b016f0c016e0d01690e01310f0168100011066c617073656412050161000163130201761400150605656d61696c160201621714096d61726b657469" +
		"6e67000664656e6965640000171b0970726f66696c696e6703736d73076772616e746564017303090d190401610100190701620203312e301904016303021904" +
		"016404111903016505190701660501780179"
	storedContact = "0101045a6fc3ab020018120b65787465726e616c5f69640363726d0131180905656d61696c000165"
	storedTraits  = "011a1103455552feffffffffffffffff010204061b0e08707572636861736501080204061b0b05766973697404080204061b0a046f70656e06080204" +
		"061b0b05636c69636b08080204061b0e08726573706f6e73650a080204061b0f09636f6d706c61696e740c080204061b0c067375727665790e080204" +
		"061b07016110080204061b07016212080204061b07016314080204061c01031d01001e037765621f01622001632103a09c012202d00f230870726f73" +
		"70656374"
	storedEvent = "01010673757276657902010d0305034555520a04016f0501620601630703776562080100090b63616d706169676e732f630a030161000a0401620132" +
		"0a0401630133"
)

// Records of programs before this one stay readable and of the same bytes, whatever fields are added.
func TestStoredBytesStayWhatTheyAre(t *testing.T) {
	p := full()
	p.Traits = nil
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"profile": {record.Body(nil, p), storedBody},
		"contact": {record.Contact(nil, p), storedContact},
		"traits":  {record.Body(nil, &profile.Profile{Traits: traits()}), storedTraits},
		"event":   {record.EncodeEvent(nil, event()), storedEvent},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("the %s is written as\n%s, want\n%s", name, got, c.want)
		}
	}
}

func TestEqualProfilesHaveEqualRecords(t *testing.T) {
	want := record.Body(nil, full())
	for range 50 { // maps are walked in another order each time
		if !bytes.Equal(record.Body(nil, full()), want) {
			t.Fatal("the same profile has two records")
		}
	}
	other := full()
	other.Needs = nil
	if bytes.Equal(record.Body(nil, other), want) {
		t.Error("an absent list has the record of an empty one")
	}
}

func TestFieldsOfANewerProgramAreSkipped(t *testing.T) {
	later := []byte{99, 3, 'n', 'e', 'w'}
	got, err := decode(append(record.Body(nil, full()), later...), append(record.Contact(nil, full()), later...))
	if err != nil || !reflect.DeepEqual(got, full()) {
		t.Errorf("with an unknown field: %+v (%v)", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(record.Body(nil, full()))
	f.Add(record.Contact(nil, full()))
	f.Add([]byte{1, 25, 3, 1, 'x', 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		var p profile.Profile
		if record.Decode(b, &p) != nil {
			return
		}
		// What can be read can be written and read again as the same.
		body, contact := record.Body(nil, &p), record.Contact(nil, &p)
		q, err := decode(body, contact)
		if err != nil || !bytes.Equal(record.Body(nil, q), body) || !bytes.Equal(record.Contact(nil, q), contact) {
			t.Fatalf("%x reads as %+v, which is written as %x and %x and reads as %+v (%v)", b, p, body, contact, q, err)
		}
	})
}

func FuzzDecodeEvent(f *testing.F) {
	f.Add(record.EncodeEvent(nil, event()))
	f.Add([]byte{1, 10, 3, 1, 'x', 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		var e profile.Event
		if record.DecodeEvent(b, &e) != nil {
			return
		}
		again := record.EncodeEvent(nil, &e)
		var q profile.Event
		if err := record.DecodeEvent(again, &q); err != nil || !bytes.Equal(record.EncodeEvent(nil, &q), again) {
			t.Fatalf("%x reads as %+v, which is written as %x and reads as %+v (%v)", b, e, again, q, err)
		}
	})
}
