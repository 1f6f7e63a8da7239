package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/narrowcast/narrowcast/services/profile/internal/paced"
)

// purgeEvery is how soon after its period a merge is forgotten, at the latest.
const purgeEvery = time.Hour

// purger is what the job needs of a profile store.
type purger interface {
	PurgeMerges(ctx context.Context) (int, error)
}

// purgeMerges forgets what is kept of merges that can no longer be undone, at once and then again and again until ctx ends, which is no error.
func purgeMerges(ctx context.Context, store purger, log *slog.Logger) error {
	paced.Forever(ctx, func(ctx context.Context) (time.Duration, <-chan struct{}) {
		n, err := store.PurgeMerges(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			log.ErrorContext(ctx, "merges whose period is over could not be forgotten", "error", err)
		case n > 0:
			log.InfoContext(ctx, "forgot merges that can no longer be undone", "merges", n)
		}
		return purgeEvery, nil
	})
	return nil
}
