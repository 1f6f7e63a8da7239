package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/narrowcast/narrowcast/pkg/telemetry"
)

// DialOptions of a connection, all optional.
type DialOptions struct {
	// Telemetry makes spans and metrics of calls; nil makes none.
	Telemetry *telemetry.Telemetry
	// Credentials of the connection; nil is without TLS.
	Credentials credentials.TransportCredentials
	// MaxReceiveBytes is the largest message taken, default 16 MiB.
	MaxReceiveBytes int
	// Safe are name prefixes of unary methods that may be repeated, besides Get, List and BatchGet: "Count". They are retried
	// on UNAVAILABLE, up to four attempts within the deadline. Other methods are never retried.
	Safe []string
	// Services are the full names of the services that will be called; their safe methods are retried. Their generated code must
	// be part of the program.
	Services []string
	// Dialer replaces the network, in tests.
	Dialer func(ctx context.Context, addr string) (net.Conn, error)
}

// Dial makes a connection to "host:port" or any target gRPC knows ("dns:///host:port", "unix:///path"). It does not wait for the
// server: the first call does, and connections are made again when they break.
func Dial(target string, opts DialOptions) (*grpc.ClientConn, error) {
	if strings.TrimSpace(target) == "" {
		return nil, errors.New("dial: the address is empty; give host:port")
	}
	if opts.Telemetry == nil {
		opts.Telemetry = telemetry.Noop()
	}
	if opts.Credentials == nil {
		opts.Credentials = insecure.NewCredentials()
	}
	if opts.MaxReceiveBytes <= 0 {
		opts.MaxReceiveBytes = 16 << 20
	}
	config, err := serviceConfig(opts.Services, append([]string{"Get", "List", "BatchGet"}, opts.Safe...))
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(opts.Credentials),
		grpc.WithStatsHandler(clientStats(opts.Telemetry)),
		grpc.WithChainUnaryInterceptor(clientUnary),
		grpc.WithChainStreamInterceptor(clientStream),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(opts.MaxReceiveBytes)),
		grpc.WithDefaultServiceConfig(config),
		// A neighbour that comes back after a long time is found within seconds: gRPC's own pauses grow to two minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		// A stream whose peer has vanished without a word must end: the answer's age depends on it.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
	}
	if opts.Dialer != nil {
		options = append(options, grpc.WithContextDialer(opts.Dialer))
	}
	conn, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	return conn, nil
}

// serviceConfig says which methods are retried: unary ones that change nothing, by their option or by their name.
func serviceConfig(services, prefixes []string) (string, error) {
	type name struct {
		Service string `json:"service"`
		Method  string `json:"method"`
	}
	var names []name
	for _, full := range services {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(full))
		if err != nil {
			return "", fmt.Errorf("find service %s: %w", full, err)
		}
		service, ok := d.(protoreflect.ServiceDescriptor)
		if !ok {
			return "", fmt.Errorf("%s is no service", full)
		}
		for i := range service.Methods().Len() {
			if m := service.Methods().Get(i); safe(m, prefixes) {
				names = append(names, name{full, string(m.Name())})
			}
		}
	}
	config := map[string]any{"loadBalancingConfig": []any{map[string]any{"round_robin": struct{}{}}}}
	if len(names) > 0 {
		config["methodConfig"] = []any{map[string]any{
			"name": names,
			"retryPolicy": map[string]any{
				"maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
				"retryableStatusCodes": []string{"UNAVAILABLE"},
			},
		}}
	}
	text, err := json.Marshal(config)
	return string(text), err
}

func safe(m protoreflect.MethodDescriptor, prefixes []string) bool {
	if m.IsStreamingClient() || m.IsStreamingServer() {
		return false
	}
	if o, ok := m.Options().(*descriptorpb.MethodOptions); ok && o.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS {
		return true
	}
	for _, p := range prefixes {
		if strings.HasPrefix(string(m.Name()), p) {
			return true
		}
	}
	return false
}

// clientUnary passes the request id on and turns statuses into faults.
func clientUnary(ctx context.Context, method string, req, res any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return Fault(invoke(outgoingID(ctx), method, req, res, cc, opts...))
}

// clientStream does the same for streams.
func clientStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := streamer(outgoingID(ctx), desc, cc, method, opts...)
	if err != nil {
		return nil, Fault(err)
	}
	return faultStream{s}, nil
}

type faultStream struct{ grpc.ClientStream }

// RecvMsg receives; errors are faults, the end is io.EOF.
func (s faultStream) RecvMsg(m any) error { return Fault(s.ClientStream.RecvMsg(m)) }

// SendMsg sends; io.EOF says that the stream has ended, and RecvMsg why.
func (s faultStream) SendMsg(m any) error { return Fault(s.ClientStream.SendMsg(m)) }

// CloseSend ends the sending side.
func (s faultStream) CloseSend() error { return Fault(s.ClientStream.CloseSend()) }
