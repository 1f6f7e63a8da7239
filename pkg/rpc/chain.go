package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/telemetry"
)

// Options of a server, all optional.
type Options struct {
	// Logger gets one line for each call; nil discards.
	Logger *slog.Logger
	// Telemetry makes spans and metrics of calls; nil makes none.
	Telemetry *telemetry.Telemetry
	// DefaultDeadline bounds unary calls that come without a deadline, default 30 s. Streams have none.
	DefaultDeadline time.Duration
	// MaxReceiveBytes is the largest message the server takes, default 4 MiB. A larger one is RESOURCE_EXHAUSTED.
	MaxReceiveBytes int
	// Authenticate says who calls, by a context that carries it, or fails with Unauthenticated. nil lets everyone pass.
	Authenticate func(ctx context.Context, fullMethod string) (context.Context, error)
	// Authorise says whether the caller may use the method, or fails with Denied. nil lets everyone pass.
	Authorise func(ctx context.Context, fullMethod string) error
	// Gate decides about answers; it sees requests that are valid, and the answers. nil lets everything pass.
	Gate Interceptor
}

// Interceptor is one step of the chain, for both kinds of calls. A nil half lets its kind pass.
type Interceptor struct {
	Unary  grpc.UnaryServerInterceptor
	Stream grpc.StreamServerInterceptor
}

// chain holds what the steps share.
type chain struct {
	opts      Options
	closing   chan struct{}
	validator *validation
	calls     metric.Int64Counter
	panics    metric.Int64Counter
	duration  metric.Float64Histogram
	inFlight  metric.Int64UpDownCounter
	labels    labels
}

func newChain(opts Options) (*chain, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Telemetry == nil {
		opts.Telemetry = telemetry.Noop()
	}
	if opts.DefaultDeadline <= 0 {
		opts.DefaultDeadline = 30 * time.Second
	}
	if opts.MaxReceiveBytes <= 0 {
		opts.MaxReceiveBytes = 4 << 20
	}
	c := &chain{opts: opts, closing: make(chan struct{})}
	var err error
	if c.validator, err = newValidation(); err != nil {
		return nil, fmt.Errorf("make validator: %w", err)
	}
	if err := c.instruments(opts.Telemetry.Meter("rpc")); err != nil {
		return nil, fmt.Errorf("make instruments: %w", err)
	}
	return c, nil
}

// steps is the order, outermost first. It is the same for every door:
//
//   - recover stands outside everything, so that no step can end the process;
//   - observe stands outside mapping, so that the logged and counted code is the one that the caller gets;
//   - authorise stands before validate, so that who may not ask learns nothing about the request's form;
//   - the gate stands next to the handler, because it sees the answer too.
func (c *chain) steps() []Interceptor {
	return []Interceptor{
		{c.recoverUnary, c.recoverStream},
		{c.identifyUnary, c.identifyStream},
		{c.observeUnary, c.observeStream},
		{c.mapUnary, c.mapStream},
		{c.deadlineUnary, nil},
		{c.authenticateUnary, c.authenticateStream},
		{c.authoriseUnary, c.authoriseStream},
		{c.validateUnary, c.validateStream},
		c.opts.Gate,
	}
}

func (c *chain) unary() (list []grpc.UnaryServerInterceptor) {
	for _, s := range c.steps() {
		if s.Unary != nil {
			list = append(list, s.Unary)
		}
	}
	return list
}

func (c *chain) stream() (list []grpc.StreamServerInterceptor) {
	for _, s := range c.steps() {
		if s.Stream != nil {
			list = append(list, s.Stream)
		}
	}
	return list
}

// Step 1: recover.

func (c *chain) recoverUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (res any, err error) {
	k := &call{method: info.FullMethod, base: c.opts.Logger, closing: c.closing}
	defer c.recovered(ctx, k, &err)
	return next(context.WithValue(ctx, callKey{}, k), req)
}

func (c *chain) recoverStream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	k := &call{method: info.FullMethod, base: c.opts.Logger, closing: c.closing}
	defer c.recovered(s.Context(), k, &err)
	return next(srv, WithContext(s, context.WithValue(s.Context(), callKey{}, k)))
}

// recovered must be deferred directly. A panic is a defect: it is logged with its stack and answered as INTERNAL.
func (c *chain) recovered(ctx context.Context, k *call, err *error) {
	if r := recover(); r != nil {
		c.panics.Add(ctx, 1, metric.WithAttributes(telemetry.AttrMethod.String(k.method)))
		k.log().ErrorContext(ctx, "panic", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		*err = internalStatus(k.id).Err()
	}
}

// Step 2: request id, and with it the logger.

func (c *chain) identifyUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	callOf(ctx).id = incomingID(ctx)
	return next(ctx, req)
}

func (c *chain) identifyStream(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	callOf(s.Context()).id = incomingID(s.Context())
	return next(srv, s)
}

// Step 3 is in observe.go. Step 4: error mapping.

func (c *chain) mapUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	res, err := next(ctx, req)
	if err != nil {
		return nil, c.mapped(ctx, err)
	}
	return res, nil
}

func (c *chain) mapStream(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := next(srv, s); err != nil {
		return c.mapped(s.Context(), err)
	}
	return nil
}

func (c *chain) mapped(ctx context.Context, err error) error {
	k := callOf(ctx)
	st := Status(err, k.id)
	k.cause = err
	if info := infoOf(st); info != nil {
		k.reason = info.GetReason()
	}
	return st.Err()
}

// Step 5: deadline. A stream lives as long as its caller wants.

func (c *chain) deadlineUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.opts.DefaultDeadline)
		defer cancel()
	}
	return next(ctx, req)
}

// Steps 6 and 7: authenticate and authorise.

func (c *chain) authenticateUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if c.opts.Authenticate != nil {
		var err error
		if ctx, err = c.opts.Authenticate(ctx, info.FullMethod); err != nil {
			return nil, err
		}
	}
	return next(ctx, req)
}

func (c *chain) authenticateStream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if c.opts.Authenticate != nil {
		ctx, err := c.opts.Authenticate(s.Context(), info.FullMethod)
		if err != nil {
			return err
		}
		s = WithContext(s, ctx)
	}
	return next(srv, s)
}

func (c *chain) authoriseUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if c.opts.Authorise != nil {
		if err := c.opts.Authorise(ctx, info.FullMethod); err != nil {
			return nil, err
		}
	}
	return next(ctx, req)
}

func (c *chain) authoriseStream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if c.opts.Authorise != nil {
		if err := c.opts.Authorise(s.Context(), info.FullMethod); err != nil {
			return err
		}
	}
	return next(srv, s)
}
