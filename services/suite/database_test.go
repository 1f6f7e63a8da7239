package suite_test

import (
	"slices"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	"github.com/narrowcast/narrowcast/services/suite"
)

// version is that of a schema in a database; 0: there is none.
func version(t *testing.T, url config.Secret, schema string) (v int64) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: url, Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	there := "select count(*) from pg_tables where schemaname = $1 and tablename = 'goose_db_version'"
	if err := db.Read.QueryRowContext(t.Context(), there, schema).Scan(&v); err != nil {
		t.Fatal(err)
	}
	if v > 0 {
		if err := db.Read.QueryRowContext(t.Context(), "select max(version_id) from goose_db_version").Scan(&v); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func TestEachServiceHasASchemaOfItsOwn(t *testing.T) {
	shared, own := config.NewSecret(testkit.Postgres(t)), config.NewSecret(testkit.Postgres(t))
	cfg := configure(t, suite.All)
	cfg.Database, cfg.Persona.Database = shared, own
	cfg.Target = []string{"segment", "persona", "campaign"}

	// Who may not migrate is refused, and changes nothing.
	never := cfg
	never.Migrate, never.Target = sqldb.MigrateNever, []string{"persona"}
	never.Neighbours.SegmentAddr = "127.0.0.1:1"
	s, err := suite.New(never, suite.Deps{Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); fault.ReasonOf(err) != sqldb.ReasonSchemaOlder {
		t.Errorf("a service that may not migrate started on an empty database: %v", err)
	}
	if v := version(t, own, "persona"); v != 0 {
		t.Errorf("and left version %d", v)
	}

	for _, before := range []int64{0, 1} {
		done, err := suite.Migrate(t.Context(), cfg, testkit.Logger(t))
		want := []suite.Migrated{}
		for _, target := range []string{"segment", "persona", "campaign"} {
			want = append(want, suite.Migrated{Target: target, Versions: sqldb.Versions{Before: before, After: 1}})
		}
		if err != nil || !slices.Equal(done, want) {
			t.Errorf("migrated %+v, %v; want %+v", done, err, want)
		}
	}
	for _, c := range []struct {
		url    config.Secret
		schema string
		want   int64
	}{{shared, "segment", 1}, {shared, "campaign", 1}, {shared, "persona", 0}, {own, "persona", 1}, {own, "segment", 0}} {
		if v := version(t, c.url, c.schema); v != c.want {
			t.Errorf("schema %s has version %d, want %d", c.schema, v, c.want)
		}
	}

	_, stop := start(t, never, suite.Deps{}) // there is nothing to migrate any more
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}

	running := cfg
	running.Target = []string{suite.All}
	up, _ := start(t, running, suite.Deps{})
	made, err := personav1.NewPersonaServiceClient(up.Local()).CreatePersona(t.Context(), &personav1.CreatePersonaRequest{
		PersonaId: "commuter", Persona: &personav1.Persona{Kind: personav1.Persona_KIND_CONSUMER, Rule: "true"},
	})
	if err != nil || made.GetName() != "personas/commuter" {
		t.Errorf("a persona on PostgreSQL: %v, %v", made, err)
	}
}

func TestWhatIsMigratedBeforeAFailureIsTold(t *testing.T) {
	cfg := configure(t, "segment", "persona")
	cfg.Persona.Database = config.NewSecret("postgres://nobody@127.0.0.1:1/nothing?connect_timeout=5")
	done, err := suite.Migrate(t.Context(), cfg, testkit.Logger(t))
	if fault.KindOf(err) != fault.Unavailable || len(done) != 1 || done[0].Target != "segment" || done[0].After != 1 {
		t.Errorf("migrated %+v, %v", done, err)
	}
}
