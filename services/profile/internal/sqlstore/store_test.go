package sqlstore_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	secret "github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
	"github.com/narrowcast/narrowcast/services/profile/storetest"
)

// config fills in what a test leaves out.
func config(t testing.TB, cfg sqlstore.Config) sqlstore.Config {
	t.Helper()
	if cfg.SQL.Path == "" && cfg.SQL.URL.IsZero() {
		cfg.SQL.Path = filepath.Join(t.TempDir(), "profile.db")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Keys == nil {
		cfg.Keys = newKeys(t)
	}
	cfg.Logger = testkit.Logger(t)
	return cfg
}

func open(t testing.TB, cfg sqlstore.Config) *sqlstore.Store {
	t.Helper()
	cfg = config(t, cfg)
	s, err := sqlstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// engines make a fresh database on each engine.
var engines = map[string]func(t testing.TB) sqldb.Config{
	"sqlite": func(t testing.TB) sqldb.Config { return sqldb.Config{Path: filepath.Join(t.TempDir(), "profile.db")} },
	"postgres": func(t testing.TB) sqldb.Config {
		return sqldb.Config{URL: secret.NewSecret(testkit.Postgres(t)), Schema: "profile"}
	},
}

func TestConformance(t *testing.T) {
	for name, where := range engines {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t testing.TB, now func() time.Time) profile.Store {
				return open(t, sqlstore.Config{SQL: where(t), Now: now})
			})
		})
	}
}

func person(n int) *profile.Profile {
	return &profile.Profile{Identifiers: []profile.Identifier{{Kind: profile.KindExternalID, Source: "crm", Value: fmt.Sprintf("%06d", n)}}}
}

func TestAStoreOpenedAgainIsTheSame(t *testing.T) {
	path, keys := filepath.Join(t.TempDir(), "profile.db"), newKeys(t)
	s := open(t, sqlstore.Config{SQL: sqldb.Config{Path: path}, Keys: keys})
	made, _, err := s.Create(t.Context(), person(1), "request")
	if err != nil {
		t.Fatal(err)
	}
	rows := []profile.Row{{Profile: person(2)}, {}, {Profile: person(3)}}
	_, want, at, err := s.Import(t.Context(), "import", 0, rows)
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, sqlstore.Config{SQL: sqldb.Config{Path: path}, Keys: keys})
	if head, err := s.Head(t.Context()); err != nil || head.Store != before.Store || head.Incarnation != before.Incarnation || head.Revision != 3 {
		t.Errorf("the head was %+v and is %+v (%v)", before, head, err)
	}
	if err := s.Check(t.Context(), before.Store, before.Incarnation, at); err != nil {
		t.Errorf("a position given before: %v", err)
	}
	if got, _, err := s.ImportProgress(t.Context(), "import"); err != nil || got != want || want.Through != 3 {
		t.Errorf("the import had come to %+v and has to %+v (%v)", want, got, err)
	}
	if again, _, err := s.Create(t.Context(), person(1), "request"); err != nil || again.UID != made.UID {
		t.Errorf("the same request again: %v, %v", again, err)
	}
}

func TestMarksAreGivenUpAndOldPositionsRefused(t *testing.T) {
	s := open(t, sqlstore.Config{MarksKept: 10})
	head, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	early := head.Position
	for n := range 1100 {
		_, at, err := s.Create(t.Context(), person(n), "")
		if err != nil {
			t.Fatal(err)
		}
		if n == 4 {
			early = at
		}
	}
	f := fault.As(s.Check(t.Context(), head.Store, head.Incarnation, early))
	if f == nil || f.Kind != fault.OutOfRange || f.Reason != profile.ReasonCursorTooOld {
		t.Errorf("a position whose mark was given up: %v", f)
	}
	// A watcher that begins anew is recognised wherever it stops.
	for _, r := range []int64{0, 5, 1000, 1100} {
		mark, err := s.Mark(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check(t.Context(), head.Store, head.Incarnation, profile.Position{Revision: r, Mark: mark}); err != nil {
			t.Errorf("position %d: %v", r, err)
		}
	}
}

func TestANewerStoreIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "profile.db")
	sqlstore.MakeNewer(t, open(t, sqlstore.Config{SQL: sqldb.Config{Path: path}}))
	_, err := sqlstore.Open(t.Context(), sqlstore.Config{SQL: sqldb.Config{Path: path}, Keys: newKeys(t), Logger: testkit.Logger(t), Now: time.Now})
	if f := fault.As(err); f == nil || f.Kind != fault.Precondition || f.Reason != profile.ReasonSchemaNewer {
		t.Errorf("opening a newer store: %v", err)
	}
}
