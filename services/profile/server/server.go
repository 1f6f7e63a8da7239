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
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/telemetry"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/purge"
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
	keys  *keyring.Source
	rekey *rekey.Job
	purge *purge.Job
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
	return sqlstore.Migrate(ctx, cfg.store(keys, deps))
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
	store, err := sqlstore.Open(ctx, cfg.store(keys, deps))
	if err != nil {
		return nil, err
	}
	s := &Server{store: store, keys: keys}
	if s.rpc, err = rpc.New(ctx, rpc.Options{
		Store: store, Logger: deps.Logger, Currency: cfg.Currency, TimeZone: cfg.TimeZone,
		Now:        deps.Now,
		Rules:      profile.Rules{Guard: guard, Allow: cfg.Allow, Region: cfg.PhoneRegion},
		Checkpoint: cfg.Checkpoint, SendTimeout: cfg.SendTimeout, UnitRows: cfg.UnitRows, UnitDelay: cfg.UnitDelay,
	}); err != nil {
		return nil, errors.Join(fmt.Errorf("make profile service: %w", err), store.Close())
	}
	var meter metric.Meter
	if deps.MeterProvider != nil {
		meter = deps.MeterProvider.Meter(telemetry.Scope + "profile")
	}
	s.rekey, err = rekey.New(rekey.Config{Store: store, Changed: keys.Changed, Logger: deps.Logger.With("component", "profile"), Meter: meter})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.purge, err = purge.New(purge.Config{
		Store: store, Logger: deps.Logger.With("component", "profile"), Now: deps.Now, Meter: meter, KeepImports: cfg.KeepImports,
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Register adds ProfileService, AttributeService and IdentityService.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	profilev1.RegisterProfileServiceServer(r, s.rpc)
	profilev1.RegisterAttributeServiceServer(r, s.rpc)
	profilev1.RegisterIdentityServiceServer(r, s.rpc)
}

// Run follows the key file, puts what is stored under its primary keys and removes what is past its time until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.keys.Run(ctx) })
	group.Go(func() error { return s.rekey.Run(ctx) })
	group.Go(func() error { return s.purge.Run(ctx) })
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
