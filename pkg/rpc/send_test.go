package rpc_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/narrowcast/narrowcast/pkg/rpc"
)

func TestAReaderWhoLeavesAMessageIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taken := make(chan struct{})
		begin := time.Now()
		err := rpc.SendWithin(t.Context(), 30*time.Second, func() error { <-taken; return nil })
		if !errors.Is(err, rpc.ErrSlow) || time.Since(begin) != 30*time.Second {
			t.Errorf("error %v after %v, want ErrSlow after 30 s", err, time.Since(begin))
		}
		close(taken)
	})
}

func TestASendEndsWithItsOwnErrorOrItsContext(t *testing.T) {
	broken := errors.New("broken")
	if err := rpc.SendWithin(t.Context(), time.Minute, func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error %v, want the send's", err)
	}
	if err := rpc.SendWithin(t.Context(), time.Minute, func() error { return nil }); err != nil {
		t.Errorf("error %v, want none", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	taken := make(chan struct{})
	defer close(taken)
	cancel(broken)
	if err := rpc.SendWithin(ctx, time.Minute, func() error { <-taken; return nil }); !errors.Is(err, broken) {
		t.Errorf("error %v, want the context's cause", err)
	}
}
