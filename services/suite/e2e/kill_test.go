package e2e_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// kills is how many processes are killed over all stores. Every commit has a few, and `make prove` many.
func kills(t *testing.T) int {
	t.Helper()
	given := os.Getenv("NARROWCAST_KILLS")
	if given == "" {
		return 5
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < 1 {
		t.Fatalf("NARROWCAST_KILLS=%q is no number of kills", given)
	}
	return n
}

// everyone starts all actors.
func (d *ordeal) everyone() {
	d.watcher()
	for k := range 2 {
		d.editor(k)
	}
	d.upserter(0)
	d.importer(0)
	d.recorder(0)
	d.eventImporter(0)
	d.resolver(0)
	d.settled()
}

// A service that is killed at any moment, on a SQLite file or on PostgreSQL, and a PostgreSQL that is killed under it, lose nothing
// that was acknowledged, do nothing twice and hide nothing from who watches.
func TestKilledServicesAndDatabasesLoseNothing(t *testing.T) {
	n := kills(t)
	onFile := n * 2 / 5
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		d := newOrdeal(t, nil, t.TempDir())
		d.everyone()
		for i := range onFile {
			d.moment(1500 * time.Millisecond)
			d.killService()
			d.settled()
			t.Logf("kill %d of %d: the service", i+1, onFile)
		}
		d.finish()
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		d := newOrdeal(t, testkit.PostgresPrivate(t), t.TempDir())
		d.everyone()
		service := d.random.IntN(2) // each in turn, either first
		for i := range n - onFile {
			d.moment(1500 * time.Millisecond)
			victim := "the service"
			if i%2 == service {
				d.killService()
			} else {
				victim = "the database"
				before := d.p
				d.killPostgres()
				if d.p != before {
					t.Error("the service was started again")
				}
			}
			d.settled()
			t.Logf("kill %d of %d: %s", i+1, n-onFile, victim)
		}
		d.finish()
	})
}

// Connections to PostgreSQL that break in the middle of everything.
func TestCutConnectionsToTheDatabaseLoseNothing(t *testing.T) {
	t.Parallel()
	d := newOrdeal(t, testkit.PostgresPrivate(t), t.TempDir())
	d.everyone()
	cuts := kills(t)
	for range cuts {
		d.moment(500 * time.Millisecond)
		d.cutPostgres()
		d.settled()
	}
	if d.refused.Load()+d.unknown.Load() == 0 {
		t.Error("nobody was disturbed by any cut")
	}
	t.Logf("%d cuts", cuts)
	d.finish()
}
