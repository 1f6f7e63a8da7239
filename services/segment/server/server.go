package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/segment"
	"github.com/narrowcast/narrowcast/services/segment/internal/index"
	"github.com/narrowcast/narrowcast/services/segment/internal/rpc"
	"github.com/narrowcast/narrowcast/services/segment/internal/sqlstore"
)

// Deps are what the service needs from outside. Profiles and Blocks are needed; nil providers make no telemetry.
type Deps struct {
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	Now            func() time.Time
	// Profiles is a connection to the profile service.
	Profiles grpc.ClientConnInterface
	// Blocks is where blocks are written. The caller closes it, after Close.
	Blocks blocks.Store
	// Assigner says in which block a new profile is numbered; nil keeps those of a region together. Answers do not depend on it.
	Assigner Assigner
}

// Assigner says in which block a new profile is numbered.
type Assigner = index.Assigner

// Server is a running segment service.
type Server struct {
	cfg   Config
	deps  Deps
	log   *slog.Logger
	store segment.Store
	index *current
	rpc   *rpc.Service
	// build makes the index of one lease.
	build func(segment.Epoch) (engine, error)
}

// New opens the store, brings its schema to this program's version and makes the service. The index begins with Run.
func New(ctx context.Context, cfg Config, deps Deps) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Profiles == nil || deps.Blocks == nil {
		return nil, errors.New("segment service: a connection to the profile service and a store of blocks are needed")
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	store, err := sqlstore.Open(ctx, sqlstore.Config{DB: cfg.store(deps), Now: deps.Now, Logger: deps.Logger})
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, deps: deps, log: deps.Logger.With("component", "segment"), store: store, index: newCurrent()}
	s.build = s.newEngine
	s.rpc, err = rpc.New(rpc.Config{
		Store: store, Index: s.index,
		Profiles: profilev1.NewProfileServiceClient(deps.Profiles), Attributes: profilev1.NewAttributeServiceClient(deps.Profiles),
		Now: deps.Now, Staleness: cfg.Staleness, Slow: cfg.Slow,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make segment service: %w", err), store.Close())
	}
	return s, nil
}

// Migrate brings the schema of the service's store to this program's version, whatever cfg.Migrate says, and does nothing else. Only
// the logger of deps is asked.
func Migrate(ctx context.Context, cfg Config, deps Deps) (sqldb.Versions, error) {
	if err := cfg.Validate(); err != nil {
		return sqldb.Versions{}, err
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	return sqlstore.Migrate(ctx, cfg.store(deps), deps.Logger)
}

// Register adds SegmentService, InsightService and MembershipService.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	segmentv1.RegisterSegmentServiceServer(r, s.rpc)
	segmentv1.RegisterInsightServiceServer(r, s.rpc)
	segmentv1.RegisterMembershipServiceServer(r, s.rpc)
}

// Ready asks the database and the store of blocks now.
func (s *Server) Ready(ctx context.Context) error {
	return errors.Join(s.store.Ping(ctx), s.deps.Blocks.Ping(ctx))
}

// StopStreams ends the streams of the manifest with UNAVAILABLE (SERVER_GOING_AWAY).
func (s *Server) StopStreams() { s.rpc.StopStreams() }

// Close closes the store. Run must have returned, and the server that the service is registered on must have stopped.
func (s *Server) Close() error {
	s.rpc.StopStreams()
	s.rpc.Wait()
	return s.store.Close()
}
