package sqldbtest

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// Place returns where a new, empty store is to be opened.
type Place func(t testing.TB) sqldb.Config

// Each runs a test as subtests sqlite and postgres.
func Each(t *testing.T, test func(t *testing.T, place Place)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		test(t, func(t testing.TB) sqldb.Config { return sqldb.Config{Path: filepath.Join(t.TempDir(), "store.db")} })
	})
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// Postgres returns places that are schemas of one database of t's own.
func Postgres(t testing.TB) Place {
	t.Helper()
	url := config.NewSecret(testkit.Postgres(t))
	var schemas atomic.Int64
	return func(testing.TB) sqldb.Config {
		return sqldb.Config{URL: url, Schema: fmt.Sprintf("store_%d", schemas.Add(1))}
	}
}
