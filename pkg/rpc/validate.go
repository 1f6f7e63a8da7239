package rpc

import (
	"context"
	"errors"
	"fmt"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Step 8: validate, by the rules in the contract.

func (c *chain) validateUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := c.validate(req); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

// validateStream checks the first message only: it holds the question, while later ones hold bulk data, which the receiver
// checks as it takes it.
func (c *chain) validateStream(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return next(srv, &validatingStream{ServerStream: s, chain: c})
}

type validatingStream struct {
	grpc.ServerStream
	chain *chain
	begun bool // a stream is received by one goroutine
}

// RecvMsg receives, and validates the first message.
func (s *validatingStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if s.begun {
		return nil
	}
	s.begun = true
	return s.chain.validate(m)
}

func (c *chain) validate(m any) error {
	msg, ok := m.(proto.Message)
	if !ok {
		return nil
	}
	err := c.validator.check(msg)
	var invalid *protovalidate.ValidationError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &invalid):
		// The rules themselves do not compile or cannot be evaluated: our defect, not the caller's.
		return fmt.Errorf("validate request: %w", err)
	}
	var v fault.Violations
	for _, one := range invalid.Violations {
		v.Add(protovalidate.FieldPathString(one.Proto.GetField()), ReasonValidation, one.Proto.GetMessage())
	}
	return v.Err()
}
