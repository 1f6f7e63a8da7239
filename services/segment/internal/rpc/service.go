package rpc

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/segment"
)

// Reasons that are of the transport alone; those of the domain stand in package segment.
const (
	reasonValidation       = "VALIDATION_FAILED"
	reasonUnknownAttribute = "UNKNOWN_ATTRIBUTE"
	reasonUnknownField     = "UNKNOWN_FIELD"
	reasonTokenNotReached  = "TOKEN_NOT_REACHED"
	reasonStale            = "INDEX_STALE"
	reasonNotReady         = "INDEX_NOT_READY"
	reasonProfilesDown     = "PROFILES_UNAVAILABLE"
	reasonTooSlow          = "WATCHER_TOO_SLOW"
	reasonGoingAway        = "SERVER_GOING_AWAY"
)

// Bounds unless configured.
const (
	DefaultStaleness = 5 * time.Second
	DefaultSlow      = 10 * time.Second
)

// Config says what a Service answers from. The store, the index and the clients are needed.
type Config struct {
	Store      segment.Store
	Index      Index
	Profiles   profilev1.ProfileServiceClient
	Attributes profilev1.AttributeServiceClient
	// Now is the clock of new uids; nil: time.Now.
	Now func() time.Time
	// Staleness is the greatest age of an answer that does not allow stale ones; 0: DefaultStaleness.
	Staleness time.Duration
	// Slow is how long a reader of the manifest may leave one message untaken; 0: DefaultSlow.
	Slow time.Duration
}

// Service answers the calls of SegmentService, InsightService and MembershipService.
type Service struct {
	segmentv1.UnimplementedSegmentServiceServer
	segmentv1.UnimplementedInsightServiceServer
	segmentv1.UnimplementedMembershipServiceServer

	cfg Config

	stop     chan struct{} // closed by StopStreams
	stopOnce sync.Once
	streams  sync.WaitGroup // goroutines of streams

	mu sync.Mutex
	id string // the installation's id, once known
}

// New returns a service. It starts nothing.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Index == nil || cfg.Profiles == nil || cfg.Attributes == nil {
		return nil, errors.New("new segment service: store, index and the profile service's clients are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Staleness <= 0 {
		cfg.Staleness = DefaultStaleness
	}
	if cfg.Slow <= 0 {
		cfg.Slow = DefaultSlow
	}
	return &Service{cfg: cfg, stop: make(chan struct{})}, nil
}

// StopStreams ends the streams of the manifest with UNAVAILABLE, SERVER_GOING_AWAY; new ones end at once.
func (s *Service) StopStreams() { s.stopOnce.Do(func() { close(s.stop) }) }

// Wait returns when the goroutines of all streams have ended; call it after the server has stopped.
func (s *Service) Wait() { s.streams.Wait() }

// storeID returns the installation's id, which tokens carry. Until the index has met the profile service it is asked for.
func (s *Service) storeID(ctx context.Context) (string, error) {
	if id, _, ok := s.cfg.Index.Store(); ok {
		return id, nil
	}
	s.mu.Lock()
	id := s.id
	s.mu.Unlock()
	if id != "" {
		return id, nil
	}
	head, err := s.cfg.Profiles.GetHead(ctx, &profilev1.GetHeadRequest{})
	if err != nil {
		return "", profilesDown(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id = head.GetStore()
	return s.id, nil
}

// profilesDown is the fault of a call to the profile service that failed. An end of the caller's own context stays what it is.
func profilesDown(err error) error {
	if k := fault.KindOf(err); k == fault.Canceled || k == fault.Deadline {
		return err
	}
	return fault.New(fault.Unavailable, reasonProfilesDown, "the profile service does not answer; send the request again").
		Retry(500 * time.Millisecond).Wrap(err)
}

func notReady() *fault.Error {
	return fault.New(fault.Unavailable, reasonNotReady, "the index is being built; send the request again").Retry(time.Second)
}
