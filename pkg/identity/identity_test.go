package identity_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/identity"
)

func TestNormalForms(t *testing.T) {
	uid := identity.Hash("anybody").Base64()
	token := strings.Repeat("A4_-", 50)
	for _, c := range []struct{ kind, value, want string }{ // an empty want is a refusal
		{identity.ExternalID, " C-0042 ", "C-0042"},
		{identity.ExternalID, "Ange\u0301lique 7", "Angélique 7"},
		{identity.ExternalID, strings.Repeat("é", 500), strings.Repeat("é", 500)},
		{identity.ExternalID, strings.Repeat("x", 501), ""},
		{identity.ExternalID, strings.Repeat("\ufb2c", 400), ""}, // becomes 1,200 characters in NFC
		{identity.ExternalID, "a\x00b", ""},
		{identity.ExternalID, "a\u2028b", ""},
		{identity.ExternalID, "a\xff", ""},
		{identity.ExternalID, " \t\u00a0", ""},
		{identity.Email, "\u00a0Jane.Doe+Work@Company.COM ", "jane.doe+work@company.com"},
		{identity.Email, "jane@iana。org", "jane@iana.org"},
		{identity.Email, "jane@XN--BCHER-KVA.de", "jane@xn--bcher-kva.de"},
		{identity.Email, "jane@xn--.de", ""},
		{identity.Email, "jane@a_b.de", ""},
		{identity.Email, "jane\u200b@company.com", ""}, // an invisible character
		{identity.Email, "jane@company.com\n", ""},
		{identity.Email, "jane@company.com, joe@company.com", ""},
		{identity.Email, "Jane <jane@company.com>", ""},
		{identity.Email, strings.Repeat("é", 33) + "@company.com", ""},
		{identity.MobileAdID, "6D92078A-8246-4BA4-AE5B-76104861E7DC", "6d92078a-8246-4ba4-ae5b-76104861e7dc"},
		{identity.MobileAdID, " 6d92078a82464ba4ae5b76104861e7dc", "6d92078a-8246-4ba4-ae5b-76104861e7dc"},
		{identity.MobileAdID, "6d92078a82464ba4-ae5b76104861e7dc", ""},
		{identity.MobileAdID, "6d92078a-8246-4ba4-ae5b-76104861e7d", ""},
		{identity.MobileAdID, "6d92078a-8246-4ba4-ae5b-76104861e7dcc", ""},
		{identity.MobileAdID, "6d92078a-8246-4ba4-ae5b076104861e7dc", ""},
		{identity.MobileAdID, "{6d92078a-8246-4ba4-ae5b-76104861e7dc}", ""},
		{identity.MobileAdID, "6d92078a-8246-4ba4-ae5b-76104861e7dg", ""},
		{identity.MobileAdID, "00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"}, // for a guard to block
		{identity.Cookie, " Abc.123 ", "Abc.123"},
		{identity.Cookie, "a\r\nSet-Cookie: b", ""},
		{identity.DeviceID, "IMEI 35-209900", "IMEI 35-209900"},
		{identity.UID2Token, " " + uid, uid},
		{identity.UID2Token, strings.TrimRight(uid, "="), strings.TrimRight(uid, "=")},
		{identity.UID2Token, token, token},
		{identity.UID2Token, uid + "=", ""},
		{identity.UID2Token, uid[:40], ""},
		{identity.UID2Token, uid[:20] + "_" + uid[21:30] + "+" + uid[31:], ""}, // two alphabets
		{identity.UID2Token, strings.Repeat("A", 1400), ""},
		{"fax", "1", ""},
	} {
		got, err := identity.Normalize(c.kind, c.value, identity.Options{})
		if c.want == "" {
			if !fault.Is(err, fault.Invalid) || fault.ReasonOf(err) != identity.ReasonInvalid {
				t.Errorf("%s %q gave %q, %v, want a refusal", c.kind, c.value, got, err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s %q gave %q, %v, want %q", c.kind, c.value, got, err, c.want)
		}
	}
}

func TestARefusalNamesItsField(t *testing.T) {
	_, err := identity.Normalize(identity.Email, "nobody", identity.Options{})
	if got := fault.As(err).Under("identifiers[3]").Violations[0].Field; got != "identifiers[3].value" {
		t.Errorf("field %q", got)
	}
	_, err = identity.Normalize("fax", "1", identity.Options{})
	if got := fault.As(err).Violations[0].Field; got != "kind" {
		t.Errorf("field %q", got)
	}
}

func TestLimits(t *testing.T) {
	for kind, limit := range map[string]int{
		"external_id": 32, "email": 8, "phone": 8, "mobile_ad_id": 16, "cookie": 64, "device_id": 32, "uid2": 16,
	} {
		if !slices.Contains(identity.Kinds, kind) {
			t.Errorf("%s is no kind", kind)
		}
		for _, limits := range []identity.Limits{nil, identity.DefaultLimits()} {
			if err := limits.Check(map[string]int{kind: limit}); err != nil {
				t.Errorf("%d of %s: %v", limit, kind, err)
			}
			err := limits.Check(map[string]int{kind: limit + 1})
			if f := fault.As(err); f == nil || f.Reason != identity.ReasonLimit || f.Metadata["kind"] != kind {
				t.Errorf("%d of %s: %v", limit+1, kind, err)
			}
		}
	}
	limits := identity.Limits{identity.Email: 1, identity.Phone: 0}
	if err := limits.Check(map[string]int{identity.Email: 1, identity.Cookie: 64}); err != nil {
		t.Errorf("own limits: %v", err)
	}
	err := limits.Check(map[string]int{identity.Phone: 1, identity.Email: 2})
	if f := fault.As(err); f == nil || f.Metadata["kind"] != identity.Email || f.Metadata["limit"] != "1" || f.Metadata["count"] != "2" {
		t.Errorf("own limits: %v", err)
	}
	if err := limits.Check(map[string]int{"fax": 1}); fault.ReasonOf(err) != identity.ReasonInvalid {
		t.Errorf("an unknown kind: %v", err)
	}
	changed := identity.DefaultLimits()
	changed[identity.Email] = 0
	if identity.DefaultLimits().Of(identity.Email) != 8 {
		t.Error("the defaults changed")
	}
}

// Case, normal forms and IDNA have exceptions that sit at single characters, so each character has its turn.
func TestNormalFormsStayForEachCharacter(t *testing.T) {
	t.Parallel()
	last := rune(0x1ffff) // what follows is ideographs, tags and private use
	if testing.Short() {
		last = 0x2fff
	}
	accepted := map[string]int{}
	for r := rune(0); r <= last; r++ {
		for kind, value := range map[string]string{
			identity.ExternalID: "a" + string(r) + "\u0301",
			identity.Email:      "J" + string(r) + "\u030c@a" + string(r) + "b.de",
			identity.Phone:      "+1650555121" + string(r),
		} {
			normal, err := identity.Normalize(kind, value, identity.Options{})
			if err != nil {
				continue
			}
			accepted[kind]++
			if again, err := identity.Normalize(kind, normal, identity.Options{}); err != nil || again != normal {
				t.Errorf("%s %+q became %+q, and that %+q, %v", kind, value, normal, again, err)
			}
		}
	}
	if accepted[identity.ExternalID] < 10_000 || accepted[identity.Email] < 1_000 || accepted[identity.Phone] < 20 {
		t.Errorf("too few were accepted to tell: %v", accepted)
	}
}
