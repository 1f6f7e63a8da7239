package suite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
)

// Migrated is what became of one target's schema.
type Migrated struct {
	Target string
	sqldb.Versions
	// AtStart says that the target has no job for it: its schema is brought up to date when it starts.
	AtStart bool
}

// validateStores tells what is wrong with the part of a configuration that says which stores there are and where.
func (c *Config) validateStores() error {
	_, err := c.rows()
	if c.DataDir == "" {
		err = errors.Join(err, errors.New("data-dir: name a folder"))
	}
	return errors.Join(err, config.Validate(c.profile(), c.segment(), c.persona(), c.campaign()))
}

// Migrate brings the schemas of the targets' stores to this program's version, whatever the policy of the configuration, and starts
// nothing. It returns what was done up to the first failure, which names its target. Services may run meanwhile: the newer schema must
// not be one that they do not know, or they are refused when they start the next time.
func Migrate(ctx context.Context, cfg Config, log *slog.Logger) ([]Migrated, error) {
	if err := cfg.validateStores(); err != nil {
		return nil, err
	}
	rows, err := cfg.rows()
	if err != nil {
		return nil, err
	}
	var done []Migrated
	for _, t := range rows {
		if t.migrate == nil {
			done = append(done, Migrated{Target: t.name, AtStart: true})
			continue
		}
		if err := cfg.makeFolder(t); err != nil {
			return done, err
		}
		v, err := t.migrate(ctx, &cfg, log)
		if err != nil {
			return done, fmt.Errorf("%s: %w", t.name, err)
		}
		done = append(done, Migrated{Target: t.name, Versions: v})
	}
	return done, nil
}
