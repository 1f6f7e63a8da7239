package e2e_test

import (
	"testing"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
)

// The scenario files are only as good as their reader: what it reads is compared with the contract's own JSON form.
func TestShortFormsMeanWhatTheContractSays(t *testing.T) {
	for name, c := range map[string]struct {
		short, long string
		message     proto.Message
	}{
		"profile": {message: &profilev1.Profile{},
			short: `{birth_date: 1990, gender: female, region: FR-40, job_level: cxo, income: 52000.50 EUR, employer: {size: 10001+},
				interests: [a, b], needs: [], roles: [buyer], consents: [marketing/email granted until 2030-01-31, profiling denied],
				identifiers: [external_id crm/4/2, email x@y], custom: {n: -1.5, t: "5", b: true, d: 2024-02-29, l: [p, q]}}`,
			long: `{"birthDate": {"year": 1990}, "gender": "GENDER_FEMALE", "region": "FR-40", "jobLevel": "JOB_LEVEL_CXO",
				"income": {"currencyCode": "EUR", "amount": "52000.50"}, "employer": {"size": "EMPLOYER_SIZE_10001_PLUS"},
				"interests": {"values": ["a", "b"]}, "needs": {}, "roles": {"values": ["ROLE_BUYER"]},
				"consents": [{"purpose": "CONSENT_PURPOSE_MARKETING", "channel": "CHANNEL_EMAIL", "status": "CONSENT_STATUS_GRANTED",
					"expireDate": {"year": 2030, "month": 1, "day": 31}}, {"purpose": "CONSENT_PURPOSE_PROFILING", "status": "CONSENT_STATUS_DENIED"}],
				"identifiers": [{"kind": "IDENTIFIER_KIND_EXTERNAL_ID", "source": "crm", "value": "4/2"}, {"kind": "IDENTIFIER_KIND_EMAIL", "value": "x@y"}],
				"custom": {"n": {"decimal": "-1.5"}, "t": {"text": "5"}, "b": {"boolean": true},
					"d": {"date": {"year": 2024, "month": 2, "day": 29}}, "l": {"texts": {"values": ["p", "q"]}}}}`},
		"request": {message: &campaignv1.CountAudienceRequest{},
			short: `{audience: {regions: FR, age: 25-, as_of: 2026-06-30, min_job_level: director}, consistency: {max_staleness: 1500ms}}`,
			long: `{"audience": {"spec": {"regions": ["FR"], "age": {"min": 25}, "asOf": {"year": 2026, "month": 6, "day": 30},
				"minJobLevel": "JOB_LEVEL_DIRECTOR"}}, "consistency": {"maxStaleness": "1.5s"}}`},
		"saved": {message: &campaignv1.CountAudienceRequest{}, short: `{audience: audiences/x}`, long: `{"audience": {"name": "audiences/x"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			want := c.message.ProtoReflect().New().Interface()
			if err := protojson.Unmarshal([]byte(c.long), want); err != nil {
				t.Fatal(err)
			}
			var doc yaml.Node
			if err := yaml.Unmarshal([]byte(c.short), &doc); err != nil {
				t.Fatal(err)
			}
			if err := (compact{}).message(c.message, doc.Content[0]); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(want, c.message) {
				t.Errorf("read %v\nwant %v", c.message, want)
			}
		})
	}
	for _, bad := range []string{`{regoin: FR}`, `{gender: femail}`, `{birth_date: soon}`, `[FR]`} {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(bad), &doc); err != nil {
			t.Fatal(err)
		}
		if err := (compact{}).message(&profilev1.Profile{}, doc.Content[0]); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}
