package server

import (
	"errors"
	"fmt"
	"time"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
)

// Config of the campaign service.
type Config struct {
	Path     string        `help:"SQLite file of audiences and campaigns; its folder must exist." env:"NARROWCAST_CAMPAIGN_PATH" default:"campaign.db"`
	Database config.Secret `help:"PostgreSQL database of audiences and campaigns, such as postgres://user@host:5432/narrowcast; they are in schema campaign. Empty: the SQLite file." env:"NARROWCAST_CAMPAIGN_DATABASE" placeholder:"URL"`
	// Migrate says whether an older schema may be brought up to date at start.
	Migrate     sqldb.MigratePolicy `kong:"-"`
	Memory      config.Bytes        `help:"Most memory for decoded rows of the index." env:"NARROWCAST_CAMPAIGN_MEMORY" default:"256MiB"`
	Staleness   time.Duration       `help:"Age of the index beyond which a question is refused, unless its caller chose otherwise." env:"NARROWCAST_CAMPAIGN_STALENESS" default:"5s"`
	MaxWait     time.Duration       `help:"Longest wait for a consistency token, or for a block that is written again, where the caller has no earlier deadline." env:"NARROWCAST_CAMPAIGN_MAX_WAIT" default:"10s"`
	Slow        time.Duration       `help:"How long the reader of a member stream may leave a message waiting before it is cut." env:"NARROWCAST_CAMPAIGN_SLOW" default:"30s"`
	Parallelism int                 `help:"Blocks of one question that are evaluated at a time; 0: one for each processor." env:"NARROWCAST_CAMPAIGN_PARALLELISM" default:"0"`
}

// Default returns the configuration that holds where nothing is said.
func Default() Config {
	return Config{Path: "campaign.db", Memory: 256 * config.MiB, Staleness: 5 * time.Second, MaxWait: 10 * time.Second, Slow: 30 * time.Second}
}

// store says where the store is and who watches it.
func (c Config) store(deps Deps) sqldb.Config {
	return sqldb.Config{
		Path: c.Path, URL: c.Database, Schema: "campaign", Migrate: c.Migrate, TracerProvider: deps.TracerProvider, MeterProvider: deps.MeterProvider,
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
	check(c.Path != "" || !c.Database.IsZero(), "path: name the SQLite file, or give a database")
	check(c.Memory >= config.MiB, "memory: give at least 1MiB")
	check(c.Staleness > 0, "staleness: give a duration above zero")
	check(c.MaxWait > 0, "max-wait: give a duration above zero")
	check(c.Slow > 0, "slow: give a duration above zero")
	check(c.Parallelism >= 0 && c.Parallelism <= 1024, "parallelism: give 0 to 1024")
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("campaign service: %w", err)
	}
	return nil
}
