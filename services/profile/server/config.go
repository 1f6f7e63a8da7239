package server

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/identity"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/behaviour"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
)

// Config of the profile service.
type Config struct {
	Path        string        `help:"SQLite file of the profiles; its folder must exist." env:"NARROWCAST_PROFILE_PATH" default:"profile.db"`
	Database    config.Secret `help:"PostgreSQL database of the profiles, such as postgres://user@host:5432/narrowcast; they are in schema profile. Empty: the SQLite file." env:"NARROWCAST_PROFILE_DATABASE" placeholder:"URL"`
	Connections int           `help:"Most connections that read from PostgreSQL; some for writing come to them." env:"NARROWCAST_PROFILE_CONNECTIONS" default:"8"`
	// Migrate says whether an older schema may be brought up to date at start.
	Migrate      sqldb.MigratePolicy `kong:"-"`
	Keys         string              `help:"File of the keys that seal names and identifiers; made if it is not there, unless the profiles are in PostgreSQL: replicas share it. Keep a copy apart from those of the profiles." env:"NARROWCAST_PROFILE_KEYS" default:"profile.keys"`
	Allow        []string            `name:"allow-identifiers" help:"Rules of identifiers that stand for nobody which are not applied." env:"NARROWCAST_PROFILE_ALLOW_IDENTIFIERS" default:"reserved_domain,fictitious_phone" placeholder:"RULE"`
	PhoneRegion  string              `help:"Country (ISO 3166-1 alpha-2) of phone numbers without country code; none: they are refused." env:"NARROWCAST_PROFILE_PHONE_REGION" placeholder:"FR"`
	Trust        []string            `name:"trusted-sources" help:"Sources of data from the most trusted on, for merges that prefer the more trusted of two values." env:"NARROWCAST_PROFILE_TRUSTED_SOURCES" placeholder:"SOURCE"`
	UndoPeriod   time.Duration       `help:"How long a merge of two profiles can be undone; what both were is kept, sealed, as long." env:"NARROWCAST_PROFILE_UNDO_PERIOD" default:"720h"`
	Currency     string              `help:"Currency (ISO 4217) in which money without a named currency is compared." env:"NARROWCAST_CURRENCY" default:"EUR"`
	TimeZone     string              `help:"Time zone (IANA) in which days turn." env:"NARROWCAST_TIME_ZONE" default:"UTC"`
	Silence      int64               `help:"Days after a purchase for which its buyer is a customer; then lapsed." env:"NARROWCAST_PROFILE_SILENCE" default:"365" placeholder:"DAYS"`
	KeepEvents   int64               `help:"Days for which events are kept after their own; 0: for ever." env:"NARROWCAST_PROFILE_KEEP_EVENTS" default:"0"`
	KeepEventsOf map[string]int64    `help:"The same for single kinds of events, such as visit=90; 0: for ever." env:"NARROWCAST_PROFILE_KEEP_EVENTS_OF" placeholder:"KIND=DAYS"`
	DueInterval  time.Duration       `help:"How often profiles are looked for whose traits change with the day." env:"NARROWCAST_PROFILE_DUE_INTERVAL" default:"1m"`
	DueRows      int                 `help:"Most profiles whose traits are computed anew in one commit for that." env:"NARROWCAST_PROFILE_DUE_ROWS" default:"500"`
	DuePause     time.Duration       `help:"Least wait between such commits, so that others can write." env:"NARROWCAST_PROFILE_DUE_PAUSE" default:"20ms"`
	GroupDelay   time.Duration       `help:"Longest wait of a write for others to share its commit." env:"NARROWCAST_PROFILE_GROUP_DELAY" default:"5ms"`
	GroupChanges int                 `help:"Most changes of writes that share a commit." env:"NARROWCAST_PROFILE_GROUP_CHANGES" default:"1000"`
	UnitRows     int                 `help:"Most rows of an import in one commit." env:"NARROWCAST_PROFILE_UNIT_ROWS" default:"5000"`
	UnitDelay    time.Duration       `help:"Longest wait of an import's rows for their commit." env:"NARROWCAST_PROFILE_UNIT_DELAY" default:"200ms"`
	Checkpoint   time.Duration       `help:"How often idle watchers hear of the position." env:"NARROWCAST_PROFILE_CHECKPOINT" default:"500ms"`
	KeepImports  time.Duration       `help:"How long the progress of an import is kept after its last row, for the import to go on; 0: for ever." env:"NARROWCAST_PROFILE_KEEP_IMPORTS" default:"2160h"`
	SendTimeout  time.Duration       `help:"How long a watcher may leave a message waiting before it is cut." env:"NARROWCAST_PROFILE_SEND_TIMEOUT" default:"30s"`
}

// sourceName is how requests name a source.
var sourceName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// Default returns the configuration that holds where nothing is said.
func Default() Config {
	return Config{
		Path: "profile.db", Connections: 8, Keys: "profile.keys", Allow: slices.Clone(profile.DefaultAllow),
		UndoPeriod: 30 * 24 * time.Hour, Currency: "EUR", TimeZone: "UTC", Silence: profile.DefaultSilence,
		DueInterval: time.Minute, DueRows: 500, DuePause: 20 * time.Millisecond,
		GroupDelay: 5 * time.Millisecond, GroupChanges: 1000, UnitRows: 5000, UnitDelay: 200 * time.Millisecond,
		Checkpoint: 500 * time.Millisecond, KeepImports: 90 * 24 * time.Hour, SendTimeout: 30 * time.Second,
	}
}

// store says where the store is, what its keys are and who watches it.
func (c Config) store(keys *keyring.Source, deps Deps) (sqlstore.Config, error) {
	zone, err := time.LoadLocation(c.TimeZone)
	if err != nil {
		return sqlstore.Config{}, fmt.Errorf("read time zone: %w", err)
	}
	return sqlstore.Config{
		SQL: sqldb.Config{
			Path: c.Path, URL: c.Database, Schema: "profile", Migrate: c.Migrate, Readers: c.Connections,
			TracerProvider: deps.TracerProvider, MeterProvider: deps.MeterProvider,
		},
		Keys: keys, Logger: deps.Logger, Now: deps.Now, GroupDelay: c.GroupDelay, GroupChanges: c.GroupChanges, UndoPeriod: c.UndoPeriod,
		Behaviour: behaviour.Settings{Currency: c.Currency, Location: zone, Silence: c.Silence}, Retention: profile.Retention{Days: c.KeepEvents, Of: c.KeepEventsOf},
	}, nil
}

// openKeys opens the key file, and makes it where the store is a file too. A key file of one replica's own would hide what it writes from
// all others.
func (c Config) openKeys(log *slog.Logger) (*keyring.Source, error) {
	open := keyring.OpenOrCreate
	if !c.Database.IsZero() {
		open = keyring.Open
	}
	return open(keyring.Config{Path: c.Keys, Logger: log})
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
	check(c.Connections > 0 && c.Connections <= 1000, "connections: give 1 to 1000")
	check(c.Keys != "", "keys: name the key file")
	for _, rule := range c.Allow {
		check(rule == "" || slices.Contains(identity.Rules, rule), "allow-identifiers: the rules are "+strings.Join(identity.Rules, ", "))
	}
	check(c.PhoneRegion == "" ||
		len(c.PhoneRegion) == 2 && strings.Trim(c.PhoneRegion, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "", "phone-region: give a country of two capitals such as FR")
	check(len(c.Currency) == 3 && strings.Trim(c.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "", "currency: give an ISO 4217 code of three capitals such as EUR")
	if _, err := time.LoadLocation(c.TimeZone); err != nil || c.TimeZone == "" || c.TimeZone == "Local" {
		errs = append(errs, errors.New("time-zone: give an IANA name such as Europe/Paris"))
	}
	for _, source := range c.Trust {
		check(sourceName.MatchString(source), "trusted-sources: a source is 1 to 63 of a-z, 0-9, _ and -, beginning with a letter, as writes name it")
	}
	check(c.UndoPeriod > 0 && c.UndoPeriod <= 10*365*24*time.Hour, "undo-period: give up to ten years")
	check(c.KeepEvents >= 0 && c.KeepEvents <= profile.MaxRetention, "keep-events: give a number of days, 0 for ever")
	for kind, days := range c.KeepEventsOf {
		check(profile.IsEventKind(kind) && days >= 0 && days <= profile.MaxRetention, "keep-events-of: give kinds of events and days, such as visit=90")
	}
	check(c.DueInterval > 0 && c.DueInterval <= time.Hour, "due-interval: give up to one hour")
	check(c.DueRows > 0 && c.DueRows <= 100_000, "due-rows: give 1 to 100000")
	check(c.DuePause > 0 && c.DuePause <= time.Minute, "due-pause: give up to one minute")
	check(c.GroupDelay > 0 && c.GroupDelay <= time.Second, "group-delay: give up to one second")
	check(c.GroupChanges > 0 && c.GroupChanges <= 100_000, "group-changes: give 1 to 100000")
	check(c.UnitRows > 0 && c.UnitRows <= 100_000, "unit-rows: give 1 to 100000")
	check(c.Silence > 0 && c.Silence <= 36_525, "silence: give 1 to 36525 days")
	check(c.UnitDelay > 0 && c.UnitDelay <= time.Minute, "unit-delay: give up to one minute")
	check(c.Checkpoint > 0 && c.Checkpoint <= time.Minute, "checkpoint: give up to one minute")
	check(c.KeepImports >= 0, "keep-imports: give zero or more")
	check(c.SendTimeout > 0, "send-timeout: give a duration above zero")
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("profile service: %w", err)
	}
	return nil
}
