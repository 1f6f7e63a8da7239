package suite

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks/redisblocks"
	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	campaign "github.com/narrowcast/narrowcast/services/campaign/server"
	persona "github.com/narrowcast/narrowcast/services/persona/server"
	profile "github.com/narrowcast/narrowcast/services/profile/server"
	segment "github.com/narrowcast/narrowcast/services/segment/server"
)

// Neighbours are the addresses of services, "host:port", where each has one of its own.
type Neighbours struct {
	ProfileAddr  string `help:"Address of the profile service, where it has its own." env:"NARROWCAST_PROFILE_ADDR" placeholder:"HOST:PORT"`
	SegmentAddr  string `help:"Address of the segment service, where it has its own." env:"NARROWCAST_SEGMENT_ADDR" placeholder:"HOST:PORT"`
	PersonaAddr  string `help:"Address of the persona service, where it has its own." env:"NARROWCAST_PERSONA_ADDR" placeholder:"HOST:PORT"`
	CampaignAddr string `help:"Address of the campaign service, where it has its own." env:"NARROWCAST_CAMPAIGN_ADDR" placeholder:"HOST:PORT"`
}

// addr returns the address of a target; "" if none is stated.
func (n Neighbours) addr(target string) string {
	return map[string]string{
		"profile": n.ProfileAddr, "segment": n.SegmentAddr, "persona": n.PersonaAddr, "campaign": n.CampaignAddr,
	}[target]
}

// Config says what runs in this process and how. Flags come from the tags; OTLP and Neighbours are flags of the programs.
type Config struct {
	Target        []string            `help:"Services to run: all, or some of profile, segment, persona, campaign." env:"NARROWCAST_TARGET" default:"all" placeholder:"NAME"`
	Listen        string              `help:"Address to serve gRPC on, host:port." env:"NARROWCAST_LISTEN" default:"127.0.0.1:7411"`
	HTTP          string              `name:"ops-listen" help:"Address to serve metrics and health on over HTTP; none: not served." env:"NARROWCAST_OPS_LISTEN" default:"127.0.0.1:7412"`
	DataDir       string              `help:"Folder of the databases; it is made if it is not there." env:"NARROWCAST_DATA_DIR" default:"narrowcast-data"`
	Database      config.Secret       `help:"PostgreSQL database of all services, such as postgres://user@host:5432/narrowcast; each has a schema of its own in it. Empty: SQLite files in the data folder." env:"NARROWCAST_DATABASE" placeholder:"URL"`
	Redis         config.Secret       `help:"Redis that holds the blocks: redis://user@host:6379/0, redis+cluster://host:6379,host:6379 or redis+sentinel://host:26379,host:26379/master; rediss in place of redis: encrypted. Empty: this process's memory." env:"NARROWCAST_REDIS" placeholder:"URL"`
	Migrate       sqldb.MigratePolicy `help:"auto: bring the databases' schemas up to date at start; never: refuse older ones, which narrowcast migrate brings up to date." enum:"auto,never" env:"NARROWCAST_MIGRATE" default:"auto"`
	AllowSQLite   bool                `name:"allow-sqlite" help:"Run some services, not all, on SQLite files: promises that each has one replica only." env:"NARROWCAST_ALLOW_SQLITE"`
	ExportToken   config.Secret       `help:"Token that callers who may export identifiers send as a bearer; none: nobody may." env:"NARROWCAST_EXPORT_TOKEN" placeholder:"TOKEN"`
	Staleness     time.Duration       `help:"Age of the index beyond which questions are refused; 0: as each service says." env:"NARROWCAST_STALENESS" default:"0"`
	Currency      string              `help:"Currency (ISO 4217) in which money without a named currency is compared; empty: as --profile-currency says."`
	TimeZone      string              `help:"Time zone (IANA) in which days turn; empty: as --profile-time-zone says."`
	LogFormat     string              `help:"text or json." enum:"text,json" env:"NARROWCAST_LOG_FORMAT" default:"text"`
	LogLevel      slog.Level          `help:"debug, info, warn or error." env:"NARROWCAST_LOG_LEVEL" default:"info"`
	ShutdownDelay time.Duration       `help:"Wait between not ready and the stop, for load balancers to notice." env:"NARROWCAST_SHUTDOWN_DELAY" default:"0"`
	StopTimeout   time.Duration       `help:"Longest wait for calls under way when stopping." env:"NARROWCAST_STOP_TIMEOUT" default:"10s"`

	RedisAccess redisblocks.Options `embed:"" prefix:"redis-"`

	Profile  profile.Config  `embed:"" prefix:"profile-"`
	Segment  segment.Config  `embed:"" prefix:"segment-"`
	Persona  persona.Config  `embed:"" prefix:"persona-"`
	Campaign campaign.Config `embed:"" prefix:"campaign-"`

	Neighbours Neighbours `kong:"-"`
	OTLP       string     `kong:"-"`
	Version    string     `kong:"-"`
}

// Default returns the configuration that holds where nothing is said.
func Default() Config {
	return Config{
		Target: []string{All}, Listen: "127.0.0.1:7411", HTTP: "127.0.0.1:7412", DataDir: "narrowcast-data", LogFormat: "text",
		Migrate: sqldb.MigrateAuto, StopTimeout: 10 * time.Second,
		Profile: profile.Default(), Segment: segment.Default(), Persona: persona.Default(), Campaign: campaign.Default(),
	}
}

// profile is the configuration of the profile service with what is said for all.
func (c *Config) profile() profile.Config {
	p := c.Profile
	p.Path, p.Keys, p.Database, p.Migrate = c.file(p.Path), c.file(p.Keys), c.database(p.Database), c.Migrate
	if c.Currency != "" {
		p.Currency = c.Currency
	}
	if c.TimeZone != "" {
		p.TimeZone = c.TimeZone
	}
	return p
}

// segment is the configuration of the segment service with what is said for all.
func (c *Config) segment() segment.Config {
	s := c.Segment
	s.Path, s.Database, s.Migrate, s.Checkpoint = c.file(s.Path), c.database(s.Database), c.Migrate, c.file(s.Checkpoint)
	if c.Staleness > 0 {
		s.Staleness = c.Staleness
	}
	return s
}

// persona is the configuration of the persona service with what is said for all.
func (c *Config) persona() persona.Config {
	p := c.Persona
	p.Path, p.Database, p.Migrate = c.file(p.Path), c.database(p.Database), c.Migrate
	return p
}

// campaign is the configuration of the campaign service with what is said for all.
func (c *Config) campaign() campaign.Config {
	a := c.Campaign
	a.Path, a.Database, a.Migrate = c.file(a.Path), c.database(a.Database), c.Migrate
	if c.Staleness > 0 {
		a.Staleness = c.Staleness
	}
	return a
}

// database is a service's own database, or that of all.
func (c *Config) database(own config.Secret) config.Secret {
	if own.IsZero() {
		return c.Database
	}
	return own
}

// redis is the Redis of the blocks, with how it is reached.
func (c *Config) redis() redisblocks.Options {
	o := c.RedisAccess
	o.Address = c.Redis
	return o
}

// file is the path of a SQLite file: relative ones are in the data folder. A path that is left out stays so.
func (c *Config) file(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.DataDir, path)
}

// makeFolder makes the data folder for a target that keeps a file there.
func (c *Config) makeFolder(t target) error {
	if !t.database(c).IsZero() {
		return nil
	}
	if err := os.MkdirAll(c.DataDir, 0o750); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	return nil
}

// rows returns the table's rows that the targets name, in the order of the table.
func (c *Config) rows() ([]target, error) {
	var errs []error
	for _, name := range c.Target {
		if !slices.Contains(Targets(), name) {
			errs = append(errs, fmt.Errorf("target: %q is not one of %s", name, strings.Join(Targets(), ", ")))
		}
	}
	var rows []target
	for _, t := range targets {
		if slices.Contains(c.Target, All) || slices.Contains(c.Target, t.name) {
			rows = append(rows, t)
		}
	}
	if len(rows) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("target: name at least one"))
	}
	return rows, errors.Join(errs...)
}

// validate tells everything that is wrong with a configuration, each by its flag. It is told whether a store of blocks comes from
// outside. It is not exported, or the parser of flags would call it before the neighbours' addresses are in.
func (c *Config) validate(blocksGiven bool) error {
	rows, err := c.rows()
	if err != nil {
		return err
	}
	var errs []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	some := len(rows) < len(targets)
	inSet := func(name string) bool {
		return slices.ContainsFunc(rows, func(t target) bool { return t.name == name })
	}
	for _, t := range rows {
		refuse(some && t.blocks && c.Redis.IsZero() && !blocksGiven,
			"redis: %s without all others needs --redis: blocks in this process's memory are invisible to its neighbours", t.name)
		refuse(some && !c.AllowSQLite && t.database(c).IsZero(),
			"allow-sqlite: %s without all others refuses a SQLite file, as it cannot see whether replicas have one of their own; give it a --database, or say --allow-sqlite if there is one replica", t.name)
		for _, need := range t.needs {
			refuse(!inSet(need) && c.Neighbours.addr(need) == "",
				"%s-addr: %s needs the %s service, which is not in this process: say where it is", need, t.name, need)
		}
	}
	refuse(c.Listen == "", "listen: give an address such as 127.0.0.1:7411")
	refuse(c.Staleness < 0, "staleness: give zero or more")
	refuse(c.ShutdownDelay < 0, "shutdown-delay: give zero or more")
	refuse(c.StopTimeout <= 0, "stop-timeout: give a duration above zero")
	if !c.Redis.IsZero() {
		access := c.redis()
		errs = append(errs, access.Check())
	}
	errs = append(errs, c.validateStores())
	return errors.Join(errs...)
}
