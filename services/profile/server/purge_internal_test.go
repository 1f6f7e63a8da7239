package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// counted counts how often it is asked, and fails the first time.
type counted struct{ n int }

func (c *counted) PurgeMerges(context.Context) (int, error) {
	if c.n++; c.n == 1 {
		return 0, errors.New("not now")
	}
	return c.n, nil
}

func TestMergesAreForgottenAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*purgeEvery/2)
		defer cancel()
		var c counted
		if err := purgeMerges(ctx, &c, testkit.Logger(t)); err != nil || c.n != 3 {
			t.Errorf("in two and a half periods the store was asked %d times, want 3 (%v)", c.n, err)
		}
	})
}
