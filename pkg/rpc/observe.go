package rpc

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/narrowcast/narrowcast/pkg/telemetry"
)

// instruments makes the metrics of calls.
func (c *chain) instruments(m metric.Meter) error {
	var errs [4]error
	c.calls, errs[0] = m.Int64Counter(telemetry.MetricCalls, metric.WithUnit("{call}"), metric.WithDescription("Finished calls."))
	c.panics, errs[1] = m.Int64Counter(telemetry.MetricPanics, metric.WithUnit("{panic}"), metric.WithDescription("Panics that were caught."))
	c.duration, errs[2] = m.Float64Histogram(telemetry.MetricDuration, metric.WithUnit("s"), metric.WithDescription("Duration of calls."),
		metric.WithExplicitBucketBoundaries(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
	c.inFlight, errs[3] = m.Int64UpDownCounter(telemetry.MetricInFlight, metric.WithUnit("{call}"), metric.WithDescription("Calls that run now."))
	return errors.Join(errs[:]...)
}

// Step 3: observe.

func (c *chain) observeUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (res any, err error) {
	end := c.observe(ctx)
	code := codes.Internal // what a panic passing by becomes
	defer func() { end(code) }()
	res, err = next(ctx, req)
	code = status.Code(err)
	return res, err
}

func (c *chain) observeStream(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	end := c.observe(s.Context())
	code := codes.Internal
	defer func() { end(code) }()
	err = next(srv, s)
	code = status.Code(err)
	return err
}

// observe begins to measure a call; the function returned ends it, with one log line.
func (c *chain) observe(ctx context.Context) func(codes.Code) {
	k := callOf(ctx)
	begin := time.Now()
	running := c.labels.of(k.method, unended)
	c.inFlight.Add(ctx, 1, running)
	return func(code codes.Code) {
		took := time.Since(begin)
		c.inFlight.Add(ctx, -1, running)
		ended := c.labels.of(k.method, code)
		c.calls.Add(ctx, 1, ended)
		c.duration.Record(ctx, took.Seconds(), ended)

		level := levelOf(k.method, code)
		if !k.base.Enabled(ctx, level) {
			return
		}
		fields := []slog.Attr{slog.String("code", canonical(code)), slog.Duration("took", took)}
		if k.reason != "" {
			fields = append(fields, slog.String("reason", k.reason))
		}
		if k.cause != nil {
			fields = append(fields, slog.Any("error", k.cause))
		}
		k.log().LogAttrs(ctx, level, "call", fields...)
	}
}

// unended stands for the code of a call that runs.
const unended = codes.Code(1 << 16)

// labels keeps the labels of the metrics of calls: making their sets takes longer than counting. There are as many as methods that are
// served, times codes. It is safe for concurrent use.
type labels struct{ made sync.Map }

type label struct {
	method string
	code   codes.Code
}

func (l *labels) of(method string, code codes.Code) metric.MeasurementOption {
	if o, ok := l.made.Load(label{method, code}); ok {
		return o.(metric.MeasurementOption) //nolint:forcetypeassert // nothing else is kept
	}
	attrs := []attribute.KeyValue{telemetry.AttrMethod.String(method)}
	if code != unended {
		attrs = append(attrs, telemetry.AttrCode.String(canonical(code)))
	}
	o := metric.WithAttributeSet(attribute.NewSet(attrs...))
	l.made.Store(label{method, code}, o)
	return o
}

// levelOf is how loud the end of a call is: what callers did wrong is their business, what we did wrong is ours.
func levelOf(method string, code codes.Code) slog.Level {
	switch code {
	case codes.OK, codes.Canceled:
		return slog.LevelDebug
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return slog.LevelError
	case codes.Unavailable, codes.ResourceExhausted, codes.DeadlineExceeded:
		return slog.LevelWarn
	}
	if strings.HasPrefix(method, "/grpc.") {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// canonical is the code's name as the contract writes it: "NOT_FOUND".
func canonical(c codes.Code) string {
	if name, ok := canonicalNames[c]; ok {
		return name
	}
	return "UNKNOWN"
}

var canonicalNames = map[codes.Code]string{
	codes.OK: "OK", codes.Canceled: "CANCELLED", codes.Unknown: "UNKNOWN", codes.InvalidArgument: "INVALID_ARGUMENT",
	codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.NotFound: "NOT_FOUND", codes.AlreadyExists: "ALREADY_EXISTS",
	codes.PermissionDenied: "PERMISSION_DENIED", codes.ResourceExhausted: "RESOURCE_EXHAUSTED", codes.FailedPrecondition: "FAILED_PRECONDITION",
	codes.Aborted: "ABORTED", codes.OutOfRange: "OUT_OF_RANGE", codes.Unimplemented: "UNIMPLEMENTED", codes.Internal: "INTERNAL",
	codes.Unavailable: "UNAVAILABLE", codes.DataLoss: "DATA_LOSS", codes.Unauthenticated: "UNAUTHENTICATED",
}
