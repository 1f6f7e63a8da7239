package sqlstore_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/sqldb/sqldbtest"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/segment"
	"github.com/narrowcast/narrowcast/services/segment/internal/sqlstore"
	"github.com/narrowcast/narrowcast/services/segment/storetest"
)

func open(t testing.TB, cfg sqlstore.Config) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), cfg)
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

func TestConformance(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, place sqldbtest.Place) {
		storetest.Run(t, func(t testing.TB, o storetest.Options) segment.Store {
			return open(t, sqlstore.Config{DB: place(t), Now: o.Now, MaxMembers: o.MaxMembers})
		})
	})
}

func TestReplicas(t *testing.T) {
	place := sqldbtest.Postgres(t)
	storetest.RunReplicas(t, func(t testing.TB, o storetest.Options) [2]segment.Store {
		cfg := sqlstore.Config{DB: place(t), Now: o.Now, MaxMembers: o.MaxMembers}
		return [2]segment.Store{open(t, cfg), open(t, cfg)}
	})
}

func TestEverythingSurvivesARestart(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, place sqldbtest.Place) {
		cfg := sqlstore.Config{DB: place(t)}
		s := open(t, cfg)
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

		s = open(t, cfg)
		if got, err := s.Get(t.Context(), "a"); err != nil || got.ETag != before.ETag || got.CreateTime != before.CreateTime {
			t.Errorf("after a restart %+v, %v; want %+v", got, err, before)
		}
		if head, err := s.Head(t.Context()); err != nil || head != p {
			t.Errorf("head %+v, %v; want %+v", head, err, p)
		}
		if again, err := s.AcquireLease(t.Context(), "h", time.Minute); err != nil || again.Number != lease.Number+1 {
			t.Errorf("lease %+v after %+v, %v", again, lease, err)
		}
	})
}

func TestTwoStoresAreDifferentLives(t *testing.T) {
	one, two := filepath.Join(t.TempDir(), "1.db"), filepath.Join(t.TempDir(), "2.db")
	first, second := open(t, sqlstore.Config{DB: sqldb.Config{Path: one}}), open(t, sqlstore.Config{DB: sqldb.Config{Path: two}})
	p, err := first.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if held, err := second.Holds(t.Context(), p); err != nil || held {
		t.Errorf("another store holds the position of the first: %v, %v", held, err)
	}
}

func TestMigrateIsForTheJobAlone(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, place sqldbtest.Place) {
		cfg := place(t)
		cfg.Migrate = sqldb.MigrateNever
		if _, err := sqlstore.Open(t.Context(), sqlstore.Config{DB: cfg}); fault.ReasonOf(err) != sqldb.ReasonSchemaOlder {
			t.Errorf("an empty store that must not be migrated: %v", err)
		}
		for _, want := range []sqldb.Versions{{Before: 0, After: 1}, {Before: 1, After: 1}} {
			if got, err := sqlstore.Migrate(t.Context(), cfg, testkit.Logger(t)); err != nil || got != want {
				t.Errorf("migrated %+v, %v; want %+v", got, err, want)
			}
		}
		open(t, sqlstore.Config{DB: cfg})
	})
}
