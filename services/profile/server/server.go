package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/identity"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/telemetry"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/purge"
	"github.com/narrowcast/narrowcast/services/profile/internal/recompute"
	"github.com/narrowcast/narrowcast/services/profile/internal/rekey"
	"github.com/narrowcast/narrowcast/services/profile/internal/rpc"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
)

// Deps are what the service needs from outside; it has no neighbours. Nil providers make no telemetry.
type Deps struct {
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	Now            func() time.Time
}

// Server is a running profile service.
type Server struct {
	store profile.Store
	rpc   *rpc.Service
	jobs  []func(context.Context) error
}

// filled has what may be left out.
func (d Deps) filled() Deps {
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	return d
}

// Migrate brings the schema of the service's store to this program's version, whatever cfg.Migrate says, converts what earlier programs
// stored, and does nothing else. Only the logger, the clock and the providers of deps are used.
func Migrate(ctx context.Context, cfg Config, deps Deps) (sqldb.Versions, error) {
	if err := cfg.Validate(); err != nil {
		return sqldb.Versions{}, err
	}
	deps = deps.filled()
	keys, err := cfg.openKeys(deps.Logger)
	if err != nil {
		return sqldb.Versions{}, err
	}
	where, err := cfg.store(keys, deps)
	if err != nil {
		return sqldb.Versions{}, err
	}
	return sqlstore.Migrate(ctx, where)
}

// New opens the store, brings its schema to this program's version and makes the service.
func New(ctx context.Context, cfg Config, deps Deps) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	deps = deps.filled()
	keys, err := cfg.openKeys(deps.Logger)
	if err != nil {
		return nil, err
	}
	guard, err := identity.NewGuard()
	if err != nil {
		return nil, fmt.Errorf("make guard of identifiers: %w", err)
	}
	where, err := cfg.store(keys, deps)
	if err != nil {
		return nil, err
	}
	store, err := sqlstore.Open(ctx, where)
	if err != nil {
		return nil, err
	}
	s := &Server{store: store}
	if s.rpc, err = rpc.New(ctx, rpc.Options{
		Store: store, Logger: deps.Logger, Currency: cfg.Currency, TimeZone: cfg.TimeZone,
		Now:        deps.Now,
		Trust:      cfg.Trust,
		Rules:      profile.Rules{Guard: guard, Allow: cfg.Allow, Region: cfg.PhoneRegion},
		Checkpoint: cfg.Checkpoint, SendTimeout: cfg.SendTimeout, UnitRows: cfg.UnitRows, UnitDelay: cfg.UnitDelay,
	}); err != nil {
		return nil, errors.Join(fmt.Errorf("make profile service: %w", err), store.Close())
	}
	var meter metric.Meter
	if deps.MeterProvider != nil {
		meter = deps.MeterProvider.Meter(telemetry.Scope + "profile")
	}
	log := deps.Logger.With("component", "profile")
	rekeying, err := rekey.New(rekey.Config{Store: store, Changed: keys.Changed, Logger: log, Meter: meter})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	days, err := recompute.New(recompute.Config{Store: store, Logger: log, Meter: meter, Limit: cfg.DueRows, Pause: cfg.DuePause, Interval: cfg.DueInterval})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	purging, err := purge.New(purge.Config{Store: store, Logger: log, Now: deps.Now, Meter: meter, KeepImports: cfg.KeepImports})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.jobs = append(s.jobs, keys.Run, rekeying.Run, days.Run, purging.Run, func(ctx context.Context) error { return purgeMerges(ctx, store, log) })
	return s, nil
}

// Register adds ProfileService, AttributeService, IdentityService and EventService.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	profilev1.RegisterProfileServiceServer(r, s.rpc)
	profilev1.RegisterAttributeServiceServer(r, s.rpc)
	profilev1.RegisterIdentityServiceServer(r, s.rpc)
	profilev1.RegisterEventServiceServer(r, s.rpc)
}

// Run follows the key file, puts what is stored under its primary keys, keeps traits up with the days, removes what is past its time and
// forgets merges that can no longer be undone, until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, job := range s.jobs {
		group.Go(func() error { return job(ctx) })
	}
	return group.Wait()
}

// Ready asks the store now.
func (s *Server) Ready(ctx context.Context) error { return s.store.Ping(ctx) }

// StopStreams ends imports and watchers with UNAVAILABLE (SERVER_GOING_AWAY).
func (s *Server) StopStreams() { s.rpc.Stop() }

// Close commits what waits and closes the store. The server that the service is registered on must have stopped.
func (s *Server) Close() error {
	s.rpc.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s.rpc.Wait(ctx)
	return s.store.Close()
}
