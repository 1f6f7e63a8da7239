package identity_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/identity"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

type vector struct {
	Profile, Kind, Input, Normalized, Region, Note string
	Valid                                          bool
	Hex                                            string `json:"sha256_hex"`
	Base64                                         string `json:"sha256_base64"`
}

func readVectors(t *testing.T) []vector {
	t.Helper()
	raw, err := os.ReadFile(testkit.SharedData(t, "identity_vectors", "uid2_google_vectors.json"))
	if err != nil {
		t.Fatalf("read vectors: %v", err)
	}
	var all []vector
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatalf("decode vectors: %v", err)
	}
	return all
}

// regionOf is the country of published numbers that are written without plus sign and country code, or without the plus sign:
// their standards take for granted what we want to be told.
var regionOf = map[string]string{"1 (234) 567-8901": "US", "18005550101": "US"}

func TestPublishedVectors(t *testing.T) {
	destinations := map[string]identity.Destination{"uid2": identity.UID2, "google_customer_match": identity.Google}
	counts := map[string]int{}
	for _, v := range readVectors(t) {
		d, ok := destinations[v.Profile]
		if !ok {
			t.Fatalf("vectors of an unknown profile %q", v.Profile)
		}
		if strings.Contains(v.Note, "do not use as an oracle") {
			counts["misprints"]++
			// UID2's page prints a number and a normal form with other digits, and no country has the printed one.
			if got, err := identity.Normalize(identity.Phone, v.Input, identity.Options{Region: "SG"}); err == nil {
				t.Errorf("the misprinted number has become real: %s", got)
			}
			continue
		}
		counts[v.Kind]++
		switch v.Kind {
		case identity.Email, "phone_e164":
			o := identity.Options{Region: v.Region}
			if o.Region == "" {
				o.Region = regionOf[v.Input]
			}
			kind := identity.Email
			if v.Kind != identity.Email {
				kind = identity.Phone
			}
			checkVector(t, d, kind, v, o)
		case "phone_is_normalized":
			// The question here is not what the number becomes but whether the operator takes the text as a normal form.
			if got := identity.IsE164(v.Input, identity.MinPhone(d)); got != v.Valid {
				t.Errorf("%s: %q is in normal form: %v, want %v", v.Profile, v.Input, got, v.Valid)
			}
			if v.Valid && (identity.Hash(v.Input).Hex() != v.Hex || identity.Hash(v.Input).Base64() != v.Base64) {
				t.Errorf("%s: hash of %q is not the published one", v.Profile, v.Input)
			}
		case "email_hash":
			digest, err := identity.ParseDigest(v.Input)
			if (err == nil) != v.Valid || err == nil && digest.Base64() != v.Normalized {
				t.Errorf("%s: digest %q gave %q, %v, want %q", v.Profile, v.Input, digest.Base64(), err, v.Normalized)
			}
		case "name", "name_or_street":
			got, err := identity.ForField(d, identity.FamilyName, v.Input, identity.Options{})
			if err != nil || got != v.Hex || identity.Hash(v.Normalized).Hex() != v.Hex {
				t.Errorf("%s: name %q gave %q, %v, want %q", v.Profile, v.Input, got, err, v.Hex)
			}
		default:
			t.Errorf("vector of an unknown kind %q", v.Kind)
		}
	}
	want := map[string]int{
		"misprints": 1, "email": 53, "phone_e164": 5, "phone_is_normalized": 29, "email_hash": 10, "name": 2, "name_or_street": 3,
	}
	for kind, n := range want {
		if counts[kind] != n {
			t.Errorf("%d vectors of kind %s, want %d", counts[kind], kind, n)
		}
	}
}

func checkVector(t *testing.T, d identity.Destination, kind string, v vector, o identity.Options) {
	t.Helper()
	got, err := identity.For(d, kind, v.Input, o)
	if !v.Valid {
		if !fault.Is(err, fault.Invalid) || fault.ReasonOf(err) != identity.ReasonInvalid {
			t.Errorf("%s: %s %q is not valid but gave %q, %v", d, kind, v.Input, got, err)
		}
		return
	}
	plain, plainErr := identity.Plain(d, kind, v.Input, o)
	want := v.Hex
	if d == identity.UID2 {
		want = v.Base64
	}
	if err != nil || plainErr != nil || plain != v.Normalized || got != want {
		t.Errorf("%s: %s %q gave %q and %q, %v, want %q and %q", d, kind, v.Input, plain, got, err, v.Normalized, want)
	}
	if h := identity.Hash(plain); h.Hex() != v.Hex || h.Base64() != v.Base64 {
		t.Errorf("%s: %s %q: a hash is not the published one", d, kind, v.Input)
	}
}

// UID2's operator looks at a number's form alone, we look at numbering plans too. Of its six texts in normal form only one is a
// number, in Ohio; the others begin with 1 and have more or fewer digits than a North American number.
func TestNumbersThatOnlyUID2Accepts(t *testing.T) {
	refused := 0
	for _, v := range readVectors(t) {
		if v.Kind != "phone_is_normalized" {
			continue
		}
		got, err := identity.For(identity.UID2, identity.Phone, v.Input, identity.Options{})
		switch {
		case v.Valid && err != nil:
			refused++
		case v.Valid && got != v.Base64:
			t.Errorf("%q gave %q, want %q", v.Input, got, v.Base64)
		case !v.Valid && err == nil:
			t.Errorf("%q is refused by UID2 and accepted here", v.Input)
		}
	}
	if refused != 5 {
		t.Errorf("%d numbers of UID2 have no plan, want 5", refused)
	}
	// The other way round: a valid number of the Falkland Islands is too short for UID2.
	if _, err := identity.Normalize(identity.Phone, "+50051234", identity.Options{}); err != nil {
		t.Errorf("a number of eight digits: %v", err)
	}
	if _, err := identity.For(identity.UID2, identity.Phone, "+50051234", identity.Options{}); fault.ReasonOf(err) != identity.ReasonInvalid {
		t.Errorf("UID2 takes a number of eight digits: %v", err)
	}
}

// Vectors that Meta publishes, and hashes of normal forms that Google publishes.
func TestPublishedVectorsOfMetaAndGoogle(t *testing.T) {
	us := identity.Options{Region: "US"}
	for _, c := range []struct {
		d           identity.Destination
		kind, value string
		want        string
	}{
		{identity.Meta, identity.Email, "John_Smith@gmail.com", "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"},
		{identity.Meta, identity.Phone, "(650)555-1212", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"},
		{identity.Meta, identity.Phone, "+1 (800)555-0100", "92cfdc5fbcd4a20fbe5d3857af6c1aba31762105bba7f21a17155e920653046c"},
		{identity.Meta, identity.GivenName, "Mary", "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"},
		{identity.Meta, identity.GivenName, "Valéry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"},
		{identity.Meta, identity.GivenName, "정", "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"},
		{identity.Google, identity.Email, "cloudy.sanfrancisco+shopping@gmail.com", "223ebda6f6889b1494551ba902d9d381daf2f642bae055888e96343d53e9f9c4"},
		{identity.Google, identity.Email, "user.name+NYC@Example.com", "f109a2a632fbcea5fc82049f50beed3d8621bf9034399f437fb622222acccdac"},
		{identity.Google, identity.Phone, "(800)555-0100", "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30"},
	} {
		get := identity.For
		if c.kind == identity.GivenName {
			get = identity.ForField
		}
		if got, err := get(c.d, c.kind, c.value, us); err != nil || got != c.want {
			t.Errorf("%s: %s gave %q, %v, want %q", c.d, c.value, got, err, c.want)
		}
	}
}
