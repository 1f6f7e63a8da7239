package suite

import (
	"context"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/telemetry"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	campaign "github.com/narrowcast/narrowcast/services/campaign/server"
	persona "github.com/narrowcast/narrowcast/services/persona/server"
	profile "github.com/narrowcast/narrowcast/services/profile/server"
	segment "github.com/narrowcast/narrowcast/services/segment/server"
)

// All is the target that stands for every other one.
const All = "all"

// door is what every service's server package gives.
type door interface {
	Register(r grpc.ServiceRegistrar)
	Run(ctx context.Context) error
	Ready(ctx context.Context) error
	StopStreams()
	Close() error
}

// given is what a target is opened with.
type given struct {
	log    *slog.Logger
	tel    *telemetry.Telemetry
	now    func() time.Time
	conn   func(target string) grpc.ClientConnInterface
	blocks blocks.Store
	// assigner is the segment service's alone.
	assigner segment.Assigner
}

// target is a row of the table.
type target struct {
	name string
	// needs names the targets whose services it calls.
	needs []string
	// blocks says that it reads or writes blocks.
	blocks bool
	// services are the full names of what it serves.
	services []string
	// database is where its data are; none: in a SQLite file.
	database func(cfg *Config) config.Secret
	open     func(ctx context.Context, cfg *Config, g given) (door, error)
	// migrate brings its schema to this program's version.
	migrate func(ctx context.Context, cfg *Config, log *slog.Logger) (sqldb.Versions, error)
	// backup writes its store; canRestore refuses one that is not empty, and restore fills it.
	backup     func(ctx context.Context, cfg *Config, log *slog.Logger, w io.Writer) (sqldb.DumpInfo, error)
	canRestore func(ctx context.Context, cfg *Config, log *slog.Logger) error
	restore    func(ctx context.Context, cfg *Config, log *slog.Logger, r io.Reader) (sqldb.DumpInfo, error)
}

// targets is the one table, in the order in which they start.
var targets = []target{
	{
		name: "profile",
		services: []string{
			profilev1.ProfileService_ServiceDesc.ServiceName, profilev1.AttributeService_ServiceDesc.ServiceName,
			profilev1.IdentityService_ServiceDesc.ServiceName, profilev1.EventService_ServiceDesc.ServiceName,
		},
		database: func(cfg *Config) config.Secret { return cfg.profile().Database },
		open: func(ctx context.Context, cfg *Config, g given) (door, error) {
			c := cfg.profile()
			return profile.New(ctx, c, profile.Deps{
				Logger: g.log, TracerProvider: g.tel.TracerProvider, MeterProvider: g.tel.MeterProvider, Now: g.now,
			})
		},
		migrate: func(ctx context.Context, cfg *Config, log *slog.Logger) (sqldb.Versions, error) {
			return profile.Migrate(ctx, cfg.profile(), profile.Deps{Logger: log})
		},
		backup: func(ctx context.Context, cfg *Config, log *slog.Logger, w io.Writer) (sqldb.DumpInfo, error) {
			return profile.Backup(ctx, cfg.profile(), profile.Deps{Logger: log}, w)
		},
		canRestore: func(ctx context.Context, cfg *Config, log *slog.Logger) error {
			return profile.CanRestore(ctx, cfg.profile(), profile.Deps{Logger: log})
		},
		restore: func(ctx context.Context, cfg *Config, log *slog.Logger, r io.Reader) (sqldb.DumpInfo, error) {
			return profile.Restore(ctx, cfg.profile(), profile.Deps{Logger: log}, r)
		},
	},
	{
		name: "segment", needs: []string{"profile"}, blocks: true,
		services: []string{
			segmentv1.SegmentService_ServiceDesc.ServiceName, segmentv1.InsightService_ServiceDesc.ServiceName,
			segmentv1.MembershipService_ServiceDesc.ServiceName,
		},
		database: func(cfg *Config) config.Secret { return cfg.segment().Database },
		open: func(ctx context.Context, cfg *Config, g given) (door, error) {
			return segment.New(ctx, cfg.segment(), segment.Deps{
				Logger: g.log, TracerProvider: g.tel.TracerProvider, MeterProvider: g.tel.MeterProvider, Now: g.now,
				Profiles: g.conn("profile"), Blocks: g.blocks, Assigner: g.assigner,
			})
		},
		migrate: func(ctx context.Context, cfg *Config, log *slog.Logger) (sqldb.Versions, error) {
			return segment.Migrate(ctx, cfg.segment(), segment.Deps{Logger: log})
		},
		backup: func(ctx context.Context, cfg *Config, log *slog.Logger, w io.Writer) (sqldb.DumpInfo, error) {
			return segment.Backup(ctx, cfg.segment(), segment.Deps{Logger: log}, w)
		},
		canRestore: func(ctx context.Context, cfg *Config, log *slog.Logger) error {
			return segment.CanRestore(ctx, cfg.segment(), segment.Deps{Logger: log})
		},
		restore: func(ctx context.Context, cfg *Config, log *slog.Logger, r io.Reader) (sqldb.DumpInfo, error) {
			return segment.Restore(ctx, cfg.segment(), segment.Deps{Logger: log}, r)
		},
	},
	{
		name: "persona", needs: []string{"segment"},
		services: []string{personav1.PersonaService_ServiceDesc.ServiceName},
		database: func(cfg *Config) config.Secret { return cfg.persona().Database },
		open: func(ctx context.Context, cfg *Config, g given) (door, error) {
			return persona.New(ctx, cfg.persona(), persona.Deps{
				Logger: g.log, TracerProvider: g.tel.TracerProvider, MeterProvider: g.tel.MeterProvider, Now: g.now,
				Segments: g.conn("segment"),
			})
		},
		migrate: func(ctx context.Context, cfg *Config, log *slog.Logger) (sqldb.Versions, error) {
			return persona.Migrate(ctx, cfg.persona(), persona.Deps{Logger: log})
		},
		backup: func(ctx context.Context, cfg *Config, log *slog.Logger, w io.Writer) (sqldb.DumpInfo, error) {
			return persona.Backup(ctx, cfg.persona(), persona.Deps{Logger: log}, w)
		},
		canRestore: func(ctx context.Context, cfg *Config, log *slog.Logger) error {
			return persona.CanRestore(ctx, cfg.persona(), persona.Deps{Logger: log})
		},
		restore: func(ctx context.Context, cfg *Config, log *slog.Logger, r io.Reader) (sqldb.DumpInfo, error) {
			return persona.Restore(ctx, cfg.persona(), persona.Deps{Logger: log}, r)
		},
	},
	{
		name: "campaign", needs: []string{"profile", "segment"}, blocks: true,
		services: []string{campaignv1.AudienceService_ServiceDesc.ServiceName, campaignv1.CampaignService_ServiceDesc.ServiceName, campaignv1.LookupService_ServiceDesc.ServiceName},
		database: func(cfg *Config) config.Secret { return cfg.campaign().Database },
		open: func(ctx context.Context, cfg *Config, g given) (door, error) {
			return campaign.New(ctx, cfg.campaign(), campaign.Deps{
				Logger: g.log, TracerProvider: g.tel.TracerProvider, MeterProvider: g.tel.MeterProvider, Now: g.now,
				Profiles: g.conn("profile"), Segments: g.conn("segment"), Blocks: g.blocks,
			})
		},
		migrate: func(ctx context.Context, cfg *Config, log *slog.Logger) (sqldb.Versions, error) {
			return campaign.Migrate(ctx, cfg.campaign(), campaign.Deps{Logger: log})
		},
		backup: func(ctx context.Context, cfg *Config, log *slog.Logger, w io.Writer) (sqldb.DumpInfo, error) {
			return campaign.Backup(ctx, cfg.campaign(), campaign.Deps{Logger: log}, w)
		},
		canRestore: func(ctx context.Context, cfg *Config, log *slog.Logger) error {
			return campaign.CanRestore(ctx, cfg.campaign(), campaign.Deps{Logger: log})
		},
		restore: func(ctx context.Context, cfg *Config, log *slog.Logger, r io.Reader) (sqldb.DumpInfo, error) {
			return campaign.Restore(ctx, cfg.campaign(), campaign.Deps{Logger: log}, r)
		},
	},
}

// Targets returns the names of the targets, with All first.
func Targets() []string {
	names := []string{All}
	for _, t := range targets {
		names = append(names, t.name)
	}
	return names
}
