package paced

import (
	"context"
	"time"
)

// Forever calls pass until ctx ends: again after the time that it returns, or as soon as the channel that it returns is closed; nil: no
// sooner.
func Forever(ctx context.Context, pass func(ctx context.Context) (again time.Duration, sooner <-chan struct{})) {
	for ctx.Err() == nil {
		again, sooner := pass(ctx)
		wait(ctx, again, sooner)
	}
}

// Writes calls write until there is no more to do, and returns what its results add up to. After each write but the last it waits for pause,
// or as long as the write took if that is longer. An error is that of write, or of ctx.
func Writes(ctx context.Context, pause time.Duration, write func(ctx context.Context) (n int, more bool, err error)) (total int, err error) {
	for {
		began := time.Now()
		n, more, err := write(ctx)
		if err != nil {
			return total, err
		}
		if total += n; !more {
			return total, nil
		}
		wait(ctx, max(time.Since(began), pause), nil)
		if err := ctx.Err(); err != nil {
			return total, err
		}
	}
}

// wait returns after d, or when ctx or sooner says so.
func wait(ctx context.Context, d time.Duration, sooner <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-sooner:
	case <-ctx.Done():
	}
}
