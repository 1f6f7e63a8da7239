package server

import (
	"errors"
	"fmt"
	"time"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
)

// Config of the segment service.
type Config struct {
	Path     string        `help:"SQLite file of the segments; its folder must exist." env:"NARROWCAST_SEGMENT_PATH" default:"segment.db"`
	Database config.Secret `help:"PostgreSQL database of the segments, such as postgres://user@host:5432/narrowcast; they are in schema segment. Empty: the SQLite file." env:"NARROWCAST_SEGMENT_DATABASE" placeholder:"URL"`
	// Migrate says whether an older schema may be brought up to date at start.
	Migrate         sqldb.MigratePolicy `kong:"-"`
	Holder          string              `help:"Name under which this replica holds the lease of the index. The same name takes over at once after a restart, so no two replicas may share one." env:"NARROWCAST_SEGMENT_HOLDER" default:"single"`
	LeaseTTL        time.Duration       `help:"How long the lease of the index lasts when it is not renewed." env:"NARROWCAST_SEGMENT_LEASE_TTL" default:"10s"`
	Staleness       time.Duration       `help:"Age of the index beyond which a question is refused, unless its caller chose otherwise." env:"NARROWCAST_SEGMENT_STALENESS" default:"5s"`
	Slow            time.Duration       `help:"How long a reader of the manifest may leave a message waiting before it is cut." env:"NARROWCAST_SEGMENT_SLOW" default:"10s"`
	Tick            time.Duration       `help:"Least time from one publication of the index to the next." env:"NARROWCAST_SEGMENT_TICK" default:"10ms"`
	Build           time.Duration       `help:"Longest time that one publication of the index spends on the rows of new rules; at least one block is built." env:"NARROWCAST_SEGMENT_BUILD" default:"20ms"`
	Checkpoint      string              `help:"Folder in which the index keeps its content for the next start, of this replica alone; without it a start reads all profiles again. Empty: none." env:"NARROWCAST_SEGMENT_CHECKPOINT" default:"segment-checkpoint"`
	CheckpointEvery time.Duration       `help:"Least time from the end of one checkpoint to the next." env:"NARROWCAST_SEGMENT_CHECKPOINT_EVERY" default:"2m"`
	Audit           time.Duration       `help:"Pause between two blocks that the background audit compares; 0 is off." env:"NARROWCAST_SEGMENT_AUDIT" default:"1s"`
}

// Default returns the configuration that holds where nothing is said.
func Default() Config {
	return Config{
		Path: "segment.db", Checkpoint: "segment-checkpoint", Holder: "single", LeaseTTL: 10 * time.Second, Staleness: 5 * time.Second, Slow: 10 * time.Second,
		Tick: 10 * time.Millisecond, Build: 20 * time.Millisecond, Audit: time.Second, CheckpointEvery: 2 * time.Minute,
	}
}

// store says where the store is and who watches it.
func (c Config) store(deps Deps) sqldb.Config {
	return sqldb.Config{
		Path: c.Path, URL: c.Database, Schema: "segment", Migrate: c.Migrate, TracerProvider: deps.TracerProvider, MeterProvider: deps.MeterProvider,
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
	check(c.Holder != "" && len(c.Holder) <= 200, "holder: give a name of at most 200 bytes")
	check(c.LeaseTTL >= time.Second && c.LeaseTTL <= time.Hour, "lease-ttl: give one second to one hour")
	check(c.Staleness > 0, "staleness: give a duration above zero")
	check(c.Slow > 0, "slow: give a duration above zero")
	check(c.Tick > 0 && c.Tick <= time.Second, "tick: give up to one second")
	check(c.Build > 0 && c.Build <= time.Second, "build: give up to one second")
	check(c.CheckpointEvery > 0, "checkpoint-every: give a duration above zero")
	check(c.Audit >= 0, "audit: give zero or more")
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("segment service: %w", err)
	}
	return nil
}
