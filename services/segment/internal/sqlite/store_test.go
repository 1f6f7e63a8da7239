package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/services/segment"
	"github.com/narrowcast/narrowcast/services/segment/internal/sqlite"
	"github.com/narrowcast/narrowcast/services/segment/storetest"
)

func open(t testing.TB, cfg sqlite.Config) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func TestTheStoreKeepsItsContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB, o storetest.Options) segment.Store {
		return open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "segment.db"), Now: o.Now, MaxMembers: o.MaxMembers})
	})
}

func TestEverythingSurvivesARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "segment.db")
	s := open(t, sqlite.Config{Path: path})
	before, p, err := s.Create(t.Context(), segment.Segment{ID: "a", UID: "u", Rule: "true"}, false)
	if err != nil {
		t.Fatal(err)
	}
	lease, err := s.AcquireLease(t.Context(), "h", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, sqlite.Config{Path: path})
	if got, err := s.Get(t.Context(), "a"); err != nil || got.ETag != before.ETag || got.CreateTime != before.CreateTime {
		t.Errorf("after a restart %+v, %v; want %+v", got, err, before)
	}
	if head, err := s.Head(t.Context()); err != nil || head != p {
		t.Errorf("head %+v, %v; want %+v", head, err, p)
	}
	if again, err := s.AcquireLease(t.Context(), "h", time.Minute); err != nil || again.Number != lease.Number+1 {
		t.Errorf("lease %+v after %+v, %v", again, lease, err)
	}
}

func TestTwoStoresAreDifferentLives(t *testing.T) {
	one, two := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "1.db")}), open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "2.db")})
	p, err := one.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if held, err := two.Holds(t.Context(), p); err != nil || held {
		t.Errorf("another store holds the position of the first: %v, %v", held, err)
	}
}
