package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/memblocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/redisblocks"
	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/pkg/telemetry"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/suite"
)

// patience bounds the wait for services to start, and for one answer: ten million people are read again at a start.
const patience = time.Hour

// world is the suite that is measured, with what it stands on.
type world struct {
	opts   Options
	crowd  *crowd
	truth  *truth
	dir    string
	remove func() error

	servers         *servers // nil: none of our own
	database, redis config.Secret
	redisClient     *redis.Client // nil: blocks in memory

	*running
}

// running is one life of the suite.
type running struct {
	suite  *suite.Suite
	tel    *telemetry.Telemetry
	blocks blocks.Store // the suite's own, or another one on the same Redis
	stop   context.CancelFunc
	ended  chan error

	conn *grpc.ClientConn // over TCP
	services
	inside handlers
}

// services are clients of all services on one connection.
type services struct {
	profiles   profilev1.ProfileServiceClient
	attributes profilev1.AttributeServiceClient
	segments   segmentv1.SegmentServiceClient
	audiences  campaignv1.AudienceServiceClient
	lookup     campaignv1.LookupServiceClient
}

func servicesOn(c grpc.ClientConnInterface) services {
	return services{
		profilev1.NewProfileServiceClient(c), profilev1.NewAttributeServiceClient(c), segmentv1.NewSegmentServiceClient(c),
		campaignv1.NewAudienceServiceClient(c), campaignv1.NewLookupServiceClient(c),
	}
}

// handlers are the services' own code behind no connection and no interceptor: what "in process" is measured through.
type handlers struct {
	audiences campaignv1.AudienceServiceServer
	lookup    campaignv1.LookupServiceServer
}

// RegisterService implements grpc.ServiceRegistrar.
func (h *handlers) RegisterService(desc *grpc.ServiceDesc, impl any) {
	switch desc.ServiceName {
	case campaignv1.AudienceService_ServiceDesc.ServiceName:
		h.audiences, _ = impl.(campaignv1.AudienceServiceServer)
	case campaignv1.LookupService_ServiceDesc.ServiceName:
		h.lookup, _ = impl.(campaignv1.LookupServiceServer)
	}
}

// open makes the folder and the servers.
func open(ctx context.Context, opts Options) (w *world, err error) {
	w = &world{opts: opts, dir: opts.Keep, remove: func() error { return nil }, crowd: newCrowd(opts.Seed, opts.People, opts.Layout)}
	if w.dir == "" {
		if w.dir, err = os.MkdirTemp("", "narrowcast-bench-"); err != nil {
			return nil, fmt.Errorf("make a temporary folder: %w", err)
		}
		w.remove = func() error { return os.RemoveAll(w.dir) }
	} else if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder: %w", err)
	}
	if w.dir, err = filepath.Abs(w.dir); err != nil {
		return nil, fmt.Errorf("find the folder: %w", err)
	}
	w.database, w.redis = opts.Database, opts.Redis
	if opts.Store == StoreServers {
		if err := w.openServers(ctx); err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	return w, nil
}

func (w *world) openServers(ctx context.Context) error {
	if w.database.IsZero() || w.redis.IsZero() {
		w.opts.say("starting private servers")
		s, err := startServers(ctx, w.dir, w.database.IsZero(), w.redis.IsZero())
		if err != nil {
			return err
		}
		w.servers = s
		if w.database.IsZero() {
			w.database = config.NewSecret(s.database)
		}
		if w.redis.IsZero() {
			w.redis = config.NewSecret(s.redis)
		}
	}
	o, err := redis.ParseURL(w.redis.Reveal())
	if err != nil {
		return errors.New("redis: give an address such as redis://127.0.0.1:6379/0") // the library's text would repeat the password
	}
	w.redisClient = redis.NewClient(o)
	return nil
}

// close ends what open began.
func (w *world) close() error {
	var errs []error
	if w.running != nil {
		errs = append(errs, w.halt())
	}
	if w.redisClient != nil {
		errs = append(errs, w.redisClient.Close())
	}
	if w.servers != nil {
		errs = append(errs, w.servers.close())
	}
	return errors.Join(append(errs, w.remove())...)
}

// keysFile is where the profile service's keys are. On PostgreSQL it does not make them itself.
func (w *world) keysFile() string { return filepath.Join(w.dir, "profile.keys") }

// start starts the suite on what the stores hold, and waits until it serves.
func (w *world) start(ctx context.Context) error {
	cfg := suite.Default()
	cfg.Listen, cfg.HTTP, cfg.DataDir, cfg.Version, cfg.TimeZone, cfg.Currency = "127.0.0.1:0", "none", w.dir, w.opts.Version, "UTC", currency
	cfg.Database, cfg.Redis, cfg.Campaign.Memory = w.database, w.redis, config.Bytes(w.opts.readerBytes())
	tel, err := telemetry.New(ctx, telemetry.Config{Service: "narrowcast", Version: w.opts.Version, Prometheus: true})
	if err != nil {
		return err
	}
	r := &running{tel: tel, ended: make(chan error, 1)}
	deps := suite.Deps{Logger: w.opts.Logger, Telemetry: tel, Now: w.opts.Now}
	if w.redisClient == nil {
		r.blocks = memblocks.New()
		deps.Blocks = r.blocks
	} else {
		r.blocks = redisblocks.New(w.redisClient)
		if err := ensureKeys(w.keysFile()); err != nil {
			return err
		}
	}
	if r.suite, err = suite.New(cfg, deps); err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	go func() { r.ended <- r.suite.Run(running) }()
	w.running = r
	if err := r.wait(ctx); err != nil {
		return errors.Join(err, w.halt())
	}
	r.suite.Register(&r.inside)
	if r.conn, err = dial(r.suite.Addr()); err != nil {
		return errors.Join(err, w.halt())
	}
	r.services = servicesOn(r.conn)
	return nil
}

// dial reaches an address over TCP, as the services and the command line do, without spans of its own.
func dial(addr string) (*grpc.ClientConn, error) { return rpc.Dial(addr, rpc.DialOptions{}) }

// wait waits until the suite serves, or has ended.
func (r *running) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- r.suite.Wait(ctx) }()
	select {
	case err := <-served:
		return err
	case err := <-r.ended:
		r.ended <- nil
		cancel()
		return errors.Join(errors.New("the suite ended before it served"), err, <-served)
	}
}

// halt ends the suite.
func (w *world) halt() error {
	r := w.running
	w.running = nil
	var errs []error
	if r.conn != nil {
		errs = append(errs, r.conn.Close())
	}
	r.stop()
	errs = append(errs, <-r.ended)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(append(errs, r.tel.Shutdown(ctx))...)
}
