package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// each runs a test of what the dialects share on both.
func each(t *testing.T, test func(*testing.T, sqldb.Dialect)) {
	for _, d := range []sqldb.Dialect{sqldb.SQLite, sqldb.Postgres} {
		t.Run(string(d), func(t *testing.T) { test(t, d) })
	}
}

// open opens the store that cfg names, or a fresh one of dialect d.
func open(t testing.TB, d sqldb.Dialect, cfg sqldb.Config) *sqldb.DB {
	t.Helper()
	if cfg.Path == "" && cfg.URL.IsZero() {
		switch d {
		case sqldb.SQLite:
			cfg.Path = filepath.Join(t.TempDir(), "store.db")
		case sqldb.Postgres:
			cfg.URL = config.NewSecret(testkit.Postgres(t))
		}
	}
	db, err := sqldb.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// condition is why a store is unavailable, or "" if err says nothing of that kind.
func condition(err error) string {
	if fault.As(err) == nil {
		return ""
	}
	return fault.As(err).Metadata[sqldb.MetaCondition]
}

func exec(t testing.TB, db *sqldb.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Write.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestASQLiteStoreIsDurableAndChecked(t *testing.T) {
	db := open(t, sqldb.SQLite, sqldb.Config{Path: filepath.Join(t.TempDir(), "odd name #1%20?.db"), BusyTimeout: 1234 * time.Millisecond})
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "1234"} {
		var got string
		if err := db.Write.QueryRowContext(t.Context(), "pragma "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("pragma %s = %q, %v; want %q", pragma, got, err, want)
		}
	}
	if n := db.Write.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d writing connections", n)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestThePathIsTakenAsItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a?b#c%20d.db")
	open(t, sqldb.SQLite, sqldb.Config{Path: path})
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestReadersCannotWriteAndDoNotWait(t *testing.T) { each(t, testReadersCannotWriteAndDoNotWait) }

func testReadersCannotWriteAndDoNotWait(t *testing.T, d sqldb.Dialect) {
	db := open(t, d, sqldb.Config{})
	exec(t, db, "create table t(id integer primary key)")
	if _, err := db.Read.ExecContext(t.Context(), "insert into t values (1)"); fault.ReasonOf(db.Classify(err)) != sqldb.ReasonReadOnly {
		t.Errorf("writing through a reader gave %v", err)
	}
	err := db.Tx(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(t.Context(), "insert into t values (1)"); err != nil {
			return err
		}
		var n int
		if err := db.Read.QueryRowContext(t.Context(), "select count(*) from t").Scan(&n); err != nil || n != 0 {
			t.Errorf("a reader saw %d uncommitted rows, %v", n, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAReadTransactionSeesOneState(t *testing.T) { each(t, testAReadTransactionSeesOneState) }

func testAReadTransactionSeesOneState(t *testing.T, d sqldb.Dialect) {
	db := open(t, d, sqldb.Config{})
	exec(t, db, "create table t(id integer primary key)")
	count := func(tx *sql.Tx) (n int) {
		if err := tx.QueryRowContext(t.Context(), "select count(*) from t").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	err := db.ReadTx(t.Context(), func(tx *sql.Tx) error {
		before := count(tx)
		exec(t, db, "insert into t values (1)")
		if after := count(tx); before != 0 || after != 0 {
			t.Errorf("the transaction saw %d, then %d", before, after)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTxRollsBackOnErrorPanicAndCancel(t *testing.T) {
	each(t, testTxRollsBackOnErrorPanicAndCancel)
}

func testTxRollsBackOnErrorPanicAndCancel(t *testing.T, d sqldb.Dialect) {
	db := open(t, d, sqldb.Config{})
	exec(t, db, "create table t(id integer primary key)")
	insert := func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "insert into t values (1)")
		return err
	}
	if err := db.Tx(t.Context(), func(tx *sql.Tx) error { return errors.Join(insert(t.Context(), tx), io.EOF) }); !errors.Is(err, io.EOF) {
		t.Errorf("the function's own error became %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = db.Tx(t.Context(), func(tx *sql.Tx) error { _ = insert(t.Context(), tx); panic("x") })
	}()
	ctx, cancel := context.WithCancel(t.Context())
	err := db.Tx(ctx, func(tx *sql.Tx) error {
		defer cancel()
		return insert(ctx, tx)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled transaction gave %v", err)
	}
	var n int
	if err := db.Read.QueryRowContext(t.Context(), "select count(*) from t").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows were left, %v", n, err)
	}
}

func TestErrorsAreClassifiedByCode(t *testing.T) { each(t, testErrorsAreClassifiedByCode) }

func testErrorsAreClassifiedByCode(t *testing.T, d sqldb.Dialect) {
	db := open(t, d, sqldb.Config{})
	exec(t, db,
		"create table parent(id integer primary key, u text unique, n integer not null default 0 check (n >= 0))",
		"create table child(id text not null primary key, parent integer references parent(id))",
		"insert into parent(id, u) values (1, 'a')", "insert into child values ('c', 1)")
	for statement, want := range map[string]struct {
		kind   fault.Kind
		reason string
	}{
		"insert into parent(id) values (1)":                {fault.Exists, sqldb.ReasonUnique},
		"insert into parent(id, u) values (2, 'a')":        {fault.Exists, sqldb.ReasonUnique},
		"insert into child values ('c', null)":             {fault.Exists, sqldb.ReasonUnique},
		"insert into child values ('d', 7)":                {fault.Precondition, sqldb.ReasonForeignKey},
		"delete from parent where id = 1":                  {fault.Precondition, sqldb.ReasonForeignKey},
		"insert into parent(id, u, n) values (3, 'z', -1)": {fault.Internal, sqldb.ReasonInternal},
		"not sql": {fault.Internal, sqldb.ReasonInternal},
	} {
		_, raw := db.Write.ExecContext(t.Context(), statement)
		err := db.Classify(raw)
		if fault.KindOf(err) != want.kind || fault.ReasonOf(err) != want.reason {
			t.Errorf("%s: %v, want %v %s", statement, err, want.kind, want.reason)
		}
		if !errors.Is(err, raw) {
			t.Errorf("%s: the cause is lost", statement)
		}
	}
	if err := db.Classify(sql.ErrNoRows); !errors.Is(err, sql.ErrNoRows) || fault.As(err) != nil {
		t.Errorf("no rows became %v", err)
	}
	if db.Classify(nil) != nil {
		t.Error("nil became an error")
	}
}

func TestAFullStoreSaysSo(t *testing.T) {
	db := open(t, sqldb.SQLite, sqldb.Config{})
	exec(t, db, "create table t(b blob)", "pragma max_page_count = 8")
	err := db.Tx(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), "insert into t values (zeroblob(1000000))")
		return err
	})
	if fault.KindOf(err) != fault.Exhausted || fault.ReasonOf(err) != sqldb.ReasonFull {
		t.Errorf("a full store gave %v", err)
	}
}

func TestAForeignLockIsUnavailableAfterTheTimeout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	mine, other := open(t, sqldb.SQLite, sqldb.Config{Path: path, BusyTimeout: time.Millisecond}), open(t, sqldb.SQLite, sqldb.Config{Path: path})
	err := other.Tx(t.Context(), func(*sql.Tx) error {
		err := mine.Tx(t.Context(), func(*sql.Tx) error { t.Error("entered a locked store"); return nil })
		if fault.KindOf(err) != fault.Unavailable || condition(err) != sqldb.ConditionBusy || fault.As(err).RetryAfter == 0 {
			t.Errorf("a locked store gave %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBadFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(garbage, []byte("this is a letter, and much too long to be the header of a store of any kind; "+
		"this is a letter, and much too long to be the header of a store of any kind"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		garbage:                            sqldb.ConditionCorrupt,
		filepath.Join(dir, "none", "x.db"): sqldb.ConditionCannotOpen,
	} {
		if _, err := sqldb.OpenSQLite(t.Context(), sqldb.Config{Path: path}); condition(err) != want {
			t.Errorf("%s: %v, want %s", filepath.Base(path), err, want)
		}
	}
	if _, err := sqldb.OpenSQLite(t.Context(), sqldb.Config{}); err == nil {
		t.Error("an empty path was opened")
	}
}

func TestAClosedStoreIsUnavailable(t *testing.T) { each(t, testAClosedStoreIsUnavailable) }

func testAClosedStoreIsUnavailable(t *testing.T, d sqldb.Dialect) {
	db := open(t, d, sqldb.Config{})
	if err := errors.Join(db.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"ping": db.Ping(t.Context()),
		"tx":   db.Tx(t.Context(), func(*sql.Tx) error { return nil }),
	} {
		if fault.KindOf(err) != fault.Unavailable || condition(err) != sqldb.ConditionClosed {
			t.Errorf("%s of a closed store gave %v", name, err)
		}
	}
}

func migration(sql string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("-- +goose Up\n" + sql + "\n")}
}

func TestMigrationsGoForwardOnlyAndOnce(t *testing.T) { each(t, testMigrationsGoForwardOnlyAndOnce) }

func testMigrationsGoForwardOnlyAndOnce(t *testing.T, d sqldb.Dialect) {
	db := open(t, d, sqldb.Config{})
	one := fstest.MapFS{"00001_people.sql": migration("create table people(id integer primary key);")}
	two := fstest.MapFS{"00001_people.sql": one["00001_people.sql"], "00002_name.sql": migration("alter table people add column name text;")}
	for range 2 {
		if err := db.Migrate(t.Context(), two, testkit.Logger(t)); err != nil {
			t.Fatal(err)
		}
	}
	exec(t, db, "insert into people(id, name) values (1, 'a')")

	err := db.Migrate(t.Context(), one, testkit.Logger(t))
	if fault.KindOf(err) != fault.Precondition || fault.ReasonOf(err) != sqldb.ReasonSchemaNewer {
		t.Errorf("an old program met a newer schema: %v", err)
	}
	exec(t, db, "insert into people(id, name) values (2, 'the refused migration changed nothing')")
}

func TestAFailedMigrationLeavesTheVersionBefore(t *testing.T) {
	each(t, testAFailedMigrationLeavesTheVersionBefore)
}

func testAFailedMigrationLeavesTheVersionBefore(t *testing.T, d sqldb.Dialect) {
	db := open(t, d, sqldb.Config{})
	broken := fstest.MapFS{
		"00001_a.sql": migration("create table a(id integer);"),
		"00002_b.sql": migration("create table b(id integer);\ninsert into nowhere values (1);"),
	}
	if err := db.Migrate(t.Context(), broken, testkit.Logger(t)); fault.ReasonOf(err) != sqldb.ReasonInternal {
		t.Errorf("a broken migration gave %v", err)
	}
	exec(t, db, "insert into a values (1)")
	if _, err := db.Write.ExecContext(t.Context(), "insert into b values (1)"); err == nil {
		t.Error("half of a migration was kept")
	}
}

func TestStatementsOfATracedCallMakeSpansWithoutArguments(t *testing.T) {
	each(t, testStatementsOfATracedCallMakeSpansWithoutArguments)
}

func testStatementsOfATracedCallMakeSpansWithoutArguments(t *testing.T, d sqldb.Dialect) {
	spans := tracetest.NewInMemoryExporter()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	db := open(t, d, sqldb.Config{TracerProvider: tp})
	exec(t, db, "create table t(name text)")
	if n := len(spans.GetSpans()); n != 0 {
		t.Errorf("%d spans without a traced call", n)
	}
	ctx, root := tp.Tracer("test").Start(t.Context(), "call")
	if _, err := db.Write.ExecContext(ctx, "insert into t values ($1)", "marker-of-a-person"); err != nil {
		t.Fatal(err)
	}
	root.End()
	found := false
	for _, s := range spans.GetSpans() {
		for _, a := range s.Attributes {
			if a.Value.String() == "insert into t values ($1)" && s.Parent.SpanID() == root.SpanContext().SpanID() {
				found = true
			}
			if a.Value.String() == "marker-of-a-person" {
				t.Errorf("span %s holds an argument", s.Name)
			}
		}
	}
	if !found {
		t.Errorf("no span of the statement below the call: %v", spans.GetSpans())
	}
}

func TestPlaceholders(t *testing.T) {
	if got := sqldb.Placeholders(3, 3) + "|" + sqldb.Placeholders(1, 0); got != "$3,$4,$5|" {
		t.Errorf("Placeholders gave %q", got)
	}
}
