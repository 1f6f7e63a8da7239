package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/campaign"
	"github.com/narrowcast/narrowcast/services/campaign/internal/neighbours"
	"github.com/narrowcast/narrowcast/services/campaign/internal/resolve"
	"github.com/narrowcast/narrowcast/services/campaign/internal/rpc"
	"github.com/narrowcast/narrowcast/services/campaign/internal/sqlstore"
	"github.com/narrowcast/narrowcast/services/internal/manifestwire"
)

// Deps are what the service needs from outside. Nil providers make no telemetry.
type Deps struct {
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	Now            func() time.Time
	// Segments and Profiles are connections to those services.
	Segments, Profiles grpc.ClientConnInterface
	// Blocks is the store that the segment service writes to.
	Blocks blocks.Store
}

// Server is a running campaign service.
type Server struct {
	store    campaign.Store
	follower *blocks.Follower
	reader   *blocks.Reader
	rpc      *rpc.Service
}

// New opens the store, brings its schema to this program's version and makes the service. It calls no neighbour.
func New(ctx context.Context, cfg Config, deps Deps) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Segments == nil || deps.Profiles == nil || deps.Blocks == nil {
		return nil, errors.New("make campaign service: connections to segments and profiles, and a store of blocks, are needed")
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.MeterProvider == nil {
		deps.MeterProvider = noop.NewMeterProvider()
	}
	store, err := sqlstore.Open(ctx, cfg.store(deps), deps.Now, deps.Logger)
	if err != nil {
		return nil, err
	}
	s := &Server{store: store}
	if err := s.index(cfg, deps); err != nil {
		return nil, errors.Join(fmt.Errorf("make campaign service: %w", err), s.Close())
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

// index makes what answers questions.
func (s *Server) index(cfg Config, deps Deps) error {
	meter := deps.MeterProvider.Meter("github.com/narrowcast/narrowcast/services/campaign")
	var err error
	s.follower, err = blocks.NewFollower(blocks.FollowerConfig{
		Source: manifestwire.NewSource(deps.Segments), Logger: deps.Logger, Meter: meter,
		// Within the bound of staleness there is time for several attempts.
		RetryMax: time.Second,
	})
	if err != nil {
		return err
	}
	s.reader, err = blocks.NewReader(blocks.ReaderConfig{
		Store: deps.Blocks, Follower: s.follower, Refiller: manifestwire.NewRefiller(deps.Segments), MemoryBytes: int64(cfg.Memory),
		Staleness: cfg.Staleness, Parallelism: cfg.Parallelism, MaxWait: cfg.MaxWait, Logger: deps.Logger, Meter: meter,
	})
	if err != nil {
		return err
	}
	resolver, err := resolve.New(resolve.Config{
		Reader: s.reader, Follower: s.follower, Neighbours: neighbours.New(deps.Segments, deps.Profiles), Now: deps.Now,
	})
	if err != nil {
		return err
	}
	s.rpc = rpc.New(s.store, resolver, cfg.Slow)
	return nil
}

// Register adds AudienceService, CampaignService and LookupService.
func (s *Server) Register(r grpc.ServiceRegistrar) { s.rpc.Register(r) }

// Run follows the manifest until ctx ends, and then returns nil. Call it once.
func (s *Server) Run(ctx context.Context) error { return s.follower.Run(ctx) }

// Ready asks the database now, and fails until a manifest has arrived.
func (s *Server) Ready(ctx context.Context) error {
	if err := s.store.Ping(ctx); err != nil {
		return err
	}
	if s.follower.View() == nil {
		return blocks.ErrNotReady
	}
	return nil
}

// StopStreams ends member streams between two messages with UNAVAILABLE (SERVER_GOING_AWAY).
func (s *Server) StopStreams() { s.rpc.StopStreams() }

// Close ends refills under way and closes the store. The server that the service is registered on, and Run, must have stopped.
func (s *Server) Close() error {
	if s.reader != nil {
		s.reader.Close()
	}
	return s.store.Close()
}
