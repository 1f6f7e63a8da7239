package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/identity"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/telemetry"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/rekey"
	"github.com/narrowcast/narrowcast/services/profile/internal/rpc"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
)

// Config of the profile service.
type Config struct {
	Path         string              `help:"SQLite file of the profiles; its folder must exist." env:"NARROWCAST_PROFILE_PATH" default:"profile.db"`
	Database     config.Secret       `help:"PostgreSQL database of the profiles, postgres://user:password@host:5432/database; empty: a SQLite file." env:"NARROWCAST_PROFILE_DATABASE" placeholder:"URL"`
	Connections  int                 `help:"Most connections that read from PostgreSQL; some for writing come to them." env:"NARROWCAST_PROFILE_CONNECTIONS" default:"8"`
	Migrate      sqldb.MigratePolicy `help:"auto: bring an older schema up to date at the start; never: refuse it." env:"NARROWCAST_PROFILE_MIGRATE" default:"auto"`
	Keys         string              `help:"File of the keys that seal names and identifiers; made if it is not there, unless the profiles are in PostgreSQL: replicas share it. Keep a copy apart from those of the profiles." env:"NARROWCAST_PROFILE_KEYS" default:"profile.keys"`
	Allow        []string            `name:"allow-identifiers" help:"Rules of identifiers that stand for nobody which are not applied." env:"NARROWCAST_PROFILE_ALLOW_IDENTIFIERS" default:"reserved_domain,fictitious_phone" placeholder:"RULE"`
	PhoneRegion  string              `help:"Country (ISO 3166-1 alpha-2) of phone numbers without country code; none: they are refused." env:"NARROWCAST_PROFILE_PHONE_REGION" placeholder:"FR"`
	Currency     string              `help:"Currency (ISO 4217) in which money without a named currency is compared." env:"NARROWCAST_CURRENCY" default:"EUR"`
	TimeZone     string              `help:"Time zone (IANA) in which days turn." env:"NARROWCAST_TIME_ZONE" default:"UTC"`
	GroupDelay   time.Duration       `help:"Longest wait of a write for others to share its commit." env:"NARROWCAST_PROFILE_GROUP_DELAY" default:"5ms"`
	GroupChanges int                 `help:"Most changes of writes that share a commit." env:"NARROWCAST_PROFILE_GROUP_CHANGES" default:"1000"`
	UnitRows     int                 `help:"Most rows of an import in one commit." env:"NARROWCAST_PROFILE_UNIT_ROWS" default:"5000"`
	UnitDelay    time.Duration       `help:"Longest wait of an import's rows for their commit." env:"NARROWCAST_PROFILE_UNIT_DELAY" default:"200ms"`
	Checkpoint   time.Duration       `help:"How often idle watchers hear of the position." env:"NARROWCAST_PROFILE_CHECKPOINT" default:"500ms"`
	SendTimeout  time.Duration       `help:"How long a watcher may leave a message waiting before it is cut." env:"NARROWCAST_PROFILE_SEND_TIMEOUT" default:"30s"`
}

// Default returns the configuration that holds where nothing is said.
func Default() Config {
	return Config{
		Path: "profile.db", Connections: 8, Migrate: sqldb.MigrateAuto, Keys: "profile.keys", Allow: slices.Clone(profile.DefaultAllow), Currency: "EUR", TimeZone: "UTC", GroupDelay: 5 * time.Millisecond, GroupChanges: 1000,
		UnitRows: 5000, UnitDelay: 200 * time.Millisecond, Checkpoint: 500 * time.Millisecond, SendTimeout: 30 * time.Second,
	}
}

// Validate tells everything that is wrong with a configuration.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, message string) {
		if !ok {
			errs = append(errs, errors.New(message))
		}
	}
	check(c.Path != "" || !c.Database.IsZero(), "path: name the SQLite file")
	check(c.Connections > 0 && c.Connections <= 1000, "connections: give 1 to 1000")
	check(c.Keys != "", "keys: name the key file")
	check(c.PhoneRegion == "" || len(c.PhoneRegion) == 2 && strings.Trim(c.PhoneRegion, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "", "phone-region: give a country of two capitals such as FR")
	check(len(c.Currency) == 3 && strings.Trim(c.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "", "currency: give an ISO 4217 code of three capitals such as EUR")
	if _, err := time.LoadLocation(c.TimeZone); err != nil || c.TimeZone == "" || c.TimeZone == "Local" {
		errs = append(errs, errors.New("time-zone: give an IANA name such as Europe/Paris"))
	}
	check(c.GroupDelay > 0 && c.GroupDelay <= time.Second, "group-delay: give up to one second")
	check(c.GroupChanges > 0 && c.GroupChanges <= 100_000, "group-changes: give 1 to 100000")
	check(c.UnitRows > 0 && c.UnitRows <= 100_000, "unit-rows: give 1 to 100000")
	check(c.UnitDelay > 0 && c.UnitDelay <= time.Minute, "unit-delay: give up to one minute")
	check(c.Checkpoint > 0 && c.Checkpoint <= time.Minute, "checkpoint: give up to one minute")
	check(c.SendTimeout > 0, "send-timeout: give a duration above zero")
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("profile service: %w", err)
	}
	return nil
}

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
}

// New opens the store, brings its schema to this program's version and makes the service.
func New(ctx context.Context, cfg Config, deps Deps) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	open := keyring.OpenOrCreate
	if !cfg.Database.IsZero() {
		open = keyring.Open // a file of this replica's own would hide the profiles from all others
	}
	keys, err := open(keyring.Config{Path: cfg.Keys, Logger: deps.Logger})
	if err != nil {
		return nil, err
	}
	guard, err := identity.NewGuard()
	if err != nil {
		return nil, fmt.Errorf("make guard of identifiers: %w", err)
	}
	store, err := sqlstore.Open(ctx, sqlstore.Config{
		SQL: sqldb.Config{
			Path: cfg.Path, URL: cfg.Database, Schema: "profile", Migrate: cfg.Migrate, Readers: cfg.Connections,
			TracerProvider: deps.TracerProvider, MeterProvider: deps.MeterProvider,
		},
		Keys: keys, Logger: deps.Logger, Now: deps.Now,
		GroupDelay: cfg.GroupDelay, GroupChanges: cfg.GroupChanges,
	})
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
	return s, nil
}

// Register adds ProfileService, AttributeService and IdentityService.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	profilev1.RegisterProfileServiceServer(r, s.rpc)
	profilev1.RegisterAttributeServiceServer(r, s.rpc)
	profilev1.RegisterIdentityServiceServer(r, s.rpc)
}

// Run follows the key file and puts what is stored under its primary keys until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.keys.Run(ctx) })
	group.Go(func() error { return s.rekey.Run(ctx) })
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
