package identity_test

import (
	"slices"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/identity"
)

// FuzzNormalize: no input panics, normal forms stay as they are, a refusal is one of those written in the source, which hold no
// value, and what destinations answer to an accepted ASCII value they answer to its normal form.
func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{
		"", " Jane.Doe+x@GMail.com", "jérôme@bücher.de", "İ@J\u030c.com", "a@xn--bcher-kva.de", "test@😊test.com", "+16505551212", "0612345678",
		"+44 (0)7400 123456", "+5491123456789", "+39 06 698 12345", "6D92078A-8246-4BA4-AE5B-76104861E7DC", "null", "\ufb2c", "+290１２３４",
		"A4AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "1990-12-31", "SW1A 1AA", "Mrs. Ann", "+@gmail.com", "a\x00", "\xff",
	} {
		for kind := range identity.Kinds {
			f.Add(uint8(kind), seed, "")
		}
		f.Add(uint8(2), seed, "FR")
		f.Add(uint8(2), seed, "AR")
	}
	g := newGuard(f)
	f.Fuzz(func(t *testing.T, k uint8, value, region string) {
		kind, o := identity.Kinds[int(k)%len(identity.Kinds)], identity.Options{Region: region}
		normal, err := identity.Normalize(kind, value, o)
		if err != nil {
			refusal(t, err)
		} else {
			for _, region := range []string{"", region, "IT"} {
				if again, err := identity.Normalize(kind, normal, identity.Options{Region: region}); err != nil || again != normal {
					t.Fatalf("%s %q became %q, and that %q, %v", kind, value, normal, again, err)
				}
			}
		}
		g.Blocked(kind, value)
		if rule := g.Blocked(kind, normal); rule != "" && fault.As(g.Check(kind, normal)).Metadata["rule"] != rule {
			t.Fatalf("%s %q: Check does not follow Blocked", kind, normal)
		}
		ascii := !slices.ContainsFunc([]rune(value), func(r rune) bool { return r > 0x7f })
		for _, d := range identity.Destinations {
			got, forErr := identity.For(d, kind, value, o)
			if forErr != nil {
				refusal(t, forErr)
			}
			if err == nil && (ascii || kind != identity.Email) {
				if same, sameErr := identity.For(d, kind, normal, o); same != got || (sameErr == nil) != (forErr == nil) {
					t.Fatalf("%s: %s %q gave %q, %v, its normal form %q, %v", d, kind, value, got, forErr, same, sameErr)
				}
			}
			for _, field := range identity.Fields {
				if _, err := identity.ForField(d, field, value, o); err != nil {
					refusal(t, err)
				}
			}
		}
		if _, err := identity.ParseDigest(value); err != nil {
			refusal(t, err)
		}
	})
}

func refusal(t *testing.T, err error) {
	t.Helper()
	if !slices.Contains(identity.Refusals, err) {
		t.Fatalf("a refusal that is not written in the source: %v", err)
	}
}
