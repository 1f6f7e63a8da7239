package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/stats"

	"github.com/narrowcast/narrowcast/pkg/telemetry"
)

// Server is a gRPC server with health, reflection and an in-process door. Register services, then Serve.
type Server struct {
	chain  *chain
	grpc   *grpc.Server
	local  *Local
	health *Health

	closeOnce sync.Once
}

var _ grpc.ServiceRegistrar = (*Server)(nil)

// handlers is the number of goroutines that wait for calls; where all are busy, a call gets one of its own.
const handlers = 64

// NewServer makes a server.
func NewServer(opts Options) (*Server, error) {
	c, err := newChain(opts)
	if err != nil {
		return nil, fmt.Errorf("make server: %w", err)
	}
	s := &Server{chain: c, local: newLocal(c), health: newHealth(c.closing)}
	s.grpc = grpc.NewServer(
		grpc.StatsHandler(serverStats(c.opts.Telemetry)),
		grpc.ChainUnaryInterceptor(c.unary()...),
		grpc.ChainStreamInterceptor(c.stream()...),
		grpc.MaxRecvMsgSize(c.opts.MaxReceiveBytes),
		// Answers are bounded by their methods; the limit here only stops a defect.
		grpc.MaxSendMsgSize(64<<20),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		// A graceful stop must not return while a handler still uses the stores that are closed after it.
		grpc.WaitForHandlers(true),
		// Handlers run on goroutines that have run others: the chain is deep, and each new goroutine would grow its stack again.
		grpc.NumStreamWorkers(handlers),
	)
	healthpb.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	return s, nil
}

// RegisterService adds a service to the network door and to the in-process one. All services are registered before Serve.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.grpc.RegisterService(desc, impl)
	s.local.RegisterService(desc, impl)
}

// GetServiceInfo returns what is registered, health and reflection included.
func (s *Server) GetServiceInfo() map[string]grpc.ServiceInfo { return s.grpc.GetServiceInfo() }

// Local returns the in-process door to the services of this server: a connection for neighbours in the same process.
func (s *Server) Local() *Local { return s.local }

// Health returns the server's health, to add checks to.
func (s *Server) Health() *Health { return s.health }

// Closing is closed when the server begins to stop; handlers get it from [Closing].
func (s *Server) Closing() <-chan struct{} { return s.chain.closing }

// Serve accepts calls on l until Stop; it then returns nil. It may be called for several listeners at once.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// Drain tells health probes and endless streams that the server is going away, while calls are still taken. Stop does it too.
func (s *Server) Drain() { s.closeOnce.Do(func() { close(s.chain.closing) }) }

// returning is how long handlers may take to return once their calls were cut.
const returning = time.Second

// Stop drains, waits for calls under way, and, when ctx ends first, cuts what is left, which it logs. It returns when all
// handlers have returned, except those that ignore their context for a second after the cut.
func (s *Server) Stop(ctx context.Context) error {
	s.Drain()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.grpc.GracefulStop()
	}()
	select {
	case <-done:
		return s.stopLocal(ctx)
	case <-ctx.Done():
	}
	s.chain.opts.Logger.Warn("calls did not end in time and are cut")
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		s.grpc.Stop()
		<-done
	}()
	select {
	case <-cut:
		return s.stopLocal(ctx)
	case <-time.After(returning):
		return errors.New("stop server: a handler ignores that its call was cut")
	}
}

// stopLocal ends the in-process door, after the network's: calls from outside may have needed neighbours until their end.
func (s *Server) stopLocal(ctx context.Context) error {
	if err := s.local.stop(ctx); err != nil {
		return fmt.Errorf("stop server: %w", err)
	}
	return nil
}

// serverStats makes the spans of the serving side. Probes and reflection make none. The calls' metrics are those of the chain.
func serverStats(t *telemetry.Telemetry) stats.Handler {
	return otelgrpc.NewServerHandler(otelgrpc.WithTracerProvider(t.TracerProvider), otelgrpc.WithPropagators(t.Propagator),
		otelgrpc.WithMeterProvider(metricnoop.NewMeterProvider()), otelgrpc.WithFilter(business))
}

// clientStats makes the spans and metrics of the calling side.
func clientStats(t *telemetry.Telemetry) stats.Handler {
	return otelgrpc.NewClientHandler(otelgrpc.WithTracerProvider(t.TracerProvider), otelgrpc.WithPropagators(t.Propagator),
		otelgrpc.WithMeterProvider(t.MeterProvider), otelgrpc.WithFilter(business))
}

// business is false for gRPC's own services: "/grpc.health.v1.Health/Check".
func business(info *stats.RPCTagInfo) bool {
	const own = "/grpc."
	return len(info.FullMethodName) < len(own) || info.FullMethodName[:len(own)] != own
}
