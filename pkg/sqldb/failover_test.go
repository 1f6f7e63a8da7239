package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

func TestThePoolsRecoverFromCutsAndCrashes(t *testing.T) {
	t.Parallel()
	p := testkit.PostgresPrivate(t)
	db := open(t, sqldb.Postgres, at(p.URL))
	exec(t, db, "create table t(id integer primary key)")
	ctx := t.Context()
	insert := func(id int) error {
		return db.Tx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "insert into t values ($1)", id)
			return err
		})
	}
	// Fill both pools, so that every connection in them breaks.
	for pool, n := range map[*sql.DB]int{db.Write: 4, db.Read: 8} {
		var held []*sql.Conn
		for range n {
			c, err := pool.Conn(ctx)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, c)
		}
		for _, c := range held {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.Cut()
	if err := insert(1); err != nil {
		t.Errorf("a write after a cut: %v", err)
	}
	for range 8 {
		if err := db.Ping(ctx); err != nil {
			t.Errorf("a read after a cut: %v", err)
		}
	}
	err := db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "insert into t values (2)"); err != nil {
			return err
		}
		p.Cut()
		_, err := tx.ExecContext(ctx, "insert into t values (3)")
		return err
	})
	refused(t, "a cut in a transaction", err, fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionConnection)

	p.Stop()
	refused(t, "a read of a stopped server", db.Ping(ctx), fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionConnection)
	refused(t, "a write to a stopped server", insert(4), fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionConnection)
	p.Start()
	if err := errors.Join(db.Ping(ctx), insert(5)); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if got := text(t, db.Read, "select string_agg(id::text, ',' order by id) from t"); got != "1,5" {
		t.Errorf("rows %s, want 1,5", got)
	}
}

// While a server is read only, as a standby is until it takes over, writes are to be tried again and reads go on; with another
// host in the URL writes go there.
func TestAReadOnlyServerIsLeftForTheNextHost(t *testing.T) {
	t.Parallel()
	first := testkit.PostgresPrivate(t)
	db := open(t, sqldb.Postgres, at(first.URL))
	exec(t, db, "create table t(id integer primary key)")
	insert := func(db *sqldb.DB, id int) error {
		return db.Tx(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), "insert into t values ($1)", id)
			return err
		})
	}
	admin := open(t, sqldb.Postgres, at(first.URL+"&default_transaction_read_only=off"))
	turn := func(how string) {
		exec(t, admin, "alter system set default_transaction_read_only = "+how, "select pg_reload_conf()")
		until(t, "a session that is read only: "+how, func() bool {
			var got string
			conn, err := sql.Open("pgx", first.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.QueryRowContext(t.Context(), "show default_transaction_read_only").Scan(&got); err != nil {
				t.Fatal(err)
			}
			return got == how
		})
	}
	turn("on")
	for range 6 { // as often as the pool has connections, and more
		err := insert(db, 1)
		refused(t, "a write to a read-only server", err, fault.Unavailable, sqldb.ReasonReadOnly, sqldb.ConditionStandby)
		if fault.As(err).RetryAfter == 0 {
			t.Error("it does not say to try again")
		}
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("a read from a read-only server: %v", err)
	}
	_, err := sqldb.Open(t.Context(), at(first.URL))
	refused(t, "opening a read-only server", err, fault.Unavailable, sqldb.ReasonReadOnly, sqldb.ConditionStandby)

	second := testkit.PostgresPrivate(t)
	other, err := url.Parse(second.URL)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(first.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Host += "," + other.Host
	both := open(t, sqldb.Postgres, at(u.String()))
	exec(t, both, "create table t(id integer primary key)")
	if err := insert(both, 1); err != nil {
		t.Errorf("with a second host: %v", err)
	}
	if n := text(t, open(t, sqldb.Postgres, at(second.URL)).Read, "select count(*)::text from t"); n != "1" {
		t.Errorf("%s rows at the second host", n)
	}
	turn("off")
	if err := insert(db, 1); err != nil {
		t.Errorf("after the server accepts writes again: %v", err)
	}
}

// A commit that is under way when the connection breaks may have been made or not, and neither may be told.
func TestABrokenCommitIsUnknown(t *testing.T) {
	t.Parallel()
	p := testkit.PostgresPrivate(t)
	db := open(t, sqldb.Postgres, at(p.URL))
	exec(t, db, "create table t(id integer primary key)",
		"create function hold() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return null; end $$",
		"create constraint trigger hold after insert on t deferrable initially deferred for each row when (new.id < 10) execute function hold()")
	told := false
	group, err := sqldb.NewGroup(db, sqldb.GroupConfig[int, int]{
		Apply: func(ctx context.Context, tx *sql.Tx, id int) (int, error) {
			_, err := tx.ExecContext(ctx, "insert into t values ($1)", id)
			return id, err
		},
		Committed: func([]*sqldb.Done[int, int]) { told = true },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := group.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if told {
			t.Error("a commit that nobody saw was told of")
		}
	})
	tx := func(id int) error {
		return db.Tx(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), "insert into t values ($1)", id)
			return err
		})
	}
	grouped := func(id int) error { _, err := group.Submit(t.Context(), id); return err }
	crash := func() { p.Stop(); p.Start() }

	broken := func(name string, id int, write func(int) error, waiting string, end func(), made string) {
		t.Helper()
		outcome := make(chan error, 1)
		go func() { outcome <- write(id) }()
		until(t, name+": a commit that waits", func() bool {
			return text(t, db.Read, "select count(*)::text from pg_stat_activity where query ilike 'commit%' and state = 'active' and wait_event = $1", waiting) == "1"
		})
		end()
		err := <-outcome
		refused(t, name, err, fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionCommitUnknown)
		if f := fault.As(err); f != nil && f.RetryAfter != 0 {
			t.Errorf("%s: it invites to repeat", name)
		}
		until(t, name+": its end at the server", func() bool {
			return text(t, db.Read, "select count(*)::text from pg_stat_activity where query ilike 'commit%' and state = 'active'") == "0"
		})
		if got := text(t, db.Read, "select count(*)::text from t where id = $1", id); got != made {
			t.Errorf("%s: %s rows, want %s", name, got, made)
		}
	}

	// These wait before the server has decided, and are undone.
	broken("undecided, in a transaction", 1, tx, "PgSleep", crash, "0")
	broken("undecided, in a group", 2, grouped, "PgSleep", crash, "0")
	// These wait after it has, for a standby that does not exist, and stay.
	exec(t, db, "alter system set synchronous_standby_names = 'nobody'", "select pg_reload_conf()")
	until(t, "the setting", func() bool { return text(t, db.Read, "show synchronous_standby_names") == "nobody" })
	broken("decided, in a transaction, cut", 10, tx, "SyncRep", p.Cut, "1")
	broken("decided, in a group, cut", 11, grouped, "SyncRep", p.Cut, "1")
	broken("decided, in a group, crash", 12, grouped, "SyncRep", crash, "1")
}

// A statement that was sent and not answered is not sent again behind the caller's back.
func TestAStatementIsSentOnce(t *testing.T) {
	t.Parallel()
	p := testkit.PostgresPrivate(t)
	db := open(t, sqldb.Postgres, at(p.URL))
	exec(t, db, "create table t(id integer)", "create sequence calls")
	for _, args := range [][]any{nil, {1}} {
		statement := "insert into t select 1 from (select nextval('calls'), pg_sleep(60)) as x"
		if args != nil {
			statement += " where $1::int = 1"
		}
		outcome := make(chan error, 1)
		go func() { _, err := db.Write.ExecContext(t.Context(), statement, args...); outcome <- err }()
		until(t, "the statement", func() bool {
			return text(t, db.Read, "select count(*)::text from pg_stat_activity where wait_event = 'PgSleep'") == "1"
		})
		p.Cut()
		refused(t, "a cut statement", db.Classify(<-outcome), fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionConnection)
	}
	if n := text(t, db.Read, "select last_value::text from calls"); n != "2" {
		t.Errorf("two statements ran %s times", n)
	}
}
