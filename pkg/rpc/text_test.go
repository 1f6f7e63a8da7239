package rpc_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
)

func TestATextMustNotHoldTheZeroCharacter(t *testing.T) {
	for field, m := range map[string]proto.Message{
		"name":                         &campaignv1.GetAudienceRequest{Name: "a\x00"},
		"audience.description":         &campaignv1.CreateAudienceRequest{Audience: &campaignv1.Audience{Description: "\x00"}},
		"audience.spec.regions[1]":     &campaignv1.CreateAudienceRequest{Audience: &campaignv1.Audience{Spec: &campaignv1.AudienceSpec{Regions: []string{"FR", "D\x00E"}}}},
		"profile.identifiers[0].value": &profilev1.CreateProfileRequest{Profile: &profilev1.Profile{Identifiers: []*profilev1.Identifier{{Value: "x\x00"}}}},
		"profile.custom.text":          &profilev1.CreateProfileRequest{Profile: &profilev1.Profile{Custom: map[string]*typev1.AttributeValue{"a": {Value: &typev1.AttributeValue_Text{Text: "\x00"}}}}},
		"profile.custom":               &profilev1.CreateProfileRequest{Profile: &profilev1.Profile{Custom: map[string]*typev1.AttributeValue{"\x00": {}}}},
		"":                             &profilev1.CreateProfileRequest{Profile: &profilev1.Profile{GivenName: proto.String("\x01\t\nÅ東"), Custom: map[string]*typev1.AttributeValue{"a": {}}}},
	} {
		err := rpc.CheckText(m)
		if field == "" {
			if err != nil {
				t.Errorf("texts without one: %v", err)
			}
			continue
		}
		if f := fault.As(err); f == nil || f.Kind != fault.Invalid || f.Reason != rpc.ReasonValidation || len(f.Violations) != 1 || f.Violations[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
