package identity_test

import (
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/identity"
)

func newGuard(t testing.TB, additions ...identity.Block) *identity.Guard {
	t.Helper()
	g, err := identity.NewGuard(additions...)
	if err != nil {
		t.Fatalf("new guard: %v", err)
	}
	return g
}

func TestGuard(t *testing.T) {
	g := newGuard(t)
	for _, c := range []struct{ kind, value, rule string }{
		{identity.Email, "Test@Test.com", identity.RulePlaceholder},
		{identity.Email, "none@none.com", identity.RulePlaceholder},
		{identity.Email, "jane@example.com", identity.RuleReservedDomain},
		{identity.Email, "jane@mail.example.org", identity.RuleReservedDomain},
		{identity.Email, "jane@shop.test", identity.RuleReservedDomain},
		{identity.Email, "jane@x.invalid", identity.RuleReservedDomain},
		{identity.Email, "NoReply@company.com", identity.RuleUnattended},
		{identity.Email, "no-reply+7@company.com", identity.RuleUnattended},
		{identity.Email, "donotreply@company.com", identity.RuleUnattended},
		{identity.Email, "jane@myexample.com", ""},
		{identity.Email, "jane@example.co", ""},
		{identity.Email, "example.com@company.com", ""},
		{identity.Email, "reply@company.com", ""},
		{identity.Email, "testa@test.com", ""},
		{identity.Phone, "+12125550100", identity.RuleFictitiousPhone},
		{identity.Phone, "+18005550199", identity.RuleFictitiousPhone},
		{identity.Phone, "+12125550200", ""},
		{identity.Phone, "+12125550099", ""},
		{identity.Phone, "+61 491 570 006", identity.RuleFictitiousPhone},
		{identity.Phone, "+12345678901", identity.RuleDigitSequence},
		{identity.Phone, "+33612345678", ""},
		{identity.Phone, "+16505551212", ""},
		{identity.MobileAdID, "00000000-0000-0000-0000-000000000000", identity.RuleZeroID},
		{identity.MobileAdID, "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", identity.RuleZeroID},
		{identity.MobileAdID, "00000000-0000-0000-0000-000000000001", ""},
		{identity.MobileAdID, "12345678-1234-1234-1234-123456789012", identity.RulePlaceholder},
		{identity.DeviceID, "00000000", identity.RuleZeroID},
		{identity.DeviceID, "000", ""},
		{identity.Cookie, "undefined", identity.RulePlaceholder},
		{identity.Cookie, "--------", ""},
		{identity.ExternalID, " NULL", identity.RulePlaceholder},
		{identity.ExternalID, "N/A", identity.RulePlaceholder},
		{identity.ExternalID, "Unknown", identity.RulePlaceholder},
		{identity.ExternalID, "0", ""}, // a real file of customers begins with it
		{identity.Cookie, "0", identity.RulePlaceholder},
		{identity.ExternalID, "nullable", ""},
		{identity.ExternalID, "00000000", ""}, // may be somebody's number, and is unique in its source
	} {
		normal, err := identity.Normalize(c.kind, c.value, identity.Options{})
		if err != nil {
			t.Errorf("%s %s: %v", c.kind, c.value, err)
			continue
		}
		if got := g.Blocked(c.kind, normal); got != c.rule {
			t.Errorf("%s %s is blocked by %q, want %q", c.kind, c.value, got, c.rule)
		}
		err = g.Check(c.kind, normal)
		if c.rule == "" {
			if err != nil {
				t.Errorf("%s %s: %v", c.kind, c.value, err)
			}
			continue
		}
		f := fault.As(err)
		if f == nil || f.Kind != fault.Invalid || f.Reason != identity.ReasonBlocked || f.Metadata["rule"] != c.rule || f.Metadata["kind"] != c.kind {
			t.Errorf("%s %s: %v", c.kind, c.value, err)
		} else if len(normal) > 3 && strings.Contains(f.Error(), normal) {
			t.Errorf("the refusal of %s holds the value: %v", c.kind, err)
		}
	}
}

// These have no plan in any country, so that only numbers kept before a guard was there can be like them.
func TestGuardOfImpossibleNumbers(t *testing.T) {
	g := newGuard(t)
	for number, rule := range map[string]string{
		"+11111111111": identity.RuleRepeatedDigits, "+490000000000": identity.RuleRepeatedDigits, "+3519999999": identity.RuleRepeatedDigits,
		"+1234567890": identity.RuleDigitSequence, "+339876543210": identity.RuleDigitSequence, "+447700900123": identity.RuleFictitiousPhone,
		"+4912345": "", "+": "", "": "",
	} {
		if got := g.Blocked(identity.Phone, number); got != rule {
			t.Errorf("%s is blocked by %q, want %q", number, got, rule)
		}
	}
}

func TestAdditionsToAGuard(t *testing.T) {
	g := newGuard(t, identity.Block{
		Rule: "till", Kinds: []string{identity.Email, identity.Phone},
		Values: []string{"Shop@Company.com", "+331234567??"}, Domains: []string{"stores.company.com"}, Mailboxes: []string{"Cashier"},
	}, identity.Block{Rule: "house", Values: []string{"walk-in"}})
	for _, c := range []struct{ kind, normal, rule string }{
		{identity.Email, "shop@company.com", "till"},
		{identity.Email, "jane@paris.stores.company.com", "till"},
		{identity.Email, "cashier+2@other.com", "till"},
		{identity.Email, "jane@company.com", ""},
		{identity.Phone, "+33123456789", "till"},
		{identity.Phone, "+33123456689", ""},
		{identity.ExternalID, "Walk-In", "house"},
		{identity.Email, "a@example.com", identity.RuleReservedDomain},
	} {
		if got := g.Blocked(c.kind, c.normal); got != c.rule {
			t.Errorf("%s %s is blocked by %q, want %q", c.kind, c.normal, got, c.rule)
		}
	}
	for field, bad := range map[string]identity.Block{
		"blocks[0].rule":         {Rule: "jane@company.com", Values: []string{"x"}},
		"blocks[0].kinds[1]":     {Rule: "r", Kinds: []string{"email", "fax"}, Values: []string{"x"}},
		"blocks[0].values":       {Rule: "r"},
		"blocks[0].values[0]":    {Rule: "r", Kinds: []string{"phone"}, Values: []string{"555-????"}},
		"blocks[0].domains[0]":   {Rule: "r", Domains: []string{"Company.com"}},
		"blocks[0].mailboxes[0]": {Rule: "r", Mailboxes: []string{"a+b"}},
	} {
		_, err := identity.NewGuard(bad)
		f := fault.As(err)
		if f == nil || f.Kind != fault.Invalid || len(f.Violations) != 1 || f.Violations[0].Field != field || f.Violations[0].Reason != identity.ReasonBlock {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// Whatever is nobody's for us is in the tests of others: normalising does not ask a guard.
func TestGuardIsApartFromNormalising(t *testing.T) {
	g := newGuard(t)
	blocked := 0
	for _, v := range readVectors(t) {
		if v.Kind == identity.Email && v.Valid && g.Blocked(identity.Email, v.Normalized) != "" {
			blocked++
		}
	}
	if blocked == 0 {
		t.Error("no published address is blocked")
	}
}
