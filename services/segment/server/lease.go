package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/segment"
	"github.com/narrowcast/narrowcast/services/segment/internal/rpc"
)

// engine is the index of one lease with what feeds it.
type engine interface {
	rpc.Index
	// Run keeps the index current until ctx ends, and then returns nil, or the reason for which it cannot go on.
	Run(ctx context.Context) error
}

// errLeaseLost ends an index whose lease another holder has, or may have.
var errLeaseLost = errors.New("the lease was lost")

// Pauses between attempts to take the lease and to run an index.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// Run takes the lease and runs an index under it, again and again, until ctx ends; it then gives the lease back and returns nil.
func (s *Server) Run(ctx context.Context) error {
	pause := firstPause
	for ctx.Err() == nil {
		began := s.deps.Now()
		if err := s.hold(ctx); ctx.Err() == nil {
			s.log.WarnContext(ctx, "index is not running, trying again", "error", err, "pause", pause)
		}
		if s.deps.Now().Sub(began) > lastPause {
			pause = firstPause // it ran for a while: what ended it is new
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
	return nil
}

// hold takes the lease and runs an index until the lease is lost, the index fails, or ctx ends.
func (s *Server) hold(ctx context.Context) error {
	lease, err := s.store.AcquireLease(ctx, s.cfg.Holder, s.cfg.LeaseTTL)
	if err != nil {
		return err
	}
	defer s.release(ctx, lease)
	x, err := s.build(lease)
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "lease taken", "number", lease.Number)
	s.index.set(x)
	defer s.index.set(nil)

	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		if err := s.renew(running, lease); err != nil {
			cancel(err)
		}
	}()
	err = x.Run(running)
	cancel(nil)
	<-renewed
	if lost := context.Cause(running); errors.Is(lost, errLeaseLost) {
		return lost
	}
	if err != nil {
		return fmt.Errorf("run index: %w", err)
	}
	return ctx.Err()
}

// renew keeps the lease until ctx ends, and returns an error when it may be another's. A store that does not answer for a while
// loses nothing: the lease lasts until it expires.
func (s *Server) renew(ctx context.Context, lease segment.Epoch) error {
	every := time.NewTicker(s.cfg.LeaseTTL / 3)
	defer every.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
		asked := time.Now()
		err := s.store.RenewLease(ctx, lease, s.cfg.LeaseTTL)
		switch {
		case err == nil:
			last = asked
		case ctx.Err() != nil:
			return nil
		case fault.ReasonOf(err) == segment.ReasonNotLeaseHolder, time.Since(last) > s.cfg.LeaseTTL:
			return errors.Join(errLeaseLost, err)
		}
	}
}

// release gives the lease back, so that a successor need not wait for its end. Failing to do so costs that wait alone.
func (s *Server) release(ctx context.Context, lease segment.Epoch) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.store.ReleaseLease(ctx, lease); err != nil {
		s.log.WarnContext(ctx, "lease was not released and expires by itself", "error", err)
	}
}
