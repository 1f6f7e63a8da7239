package server

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/otel/metric"

	"github.com/narrowcast/narrowcast/pkg/telemetry"
	"github.com/narrowcast/narrowcast/services/segment"
	"github.com/narrowcast/narrowcast/services/segment/internal/checkpoint"
	"github.com/narrowcast/narrowcast/services/segment/internal/index"
	"github.com/narrowcast/narrowcast/services/segment/internal/watch"
)

// followed is an index and the watcher that feeds it.
type followed struct {
	*index.Index
	watcher *watch.Watcher
}

// newEngine makes the index of a lease.
func (s *Server) newEngine(lease segment.Epoch) (engine, error) {
	var meter metric.Meter
	if s.deps.MeterProvider != nil {
		meter = s.deps.MeterProvider.Meter(telemetry.Scope + "segment")
	}
	dir := s.checkpoint()
	x, err := index.New(index.Config{Tick: s.cfg.Tick, BuildSlice: s.cfg.Build, Audit: s.cfg.Audit, CheckpointEvery: s.cfg.CheckpointEvery}, index.Deps{
		Store: s.store, Blocks: s.deps.Blocks, Lease: lease, Logger: s.deps.Logger, Meter: meter, Now: s.deps.Now,
		Assigner: s.deps.Assigner, Checkpoint: dir,
	})
	if err != nil {
		return nil, err
	}
	w, err := watch.New(watch.Config{Profiles: s.deps.Profiles, Sink: x, Logger: s.deps.Logger, Now: s.deps.Now})
	if err != nil {
		return nil, err
	}
	return &followed{x, w}, nil
}

// checkpoint opens the folder of checkpoints; nil where there is none. Where it cannot be written to, the index does without.
func (s *Server) checkpoint() *checkpoint.Dir {
	if s.cfg.Checkpoint == "" {
		return nil
	}
	dir, err := checkpoint.Open(s.cfg.Checkpoint)
	if err != nil {
		s.log.Warn("the index keeps nothing for the next start, which will read all profiles again", "error", err)
		return nil
	}
	return dir
}

// Run runs the index and its watcher; the end of one ends the other.
func (f *followed) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching sync.WaitGroup
	var watched error
	watching.Go(func() {
		defer cancel()
		watched = f.watcher.Run(ctx)
	})
	err := f.Index.Run(ctx)
	cancel()
	watching.Wait()
	return errors.Join(err, watched)
}
