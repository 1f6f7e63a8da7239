package sqldb_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// at is a store at a URL.
func at(url string) sqldb.Config { return sqldb.Config{URL: config.NewSecret(url)} }

// asRole is the URL for another role, whose password is "secret".
func asRole(t testing.TB, server, role string) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "secret")
	return u.String()
}

// text asks for one value.
func text(t testing.TB, pool *sql.DB, query string, args ...any) (s string) {
	t.Helper()
	if err := pool.QueryRowContext(context.Background(), query, args...).Scan(&s); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return s
}

// until asks until it is so, up to a minute.
func until(t testing.TB, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !so(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about", what)
		}
	}
}

// refused checks a fault's kind, reason and condition.
func refused(t testing.TB, what string, err error, kind fault.Kind, reason, cond string) {
	t.Helper()
	if fault.KindOf(err) != kind || fault.ReasonOf(err) != reason || condition(err) != cond {
		t.Errorf("%s gave %v (%v %s %q), want %v %s %q", what, err, fault.KindOf(err), fault.ReasonOf(err), condition(err), kind, reason, cond)
	}
}

func TestPostgresSessionsAreAsConfigured(t *testing.T) {
	cfg := at(testkit.Postgres(t))
	cfg.Schema, cfg.Readers, cfg.Writers = "profile", 3, 2
	cfg.BusyTimeout, cfg.StatementTimeout, cfg.IdleInTxTimeout = 1234*time.Millisecond, 2345*time.Millisecond, 3456*time.Millisecond
	cfg.Settings = map[string]string{"enable_hashjoin": "off", "statement_timeout": "1"}
	db := open(t, sqldb.Postgres, cfg)
	want := map[string]string{"enable_hashjoin": "off", "search_path": "profile", "lock_timeout": "1234ms", "statement_timeout": "2345ms",
		"idle_in_transaction_session_timeout": "3456ms", "application_name": "narrowcast-profile"}
	for name, pool := range map[string]*sql.DB{"off": db.Write, "on": db.Read} {
		want["transaction_read_only"] = name
		for setting, value := range want {
			if got := text(t, pool, "select current_setting($1)", setting); got != value {
				t.Errorf("%s = %q, want %q", setting, got, value)
			}
		}
	}
	if w, r := db.Write.Stats().MaxOpenConnections, db.Read.Stats().MaxOpenConnections; w != 2 || r != 3 {
		t.Errorf("pools of %d and %d", w, r)
	}
	err := db.ReadTx(t.Context(), func(tx *sql.Tx) error {
		var level string
		err := tx.QueryRowContext(t.Context(), "show transaction_isolation").Scan(&level)
		if level != "repeatable read" {
			t.Errorf("a reading transaction is %q", level)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	// What the URL says wins, but not over what keeps the store right.
	cfg = at(cfg.URL.Reveal() + "&statement_timeout=77&search_path=elsewhere&target_session_attrs=standby&application_name=me")
	cfg.Schema = "profile"
	db = open(t, sqldb.Postgres, cfg)
	for setting, value := range map[string]string{"statement_timeout": "77ms", "search_path": "profile", "application_name": "me"} {
		if got := text(t, db.Write, "select current_setting($1)", setting); got != value {
			t.Errorf("%s = %q, want %q", setting, got, value)
		}
	}
}

func TestWrongSettingsAreRefusedWithoutQuotingThem(t *testing.T) {
	for _, bad := range []string{"postgres://u:hunter2@h:port/db", "postgres://u:hun ter2@[h/db", "hunter2", "postgres://u:hunter2@h/db?sslmode=hunter2"} {
		if _, err := sqldb.Open(t.Context(), at(bad)); err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), "hunter2") {
			t.Errorf("a bad URL gave %v", err)
		}
	}
	for _, schema := range []string{"Profile", "1a", "pg_x", "a b", `a"`, strings.Repeat("a", 64)} {
		cfg := at("postgres://h/db")
		cfg.Schema = schema
		if _, err := sqldb.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "schema") {
			t.Errorf("schema %q gave %v", schema, err)
		}
	}
}

func TestPostgresErrorsOfARealServer(t *testing.T) {
	server := testkit.Postgres(t)
	cfg := at(server)
	cfg.StatementTimeout, cfg.BusyTimeout, cfg.IdleInTxTimeout = 300*time.Millisecond, 100*time.Millisecond, 200*time.Millisecond
	db := open(t, sqldb.Postgres, cfg)
	calm := open(t, sqldb.Postgres, at(server))
	exec(t, db, "create table t(id integer primary key, u uuid)", "insert into t values (1), (2)")
	ctx := t.Context()

	_, err := db.Read.ExecContext(ctx, "select pg_sleep(60)")
	refused(t, "a slow statement", db.Classify(err), fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionTimeout)

	err = calm.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "update t set u = null where id = 1"); err != nil {
			return err
		}
		_, err := db.Write.ExecContext(ctx, "update t set u = null where id = 1")
		refused(t, "a locked row", db.Classify(err), fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionBusy)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	// Two transactions lock two rows crosswise; the server ends one of them.
	var both sync.WaitGroup
	both.Add(2)
	outcome := make(chan error, 2)
	for _, order := range [][2]int{{1, 2}, {2, 1}} {
		arrived := sync.OnceFunc(both.Done)
		go func() {
			defer arrived() // if it never gets there
			outcome <- calm.Tx(ctx, func(tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "update t set u = null where id = $1", order[0])
				arrived()
				if err != nil {
					return err
				}
				both.Wait()
				_, err = tx.ExecContext(ctx, "update t set u = null where id = $1", order[1])
				return err
			})
		}()
	}
	if lost := errors.Join(<-outcome, <-outcome); lost == nil {
		t.Error("two crossed transactions both went through")
	} else {
		refused(t, "a deadlock", lost, fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionBusy)
	}

	err = db.Tx(ctx, func(tx *sql.Tx) error {
		until(t, "the end of the idle transaction", func() bool {
			return text(t, calm.Read, "select count(*)::text from pg_stat_activity where state like 'idle in%' and datname = current_database()") == "0"
		})
		_, err := tx.ExecContext(ctx, "select 1")
		return err
	})
	if k := fault.KindOf(err); k != fault.Unavailable {
		t.Errorf("an idle transaction gave %v", err)
	}

	err = calm.Tx(ctx, func(tx *sql.Tx) error {
		var pid int
		if err := tx.QueryRowContext(ctx, "select pg_backend_pid()").Scan(&pid); err != nil {
			return err
		}
		exec(t, calm, fmt.Sprintf("select pg_terminate_backend(%d)", pid))
		_, err := tx.ExecContext(ctx, "insert into t values (7)")
		return err
	})
	refused(t, "a terminated backend", err, fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionConnection)

	for what, mend := range map[string]struct{ url, condition string }{
		"no such database": {strings.Replace(server, "narrowcast_test_", "no_", 1), sqldb.ConditionCannotOpen},
		"no such role":     {asRole(t, server, "nobody_at_all"), sqldb.ConditionCannotOpen},
		"no server":        {"postgres://postgres@127.0.0.1:1/x?sslmode=disable", sqldb.ConditionConnection},
	} {
		_, err := sqldb.Open(ctx, at(mend.url))
		refused(t, what, err, fault.Unavailable, sqldb.ReasonUnavailable, mend.condition)
	}

	role := testkit.StoreID(t)
	exec(t, calm, "create role "+role+" login password 'secret' connection limit 0")
	t.Cleanup(func() {
		if _, err := calm.Write.ExecContext(context.Background(), "drop role "+role); err != nil {
			t.Error(err)
		}
	})
	_, err = sqldb.Open(ctx, at(asRole(t, server, role)))
	refused(t, "a role with too many connections", err, fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionOverloaded)
	exec(t, calm, "alter role "+role+" connection limit -1")
	poor := open(t, sqldb.Postgres, at(asRole(t, server, role)))
	_, err = poor.Read.ExecContext(ctx, "select * from t")
	refused(t, "a role without a right", poor.Classify(err), fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionCannotOpen)
}

// What a person typed, or is called, comes back in the words of a server in several places.
func TestErrorsOfPostgresHoldNoValues(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	cfg := at(testkit.Postgres(t))
	cfg.TracerProvider = tp
	db := open(t, sqldb.Postgres, cfg)
	exec(t, db, "create table t(email text primary key, id uuid, n integer check (n > 0), day date)",
		"create function shout(who text) returns void language plpgsql as $$ begin raise exception 'hello %', who; end $$")
	const marker = "ada@example.org"
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	ctx, root := tp.Tracer("test").Start(t.Context(), "call")
	insert := "insert into t(email) values ($1)"
	if _, err := db.Write.ExecContext(ctx, insert, marker); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		insert, "insert into t(email, n) values ($1, -1)", "insert into t(email, day) values ('x', $1::text::date)",
		"insert into t(email, id) values ('x', $1)", "insert into t(email, id) values ('x', $1::text::uuid)", "select shout($1)",
		"insert into t(email, n) values ('x', $1)", "select ($1::text)::json",
	} {
		_, raw := db.Write.ExecContext(ctx, statement, marker)
		_, wrapped := db.Write.ExecContext(ctx, statement, marker)
		inTx := db.Tx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, statement, marker)
			return fmt.Errorf("insert: %w", err)
		})
		var none any
		queried := db.Write.QueryRowContext(ctx, statement, marker).Scan(&none)
		for _, err := range []error{raw, db.Classify(fmt.Errorf("insert: %w", wrapped)), inTx, db.Classify(queried)} {
			if err == nil {
				t.Errorf("%s succeeded", statement)
			}
			logger.Error("it failed", "error", err, "in full", fmt.Sprintf("%v|%+v|%s|%q", err, err, err, err))
		}
	}
	root.End()
	if strings.Contains(log.String(), "ada") || log.Len() == 0 {
		t.Errorf("the log holds a value:\n%s", log.String())
	}
	if !strings.Contains(log.String(), "t_pkey") {
		t.Error("the log does not say which constraint it was")
	}
	failures := 0
	for _, s := range spans.GetSpans() {
		failures += len(s.Events)
		if strings.Contains(fmt.Sprintf("%+v", s), "ada") {
			t.Errorf("a span holds a value: %+v", s)
		}
	}
	if failures == 0 {
		t.Error("no span tells of a failure")
	}
}

// Arrays are how many rows go in with one statement.
func TestSlicesAreArraysOfPostgres(t *testing.T) {
	db := open(t, sqldb.Postgres, sqldb.Config{})
	exec(t, db, `create table t(id uuid primary key, hash bytea, n bigint, name text collate "C")`)
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	var raw [][]byte
	for _, id := range ids[1:] {
		raw = append(raw, id[:])
	}
	const insert = "insert into t select * from unnest($1::uuid[], $2::bytea[], $3::bigint[], $4::text[])"
	err := db.Tx(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(t.Context(), insert, ids[:1], [][]byte{{0}}, []int64{1}, []string{"é"}); err != nil {
			return err
		}
		_, err := tx.ExecContext(t.Context(), insert, raw, [][]byte{{1, 2}, nil}, []int64{2, 3}, []string{"", `{"a",b\}`})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		id   uuid.UUID
		hash []byte
		n    int64
		name string
	}
	rows, err := db.Read.QueryContext(t.Context(), "select id, hash, n, name from t where id = any($1) order by n", raw)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sqldb.Collect(rows, func(s sqldb.Scanner) (r row, err error) { return r, s.Scan(&r.id, &r.hash, &r.n, &r.name) })
	if err != nil || len(got) != 2 || got[0].id != ids[1] || !bytes.Equal(got[0].hash, []byte{1, 2}) || got[1].hash != nil || got[1].name != `{"a",b\}` {
		t.Errorf("read %v, %v", got, err)
	}
	if one := text(t, db.Read, "select name from t where id = $1", ids[0][:]); one != "é" {
		t.Errorf("by 16 bytes: %q", one)
	}
}

func TestWhatPostgresDoesNotAllowInATransactionIsADefect(t *testing.T) {
	db := open(t, sqldb.Postgres, sqldb.Config{})
	exec(t, db, "create table t(id integer primary key)", "insert into t values (1), (2)")
	ctx := t.Context()
	err := db.Tx(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, "select id from t union all select generate_series(1, 100000)")
		if err != nil {
			return err
		}
		defer rows.Close()
		_, err = tx.ExecContext(ctx, "insert into t values (3)")
		return errors.Join(err, rows.Err())
	})
	refused(t, "a statement between the rows of another", err, fault.Internal, sqldb.ReasonInternal, "")

	err = db.Tx(ctx, func(tx *sql.Tx) error {
		_, _ = tx.ExecContext(ctx, "insert into t values (4)")
		_, _ = tx.ExecContext(ctx, "insert into t values (1)") // the defect: its error is dropped
		return nil
	})
	refused(t, "a commit after a dropped error", err, fault.Internal, sqldb.ReasonInternal, "")
	if n := text(t, db.Read, "select count(*)::text from t"); n != "2" {
		t.Errorf("%s rows", n)
	}
}

func TestACancelledStatementIsTheCallersAndThePoolGoesOn(t *testing.T) {
	db := open(t, sqldb.Postgres, sqldb.Config{})
	for _, pool := range []*sql.DB{db.Read, db.Write} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			until(t, "the statement", func() bool {
				return text(t, db.Read, "select count(*)::text from pg_stat_activity where query = 'select pg_sleep(50)' and state = 'active' and datname = current_database()") == "1"
			})
			cancel()
		}()
		_, err := pool.ExecContext(ctx, "select pg_sleep(50)")
		if err = db.Classify(err); !errors.Is(err, context.Canceled) || fault.As(err) != nil {
			t.Errorf("a cancelled statement gave %v", err)
		}
		if _, err := pool.ExecContext(t.Context(), "select 1"); err != nil {
			t.Error(err)
		}
	}
	until(t, "the end of the statements", func() bool {
		return text(t, db.Read, "select count(*)::text from pg_stat_activity where query = 'select pg_sleep(50)' and state = 'active' and datname = current_database()") == "0"
	})
}

// A server that takes connections and says nothing is down, however much time the caller has.
func TestAServerThatDoesNotAnswerIsUnavailable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := at("postgres://u@" + l.Addr().String() + "/db?sslmode=disable")
	cfg.ConnectTimeout = 20 * time.Millisecond
	_, err = sqldb.Open(t.Context(), cfg)
	refused(t, "a silent server", err, fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionConnection)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Error("it passes for the caller's deadline")
	}
	cfg.ConnectTimeout = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err = sqldb.Open(ctx, cfg); !errors.Is(err, context.DeadlineExceeded) || fault.As(err) != nil {
		t.Errorf("the caller's deadline gave %v", err)
	}
}
