package record_test

import (
	"bytes"
	"errors"
	"reflect"
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
	for name, want := range map[string]*profile.Profile{"full": full(), "empty": {}} {
		got, err := decode(record.Body(nil, want), record.Contact(nil, want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s came back as %+v (%v), want %+v", name, got, err, want)
		}
	}
	// Every field of the struct has a place in the test; uid, revision and times are columns.
	v := reflect.ValueOf(*full())
	for i := range v.NumField() {
		switch name := v.Type().Field(i).Name; name {
		case "UID", "Revision", "CreateTime", "UpdateTime":
		default:
			if v.Field(i).IsZero() {
				t.Errorf("the field %s is not tested", name)
			}
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
