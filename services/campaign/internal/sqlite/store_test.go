package sqlite_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/campaign"
	"github.com/narrowcast/narrowcast/services/campaign/internal/sqlite"
	"github.com/narrowcast/narrowcast/services/campaign/storetest"
)

func TestStoreConforms(t *testing.T) {
	storetest.Run(t, func(t testing.TB, now func() time.Time) campaign.Store {
		s, err := sqlite.Open(t.Context(), sqldb.Config{Path: filepath.Join(t.TempDir(), "campaign.db")}, now, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestAStoreSurvivesItsProcess(t *testing.T) {
	cfg := sqldb.Config{Path: filepath.Join(t.TempDir(), "campaign.db")}
	log := slog.New(slog.DiscardHandler)
	s, err := sqlite.Open(t.Context(), cfg, time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.CreateAudience(t.Context(), campaign.Audience{Name: "audiences/a", UID: "a", Spec: campaign.Spec{Regions: []string{"FR"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = sqlite.Open(t.Context(), cfg, time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Audience(t.Context(), a.Name)
	if err != nil || got.Etag != a.Etag || !got.Spec.Equal(a.Spec) {
		t.Errorf("after a restart: %+v, %v", got, err)
	}
}

// A spec with a part that this program does not know must not be read as one without it: that audience would be wider.
func TestASpecOfANewerProgramIsRefused(t *testing.T) {
	cfg := sqldb.Config{Path: filepath.Join(t.TempDir(), "campaign.db")}
	s, err := sqlite.Open(t.Context(), cfg, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.CreateAudience(t.Context(), campaign.Audience{Name: "audiences/a", UID: "a"}); err != nil {
		t.Fatal(err)
	}
	db, err := sqldb.OpenSQLite(t.Context(), cfg)
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
}
