package profile_test

import (
	"bytes"
	"crypto/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/identity"
	"github.com/narrowcast/narrowcast/pkg/population"
	"github.com/narrowcast/narrowcast/services/profile"
)

var schema = profile.Schema{
	"plan":  {ID: "plan", Type: profile.TypeString, Allowed: []string{"caf\u00e9"}},
	"score": {ID: "score", Type: profile.TypeDecimal, Scale: 3},
	"tags":  {ID: "tags", Type: profile.TypeStringList, Allowed: []string{"a", "b"}},
}

func TestTwoWaysOfSayingTheSameBecomeOne(t *testing.T) {
	day := int64(3)
	make := func() *profile.Profile {
		return &profile.Profile{
			Region: " fr-40", Occupation: "e\u0301", Interests: []string{"z", "e\u0301", "a", "\u00e9"}, Needs: []string{},
			Roles: []string{"prescriber", "buyer", "buyer"},
			Consents: []profile.Consent{
				{Purpose: "profiling", Status: "granted", Expires: &day, Decided: time.Date(2025, 1, 1, 1, 0, 0, 1999, time.FixedZone("", 3600))},
				{Purpose: "marketing", Channel: "sms", Status: "denied"}, {Purpose: "marketing", Status: "denied"},
			},
			Identifiers: []profile.Identifier{{Kind: "email", Value: " Zoë.Ä+x@EXAMPLE.com"}, {Kind: "phone", Value: "+44 7700 900-123"}, {Kind: "external_id", Source: "b", Value: "1"}, {Kind: "external_id", Source: "a", Value: "2"}},
			Custom: map[string]profile.Value{
				"plan": {Type: profile.TypeString, Text: "cafe\u0301"}, "score": {Type: profile.TypeDecimal, Text: "007.5"}, "tags": {Type: profile.TypeStringList},
			},
		}
	}
	want := &profile.Profile{
		Region: "FR-40", Occupation: "\u00e9", Interests: []string{"a", "z", "\u00e9"}, Needs: []string{}, Roles: []string{"buyer", "prescriber"},
		Consents: []profile.Consent{
			{Purpose: "marketing", Status: "denied"}, {Purpose: "marketing", Channel: "sms", Status: "denied"},
			{Purpose: "profiling", Status: "granted", Expires: &day, Decided: time.Date(2025, 1, 1, 0, 0, 0, 1000, time.UTC)},
		},
		Identifiers: []profile.Identifier{{Kind: "external_id", Source: "a", Value: "2"}, {Kind: "external_id", Source: "b", Value: "1"}, {Kind: "email", Value: "zoë.ä+x@example.com"}, {Kind: "phone", Value: "+447700900123"}},
		Custom: map[string]profile.Value{
			"plan": {Type: profile.TypeString, Text: "caf\u00e9"}, "score": {Type: profile.TypeDecimal, Text: "7.500"}, "tags": {Type: profile.TypeStringList, List: []string{}},
		},
	}
	p := make()
	if err := p.Canonicalize(schema, profile.Rules{}); err != nil || !reflect.DeepEqual(p, want) {
		t.Fatalf("became %+v (%v), want %+v", p, err, want)
	}
	if again := p.Clone(); again.Canonicalize(schema, profile.Rules{}) != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("the second time it became %+v", again)
	}
}

func TestEveryWrongFieldIsNamed(t *testing.T) {
	p := &profile.Profile{
		Region: "XX", Gender: "f", Roles: []string{"boss"}, BirthDate: &profile.Interval{First: 5, Last: 4}, Income: &profile.Money{Currency: "eur"},
		Consents:    []profile.Consent{{Purpose: "x", Status: "granted"}, {Purpose: "marketing", Status: "granted"}, {Purpose: "marketing", Status: "denied"}},
		Identifiers: []profile.Identifier{{Kind: "external_id", Value: "1"}},
		Custom:      map[string]profile.Value{"nope": {}, "tags": {Type: profile.TypeStringList, List: []string{"c"}}},
	}
	f := fault.As(p.Canonicalize(schema, profile.Rules{}))
	if f == nil || f.Kind != fault.Invalid || f.Reason != profile.ReasonValidationFailed {
		t.Fatalf("the fault is %v", f)
	}
	var got []string
	for _, v := range f.Violations {
		got = append(got, v.Field+" "+v.Reason)
	}
	slices.Sort(got)
	want := []string{
		"birth_date INVALID_DATE", "consents[0].purpose VALIDATION_FAILED", "consents[2] DUPLICATE_CONSENT", "custom.nope UNKNOWN_ATTRIBUTE",
		"custom.tags VALUE_NOT_ALLOWED", "gender VALIDATION_FAILED", "identifiers[0].source INVALID_IDENTIFIER", "income.currency_code VALIDATION_FAILED",
		"region UNKNOWN_REGION", "roles.values[0] VALIDATION_FAILED",
	}
	if !slices.Equal(got, want) {
		t.Errorf("wrong are\n%q, want\n%q", got, want)
	}
}

func TestUIDsAscendWhateverTheClockDoes(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	uids := profile.NewUIDs(func() time.Time { return now }, rand.Reader)
	var last [16]byte
	for i := range 6 {
		made, err := uids.Next(5000) // more than the counter holds in a millisecond
		if err != nil {
			t.Fatal(err)
		}
		for _, uid := range made {
			if bytes.Compare(last[:], uid[:]) >= 0 {
				t.Fatalf("%x is not above %x", uid, last)
			}
			if uid[6]>>4 != 7 || uid[8]>>6 != 2 {
				t.Fatalf("%x is not a UUIDv7", uid)
			}
			last = uid
		}
		now = now.Add(time.Duration(i-3) * time.Second) // back first
	}
	fresh, err := profile.NewUIDs(func() time.Time { return time.UnixMilli(0x0123456789ab) }, rand.Reader).Next(1)
	if err != nil || !bytes.Equal(fresh[0][:6], []byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab}) {
		t.Errorf("the milliseconds are written as %x (%v)", fresh[0][:6], err)
	}
	if got := profile.Name(last); len(got) != 45 || got[:9] != "profiles/" {
		t.Errorf("the name is %q", got)
	}
}

func TestIdentifiersThatNobodyMayKeepAreRefused(t *testing.T) {
	guard, err := identity.NewGuard()
	if err != nil {
		t.Fatal(err)
	}
	rules := profile.Rules{Guard: guard, Allow: profile.DefaultAllow}
	many := make([]profile.Identifier, 9)
	for i := range many {
		many[i] = profile.Identifier{Kind: "email", Value: string(rune('a'+i)) + "@example.com"}
	}
	for name, c := range map[string]struct {
		rules  profile.Rules
		ids    []profile.Identifier
		reason string
		field  string
		meta   map[string]string
	}{
		"placeholder": {rules, []profile.Identifier{{Kind: "phone", Value: "+33639980001"}, {Kind: "email", Value: "Test@Test.com"}},
			profile.ReasonIdentifierBlocked, "identifiers[1].value", map[string]string{"rule": identity.RulePlaceholder, "kind": "email"}},
		"example domain where it is not allowed": {profile.Rules{Guard: guard}, many[:1],
			profile.ReasonIdentifierBlocked, "identifiers[0].value", map[string]string{"rule": identity.RuleReservedDomain, "kind": "email"}},
		"example domain":    {rules: rules, ids: many[:8]},
		"fiction":           {rules: rules, ids: []profile.Identifier{{Kind: "phone", Value: "+1 202 555 0123"}}},
		"first external id": {rules: rules, ids: []profile.Identifier{{Kind: "external_id", Source: "crm", Value: "0"}}},
		"no guard":          {rules: profile.Rules{}, ids: []profile.Identifier{{Kind: "email", Value: "test@test.com"}}},
		"too many":          {rules, many, profile.ReasonTooManyIdentifiers, "identifiers", map[string]string{"kind": "email", "limit": "8", "count": "9"}},
		"no address":        {rules, []profile.Identifier{{Kind: "email", Value: "nobody"}}, profile.ReasonInvalidIdentifier, "identifiers[0].value", nil},
		"no such kind":      {rules, []profile.Identifier{{Kind: "telex", Value: "1"}}, profile.ReasonInvalidIdentifier, "identifiers[0].kind", nil},
		"twice in two spellings": {rules, []profile.Identifier{{Kind: "email", Value: "a@example.com"}, {Kind: "email", Value: "A@example.com"}},
			profile.ReasonDuplicateIdentifier, "identifiers[1]", nil},
		"space in an external id":   {rules, []profile.Identifier{{Kind: "external_id", Source: "crm", Value: "1 "}}, profile.ReasonInvalidIdentifier, "identifiers[0].value", nil},
		"control character":         {rules, []profile.Identifier{{Kind: "external_id", Source: "crm", Value: "1\x00"}}, profile.ReasonInvalidIdentifier, "identifiers[0].value", nil},
		"control in a source":       {rules, []profile.Identifier{{Kind: "email", Source: "a\tb", Value: "a@example.com"}}, profile.ReasonInvalidIdentifier, "identifiers[0].source", nil},
		"number without country":    {rules, []profile.Identifier{{Kind: "phone", Value: "06 39 98 00 01"}}, profile.ReasonInvalidIdentifier, "identifiers[0].value", nil},
		"number of a known country": {rules: profile.Rules{Region: "FR"}, ids: []profile.Identifier{{Kind: "phone", Value: "06 39 98 00 01"}}},
	} {
		p := &profile.Profile{Identifiers: slices.Clone(c.ids)}
		f := fault.As(p.Canonicalize(nil, c.rules))
		if c.reason == "" {
			if f != nil {
				t.Errorf("%s: refused by %v", name, f)
			}
			continue
		}
		if f == nil || f.Kind != fault.Invalid || f.Reason != c.reason || len(f.Violations) != 1 || f.Violations[0].Field != c.field {
			t.Errorf("%s: %+v, want %s at %s", name, f, c.reason, c.field)
			continue
		}
		for key, want := range c.meta {
			if f.Metadata[key] != want {
				t.Errorf("%s: metadata %v, want %s %s", name, f.Metadata, key, want)
			}
		}
		for _, id := range c.ids {
			if len(id.Value) > 3 && strings.Contains(f.Error(), id.Value) {
				t.Errorf("%s: the fault repeats the value: %v", name, f)
			}
		}
	}
}

// TestMadeUpPeopleAreTaken holds the rules of the service to the addresses and numbers of the synthetic population.
func TestMadeUpPeopleAreTaken(t *testing.T) {
	guard, err := identity.NewGuard()
	if err != nil {
		t.Fatal(err)
	}
	rules := profile.Rules{Guard: guard, Allow: profile.DefaultAllow}
	people := population.New(1, 50_000)
	emails, phones := 0, 0
	for _, person := range people.All() {
		p := &profile.Profile{}
		if person.Email != "" {
			emails++
			p.Identifiers = append(p.Identifiers, profile.Identifier{Kind: "email", Value: person.Email})
		}
		if person.Phone != "" {
			phones++
			p.Identifiers = append(p.Identifiers, profile.Identifier{Kind: "phone", Value: person.Phone})
		}
		want := slices.Clone(p.Identifiers)
		if err := p.Canonicalize(nil, rules); err != nil || !slices.Equal(p.Identifiers, want) {
			t.Fatalf("%v became %v (%v)", want, p.Identifiers, err)
		}
	}
	if emails < 10_000 || phones < 10_000 {
		t.Errorf("%d addresses and %d numbers were tried", emails, phones)
	}
}

func TestWhatWasStoredBeforeNormalFormsIsBroughtIntoThem(t *testing.T) {
	p := &profile.Profile{Identifiers: []profile.Identifier{
		{Kind: "external_id", Source: "crm", Value: "A"}, {Kind: "email", Value: "ADA@example.com"}, {Kind: "email", Value: "ada@example.com"}, {Kind: "phone", Value: "call me"},
	}}
	p.NormalizeIdentifiers()
	want := []profile.Identifier{
		{Kind: "external_id", Source: "crm", Value: "A"}, {Kind: "email", Value: "ada@example.com"}, {Kind: "phone", Value: "call me"},
	}
	if !slices.Equal(p.Identifiers, want) {
		t.Errorf("became %v, want %v", p.Identifiers, want)
	}
}

func TestTraitsAreNotWritten(t *testing.T) {
	if _, err := profile.ParseMask([]string{"traits"}, &profile.Profile{}); fault.ReasonOf(err) != profile.ReasonUnknownField {
		t.Errorf("the path traits: %v", err)
	}
	stored := &profile.Profile{Region: "FR", Traits: &profile.Traits{Visits: profile.Activity{Count: 1}}}
	patch := &profile.Profile{Gender: "other", Traits: &profile.Traits{}}
	for _, paths := range [][]string{{"*"}, nil, {"gender", "region"}} {
		p := stored.Clone()
		mask, err := profile.ParseMask(paths, patch)
		if err != nil {
			t.Fatal(err)
		}
		if mask.Apply(p, patch); !reflect.DeepEqual(p.Traits, stored.Traits) || p.Gender != "other" {
			t.Errorf("%q made %+v", paths, p)
		}
	}
}

func TestACloneSharesNoTraits(t *testing.T) {
	n := int64(1)
	p := &profile.Profile{Traits: &profile.Traits{Purchases: profile.Purchases{AverageBasket: &n, Loyalty: &n}, Satisfaction: &n, Own: map[string]profile.Activity{"a": {}}}}
	c := p.Clone()
	if !reflect.DeepEqual(c, p) {
		t.Errorf("the clone is %+v", c)
	}
	*c.Traits.Purchases.AverageBasket, *c.Traits.Purchases.Loyalty, *c.Traits.Satisfaction = 2, 2, 2
	c.Traits.Own["b"] = profile.Activity{}
	if n != 1 || len(p.Traits.Own) != 1 {
		t.Errorf("changing the clone made %+v", p.Traits)
	}
	if (*profile.Traits)(nil).Clone() != nil {
		t.Error("the clone of no traits is not nil")
	}
}

func TestWhatIsComputedOutlivesAWrite(t *testing.T) {
	bought := profile.Traits{Purchases: profile.Purchases{Activity: profile.Activity{Last: 100, Count: 1}}}
	visited := profile.Traits{Visits: profile.Activity{Last: 100, Count: 1}}
	for _, c := range []struct {
		why             string
		traits          *profile.Traits
		before          string // what a writer said before
		written         string // "=" is what was read
		after, declared string // the lifecycle, and after the last event is gone
	}{
		{"without events the word of a writer counts", nil, "customer", "lapsed", "lapsed", "lapsed"},
		{"a purchase overrules it", &bought, "", "prospect", "customer", "prospect"},
		{"the latest word is kept", &bought, "lapsed", "prospect", "customer", "prospect"},
		{"so is that nothing is known", &bought, "lapsed", "", "customer", ""},
		{"what was read is no word", &bought, "lapsed", "=", "customer", "lapsed"},
		{"a visit makes a prospect of somebody unknown", &visited, "", "", "prospect", ""},
		{"reading and writing does not declare it", &visited, "", "=", "prospect", ""},
		{"a visit overrules nothing", &visited, "lapsed", "customer", "customer", "customer"},
		{"nor keeps what is no longer said", &visited, "lapsed", "", "prospect", ""},
	} {
		from := &profile.Profile{Lifecycle: c.before}
		from.SetTraits(c.traits.Clone(), 120, 365)
		to := &profile.Profile{Lifecycle: c.written, Traits: &profile.Traits{Declared: "junk"}}
		if c.written == "=" {
			to.Lifecycle = from.Lifecycle
		}
		profile.KeepComputed(to, from)
		if to.Lifecycle != c.after || (to.Traits == nil) != (c.traits == nil) {
			t.Errorf("%s: became %q with traits %+v", c.why, to.Lifecycle, to.Traits)
		}
		if to.Traits != nil && (to.Traits == from.Traits || to.Traits.Purchases.Activity != c.traits.Purchases.Activity) {
			t.Errorf("%s: the traits are %+v", c.why, to.Traits)
		}
		if to.SetTraits(nil, 120, 365); to.Lifecycle != c.declared || to.Traits != nil {
			t.Errorf("%s: without events it is %q, want %q", c.why, to.Lifecycle, c.declared)
		}
	}
	made := &profile.Profile{Lifecycle: "customer", Traits: &bought}
	if profile.KeepComputed(made, nil); made.Traits != nil || made.Lifecycle != "customer" {
		t.Errorf("a new profile has %+v", made)
	}
}
