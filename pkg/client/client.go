package client

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"

	"github.com/narrowcast/narrowcast/pkg/revision"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/pkg/telemetry"
)

// Config says where the services are. Addr alone is enough where one address serves all.
type Config struct {
	// Addr is the "host:port" of every service without an address of its own.
	Addr string
	// Addresses of single services.
	ProfileAddr, SegmentAddr, PersonaAddr, CampaignAddr string
	// Credentials of the connections; nil is without TLS.
	Credentials credentials.TransportCredentials
	// Telemetry makes spans and metrics of calls; nil makes none.
	Telemetry *telemetry.Telemetry
	// Logger hears of tokens that cannot be used; nil discards.
	Logger *slog.Logger
	// ReadYourWrites makes every question wait for what this client wrote, unless the question states its own consistency.
	ReadYourWrites bool
}

// Conns are ready connections to the services, for callers that have them already.
type Conns struct {
	Profile, Segment, Persona, Campaign grpc.ClientConnInterface
}

// Client holds a typed client for each service.
type Client struct {
	Profiles   profilev1.ProfileServiceClient
	Attributes profilev1.AttributeServiceClient
	Identity   profilev1.IdentityServiceClient
	Events     profilev1.EventServiceClient
	Segments   segmentv1.SegmentServiceClient
	Insight    segmentv1.InsightServiceClient
	Personas   personav1.PersonaServiceClient
	Audiences  campaignv1.AudienceServiceClient
	Campaigns  campaignv1.CampaignServiceClient
	Lookup     campaignv1.LookupServiceClient

	log            *slog.Logger
	readYourWrites bool
	closers        []io.Closer

	mu    sync.Mutex
	token revision.Token
}

// Dial makes a client. It does not wait for the services: the first calls do.
func Dial(cfg Config) (*Client, error) {
	var closers []io.Closer
	byAddr := make(map[string]*grpc.ClientConn) // services at one address share a connection
	dial := func(service, own string) (grpc.ClientConnInterface, error) {
		addr := own
		if addr == "" {
			addr = cfg.Addr
		}
		if addr == "" {
			return nil, fmt.Errorf("no address of the %s service; set Addr, or its own", service)
		}
		if conn, ok := byAddr[addr]; ok {
			return conn, nil
		}
		conn, err := rpc.Dial(addr, rpc.DialOptions{
			Telemetry: cfg.Telemetry, Credentials: cfg.Credentials,
			Services: services(), Safe: []string{"Count", "Explain", "Preview", "Breakdown", "Overlap", "Lookup", "Resolve", "BatchResolve", "RecordEvents"},
		})
		if err != nil {
			return nil, err
		}
		byAddr[addr] = conn
		closers = append(closers, conn)
		return conn, nil
	}
	var conns Conns
	var errs [4]error
	conns.Profile, errs[0] = dial("profile", cfg.ProfileAddr)
	conns.Segment, errs[1] = dial("segment", cfg.SegmentAddr)
	conns.Persona, errs[2] = dial("persona", cfg.PersonaAddr)
	conns.Campaign, errs[3] = dial("campaign", cfg.CampaignAddr)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, errors.Join(fmt.Errorf("make client: %w", err), closeAll(closers))
	}
	c := New(conns, cfg)
	c.closers = closers
	return c, nil
}

// services are those whose safe methods are tried again.
func services() []string {
	return []string{
		profilev1.ProfileService_ServiceDesc.ServiceName, profilev1.AttributeService_ServiceDesc.ServiceName,
		profilev1.IdentityService_ServiceDesc.ServiceName, profilev1.EventService_ServiceDesc.ServiceName,
		segmentv1.SegmentService_ServiceDesc.ServiceName, segmentv1.InsightService_ServiceDesc.ServiceName,
		personav1.PersonaService_ServiceDesc.ServiceName,
		campaignv1.AudienceService_ServiceDesc.ServiceName, campaignv1.CampaignService_ServiceDesc.ServiceName,
		campaignv1.LookupService_ServiceDesc.ServiceName,
	}
}

// New makes a client over ready connections, which it does not close; addresses and credentials of cfg are not used.
func New(conns Conns, cfg Config) *Client {
	c := &Client{log: cfg.Logger, readYourWrites: cfg.ReadYourWrites}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	profile, segment := tracked{conns.Profile, c}, tracked{conns.Segment, c}
	persona, campaign := tracked{conns.Persona, c}, tracked{conns.Campaign, c}
	c.Profiles = profilev1.NewProfileServiceClient(profile)
	c.Attributes = profilev1.NewAttributeServiceClient(profile)
	c.Identity = profilev1.NewIdentityServiceClient(profile)
	c.Events = profilev1.NewEventServiceClient(profile)
	c.Segments = segmentv1.NewSegmentServiceClient(segment)
	c.Insight = segmentv1.NewInsightServiceClient(segment)
	c.Personas = personav1.NewPersonaServiceClient(persona)
	c.Audiences = campaignv1.NewAudienceServiceClient(campaign)
	c.Campaigns = campaignv1.NewCampaignServiceClient(campaign)
	c.Lookup = campaignv1.NewLookupServiceClient(campaign)
	return c
}

// Close closes the connections that Dial made.
func (c *Client) Close() error {
	closers := c.closers
	c.closers = nil
	if err := closeAll(closers); err != nil {
		return fmt.Errorf("close client: %w", err)
	}
	return nil
}

func closeAll(closers []io.Closer) error {
	var errs []error
	for _, one := range closers {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}
