package gating

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/narrowcast/narrowcast/pkg/audience/gate"
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

// Interceptor puts the gate in front of every method.
func Interceptor(g *gate.Gate) rpc.Interceptor {
	ask := func(fullMethod string) gate.Request {
		// Who calls is not yet known: everybody is an internal platform.
		return gate.Request{Method: fullMethod, Answer: Answer(fullMethod), Class: gate.ClassInternal}
	}
	return rpc.Interceptor{
		Unary: func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			r := ask(info.FullMethod)
			if err := g.Decide(ctx, r); err != nil {
				g.Record(ctx, r, err)
				return nil, err
			}
			res, err := next(ctx, req)
			g.Record(ctx, r, err)
			return res, err
		},
		Stream: func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			r := ask(info.FullMethod)
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
