package testkit_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// ask runs a statement on a connection of its own and returns the text of its first column, if it has rows.
func ask(t testing.TB, url, statement string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	results, err := conn.PgConn().Exec(ctx, statement).ReadAll()
	if err != nil {
		return "", err
	}
	if len(results) == 0 || len(results[0].Rows) == 0 {
		return "", nil
	}
	return string(results[0].Rows[0][0]), nil
}

func must(t testing.TB, url, statement string) string {
	t.Helper()
	got, err := ask(t, url, statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return got
}

func TestEachCallGetsADatabaseOfItsOwnOnOneServer(t *testing.T) {
	a := testkit.Postgres(t)
	var b string
	t.Run("inner", func(t *testing.T) { b = testkit.Postgres(t); must(t, b, "create table t(n int)") })
	if a == b {
		t.Error("two calls got one database")
	}
	must(t, a, "create table t(n int)")
	const identity = "select system_identifier::text from pg_control_system()"
	if got := must(t, a, identity); got == "" || got != must(t, testkit.Postgres(t), identity) {
		t.Error("two servers were started")
	}
	if got := must(t, a, "select count(*)::text from pg_database where datname = '"+b[strings.LastIndex(b, "/")+1:strings.Index(b, "?")]+"'"); got != "0" {
		t.Error("the database of an ended test is still there")
	}
}

// A key without collate "C" must be seen to sort wrongly.
func TestADatabaseSortsAsPeopleDo(t *testing.T) {
	url := testkit.Postgres(t)
	if must(t, url, "select (count(*) > 0)::text from pg_collation where collname = 'en-x-icu'") != "true" {
		const why = "ICU NOT AVAILABLE: this server knows no order but that of C"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	if got := must(t, url, "select ('a' < 'B')::text || ('a' < 'B' collate \"C\")::text"); got != "truefalse" {
		t.Errorf("a < B by the database, by bytes: %s", got)
	}
}

func TestAPrivatePostgresComesBackWithWhatWasCommitted(t *testing.T) {
	p := testkit.PostgresPrivate(t)
	if must(t, p.URL, "show fsync") != "on" {
		t.Error("it does not write through")
	}
	must(t, p.URL, "create table t(n int)")
	must(t, p.URL, "insert into t values (1), (2)")
	p.Stop()
	p.Stop()
	if _, err := ask(t, p.URL, "select 1"); err == nil {
		t.Error("a stopped server answered")
	}
	p.Start()
	p.Start()
	if got := must(t, p.URL, "select count(*)::text from t"); got != "2" {
		t.Errorf("after a crash %s rows are left of 2", got)
	}
}

func TestCutBreaksConnectionsOfPostgres(t *testing.T) {
	p := testkit.PostgresPrivate(t)
	conn, err := pgx.Connect(t.Context(), p.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	p.Cut()
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a cut connection answered")
	}
	must(t, p.URL, "select 1")
}

// Nothing is left when the test binary is killed: this kills one that has started both kinds of server.
func TestServersAndDataGoWithAKilledBinary(t *testing.T) {
	if dir := os.Getenv("TESTKIT_DOOMED"); dir != "" {
		shared, private := testkit.Postgres(t), testkit.PostgresPrivate(t)
		must(t, private.URL, "create table t(n int)")
		if err := os.WriteFile(filepath.Join(dir, "ready"), []byte(must(t, shared, "show data_directory")+"\n"+must(t, private.URL, "show data_directory")), 0o600); err != nil {
			t.Fatal(err)
		}
		<-t.Context().Done() // never: it is killed
	}
	testkit.Postgres(t) // skips where there is none
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServersAndDataGoWithAKilledBinary$")
	cmd.Env = append(os.Environ(), "TESTKIT_DOOMED="+dir, "NARROWCAST_TEST_POSTGRES_PROVIDER=binary")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := filepath.Join(dir, "ready")
	await(t, "both servers", func() bool { _, err := os.Stat(ready); return err == nil })
	text, err := os.ReadFile(ready)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the binary ended well")
	}
	for _, data := range strings.Fields(string(text)) {
		if data == "" || !filepath.IsAbs(data) {
			t.Fatalf("no data folder in %q", text)
		}
		await(t, "the end of "+data, func() bool { _, err := os.Stat(filepath.Dir(data)); return os.IsNotExist(err) })
	}
}

// await asks until it is so, up to a minute.
func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !so(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about", what)
		}
	}
}
