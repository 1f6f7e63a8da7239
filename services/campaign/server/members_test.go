package server_test

import (
	"slices"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	"github.com/narrowcast/narrowcast/services/campaign/internal/indextest"
)

func TestAStreamGoesOnBehindItsTokenAndSendsNobodyTwice(t *testing.T) {
	s := start(t, indextest.New(t, 8, 400, 3, someSegments()...), nil).ready()
	for _, spec := range []*campaignv1.AudienceSpec{{}, {AllSegments: []string{"segments/older"}}, {OnePerHousehold: true}, {Filter: "false"}} {
		whole, err := s.stream(&campaignv1.StreamMembersRequest{Audience: stated(spec)})
		if err != nil {
			t.Fatal(err)
		}
		if whole.messages[0].GetInfo() == nil {
			t.Error("the first message does not say what the answer was made from")
		}
		for _, limit := range []int64{1, 7, 1000} {
			var got []audience.UID
			token := ""
			for {
				part, err := s.stream(&campaignv1.StreamMembersRequest{Audience: stated(spec), ResumeToken: token, Limit: limit})
				if err != nil {
					t.Fatal(err)
				}
				if int64(len(part.uids)) > limit || part.last().GetSent() != int64(len(part.uids)) || !part.last().GetComplete() {
					t.Fatalf("limit %d: %d members, last message %v", limit, len(part.uids), part.last())
				}
				if len(part.uids) == 0 {
					break
				}
				got = append(got, part.uids...)
				token = part.last().GetResumeToken()
			}
			if !slices.Equal(got, whole.uids) {
				t.Errorf("%v in steps of %d: %d members, want %d, in the same order", spec, limit, len(got), len(whole.uids))
			}
		}
	}
}

func TestAResumeTokenBelongsToItsQuestion(t *testing.T) {
	s := start(t, indextest.New(t, 8, 50, 1, someSegments()...), nil).ready()
	first, err := s.stream(&campaignv1.StreamMembersRequest{Audience: stated(&campaignv1.AudienceSpec{}), Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	token := first.last().GetResumeToken()
	for name, req := range map[string]*campaignv1.StreamMembersRequest{
		"another spec": {Audience: stated(&campaignv1.AudienceSpec{Regions: []string{"FR"}}), ResumeToken: token},
		"malformed":    {Audience: stated(&campaignv1.AudienceSpec{}), ResumeToken: "?"},
		"no token":     {Audience: stated(&campaignv1.AudienceSpec{}), ResumeToken: "AAAA"},
	} {
		_, err := s.stream(req)
		f := fault.As(err)
		if f == nil || f.Reason != "RESUME_TOKEN_INVALID" || len(f.Violations) != 1 || f.Violations[0].Field != "resume_token" {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.index.Today++ // the day turns
	_, err = s.stream(&campaignv1.StreamMembersRequest{Audience: stated(&campaignv1.AudienceSpec{}), ResumeToken: token})
	s.refused(err, fault.Invalid, "RESUME_TOKEN_INVALID", "resume_token")
}

func TestAStoppingServerEndsStreamsBetweenMessages(t *testing.T) {
	s := start(t, indextest.New(t, 8, 50, 1), nil).ready()
	s.server.StopStreams()
	_, err := s.stream(&campaignv1.StreamMembersRequest{Audience: stated(&campaignv1.AudienceSpec{})})
	s.refused(err, fault.Unavailable, "SERVER_GOING_AWAY")
}
