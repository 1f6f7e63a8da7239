package suite

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	profile "github.com/narrowcast/narrowcast/services/profile/server"
)

// Problem is something in the profile store that cannot be.
type Problem = profile.Problem

// Examined is how much of the profile store was looked at.
type Examined = profile.Examined

// StoreChecks are what Examine looks at.
func StoreChecks() []string { return profile.Checks() }

// Examine looks for what cannot be in the profile store, whether services run or not, and changes nothing.
func Examine(ctx context.Context, cfg Config, log *slog.Logger, visit func(Problem)) (Examined, error) {
	if err := cfg.validateStores(); err != nil {
		return Examined{}, err
	}
	c := cfg.profile()
	if c.Database.IsZero() { // opening would make the file
		if _, err := os.Stat(c.Path); err != nil {
			return Examined{}, fault.New(fault.NotFound, sqldb.ReasonStoreNotFound, "there is no profile store where the configuration says; name its folder or its database").Wrap(err)
		}
	}
	n, err := profile.Examine(ctx, c, profile.Deps{Logger: log}, visit)
	if err != nil {
		return n, fmt.Errorf("profile: %w", err)
	}
	return n, nil
}
