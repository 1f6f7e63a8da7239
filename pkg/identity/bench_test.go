package identity_test

import (
	"testing"

	"github.com/narrowcast/narrowcast/pkg/identity"
)

var benchValues = []struct{ name, kind, value, region string }{
	{"email", identity.Email, "Jane.Doe+News@Company.com", ""},
	{"email_idn", identity.Email, "jérôme@bücher.de", ""},
	{"phone_e164", identity.Phone, "+16505551212", ""},
	{"phone_e164_de", identity.Phone, "+4915123456789", ""},
	{"phone_national", identity.Phone, "06 12 34 56 78", "FR"},
	{"mobile_ad_id", identity.MobileAdID, "6D92078A-8246-4BA4-AE5B-76104861E7DC", ""},
	{"external_id", identity.ExternalID, "C-00001234", ""},
}

// BenchmarkNormalize is what an import does with each identifier: the normal form, a guard and a hash.
func BenchmarkNormalize(b *testing.B) {
	g := newGuard(b)
	for _, c := range benchValues {
		b.Run("value="+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				normal, err := identity.Normalize(c.kind, c.value, identity.Options{Region: c.region})
				if err != nil {
					b.Fatal(err)
				}
				if rule := g.Blocked(c.kind, normal); rule != "" {
					b.Fatal(rule)
				}
				identity.Hash(normal)
			}
		})
	}
}

// BenchmarkFor is what an export does with each identifier.
func BenchmarkFor(b *testing.B) {
	for _, d := range []identity.Destination{identity.Google, identity.UID2} {
		for _, c := range benchValues[:3] {
			b.Run("destination="+string(d)+"/value="+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := identity.For(d, c.kind, c.value, identity.Options{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
