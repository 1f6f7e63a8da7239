package paced_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/narrowcast/narrowcast/services/profile/internal/paced"
)

func TestWritesLeaveHalfOfTheTimeToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pause = 20 * time.Millisecond
		took := []time.Duration{time.Millisecond, 50 * time.Millisecond, pause, time.Second}
		var ends, begins []time.Duration
		start := time.Now()
		total, err := paced.Writes(t.Context(), pause, func(context.Context) (int, bool, error) {
			begins = append(begins, time.Since(start))
			<-time.After(took[len(ends)])
			ends = append(ends, time.Since(start))
			return len(ends), len(ends) < len(took), nil
		})
		if err != nil || total != 1+2+3+4 {
			t.Errorf("%d was done (%v)", total, err)
		}
		var waits []time.Duration
		for i := range begins[1:] {
			waits = append(waits, begins[i+1]-ends[i])
		}
		if want := []time.Duration{pause, 50 * time.Millisecond, pause}; !slices.Equal(waits, want) || time.Since(start) != ends[3] {
			t.Errorf("the waits were %v and %v at the end, want %v and none", waits, time.Since(start)-ends[3], want)
		}
	})
}

func TestWritesEndWithAnErrorOrTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("the store is away")
		n := 0
		total, err := paced.Writes(t.Context(), time.Second, func(context.Context) (int, bool, error) {
			if n++; n == 3 {
				return 0, false, away
			}
			return 5, true, nil
		})
		if total != 10 || !errors.Is(err, away) {
			t.Errorf("before the failure %d was done (%v)", total, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		start := time.Now()
		total, err = paced.Writes(ctx, time.Minute, func(context.Context) (int, bool, error) { return 1, true, nil })
		if total != 2 || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 90*time.Second {
			t.Errorf("%d was done in %v (%v)", total, time.Since(start), err)
		}
	})
}

func TestPassesFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Hour)
		defer cancel()
		changed := make(chan struct{})
		var at []time.Duration
		start := time.Now()
		time.AfterFunc(150*time.Minute, func() { close(changed) })
		paced.Forever(ctx, func(context.Context) (time.Duration, <-chan struct{}) {
			at = append(at, time.Since(start)/time.Minute)
			if len(at) == 3 { // at two hours
				return 5 * time.Hour, changed
			}
			return time.Hour, nil
		})
		if want := []time.Duration{0, 60, 120, 150, 210, 270, 330, 390, 450, 510, 570}; !slices.Equal(at, want) || time.Since(start) != 10*time.Hour {
			t.Errorf("the passes were at minutes %d, the end after %v, want %d", at, time.Since(start), want)
		}
	})
}
