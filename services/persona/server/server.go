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

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/persona"
	"github.com/narrowcast/narrowcast/services/persona/internal/rpc"
	"github.com/narrowcast/narrowcast/services/persona/internal/segments"
	"github.com/narrowcast/narrowcast/services/persona/internal/sqlstore"
)

// Config of the persona service.
type Config struct {
	Path     string        `help:"SQLite file of the personas; its folder must exist." env:"NARROWCAST_PERSONA_PATH" default:"persona.db"`
	Database config.Secret `help:"PostgreSQL database of the personas, such as postgres://user@host:5432/narrowcast; they are in schema persona. Empty: the SQLite file." env:"NARROWCAST_PERSONA_DATABASE" placeholder:"URL"`
	// Migrate says whether an older schema may be brought up to date at start.
	Migrate sqldb.MigratePolicy `kong:"-"`
}

// Default returns the configuration that holds where nothing is said.
func Default() Config { return Config{Path: "persona.db"} }

// store says where the store is and who watches it.
func (c Config) store(deps Deps) sqldb.Config {
	return sqldb.Config{
		Path: c.Path, URL: c.Database, Schema: "persona", Migrate: c.Migrate, TracerProvider: deps.TracerProvider, MeterProvider: deps.MeterProvider,
	}
}

// Validate tells everything that is wrong with a configuration.
func (c Config) Validate() error {
	if c.Path == "" && c.Database.IsZero() {
		return errors.New("persona service: path: name the SQLite file, or give a database")
	}
	return nil
}

// Deps are what the service needs from outside. Nil providers make no telemetry.
type Deps struct {
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	Now            func() time.Time
	// Segments is a connection to the segment service.
	Segments grpc.ClientConnInterface
}

// Server is a running persona service.
type Server struct {
	store persona.Store
	rpc   *rpc.Service
}

// New opens the store, brings its schema to this program's version and makes the service. It calls no neighbour.
func New(ctx context.Context, cfg Config, deps Deps) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Segments == nil {
		return nil, errors.New("make persona service: a connection to the segment service is needed")
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	store, err := sqlstore.Open(ctx, cfg.store(deps), deps.Now, deps.Logger)
	if err != nil {
		return nil, fmt.Errorf("make persona service: %w", err)
	}
	return &Server{store: store, rpc: rpc.New(store, segments.New(deps.Segments), deps.Now)}, nil
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

// Register adds PersonaService.
func (s *Server) Register(r grpc.ServiceRegistrar) { s.rpc.Register(r) }

// Run waits for ctx: the service has no work of its own in the background.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Ready asks the database now.
func (s *Server) Ready(ctx context.Context) error { return s.store.Ping(ctx) }

// StopStreams does nothing: the service has no streams.
func (s *Server) StopStreams() {}

// Close closes the store. The server that the service is registered on must have stopped.
func (s *Server) Close() error { return s.store.Close() }
