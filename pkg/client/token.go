package client

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/revision"
)

// Fields of the contract, which have the same meaning in every message that has them.
const (
	tokenField       protoreflect.Name = "consistency_token"
	consistencyField protoreflect.Name = "consistency"
)

// Token returns the merged token of everything this client wrote and read by name; "" before the first. Hand it to another
// process so that it sees the same, with [Client.Observe] there.
func (c *Client) Token() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token.String()
}

// Observe merges a token from elsewhere into the client's own. A malformed token is a fault and changes nothing. One of another
// installation, or of a store that was restored since, replaces the client's: what it knew before is gone.
func (c *Client) Observe(token string) error {
	t, err := revision.Parse(token)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	merged, err := revision.Merge(c.token, t)
	if err != nil {
		c.log.Warn("the store was replaced or restored; earlier writes are no longer waited for", "error", err)
		merged = t
	}
	c.token = merged
	return nil
}

// Forget drops the client's token.
func (c *Client) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = revision.Token{}
}

// tracked is a connection that takes tokens out of answers and puts them into questions.
type tracked struct {
	grpc.ClientConnInterface
	c *Client
}

// Invoke performs a unary call.
func (t tracked) Invoke(ctx context.Context, method string, req, res any, opts ...grpc.CallOption) error {
	req, asked := t.c.ask(req)
	if err := t.ClientConnInterface.Invoke(ctx, method, req, res, opts...); err != nil {
		return t.c.refused(err, asked)
	}
	t.c.answered(res)
	return nil
}

// NewStream begins a stream.
func (t tracked) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := t.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, err
	}
	return &trackedStream{ClientStream: s, c: t.c}, nil
}

type trackedStream struct {
	grpc.ClientStream
	c     *Client
	asked bool
}

// SendMsg sends a question.
func (s *trackedStream) SendMsg(m any) error {
	m, asked := s.c.ask(m)
	s.asked = s.asked || asked
	return s.ClientStream.SendMsg(m)
}

// RecvMsg receives an answer.
func (s *trackedStream) RecvMsg(m any) error {
	if err := s.ClientStream.RecvMsg(m); err != nil {
		return s.c.refused(err, s.asked)
	}
	s.c.answered(m)
	return nil
}

// ask returns the question to send: a copy that asks for the client's token, if the client reads its writes and the question
// states no consistency; else the question itself.
func (c *Client) ask(req any) (any, bool) {
	m, ok := req.(proto.Message)
	if !ok || !c.readYourWrites {
		return req, false
	}
	f := m.ProtoReflect().Descriptor().Fields().ByName(consistencyField)
	if f == nil || f.Message() == nil || f.Message().FullName() != (&typev1.Consistency{}).ProtoReflect().Descriptor().FullName() {
		return req, false
	}
	token := c.Token()
	if token == "" {
		return req, false
	}
	if stated, ok := m.ProtoReflect().Get(f).Message().Interface().(*typev1.Consistency); ok && stated.GetRequirement() != nil {
		return req, false
	}
	m = proto.Clone(m) // the caller's own message is not ours to change
	if want, ok := m.ProtoReflect().Mutable(f).Message().Interface().(*typev1.Consistency); ok {
		want.Requirement = &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: token}
	}
	return m, true
}

// answered merges the token of an answer, if it has one, or those of the resources that it holds. A token that cannot be read does not
// make a failure of a write that succeeded: it is logged, and the write is not waited for.
func (c *Client) answered(res any) {
	m, ok := res.(proto.Message)
	if !ok {
		return
	}
	if c.observe(m.ProtoReflect()) {
		return
	}
	fields := m.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); f.Message() != nil && !f.IsList() && !f.IsMap() && m.ProtoReflect().Has(f) {
			c.observe(m.ProtoReflect().Get(f).Message())
		}
	}
}

// observe merges the token of a message; false: messages of this kind have none.
func (c *Client) observe(m protoreflect.Message) bool {
	f := m.Descriptor().Fields().ByName(tokenField)
	if f == nil || f.Kind() != protoreflect.StringKind || f.IsList() {
		return false
	}
	if token := m.Get(f).String(); token != "" {
		if err := c.Observe(token); err != nil {
			c.log.Warn("an answer's consistency token cannot be read", "message", string(m.Descriptor().FullName()), "error", err)
		}
	}
	return true
}

// refused drops the client's token when a service says that it is of another store or life: it would be refused for ever.
func (c *Client) refused(err error, asked bool) error {
	if asked && fault.ReasonOf(err) == revision.ReasonAnotherStore {
		c.Forget()
	}
	return err
}
