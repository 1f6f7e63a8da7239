package purge_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/profile/internal/purge"
)

// store has imports by the time of their last row.
type store struct {
	imports []time.Time
	writes  int
	fail    error
}

func (s *store) PurgeImports(_ context.Context, before time.Time, limit int) (n int, err error) {
	s.writes++
	if s.fail != nil {
		err, s.fail = s.fail, nil
		return 0, err
	}
	var kept []time.Time
	for _, at := range s.imports {
		if n < limit && at.Before(before) {
			n++
			continue
		}
		kept = append(kept, at)
	}
	s.imports = kept
	return n, nil
}

func TestOldImportsGoInSmallWritesAndNewOnesStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{fail: errors.New("the store is away")}
		const day = 24 * time.Hour
		for n := range 1000 {
			s.imports = append(s.imports, time.Now().Add(-time.Duration(n)*day))
		}
		j, err := purge.New(purge.Config{Store: s, Logger: testkit.Logger(t), Now: time.Now, KeepImports: 90*day + time.Hour, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Minute) // the first pass fails, the second works
		defer cancel()
		if err := j.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if len(s.imports) != 91 || s.writes != 1+10+1 {
			t.Errorf("%d imports are left after %d writes, want 91 after 12", len(s.imports), s.writes)
		}
	})
}

func TestNothingGoesWhereAllIsKept(t *testing.T) {
	s := &store{imports: []time.Time{{}}}
	j, err := purge.New(purge.Config{Store: s, Logger: testkit.Logger(t), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Pass(t.Context()); err != nil || s.writes != 0 {
		t.Errorf("%d writes (%v)", s.writes, err)
	}
}
