package gating

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/narrowcast/narrowcast/pkg/audience/gate"
	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
)

// answers translates the contract's option.
var answers = map[typev1.Gate]gate.Answer{
	typev1.Gate_GATE_NONE:       gate.AnswerNone,
	typev1.Gate_GATE_COUNT:      gate.AnswerCount,
	typev1.Gate_GATE_MEMBER:     gate.AnswerMember,
	typev1.Gate_GATE_MEMBERSHIP: gate.AnswerMembership,
	typev1.Gate_GATE_INTERNAL:   gate.AnswerInternal,
	typev1.Gate_GATE_CONTACT:    gate.AnswerContact,
}

// Answer is what a method's contract states of its answer, AnswerUnstated if it does not. The name is gRPC's full one,
// "/package.Service/Method". gRPC's own services reveal nothing about people.
func Answer(fullMethod string) gate.Answer {
	name := strings.ReplaceAll(strings.TrimPrefix(fullMethod, "/"), "/", ".")
	if strings.HasPrefix(name, "grpc.") {
		return gate.AnswerNone
	}
	desc, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return gate.AnswerUnstated
	}
	method, ok := desc.(protoreflect.MethodDescriptor)
	if !ok || method.Options() == nil {
		return gate.AnswerUnstated
	}
	stated, ok := proto.GetExtension(method.Options(), typev1.E_Gate).(typev1.Gate)
	if !ok {
		return gate.AnswerUnstated
	}
	return answers[stated]
}

// Check names the methods of a server that do not state the option; a server with one must not start.
func Check(services map[string]grpc.ServiceInfo) error {
	var silent []string
	for service, info := range services {
		for _, m := range info.Methods {
			full := "/" + service + "/" + m.Name
			if Answer(full) == gate.AnswerUnstated {
				silent = append(silent, full)
			}
		}
	}
	if len(silent) == 0 {
		return nil
	}
	slices.Sort(silent)
	return fmt.Errorf("check gate options: these methods do not state narrowcast.type.v1.gate: %s", strings.Join(silent, ", "))
}

// Entitled says whether the caller of a method has shown to be entitled to contact data.
type Entitled func(ctx context.Context) bool

// Bearer entitles callers who send the token in the metadata "authorization", as "Bearer TOKEN" (RFC 6750). With an empty token
// nobody is entitled.
func Bearer(token config.Secret) Entitled {
	// Digests have one length, so that comparing takes as long whatever was sent.
	want := sha256.Sum256([]byte(token.Reveal()))
	return func(ctx context.Context) bool {
		for _, sent := range metadata.ValueFromIncomingContext(ctx, "authorization") {
			scheme, text, _ := strings.Cut(sent, " ")
			have := sha256.Sum256([]byte(text))
			if strings.EqualFold(scheme, "bearer") && subtle.ConstantTimeCompare(have[:], want[:]) == 1 {
				return !token.IsZero()
			}
		}
		return false
	}
}

// Interceptor puts the gate in front of every method. entitled is asked for methods whose answer holds contact data.
func Interceptor(g *gate.Gate, entitled Entitled) rpc.Interceptor {
	ask := func(ctx context.Context, fullMethod string) gate.Request {
		// Who calls is not yet known: everybody is an internal platform.
		r := gate.Request{Method: fullMethod, Answer: Answer(fullMethod), Class: gate.ClassInternal}
		r.Entitled = r.Answer == gate.AnswerContact && entitled(ctx)
		return r
	}
	return rpc.Interceptor{
		Unary: func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			r := ask(ctx, info.FullMethod)
			if err := g.Decide(ctx, r); err != nil {
				g.Record(ctx, r, err)
				return nil, err
			}
			res, err := next(ctx, req)
			g.Record(ctx, r, err)
			return res, err
		},
		Stream: func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			r := ask(stream.Context(), info.FullMethod)
			if err := g.Decide(stream.Context(), r); err != nil {
				g.Record(stream.Context(), r, err)
				return err
			}
			err := next(srv, stream)
			g.Record(stream.Context(), r, err)
			return err
		},
	}
}
