package rpc

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fullstorydev/grpchan"
	"github.com/fullstorydev/grpchan/inprocgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/protobuf/proto"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Local is a connection to services in the same process. It runs the same interceptors as the network door, hands over copies of
// messages, shares no context values, carries deadlines, metadata and traces, and returns faults, so that generated clients
// cannot tell it from a connection made by [Dial]. It has no limit on message sizes.
type Local struct {
	channel *inprocgrpc.Channel
	conn    grpc.ClientConnInterface

	mu      sync.Mutex
	running int
	idle    chan struct{} // closed when stopped and nothing runs
	stopped bool
}

var (
	_ grpc.ClientConnInterface = (*Local)(nil)
	_ grpc.ServiceRegistrar    = (*Local)(nil)
)

// NewLocal makes an in-process door without a server around it, for processes and tests that serve no network.
func NewLocal(opts Options) (*Local, error) {
	c, err := newChain(opts)
	if err != nil {
		return nil, err
	}
	return newLocal(c), nil
}

func newLocal(c *chain) *Local {
	l := &Local{idle: make(chan struct{})}
	// The channel has no list of interceptors, only one: the first of these is outermost.
	unary := append([]grpc.UnaryServerInterceptor{l.countUnary}, c.unary()...)
	stream := append([]grpc.StreamServerInterceptor{l.countStream}, c.stream()...)
	l.channel = new(inprocgrpc.Channel).
		WithCloner(cloner{}).
		WithServerUnaryInterceptor(chainUnary(unary)).
		WithServerStreamInterceptor(chainStream(stream)).
		WithServerStatsHandler(serverStats(c.opts.Telemetry)).
		WithClientStatsHandler(clientStats(c.opts.Telemetry))
	l.conn = grpchan.InterceptClientConn(l.channel, clientUnary, clientStream)
	return l
}

// cloner copies messages. One that holds bytes of fields unread, as handlers may make who pass encoded fields on, is read as over the
// network: a mere copy would leave them unread.
type cloner struct{ inprocgrpc.ProtoCloner }

// Copy copies one message into another.
func (c cloner) Copy(out, in any) error {
	if encoded(in) {
		return inprocgrpc.CodecClonerV2(encoding.GetCodecV2(grpcproto.Name)).Copy(out, in)
	}
	return c.ProtoCloner.Copy(out, in)
}

// Clone returns a copy of a message.
func (c cloner) Clone(in any) (any, error) {
	if encoded(in) {
		return inprocgrpc.CodecClonerV2(encoding.GetCodecV2(grpcproto.Name)).Clone(in)
	}
	return c.ProtoCloner.Clone(in)
}

func encoded(message any) bool {
	m, ok := message.(proto.Message)
	return ok && len(m.ProtoReflect().GetUnknown()) > 0
}

// RegisterService adds a service. All services are registered before the first call.
func (l *Local) RegisterService(desc *grpc.ServiceDesc, impl any) {
	l.channel.RegisterService(desc, impl)
}

// GetServiceInfo returns what is registered.
func (l *Local) GetServiceInfo() map[string]grpc.ServiceInfo { return l.channel.GetServiceInfo() }

// Invoke performs a unary call.
func (l *Local) Invoke(ctx context.Context, method string, req, res any, opts ...grpc.CallOption) error {
	return l.conn.Invoke(ctx, method, req, res, opts...)
}

// NewStream begins a stream.
func (l *Local) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return l.conn.NewStream(ctx, desc, method, opts...)
}

// stop refuses further calls and waits for the handlers that run, until ctx ends and, as the network door does after its cut, for a
// moment longer: a handler whose caller has just gone away is still returning.
func (l *Local) stop(ctx context.Context) error {
	l.mu.Lock()
	if !l.stopped {
		l.stopped = true
		if l.running == 0 {
			close(l.idle)
		}
	}
	l.mu.Unlock()
	select {
	case <-l.idle:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-l.idle:
		return nil
	case <-time.After(returning):
		return errors.New("calls inside the process did not end in time")
	}
}

func (l *Local) enter() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return Status(goingAway(), "").Err()
	}
	l.running++
	return nil
}

func (l *Local) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running--; l.running == 0 && l.stopped {
		close(l.idle)
	}
}

func (l *Local) countUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := l.enter(); err != nil {
		return nil, err
	}
	defer l.leave()
	return next(ctx, req)
}

func (l *Local) countStream(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := l.enter(); err != nil {
		return err
	}
	defer l.leave()
	return next(srv, s)
}

// goingAway is what a handler that streams without end returns on [Closing].
func goingAway() *fault.Error {
	return fault.New(fault.Unavailable, ReasonGoingAway, "the server is stopping; try again, on another replica if there is one")
}

// GoingAway is the fault that a handler returns when [Closing] ends its stream.
func GoingAway() error { return goingAway() }

func chainUnary(list []grpc.UnaryServerInterceptor) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		next := handler
		for i := len(list) - 1; i >= 0; i-- {
			step, inner := list[i], next
			next = func(ctx context.Context, req any) (any, error) { return step(ctx, req, info, inner) }
		}
		return next(ctx, req)
	}
}

func chainStream(list []grpc.StreamServerInterceptor) grpc.StreamServerInterceptor {
	return func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		next := handler
		for i := len(list) - 1; i >= 0; i-- {
			step, inner := list[i], next
			next = func(srv any, s grpc.ServerStream) error { return step(srv, s, info, inner) }
		}
		return next(srv, s)
	}
}
