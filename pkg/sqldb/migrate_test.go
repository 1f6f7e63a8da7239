package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// ladder is n migrations, each of which makes a table and would fail if it ran twice.
func ladder(n int) fstest.MapFS {
	files := fstest.MapFS{}
	for i := 1; i <= n; i++ {
		files[fmt.Sprintf("%05d_step.sql", i)] = migration(fmt.Sprintf("create table step%d(id integer primary key);\ninsert into step%d values (1);", i, i))
	}
	return files
}

func TestManyReplicasMayMigrateAtOnce(t *testing.T) {
	url := config.NewSecret(testkit.Postgres(t))
	const replicas, steps = 8, 4
	var wg sync.WaitGroup
	outcomes := make([]error, replicas)
	for i := range replicas {
		wg.Go(func() {
			ctx := context.Background()
			schema := []string{"a", "b"}[i%2] // two services side by side
			db, err := sqldb.Open(ctx, sqldb.Config{URL: url, Schema: schema})
			if err == nil {
				err = errors.Join(db.Migrate(ctx, ladder(steps), testkit.Logger(t)), db.Close())
			}
			outcomes[i] = err
		})
	}
	wg.Wait()
	if err := errors.Join(outcomes...); err != nil {
		t.Fatal(err)
	}
	for _, schema := range []string{"a", "b"} {
		db := open(t, sqldb.Postgres, sqldb.Config{URL: url, Schema: schema})
		if got := text(t, db.Read, "select count(*)::text from goose_db_version where version_id > 0"); got != fmt.Sprint(steps) {
			t.Errorf("schema %s: %s steps are noted", schema, got)
		}
		if got := text(t, db.Read, "select count(*)::text from pg_tables where schemaname = $1", schema); got != fmt.Sprint(steps+1) {
			t.Errorf("schema %s holds %s tables", schema, got)
		}
		if got := text(t, db.Read, "select count(*)::text from pg_locks where locktype = 'advisory'"); got != "0" {
			t.Errorf("%s advisory locks are left", got)
		}
	}
}

func TestAProgramThatMayNotMigrateChangesNothing(t *testing.T) {
	each(t, testAProgramThatMayNotMigrateChangesNothing)
}

func testAProgramThatMayNotMigrateChangesNothing(t *testing.T, d sqldb.Dialect) {
	cfg := sqldb.Config{Schema: "s"}
	if d == sqldb.Postgres {
		cfg.URL = config.NewSecret(testkit.Postgres(t))
	} else {
		cfg.Path = t.TempDir() + "/store.db"
	}
	careful := cfg
	careful.Migrate = sqldb.MigrateNever
	older := func(db *sqldb.DB) {
		t.Helper()
		err := db.Migrate(t.Context(), ladder(2), testkit.Logger(t))
		if fault.KindOf(err) != fault.Precondition || fault.ReasonOf(err) != sqldb.ReasonSchemaOlder {
			t.Errorf("an older schema gave %v", err)
		}
	}
	may, mayNot := open(t, d, cfg), open(t, d, careful)
	older(mayNot)
	if d == sqldb.Postgres && text(t, mayNot.Read, "select count(*)::text from pg_namespace where nspname = 's'") != "0" {
		t.Error("the schema was made")
	}
	if err := may.Migrate(t.Context(), ladder(1), testkit.Logger(t)); err != nil {
		t.Fatal(err)
	}
	older(mayNot)
	if _, err := mayNot.Read.ExecContext(t.Context(), "select * from step2"); err == nil {
		t.Error("a step was made")
	}
	if err := may.Migrate(t.Context(), ladder(2), testkit.Logger(t)); err != nil {
		t.Fatal(err)
	}
	if err := mayNot.Migrate(t.Context(), ladder(2), testkit.Logger(t)); err != nil {
		t.Errorf("an equal schema gave %v", err)
	}
	if err := mayNot.Migrate(t.Context(), ladder(1), testkit.Logger(t)); fault.ReasonOf(err) != sqldb.ReasonSchemaNewer {
		t.Errorf("a newer schema gave %v", err)
	}
}

func TestOpenMigratedTakesTheFolderOfTheDialect(t *testing.T) {
	each(t, testOpenMigratedTakesTheFolderOfTheDialect)
}

func testOpenMigratedTakesTheFolderOfTheDialect(t *testing.T, d sqldb.Dialect) {
	files := fstest.MapFS{
		"migrations/sqlite/00001_it.sql":   migration("create table it(name text);\ninsert into it values ('sqlite');"),
		"migrations/postgres/00001_it.sql": migration("create table it(name text);\ninsert into it values ('postgres');"),
	}
	cfg := sqldb.Config{Schema: "s"}
	if d == sqldb.Postgres {
		cfg.URL = config.NewSecret(testkit.Postgres(t))
	} else {
		cfg.Path = t.TempDir() + "/store.db"
	}
	db, err := sqldb.OpenMigrated(t.Context(), cfg, files, testkit.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, db.Read, "select name from it"); got != string(d) || db.Dialect != d {
		t.Errorf("the store is of %q", got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Migrate = sqldb.MigrateNever
	files["migrations/"+string(d)+"/00002_more.sql"] = migration("create table more(name text);")
	if _, err := sqldb.OpenMigrated(t.Context(), cfg, files, testkit.Logger(t)); fault.ReasonOf(err) != sqldb.ReasonSchemaOlder {
		t.Errorf("an older schema gave %v", err)
	}
}

// A role that may use a schema that was made for it, but make none, migrates in it.
func TestAMigrationNeedsNoRightToMakeASchemaThatIsThere(t *testing.T) {
	url := testkit.Postgres(t)
	owner := open(t, sqldb.Postgres, at(url))
	role := testkit.StoreID(t)
	exec(t, owner, "create role "+role+" login password 'secret'", "create schema s authorization "+role)
	t.Cleanup(func() {
		if _, err := owner.Write.ExecContext(context.Background(), "drop owned by "+role+"; drop role "+role); err != nil {
			t.Error(err)
		}
	})
	as := func(schema string) *sqldb.DB {
		cfg := at(asRole(t, url, role))
		cfg.Schema = schema
		return open(t, sqldb.Postgres, cfg)
	}
	if err := as("s").Migrate(t.Context(), ladder(1), testkit.Logger(t)); err != nil {
		t.Error(err)
	}
	err := as("other").Migrate(t.Context(), ladder(1), testkit.Logger(t))
	refused(t, "a schema that may not be made", err, fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionCannotOpen)
}

func TestAWaitingMigrationEndsWithItsContext(t *testing.T) {
	cfg := at(testkit.Postgres(t))
	cfg.BusyTimeout = time.Minute
	db := open(t, sqldb.Postgres, cfg)
	gate, err := db.Read.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	if _, err := gate.ExecContext(t.Context(), "select pg_advisory_lock(4711)"); err != nil {
		t.Fatal(err)
	}
	waiting := func(n string) {
		t.Helper()
		until(t, n+" waiting", func() bool {
			return text(t, db.Write, `select count(*)::text from pg_stat_activity
				where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'advisory'`) == n
		})
	}
	files := fstest.MapFS{"00001_it.sql": migration("create table it(id integer);\nselect pg_advisory_xact_lock(4711);")}
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- db.Migrate(t.Context(), files, testkit.Logger(t)) }()
	waiting("1")
	ctx, cancel := context.WithCancel(t.Context())
	go func() { second <- db.Migrate(ctx, files, testkit.Logger(t)) }()
	waiting("2")
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that waited gave %v", err)
	}
	if _, err := gate.ExecContext(t.Context(), "select pg_advisory_unlock(4711)"); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Errorf("the one that migrated gave %v", err)
	}
}

func TestAPolicyIsReadFromText(t *testing.T) {
	for text, want := range map[string]sqldb.MigratePolicy{"auto": sqldb.MigrateAuto, "never": sqldb.MigrateNever, "": ""} {
		var p sqldb.MigratePolicy
		if err := p.UnmarshalText([]byte(text)); err != nil || p != want {
			t.Errorf("%q is %q, %v", text, p, err)
		}
	}
	p := sqldb.MigrateNever
	if err := p.UnmarshalText([]byte("sometimes")); err == nil || p != sqldb.MigrateNever {
		t.Errorf("an unknown policy gave %q, %v", p, err)
	}
}
