package sqlstore_test

import (
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/sqldb/sqldbtest"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/campaign"
	"github.com/narrowcast/narrowcast/services/campaign/internal/sqlstore"
	"github.com/narrowcast/narrowcast/services/campaign/storetest"
)

func open(t testing.TB, cfg sqldb.Config, now func() time.Time) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), cfg, now, testkit.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, place sqldbtest.Place) {
		storetest.Run(t, func(t testing.TB, now func() time.Time) campaign.Store { return open(t, place(t), now) })
	})
}

func TestReplicas(t *testing.T) {
	place := sqldbtest.Postgres(t)
	storetest.RunReplicas(t, func(t testing.TB, now func() time.Time) [2]campaign.Store {
		cfg := place(t)
		return [2]campaign.Store{open(t, cfg, now), open(t, cfg, now)}
	})
}

func TestAStoreSurvivesItsProcess(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, place sqldbtest.Place) {
		cfg := place(t)
		s := open(t, cfg, time.Now)
		a, err := s.CreateAudience(t.Context(), campaign.Audience{Name: "audiences/a", UID: "a", Spec: campaign.Spec{Regions: []string{"FR"}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, cfg, time.Now)
		defer s.Close()
		got, err := s.Audience(t.Context(), a.Name)
		if err != nil || got.Etag != a.Etag || !got.Spec.Equal(a.Spec) {
			t.Errorf("after a restart: %+v, %v", got, err)
		}
	})
}

// A spec with a part that this program does not know must not be read as one without it: that audience would be wider.
func TestASpecOfANewerProgramIsRefused(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, place sqldbtest.Place) {
		cfg := place(t)
		s := open(t, cfg, time.Now)
		defer s.Close()
		if _, err := s.CreateAudience(t.Context(), campaign.Audience{Name: "audiences/a", UID: "a"}); err != nil {
			t.Fatal(err)
		}
		db, err := sqldb.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Write.ExecContext(t.Context(), `update audience_versions set spec = '{"excluded_moods":["x"]}'`); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Audience(t.Context(), "audiences/a"); fault.ReasonOf(err) != campaign.ReasonSchemaNewer {
			t.Errorf("got %v, want %s", err, campaign.ReasonSchemaNewer)
		}
	})
}

func TestMigrateIsForTheJobAlone(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, place sqldbtest.Place) {
		cfg := place(t)
		cfg.Migrate = sqldb.MigrateNever
		if _, err := sqlstore.Open(t.Context(), cfg, time.Now, testkit.Logger(t)); fault.ReasonOf(err) != sqldb.ReasonSchemaOlder {
			t.Errorf("an empty store that must not be migrated: %v", err)
		}
		for _, want := range []sqldb.Versions{{Before: 0, After: 1}, {Before: 1, After: 1}} {
			if got, err := sqlstore.Migrate(t.Context(), cfg, testkit.Logger(t)); err != nil || got != want {
				t.Errorf("migrated %+v, %v; want %+v", got, err, want)
			}
		}
		if err := open(t, cfg, time.Now).Close(); err != nil {
			t.Error(err)
		}
	})
}
