package rpc

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// requestIDKey is the metadata key under which a request id travels, so that the log lines of all services that one request
// reaches share it.
const requestIDKey = "x-request-id"

// call is what the interceptors of one call know together. The outermost one makes it, so that it can still tell the request id
// after a panic.
type call struct {
	method  string
	id      string
	base    *slog.Logger
	closing <-chan struct{}
	cause   error // behind the status, for the one log line
	reason  string

	// Most calls log nothing: their logger is made when it is asked for.
	making sync.Once
	made   *slog.Logger
}

// log is the logger of the call.
func (k *call) log() *slog.Logger {
	k.making.Do(func() {
		k.made = k.base
		if k.id != "" {
			k.made = k.base.With("method", k.method, "request_id", k.id)
		}
	})
	return k.made
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{base: slog.New(slog.DiscardHandler)}
}

// Logger returns the logger of the call at hand, which carries its method and request id. Outside a call it discards.
func Logger(ctx context.Context) *slog.Logger { return callOf(ctx).log() }

// RequestID returns the request id of the call at hand, or "".
func RequestID(ctx context.Context) string { return callOf(ctx).id }

// Closing returns a channel that is closed when the server of the call at hand begins to stop. A handler that streams without
// end selects on it and returns a fault of kind Unavailable: a graceful stop waits for it otherwise. Outside a call it is nil,
// which never becomes ready.
func Closing(ctx context.Context) <-chan struct{} { return callOf(ctx).closing }

// WithCall begins a call's context as the interceptors would, for tests of handlers that use Logger or Closing without a server.
func WithCall(ctx context.Context, log *slog.Logger, closing <-chan struct{}) context.Context {
	return context.WithValue(ctx, callKey{}, &call{base: log, closing: closing})
}

// incomingID takes the caller's request id if it is harmless in a log, else makes one.
func incomingID(ctx context.Context) string {
	if ids := metadata.ValueFromIncomingContext(ctx, requestIDKey); len(ids) == 1 && len(ids[0]) >= 1 && len(ids[0]) <= 64 &&
		strings.Trim(ids[0], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == "" {
		return ids[0]
	}
	return strings.ToLower(rand.Text()[:16])
}

// outgoingID passes the request id on to the next service.
func outgoingID(ctx context.Context) context.Context {
	if id := RequestID(ctx); id != "" {
		return metadata.AppendToOutgoingContext(ctx, requestIDKey, id)
	}
	return ctx
}

// serverStream is a stream with another context.
type serverStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns the replaced context.
func (s *serverStream) Context() context.Context { return s.ctx }

// WithContext returns a stream whose context is ctx, for interceptors.
func WithContext(s grpc.ServerStream, ctx context.Context) grpc.ServerStream {
	return &serverStream{ServerStream: s, ctx: ctx}
}
