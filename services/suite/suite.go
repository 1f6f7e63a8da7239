package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/extra/redisotel/v9"
	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/memblocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/redisblocks"
	"github.com/narrowcast/narrowcast/pkg/audience/gate"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/pkg/run"
	"github.com/narrowcast/narrowcast/pkg/telemetry"
	"github.com/narrowcast/narrowcast/services/internal/gating"
	segment "github.com/narrowcast/narrowcast/services/segment/server"
)

// Deps are what comes from outside; all are optional.
type Deps struct {
	// Logger gets every line; nil: standard error, as the configuration says.
	Logger *slog.Logger
	// Telemetry measures; nil: made as the configuration says, and shut down with the suite.
	Telemetry *telemetry.Telemetry
	// Blocks is the store of blocks; nil: as the configuration says. A store given here stays the caller's to close.
	Blocks blocks.Store
	// Dialer replaces the network on the way to neighbours in other processes; nil: the network.
	Dialer func(ctx context.Context, addr string) (net.Conn, error)
	// Now is the clock; nil: the system's.
	Now func() time.Time
	// Assigner says in which block of the index a new profile is numbered; nil: as the segment service does. No answer depends on it.
	Assigner segment.Assigner
}

// Suite is a set of services in this process.
type Suite struct {
	cfg    Config
	deps   Deps
	rows   []target
	log    *slog.Logger
	tel    *telemetry.Telemetry
	server *rpc.Server
	group  *run.Group

	blocks  blocks.Store
	closers []io.Closer // of connections
	doors   []door

	mu     sync.Mutex
	grpcAt net.Addr
	httpAt net.Addr
	ready  chan struct{}
}

// New checks the configuration; nothing is opened before Run.
func New(cfg Config, deps Deps) (*Suite, error) {
	if err := cfg.validate(deps.Blocks != nil); err != nil {
		return nil, err
	}
	rows, err := cfg.rows()
	if err != nil {
		return nil, err
	}
	s := &Suite{cfg: cfg, deps: deps, rows: rows, log: deps.Logger, ready: make(chan struct{})}
	if s.log == nil {
		s.log = cfg.NewLogger(os.Stderr)
	}
	if s.deps.Now == nil {
		s.deps.Now = time.Now
	}
	return s, nil
}

// NewLogger makes the logger that the configuration describes.
func (c Config) NewLogger(w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// Ready is closed when the suite serves. Whether its services can answer now, Wait and the health service say.
func (s *Suite) Ready() <-chan struct{} { return s.ready }

// Addr is the address on which gRPC is served, with the real port; "" before Ready.
func (s *Suite) Addr() string { return s.at(&s.grpcAt) }

// HTTPAddr is the address of metrics and health over HTTP; "" before Ready and if they are not served.
func (s *Suite) HTTPAddr() string { return s.at(&s.httpAt) }

func (s *Suite) at(addr *net.Addr) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *addr == nil {
		return ""
	}
	return (*addr).String()
}

// Local is a connection to the services in this process, without the network. It works after Ready.
func (s *Suite) Local() grpc.ClientConnInterface { return s.server.Local() }

// Register adds the services that run here to another registrar, which can then call their code without the server and its
// interceptors, as a bench does. It works after Ready.
func (s *Suite) Register(r grpc.ServiceRegistrar) {
	for _, d := range s.doors {
		d.Register(r)
	}
}

// Wait returns when the suite serves and every service says that it can answer, or with what the last one said when ctx ends.
func (s *Suite) Wait(ctx context.Context) error {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return fmt.Errorf("wait for the suite: %w", ctx.Err())
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the suite: %w", errors.Join(err, ctx.Err()))
		}
	}
}

// check asks every service now.
func (s *Suite) check(ctx context.Context) error {
	if !s.group.Ready() {
		return errors.New("the process is starting or stopping")
	}
	for i, d := range s.doors {
		if err := d.Ready(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.rows[i].name, err)
		}
	}
	return nil
}

// Run starts everything, serves until ctx ends or a part fails, and stops everything. It may be called once.
func (s *Suite) Run(ctx context.Context) error {
	s.group = run.NewGroup(run.Options{Logger: s.log, ShutdownDelay: s.cfg.ShutdownDelay, StopTimeout: s.cfg.StopTimeout})
	s.group.Add(run.Part{Name: "telemetry", Start: s.measure, Stop: s.unmeasure})
	s.group.Add(run.Part{Name: "blocks", Start: s.openBlocks, Stop: s.closeBlocks})
	s.group.Add(run.Part{Name: "server", Start: s.makeServer, Stop: s.hangUp})
	for _, t := range s.rows {
		s.group.Add(run.Part{
			Name:  t.name,
			Start: func(ctx context.Context) error { return s.openTarget(ctx, t) },
			Stop:  func(context.Context) error { return s.doorOf(t).Close() },
		})
	}
	// Work ends before the stores that it uses: a part of its own, behind all that opens something.
	for _, t := range s.rows {
		s.group.Add(run.Part{Name: t.name + " work", Run: func(ctx context.Context) error { return s.doorOf(t).Run(ctx) }})
	}
	s.addHTTP()
	s.addListener()
	s.group.Add(run.Part{Name: "ready", Start: func(context.Context) error { close(s.ready); return nil }})
	return s.group.Run(ctx)
}

func (s *Suite) doorOf(t target) door {
	i := slices.IndexFunc(s.rows, func(row target) bool { return row.name == t.name })
	return s.doors[i]
}

func (s *Suite) measure(ctx context.Context) error {
	s.tel = s.deps.Telemetry
	if s.tel != nil {
		return nil
	}
	name := "narrowcast"
	if len(s.rows) == 1 {
		name += "-" + s.rows[0].name
	}
	tel, err := telemetry.New(ctx, telemetry.Config{
		Service: name, Version: s.cfg.Version, OTLPEndpoint: s.cfg.OTLP, Prometheus: s.cfg.HTTP != "",
	})
	s.tel = tel
	return err
}

func (s *Suite) unmeasure(ctx context.Context) error {
	if s.deps.Telemetry != nil {
		return nil
	}
	if err := s.tel.Shutdown(ctx); err != nil {
		// A collector that is away must not make a clean stop a failure.
		s.log.Warn("last traces and metrics were not sent", "error", err)
	}
	return nil
}

// openBlocks chooses the store of blocks: one given, Redis, or memory.
func (s *Suite) openBlocks(context.Context) error {
	switch {
	case s.deps.Blocks != nil:
		s.blocks = s.deps.Blocks
	case !slices.ContainsFunc(s.rows, func(t target) bool { return t.blocks }):
	case s.cfg.Redis.IsZero():
		s.blocks = &memblocks.Store{}
	default:
		access := s.cfg.redis()
		client, err := access.Client()
		if err != nil {
			return err
		}
		if err := errors.Join(
			redisotel.InstrumentTracing(client, redisotel.WithTracerProvider(s.tel.TracerProvider), redisotel.WithDBStatement(false)),
			redisotel.InstrumentMetrics(client, redisotel.WithMeterProvider(s.tel.MeterProvider)),
		); err != nil {
			return errors.Join(fmt.Errorf("instrument redis: %w", err), client.Close())
		}
		s.blocks = redisblocks.New(client)
		s.closers = append(s.closers, client)
	}
	return nil
}

func (s *Suite) closeBlocks(context.Context) error {
	var errs []error
	if s.blocks != nil && s.deps.Blocks == nil {
		errs = append(errs, s.blocks.Close())
	}
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func (s *Suite) makeServer(context.Context) error {
	server, err := rpc.NewServer(rpc.Options{Logger: s.log, Telemetry: s.tel, Gate: gating.Interceptor(gate.New(nil), gating.Bearer(s.cfg.ExportToken))})
	s.server = server
	return err
}

// hangUp ends the in-process door too where the listener never started.
func (s *Suite) hangUp(ctx context.Context) error { return s.server.Stop(ctx) }

// openTarget opens a service and registers it.
func (s *Suite) openTarget(ctx context.Context, t target) error {
	if err := s.cfg.makeFolder(t); err != nil {
		return err
	}
	conns := map[string]grpc.ClientConnInterface{}
	for _, need := range t.needs {
		conn, err := s.connect(need)
		if err != nil {
			return err
		}
		conns[need] = conn
	}
	d, err := t.open(ctx, &s.cfg, given{
		log: s.log, tel: s.tel, now: s.deps.Now, blocks: s.blocks, assigner: s.deps.Assigner,
		conn: func(name string) grpc.ClientConnInterface { return conns[name] },
	})
	if err != nil {
		return err
	}
	d.Register(s.server)
	s.server.Health().Add(t.name, d.Ready)
	s.doors = append(s.doors, d)
	return nil
}

// safe are prefixes of methods that may be repeated, besides those that get and list.
var safe = []string{"Count", "Preview", "Breakdown", "Explain", "Refill", "Resolve", "BatchResolve"}

// connect reaches a neighbour: in this process through its door, else over the network.
func (s *Suite) connect(name string) (grpc.ClientConnInterface, error) {
	if slices.ContainsFunc(s.rows, func(t target) bool { return t.name == name }) {
		return s.server.Local(), nil
	}
	i := slices.IndexFunc(targets, func(t target) bool { return t.name == name })
	conn, err := rpc.Dial(s.cfg.Neighbours.addr(name), rpc.DialOptions{
		Telemetry: s.tel, Services: targets[i].services, Safe: safe, Dialer: s.deps.Dialer,
	})
	if err != nil {
		return nil, fmt.Errorf("reach the %s service: %w", name, err)
	}
	s.closers = append(s.closers, conn)
	return conn, nil
}
