package sqlstore_test

import (
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/sqldb/sqldbtest"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/persona"
	"github.com/narrowcast/narrowcast/services/persona/internal/sqlstore"
	"github.com/narrowcast/narrowcast/services/persona/storetest"
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
		storetest.Run(t, func(t testing.TB, now func() time.Time) persona.Store { return open(t, place(t), now) })
	})
}

func TestReplicas(t *testing.T) {
	place := sqldbtest.Postgres(t)
	storetest.RunReplicas(t, func(t testing.TB, now func() time.Time) [2]persona.Store {
		cfg := place(t)
		return [2]persona.Store{open(t, cfg, now), open(t, cfg, now)}
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
