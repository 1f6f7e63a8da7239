package record_test

import (
	"bytes"
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

func TestARecordGivesBackTheProfile(t *testing.T) {
	for name, want := range map[string]*profile.Profile{"full": full(), "empty": {}} {
		b := record.Encode(nil, want)
		var got profile.Profile
		if err := record.Decode(b, &got); err != nil || !reflect.DeepEqual(&got, want) {
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
	want := record.Encode(nil, full())
	for range 50 { // maps are walked in another order each time
		if !bytes.Equal(record.Encode(nil, full()), want) {
			t.Fatal("the same profile has two records")
		}
	}
	other := full()
	other.Needs = nil
	if bytes.Equal(record.Encode(nil, other), want) {
		t.Error("an absent list has the record of an empty one")
	}
}

func TestFieldsOfANewerProgramAreSkipped(t *testing.T) {
	b := append(record.Encode(nil, full()), 99, 3, 'n', 'e', 'w')
	var got profile.Profile
	if err := record.Decode(b, &got); err != nil || !reflect.DeepEqual(&got, full()) {
		t.Errorf("with an unknown field: %+v (%v)", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(record.Encode(nil, full()))
	f.Add([]byte{1, 25, 3, 1, 'x', 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		var p profile.Profile
		if record.Decode(b, &p) != nil {
			return
		}
		// What can be read can be written and read again as the same.
		again := record.Encode(nil, &p)
		var q profile.Profile
		if err := record.Decode(again, &q); err != nil || !bytes.Equal(record.Encode(nil, &q), again) {
			t.Fatalf("%x reads as %+v, which is written as %x and reads as %+v (%v)", b, p, again, q, err)
		}
	})
}
