package identity_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/nyaruka/phonenumbers"

	"github.com/narrowcast/narrowcast/pkg/identity"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

func TestExampleNumbersOfEveryRegion(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(testkit.SharedData(t, "identity_vectors", "examples.mobile.json"))
	if err != nil {
		t.Fatalf("read examples: %v", err)
	}
	var examples map[string]string
	if err := json.Unmarshal(raw, &examples); err != nil {
		t.Fatalf("decode examples: %v", err)
	}
	if len(examples) < 240 {
		t.Errorf("%d regions have an example, want 240 and more", len(examples))
	}
	for region, national := range examples {
		got, err := identity.Normalize(identity.Phone, national, identity.Options{Region: region})
		if err != nil {
			t.Errorf("%s: %s: %v", region, national, err)
			continue
		}
		code := phonenumbers.GetCountryCodeForRegion(region)
		if want := fmt.Sprintf("+%d%s", code, national); got != want {
			t.Errorf("%s: %s gave %s, want %s", region, national, got, want)
		}
		for _, same := range []string{
			got, " " + got + " ", fmt.Sprintf("+%d (%s) %s", code, national[:2], national[2:]), fmt.Sprintf("+%d-%s", code, national),
		} {
			for _, o := range []identity.Options{{}, {Region: region}, {Region: "US"}, {Region: "AQ"}} {
				if again, err := identity.Normalize(identity.Phone, same, o); err != nil || again != got {
					t.Errorf("%s: %q with %v gave %q, %v, want %q", region, same, o, again, err, got)
				}
			}
		}
	}
}

func TestPhonesThatAreRefused(t *testing.T) {
	for value, region := range map[string]string{
		"":                     "FR",
		"06 12 34 56 78":       "",      // no country
		"0033612345678":        "",      // an international prefix depends on the country too
		"0612345678 ":          "AQ",    // Antarctica has no numbering plan
		"06123456789":          "FR",    // a digit too many
		"+1 650 555 1212 x5":   "",      // extension
		"+1-800-FLOWERS":       "",      // letters
		"tel:+16505551212":     "",      // a URI
		"+1 650 555 1212;ext=": "",      // another
		"++16505551212":        "",      //
		"+16505551212+":        "",      //
		"+999123456789":        "",      // no such country
		"+123":                 "",      //
		"12345":                "DE-BY", // a region, not a country
		"+16505551212\n":       "",      //
		"+１６５０５５５1212\x00":     "",      //
	} {
		if got, err := identity.Normalize(identity.Phone, value, identity.Options{Region: region}); err == nil {
			t.Errorf("%q in %q gave %q", value, region, got)
		}
	}
}

// longWay asks the library alone, once more where its answer changes.
func longWay(text string) (string, bool) {
	var answers [2]string
	for i := range answers {
		n, err := phonenumbers.Parse(text, "")
		if err != nil || !phonenumbers.IsValidNumber(n) {
			return "", false
		}
		answers[i] = phonenumbers.Format(n, phonenumbers.E164)
		if answers[i] == text {
			return text, true // to ask again would give it again
		}
		text = answers[i]
	}
	return text, answers[0] == answers[1]
}

// Our way must answer as the library does, for real numbers of every type and for numbers near them.
func TestShortWayEqualsLongWay(t *testing.T) {
	t.Parallel()
	var examples []string
	for region := range phonenumbers.GetSupportedRegions() {
		for typ := phonenumbers.FIXED_LINE; typ <= phonenumbers.VOICEMAIL; typ++ {
			if n := phonenumbers.GetExampleNumberForType(region, typ); n != nil {
				examples = append(examples, phonenumbers.Format(n, phonenumbers.E164))
			}
		}
	}
	for code := range phonenumbers.GetSupportedGlobalNetworkCallingCodes() {
		if n := phonenumbers.GetExampleNumberForNonGeoEntity(code); n != nil {
			examples = append(examples, phonenumbers.Format(n, phonenumbers.E164))
		}
	}
	if len(examples) < 1000 {
		t.Fatalf("%d example numbers, want 1,000 and more", len(examples))
	}
	short, valid, tried := 0, 0, 0
	check := func(number string) {
		if !identity.IsE164(number, 7) {
			return
		}
		tried++
		got, err := identity.Normalize(identity.Phone, number, identity.Options{})
		want, ok := longWay(number)
		if !ok {
			want = ""
		}
		if got != want || (err == nil) != ok {
			t.Errorf("%s gave %q, %v, want %q", number, got, err, want)
		}
		if identity.ShortWay(number) {
			short++
		}
		if err == nil {
			valid++
		}
	}
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	random := rand.New(rand.NewPCG(7, 11))
	for _, number := range examples {
		check(number)
		for range rounds {
			near := []byte(number)
			for range 1 + random.IntN(3) {
				at := 1 + random.IntN(len(near)-1)
				switch random.IntN(4) {
				case 0:
					near = append(near[:at], near[at+1:]...)
				case 1:
					near = append(near[:at], append([]byte{'0' + byte(random.IntN(10))}, near[at:]...)...)
				default:
					near[at] = '0' + byte(random.IntN(10))
				}
				if len(near) < 3 {
					break
				}
			}
			check(string(near))
		}
	}
	t.Logf("%d numbers, %d of them valid, %d went the short way", tried, valid, short)
	if valid*10 < tried || short*2 < tried {
		t.Errorf("of %d numbers %d are valid and %d went the short way: too few to tell", tried, valid, short)
	}
}

func TestPhonesInOtherWritings(t *testing.T) {
	for _, c := range []struct{ value, region, want string }{
		{"+１６５０５５５１２１２", "", "+16505551212"},         // full-width digits
		{"＋1 650\u00a0555‑1212", "", "+16505551212"}, // plus, space and hyphen of typesetters
		{"(+1) 650.555/1212", "", "+16505551212"},
		{"1 650 555 1212", "us", "+16505551212"},
		{"011 33 6 12 34 56 78", "US", "+33612345678"}, // dialled from abroad
		{"+44 (0)7400 123456", "", "+447400123456"},    // a national prefix that is not dialled from abroad
		{"0612345678", "FR", "+33612345678"},
		{"00 1 650 555 1212", "FR", "+16505551212"},
		{"33612345678", "FR", "+33612345678"},
		{"+39 06 698 12345", "", "+390669812345"}, // Italian zeros stay
	} {
		if got, err := identity.Normalize(identity.Phone, c.value, identity.Options{Region: c.region}); err != nil || got != c.want {
			t.Errorf("%q in %q gave %q, %v, want %q", c.value, c.region, got, err, c.want)
		}
	}
}

func TestNumbersForFictionArePossible(t *testing.T) {
	for value, want := range map[string]string{
		"+33639980001": "+33639980001", "+44 (0)7700 900-123": "+447700900123", "+33 6 39 98 00 01": "+33639980001",
	} {
		if got, err := identity.Normalize(identity.Phone, value, identity.Options{}); err == nil {
			t.Errorf("a number of no range became %s", got)
		}
		if got, err := identity.Normalize(identity.Phone, value, identity.Options{Possible: true}); err != nil || got != want {
			t.Errorf("became %q (%v), want %s", got, err, want)
		}
	}
	for _, value := range []string{"+3363998000", "+336399800011", "+44123", "+1055501234567"} {
		if got, err := identity.Normalize(identity.Phone, value, identity.Options{Possible: true}); err == nil {
			t.Errorf("a number that is too short or too long became %s", got)
		}
	}
}
