package identity_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/identity"
)

// The twin: each destination's rules for an e-mail address as a person would follow them from the published page, with regular
// expressions and no thought of speed. It knows well-formed addresses in ASCII alone.
func twinEmail(d identity.Destination, value string) string {
	text := strings.ToLower(regexp.MustCompile(`^[ \t]+|[ \t]+$`).ReplaceAllString(value, ""))
	gmail := `(gmail\.com)`
	switch d {
	case identity.Google:
		text = regexp.MustCompile(`\s`).ReplaceAllString(text, "")
		gmail = `(gmail\.com|googlemail\.com)`
	case identity.Meta, identity.LinkedIn, identity.Raw:
		gmail = `(no\.such)`
	}
	if m := regexp.MustCompile(`^([^+@]*)(\+[^@]*)?@` + gmail + `$`).FindStringSubmatch(text); m != nil {
		text = strings.Join(strings.Split(m[1], "."), "") + "@" + m[3]
	}
	sum := sha256.Sum256([]byte(text))
	switch d {
	case identity.Raw:
		return text
	case identity.UID2, identity.TheTradeDesk:
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	return fmt.Sprintf("%x", sum)
}

func TestAddressesAgreeWithTheTwin(t *testing.T) {
	different := map[string]bool{}
	for _, local := range []string{"jane.doe", "Jane.Doe+Work", "JANE", "j.a.n.e+a+b", "+tag", "a_b-c", "x"} {
		for _, domain := range []string{"gmail.com", "GMail.Com", "googlemail.com", "mail.gmail.com", "gmail.com.au", "company.co.uk", "Example.org"} {
			for _, around := range []string{"", " ", "\t "} {
				value := around + local + "@" + domain + around
				for _, d := range identity.Destinations {
					got, err := identity.For(d, identity.Email, value, identity.Options{})
					want := twinEmail(d, value)
					tagless := d != identity.Meta && d != identity.LinkedIn && d != identity.Raw
					if local == "+tag" && tagless && (strings.EqualFold(domain, "gmail.com") || domain == "googlemail.com" && d == identity.Google) {
						if fault.ReasonOf(err) != identity.ReasonInvalid {
							t.Errorf("%s: %q is a tag alone but gave %q, %v", d, value, got, err)
						}
						continue
					}
					if err != nil || got != want {
						t.Errorf("%s: %q gave %q, %v, want %q", d, value, got, err, want)
					}
					different[got] = true
					// A destination answers the same to the normal form.
					normal, err := identity.Normalize(identity.Email, value, identity.Options{})
					if err != nil {
						t.Fatalf("%q: %v", value, err)
					}
					if again, err := identity.For(d, identity.Email, normal, identity.Options{}); err != nil || again != got {
						t.Errorf("%s: %q gave %q, and its normal form %q, %v", d, value, got, again, err)
					}
				}
			}
		}
	}
	if len(different) < 100 {
		t.Errorf("%d different answers: the twin's cases are too alike", len(different))
	}
}

func TestSpacesInsideAnAddress(t *testing.T) {
	const value = "jane doe@ company.com"
	got, err := identity.For(identity.Google, identity.Email, value, identity.Options{})
	if want := identity.Hash("janedoe@company.com").Hex(); err != nil || got != want {
		t.Errorf("Google removes spaces, but got %q, %v, want %q", got, err, want)
	}
	for _, d := range identity.Destinations[1:] {
		if got, err := identity.For(d, identity.Email, value, identity.Options{}); fault.ReasonOf(err) != identity.ReasonInvalid {
			t.Errorf("%s: an address with spaces gave %q, %v", d, got, err)
		}
	}
}

func TestInternationalAddresses(t *testing.T) {
	const value = "Jérôme@BÜCHER.de"
	for d, want := range map[identity.Destination]string{
		identity.Raw:      "jérôme@xn--bcher-kva.de",
		identity.Google:   identity.Hash("jérôme@bücher.de").Hex(),
		identity.Meta:     identity.Hash("jérôme@bücher.de").Hex(),
		identity.LinkedIn: identity.Hash("jérôme@bücher.de").Hex(),
		identity.UID2:     identity.Hash("jérôme@bÜcher.de").Base64(), // "convert all ASCII characters to lower case"
	} {
		if got, err := identity.For(d, identity.Email, value, identity.Options{}); err != nil || got != want {
			t.Errorf("%s: gave %q, %v, want %q", d, got, err, want)
		}
	}
}

func TestPhonesForDestinations(t *testing.T) {
	for d, want := range map[identity.Destination]string{
		identity.Google:       identity.Hash("+33612345678").Hex(),
		identity.Meta:         identity.Hash("33612345678").Hex(),
		identity.UID2:         identity.Hash("+33612345678").Base64(),
		identity.TheTradeDesk: identity.Hash("+33612345678").Base64(),
		identity.Raw:          "+33612345678",
	} {
		for _, value := range []string{"06 12 34 56 78", "+33 (0)6 12 34 56 78", "0033612345678"} {
			if got, err := identity.For(d, identity.Phone, value, identity.Options{Region: "FR"}); err != nil || got != want {
				t.Errorf("%s: %q gave %q, %v, want %q", d, value, got, err, want)
			}
		}
	}
}

func TestDestinationsAsData(t *testing.T) {
	ads := []string{"ads_user_data", "ads_personalisation"}
	for _, c := range []struct {
		d                       identity.Destination
		kinds, fields, purposes []string
		all                     bool
	}{
		{identity.Google, []string{"email", "phone", "mobile_ad_id"}, []string{"given_name", "family_name", "country", "postal_code"}, ads, true},
		{identity.Meta, []string{"email", "phone", "mobile_ad_id"}, identity.Fields, ads, false},
		{identity.UID2, []string{"email", "phone"}, nil, ads, false},
		{identity.LinkedIn, []string{"email", "mobile_ad_id"}, nil, ads, false},
		{identity.TheTradeDesk, []string{"email", "phone", "mobile_ad_id", "uid2"}, nil, ads, false},
		{identity.Raw, identity.Kinds, nil, nil, false},
	} {
		if d, err := identity.ParseDestination(string(c.d)); err != nil || d != c.d {
			t.Errorf("ParseDestination(%q) = %q, %v", c.d, d, err)
		}
		if !slices.Equal(c.d.Kinds(), c.kinds) || !slices.Equal(c.d.Fields(), c.fields) || !slices.Equal(c.d.Purposes(), c.purposes) || c.d.AllFields() != c.all {
			t.Errorf("%s takes %v and %v for %v, all %v", c.d, c.d.Kinds(), c.d.Fields(), c.d.Purposes(), c.d.AllFields())
		}
		// The table holds whatever the caller does to what it was given.
		for _, list := range [][]string{c.d.Kinds(), c.d.Fields(), c.d.Purposes()} {
			clear(list)
		}
		for _, kind := range identity.Kinds {
			_, err := identity.For(c.d, kind, "", identity.Options{})
			want := identity.ReasonInvalid
			if !slices.Contains(c.kinds, kind) {
				want = identity.ReasonNotTaken
			}
			if fault.ReasonOf(err) != want {
				t.Errorf("%s: an empty %s: %v, want %s", c.d, kind, err, want)
			}
		}
		for _, field := range identity.Fields {
			_, err := identity.ForField(c.d, field, "", identity.Options{})
			want := identity.ReasonField
			if !slices.Contains(c.fields, field) {
				want = identity.ReasonNotTaken
			}
			if fault.ReasonOf(err) != want {
				t.Errorf("%s: an empty %s: %v, want %s", c.d, field, err, want)
			}
		}
	}
	if len(identity.Destinations) != 6 {
		t.Errorf("%d destinations, want 6", len(identity.Destinations))
	}
	if _, err := identity.ParseDestination("myspace"); fault.ReasonOf(err) != identity.ReasonDestination {
		t.Errorf("an unknown destination: %v", err)
	}
	if _, err := identity.For("myspace", identity.Email, "a@b.fr", identity.Options{}); fault.ReasonOf(err) != identity.ReasonDestination {
		t.Errorf("for an unknown destination: %v", err)
	}
	if _, err := identity.ForField("myspace", identity.Gender, "f", identity.Options{}); fault.ReasonOf(err) != identity.ReasonDestination {
		t.Errorf("a field for an unknown destination: %v", err)
	}
}

func TestUnhashedKindsForDestinations(t *testing.T) {
	const id = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
	for _, d := range []identity.Destination{identity.Google, identity.Meta, identity.LinkedIn, identity.TheTradeDesk, identity.Raw} {
		if got, err := identity.For(d, identity.MobileAdID, id, identity.Options{}); err != nil || got != strings.ToLower(id) {
			t.Errorf("%s: %q, %v, want %q", d, got, err, strings.ToLower(id))
		}
	}
	uid := identity.Hash("anybody").Base64()
	if got, err := identity.For(identity.TheTradeDesk, identity.UID2Token, uid, identity.Options{}); err != nil || got != uid {
		t.Errorf("a UID2 became %q, %v", got, err)
	}
}

func TestFields(t *testing.T) {
	hash := func(text string) string { return identity.Hash(text).Hex() }
	for _, c := range []struct {
		d                            identity.Destination
		field, value, region, result string // an empty result is a refusal
	}{
		{identity.Google, identity.GivenName, " Mrs. Anna Maria ", "", hash("anna maria")},
		{identity.Google, identity.GivenName, "Dr Mrs Anna", "", hash("anna")},
		{identity.Google, identity.GivenName, "Miss", "", hash("miss")},
		{identity.Google, identity.FamilyName, "King, Jr.", "", hash("king")},
		{identity.Google, identity.FamilyName, "O'Connor-Smith III", "", hash("o'connor-smith")},
		{identity.Google, identity.FamilyName, "Z\u0307o\u0301c", "", hash("żóc")}, // NFC
		{identity.Google, identity.Country, " fr ", "", "FR"},
		{identity.Google, identity.Country, "FRA", "", ""},
		{identity.Google, identity.PostalCode, " 94025-1234 ", "US", "94025-1234"},
		{identity.Google, identity.PostalCode, "9402", "US", ""},
		{identity.Google, identity.PostalCode, "SW1A 1AA", "GB", "SW1A 1AA"},
		{identity.Meta, identity.FamilyName, "O'Connor-Smith", "", hash("oconnorsmith")},
		{identity.Meta, identity.GivenName, "Vale\u0301ry", "", hash("valéry")},
		{identity.Meta, identity.GivenName, "-", "", ""},
		{identity.Meta, identity.GivenName, "a\nb", "", ""},
		{identity.Meta, identity.Country, "FR", "", hash("fr")},
		{identity.Meta, identity.Country, "XX", "", ""},
		{identity.Meta, identity.Country, "419", "", ""},
		{identity.Meta, identity.PostalCode, "94025-1234", "us", hash("94025")},
		{identity.Meta, identity.PostalCode, "ABCDE", "US", ""},
		{identity.Meta, identity.PostalCode, "M1 1AE", "GB", hash("m11")},
		{identity.Meta, identity.PostalCode, "SW1A 1AA", "GB", hash("sw1a1")},
		{identity.Meta, identity.PostalCode, "1012 AB", "NL", hash("1012ab")},
		{identity.Meta, identity.PostalCode, "01310-100", "BR", hash("01310100")},
		{identity.Meta, identity.PostalCode, "--", "BR", ""},
		{identity.Meta, identity.Gender, "Female", "", hash("f")},
		{identity.Meta, identity.Gender, "m", "", hash("m")},
		{identity.Meta, identity.Gender, "other", "", ""},
		{identity.Meta, identity.BirthDate, "1990-12-31", "", hash("19901231")},
		{identity.Meta, identity.BirthDate, "19901231", "", hash("19901231")},
		{identity.Meta, identity.BirthDate, "1990-02-30", "", ""},
	} {
		got, err := identity.ForField(c.d, c.field, c.value, identity.Options{Region: c.region})
		if c.result == "" {
			if !fault.Is(err, fault.Invalid) || fault.ReasonOf(err) != identity.ReasonField {
				t.Errorf("%s: %s %q gave %q, %v, want a refusal", c.d, c.field, c.value, got, err)
			}
			continue
		}
		if err != nil || got != c.result {
			t.Errorf("%s: %s %q gave %q, %v, want %q", c.d, c.field, c.value, got, err, c.result)
		}
	}
	if _, err := identity.ForField(identity.Meta, "shoe_size", "44", identity.Options{}); fault.ReasonOf(err) != identity.ReasonField {
		t.Errorf("an unknown field: %v", err)
	}
}
