package rpc

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// Liveness is the service name under which a probe asks whether the process is alive at all, whatever it depends on. The empty
// name asks whether it can serve now.
const Liveness = "liveness"

const (
	probeTimeout = 2 * time.Second
	watchPeriod  = time.Second
)

// Health answers probes. It asks all checks anew for each probe, because a store that was well a minute ago says nothing about
// now.
type Health struct {
	healthpb.UnimplementedHealthServer
	closing <-chan struct{}

	mu     sync.RWMutex
	checks []check
}

type check struct {
	name string
	ask  func(context.Context) error
}

func newHealth(closing <-chan struct{}) *Health { return &Health{closing: closing} }

// Add registers a check that every readiness probe asks. It must return within its context.
func (h *Health) Add(name string, ask func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, check{name, ask})
}

// Check answers one probe: NOT_SERVING while the server is closing or any check fails, which is logged.
func (h *Health) Check(ctx context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	switch req.GetService() {
	case Liveness:
		return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
	case "":
		return &healthpb.HealthCheckResponse{Status: h.ready(ctx)}, nil
	}
	return nil, status.Errorf(codes.NotFound, "no service %q; ask for \"\" or %q", req.GetService(), Liveness)
}

// Watch answers at once, then whenever the answer changes, asking once a second, until the server closes.
func (h *Health) Watch(req *healthpb.HealthCheckRequest, s grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	tick := time.NewTicker(watchPeriod)
	defer tick.Stop()
	last := healthpb.HealthCheckResponse_UNKNOWN
	for {
		now := healthpb.HealthCheckResponse_SERVICE_UNKNOWN
		switch req.GetService() {
		case Liveness:
			now = healthpb.HealthCheckResponse_SERVING
		case "":
			now = h.ready(s.Context())
		}
		if now != last {
			if err := s.Send(&healthpb.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			last = now
		}
		select {
		case <-tick.C:
		case <-s.Context().Done():
			return s.Context().Err()
		case <-h.closing:
			if last == healthpb.HealthCheckResponse_SERVING && req.GetService() == "" {
				if err := s.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}); err != nil {
					return err
				}
			}
			return GoingAway()
		}
	}
}

func (h *Health) ready(ctx context.Context) healthpb.HealthCheckResponse_ServingStatus {
	select {
	case <-h.closing:
		return healthpb.HealthCheckResponse_NOT_SERVING
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	h.mu.RLock()
	checks := h.checks
	h.mu.RUnlock()
	for _, c := range checks {
		if err := c.ask(ctx); err != nil {
			Logger(ctx).LogAttrs(ctx, slog.LevelWarn, "not ready", slog.String("check", c.name), slog.Any("error", err))
			return healthpb.HealthCheckResponse_NOT_SERVING
		}
	}
	return healthpb.HealthCheckResponse_SERVING
}
