package rpc

import (
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/fault"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	"github.com/narrowcast/narrowcast/services/campaign"
	"github.com/narrowcast/narrowcast/services/campaign/internal/resolve"
)

// Service implements the services of narrowcast.campaign.v1.
type Service struct {
	campaignv1.UnsafeAudienceServiceServer
	campaignv1.UnsafeCampaignServiceServer
	campaignv1.UnsafeLookupServiceServer

	store    campaign.Store
	resolver *resolve.Resolver
	slow     time.Duration

	stopping chan struct{}
	stop     sync.Once
}

var (
	_ campaignv1.AudienceServiceServer = (*Service)(nil)
	_ campaignv1.CampaignServiceServer = (*Service)(nil)
	_ campaignv1.LookupServiceServer   = (*Service)(nil)
)

// New returns the service. slow is how long the reader of a member stream may leave a message untaken before it is cut.
func New(store campaign.Store, resolver *resolve.Resolver, slow time.Duration) *Service {
	return &Service{store: store, resolver: resolver, slow: slow, stopping: make(chan struct{})}
}

// Register adds the services.
func (s *Service) Register(r grpc.ServiceRegistrar) {
	campaignv1.RegisterAudienceServiceServer(r, s)
	campaignv1.RegisterCampaignServiceServer(r, s)
	campaignv1.RegisterLookupServiceServer(r, s)
}

// StopStreams ends member streams between two messages: their callers resume elsewhere.
func (s *Service) StopStreams() { s.stop.Do(func() { close(s.stopping) }) }

// updateTries bounds how often an update without an etag is begun again on what another writer has made current.
const updateTries = 5

// retried runs an update again while another writer was faster, unless the caller stated the etag.
func retried[T any](etag string, update func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		got, err := update()
		if etag == "" && try < updateTries && fault.ReasonOf(err) == campaign.ReasonEtagMismatch {
			continue
		}
		return got, err
	}
}
