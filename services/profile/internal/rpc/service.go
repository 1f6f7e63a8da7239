package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"buf.build/go/protovalidate"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/revision"
	"github.com/narrowcast/narrowcast/services/profile"
)

// Options say how the services answer; Store and Logger are needed, zero durations and sizes mean the defaults.
type Options struct {
	Store  profile.Store
	Logger *slog.Logger
	// Currency (ISO 4217) and TimeZone (IANA) of the installation, told by GetHead.
	Currency, TimeZone string
	// Rules say which identifiers are taken.
	Rules profile.Rules
	// Now is the clock by which consents expire and dates are plausible; nil: time.Now.
	Now func() time.Time
	// Checkpoint is how often a watcher hears of the position when nothing changes, default 500 ms. The store is asked as
	// often for commits of other processes.
	Checkpoint time.Duration
	// SendTimeout is how long a watcher may let a message wait, default 30 s.
	SendTimeout time.Duration
	// MessageChanges and MessageBytes bound a message to a watcher, default 500 and 1 MiB; a single change may be larger.
	MessageChanges, MessageBytes int
	// UnitRows, UnitBytes and UnitDelay bound a commit unit of an import: it is committed when it has as many rows or bytes or
	// is as old, default 5,000, 4 MiB and 200 ms.
	UnitRows, UnitBytes int
	UnitDelay           time.Duration
}

// Service is all services of this contract. Stop it before the store is closed.
type Service struct {
	profilev1.UnimplementedProfileServiceServer
	profilev1.UnimplementedAttributeServiceServer
	profilev1.UnimplementedIdentityServiceServer
	profilev1.UnimplementedEventServiceServer

	opts      Options
	store     profile.Store
	log       *slog.Logger
	validator protovalidate.Validator
	// home is what of the head does not change while the store is open: id and incarnation.
	home profile.Head
	zone *time.Location

	closing  chan struct{}
	stopOnce sync.Once
	streams  sync.WaitGroup // goroutines beside the handlers of streams
	imports  imports
}

// New makes the services; it asks the store who it is.
func New(ctx context.Context, opts Options) (*Service, error) {
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{{&opts.Checkpoint, 500 * time.Millisecond}, {&opts.SendTimeout, 30 * time.Second}, {&opts.UnitDelay, 200 * time.Millisecond}} {
		if *d.at <= 0 {
			*d.at = d.value
		}
	}
	for _, d := range []struct {
		at    *int
		value int
	}{{&opts.MessageChanges, 500}, {&opts.MessageBytes, 1 << 20}, {&opts.UnitRows, 5000}, {&opts.UnitBytes, 4 << 20}} {
		if *d.at <= 0 {
			*d.at = d.value
		}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	zone, err := time.LoadLocation(opts.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("read time zone: %w", err)
	}
	// The rules of a profile are compiled now rather than when the first one comes.
	v, err := protovalidate.New(protovalidate.WithMessages(&profilev1.Profile{}, &profilev1.ImportProfilesRequest{}, &profilev1.Event{}, &profilev1.ImportEventsRequest{}))
	if err != nil {
		return nil, fmt.Errorf("compile validation rules: %w", err)
	}
	home, err := opts.Store.Head(ctx)
	if err != nil {
		return nil, err
	}
	return &Service{
		opts: opts, store: opts.Store, log: opts.Logger.With("component", "profile"), validator: v, home: home, zone: zone,
		closing: make(chan struct{}), imports: imports{running: make(map[importID]*run)},
	}, nil
}

// Stop ends all streams with UNAVAILABLE (SERVER_GOING_AWAY).
func (s *Service) Stop() { s.stopOnce.Do(func() { close(s.closing) }) }

// Wait waits until ctx ends for what streams have left behind, once all their handlers have returned. What is still there then
// hangs in a message that its caller neither takes nor gives up, and needs nothing of the service any more.
func (s *Service) Wait(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.streams.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// today is the day in the store's time zone, since 1970-01-01.
func (s *Service) today() int64 {
	year, month, day := s.opts.Now().In(s.zone).Date()
	return audience.DayOf(int64(year), int64(month), int64(day))
}

// token is the consistency token of a position.
func (s *Service) token(at profile.Position) string {
	return revision.Token{Store: s.home.Store, Profile: revision.Part{
		Incarnation: s.home.Incarnation, Revision: at.Revision, Mark: at.Mark,
	}}.String()
}

func (s *Service) position(at profile.Position) *typev1.Position {
	return &typev1.Position{Incarnation: s.home.Incarnation, Revision: at.Revision, Mark: at.Mark}
}

func goingAway() error {
	return fault.New(fault.Unavailable, profile.ReasonServerGoingAway, "the server is stopping; go on elsewhere from where the stream was").
		Retry(time.Second)
}

// GetHead returns the newest committed position. It asks the database, so that the answer is also a proof that it is there.
func (s *Service) GetHead(ctx context.Context, _ *profilev1.GetHeadRequest) (*profilev1.GetHeadResponse, error) {
	head, err := s.store.Head(ctx)
	if err != nil {
		return nil, err
	}
	return &profilev1.GetHeadResponse{
		Store: head.Store, Position: s.position(head.Position), ConsistencyToken: s.token(head.Position),
		CurrencyCode: s.opts.Currency, TimeZone: s.opts.TimeZone,
	}, nil
}
