package server

import (
	"context"
	"io"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
)

// Backup writes the service's store to w, while the service may run, and changes nothing. The keys are neither read nor written: without
// the key file, which must be kept apart, names and identifiers in a backup are lost.
func Backup(ctx context.Context, cfg Config, deps Deps, w io.Writer) (sqldb.DumpInfo, error) {
	if err := cfg.Validate(); err != nil {
		return sqldb.DumpInfo{}, err
	}
	store, err := cfg.store(nil, deps.filled())
	if err != nil {
		return sqldb.DumpInfo{}, err
	}
	return sqlstore.Backup(ctx, store, w)
}

// CanRestore refuses what Restore would refuse before it reads a backup: a store that is not empty, a key file that is not there.
func CanRestore(ctx context.Context, cfg Config, deps Deps) error {
	store, err := cfg.keyed(deps)
	if err != nil {
		return err
	}
	return sqlstore.CanRestore(ctx, store)
}

// Restore fills the service's empty store with a backup and begins a new life of it. No service may run on the store. The key file must
// have every key that the data needs; a sample of each is opened.
func Restore(ctx context.Context, cfg Config, deps Deps, r io.Reader) (sqldb.DumpInfo, error) {
	store, err := cfg.keyed(deps)
	if err != nil {
		return sqldb.DumpInfo{}, err
	}
	return sqlstore.Restore(ctx, store, r)
}

// keyed is the store with the keys that must be there already: fresh ones would open nothing.
func (c Config) keyed(deps Deps) (sqlstore.Config, error) {
	if err := c.Validate(); err != nil {
		return sqlstore.Config{}, err
	}
	deps = deps.filled()
	keys, err := keyring.Open(keyring.Config{Path: c.Keys, Logger: deps.Logger})
	if err != nil {
		return sqlstore.Config{}, err
	}
	return c.store(keys, deps)
}

// Problem is something in a store that cannot be.
type Problem = profile.Problem

// Examined is how much an examination has looked at.
type Examined = profile.Examined

// Checks are what an examination looks at.
func Checks() []string { return slices.Clone(profile.Checks) }

// Examine looks for what cannot be in the service's store, which may be in use, and changes nothing. The key file must be there.
func Examine(ctx context.Context, cfg Config, deps Deps, visit func(Problem)) (Examined, error) {
	store, err := cfg.keyed(deps)
	if err != nil {
		return Examined{}, err
	}
	return sqlstore.Examine(ctx, store, visit)
}
