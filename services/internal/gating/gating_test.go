package gating_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/narrowcast/narrowcast/pkg/audience/gate"
	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/fault"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/internal/gating"
)

// The files of every service, so that the walk below sees them.
var _ = []protoreflect.FileDescriptor{
	campaignv1.File_narrowcast_campaign_v1_audience_service_proto,
	personav1.File_narrowcast_persona_v1_persona_service_proto,
	profilev1.File_narrowcast_profile_v1_profile_service_proto,
	profilev1.File_narrowcast_profile_v1_identity_service_proto,
	profilev1.File_narrowcast_profile_v1_event_service_proto,
	segmentv1.File_narrowcast_segment_v1_segment_service_proto,
}

func TestEveryMethodStatesWhatItsAnswerReveals(t *testing.T) {
	methods := 0
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(f.Package()), "narrowcast.") {
			return true
		}
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			for j := range s.Methods().Len() {
				methods++
				full := "/" + string(s.FullName()) + "/" + string(s.Methods().Get(j).Name())
				if gating.Answer(full) == gate.AnswerUnstated {
					t.Errorf("%s does not state the gate option", full)
				}
			}
		}
		return true
	})
	if methods < 40 {
		t.Fatalf("walked %d methods: not all services were seen", methods)
	}
}

func TestAnswersAreThoseOfTheContract(t *testing.T) {
	for method, want := range map[string]gate.Answer{
		campaignv1.AudienceService_CountAudience_FullMethodName:     gate.AnswerCount,
		campaignv1.AudienceService_StreamMembers_FullMethodName:     gate.AnswerMember,
		campaignv1.AudienceService_ExplainProfile_FullMethodName:    gate.AnswerMembership,
		campaignv1.AudienceService_BreakdownAudience_FullMethodName: gate.AnswerCount,
		campaignv1.AudienceService_OverlapAudiences_FullMethodName:  gate.AnswerCount,
		campaignv1.LookupService_LookupProfiles_FullMethodName:      gate.AnswerMembership,
		segmentv1.MembershipService_WatchBlocks_FullMethodName:      gate.AnswerInternal,
		profilev1.ProfileService_GetHead_FullMethodName:             gate.AnswerNone,
		profilev1.IdentityService_ExportIdentifiers_FullMethodName:  gate.AnswerContact,
		"/grpc.health.v1.Health/Check":                              gate.AnswerNone,
		"/narrowcast.campaign.v1.AudienceService/Absent":            gate.AnswerUnstated,
		"/nobody.Service/Method":                                    gate.AnswerUnstated,
		"":                                                          gate.AnswerUnstated,
	} {
		if got := gating.Answer(method); got != want {
			t.Errorf("Answer(%q) = %v, want %v", method, got, want)
		}
	}
}

func TestAServerWithASilentMethodIsRefused(t *testing.T) {
	good := map[string]grpc.ServiceInfo{
		"narrowcast.profile.v1.ProfileService": {Methods: []grpc.MethodInfo{{Name: "GetProfile"}}},
		"grpc.health.v1.Health":                {Methods: []grpc.MethodInfo{{Name: "Check"}}},
	}
	if err := gating.Check(good); err != nil {
		t.Errorf("Check: %v", err)
	}
	good["other.Service"] = grpc.ServiceInfo{Methods: []grpc.MethodInfo{{Name: "Leak"}}}
	if err := gating.Check(good); err == nil || !strings.Contains(err.Error(), "/other.Service/Leak") {
		t.Errorf("Check with a silent method: %v", err)
	}
}

// streamOf is a stream that has a context and nothing else.
type streamOf struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns the context.
func (s streamOf) Context() context.Context { return s.ctx }

func TestOnlyTheTokenEntitles(t *testing.T) {
	for _, c := range []struct {
		name, token, sent string
		want              bool
	}{
		{"the token", "s3cret", "Bearer s3cret", true},
		{"in any case of the scheme", "s3cret", "bearer s3cret", true},
		{"another token", "s3cret", "Bearer other", false},
		{"another scheme", "s3cret", "Basic s3cret", false},
		{"nothing sent", "s3cret", "", false},
		{"no token set, none sent", "", "", false},
		{"no token set, an empty one sent", "", "Bearer ", false},
	} {
		ctx := t.Context()
		if c.sent != "" {
			ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", c.sent))
		}
		in := gating.Interceptor(gate.New(nil), gating.Bearer(config.NewSecret(c.token)))
		const method = profilev1.IdentityService_ExportIdentifiers_FullMethodName
		handled := 0
		_, unary := in.Unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: method}, func(context.Context, any) (any, error) { handled++; return nil, nil })
		stream := in.Stream(nil, streamOf{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: method}, func(any, grpc.ServerStream) error { handled++; return nil })
		for kind, err := range map[string]error{"call": unary, "stream": stream} {
			if (err == nil) != c.want || err != nil && fault.KindOf(err) != fault.Denied {
				t.Errorf("%s, in a %s: %v, want entitled %v", c.name, kind, err, c.want)
			}
		}
		if (handled == 2) != c.want || handled == 1 {
			t.Errorf("%s: the methods were called %d times", c.name, handled)
		}
	}
}

func TestASilentMethodNeverRuns(t *testing.T) {
	var audited int
	in := gating.Interceptor(gate.New(func(context.Context, gate.Request, error) { audited++ }), gating.Bearer(config.Secret{}))
	ran := false
	_, err := in.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/other.Service/Leak"}, func(context.Context, any) (any, error) {
		ran = true
		return nil, nil
	})
	if ran || fault.KindOf(err) != fault.Denied {
		t.Errorf("ran %v, error %v; want a refusal", ran, err)
	}
	if _, err := in.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: campaignv1.AudienceService_CountAudience_FullMethodName},
		func(context.Context, any) (any, error) { ran = true; return nil, nil }); !ran || err != nil {
		t.Errorf("ran %v, error %v; want the count", ran, err)
	}
	if audited != 2 {
		t.Errorf("the audit heard of %d calls, want 2", audited)
	}
}
