package sqlite_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/persona"
	"github.com/narrowcast/narrowcast/services/persona/internal/sqlite"
	"github.com/narrowcast/narrowcast/services/persona/storetest"
)

func TestStoreConforms(t *testing.T) {
	storetest.Run(t, func(t testing.TB, now func() time.Time) persona.Store {
		s, err := sqlite.Open(t.Context(), sqldb.Config{Path: filepath.Join(t.TempDir(), "persona.db")}, now, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
