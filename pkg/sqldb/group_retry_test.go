package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// calls counts what a group calls back.
type calls struct{ apply, stamp atomic.Int64 }

// counted makes c's group count its calls and run before first in each Stamp, told the number of the call.
func counted(c *calls, before func(ctx context.Context, tx *sql.Tx, call int64) error) func(*sqldb.GroupConfig[string, int64]) {
	return func(cfg *sqldb.GroupConfig[string, int64]) {
		apply, stamp := cfg.Apply, cfg.Stamp
		cfg.Apply = func(ctx context.Context, tx *sql.Tx, id string) (int64, error) {
			if id != "block" {
				c.apply.Add(1)
			}
			return apply(ctx, tx, id)
		}
		cfg.Stamp = func(ctx context.Context, tx *sql.Tx, done []*sqldb.Done[string, int64]) error {
			if done[0].Req != "block" {
				if err := before(ctx, tx, c.stamp.Add(1)); err != nil {
					return err
				}
			}
			return stamp(ctx, tx, done)
		}
	}
}

func collect(answers []chan error) (errs []error) {
	for _, ch := range answers {
		errs = append(errs, <-ch)
	}
	return errs
}

// Another process commits a row that this one is about to write, between its reading and its writing.
func TestAGroupWhoseStampMeetsAnotherProcessRunsAgain(t *testing.T) {
	url := config.NewSecret(testkit.Postgres(t))
	other := open(t, sqldb.Postgres, sqldb.Config{URL: url})
	exec(t, other, "create table taken(n integer primary key)")
	var c calls
	count := newCounterAt(t, open(t, sqldb.Postgres, sqldb.Config{URL: url}), counted(&c, func(ctx context.Context, tx *sql.Tx, call int64) error {
		var next int
		if err := tx.QueryRowContext(ctx, "select coalesce(max(n), 0) + 1 from taken").Scan(&next); err != nil {
			return err
		}
		if call <= 2 {
			if _, err := other.Write.ExecContext(ctx, "insert into taken values ($1)", next); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, "insert into taken values ($1)", next)
		return err
	}))
	errs := collect(count.queue(t, "a", "fail", "b", "b"))
	if errs[0] != nil || fault.ReasonOf(errs[1]) != "ETAG_MISMATCH" || errs[2] != nil || fault.ReasonOf(errs[3]) != sqldb.ReasonUnique {
		t.Errorf("answers %v", errs)
	}
	if a, s := c.apply.Load(), c.stamp.Load(); a != 12 || s != 3 {
		t.Errorf("%d applied in %d tries, want 12 in 3", a, s)
	}
	if n := count.commits.Load(); n != 2 {
		t.Errorf("%d commits were told of", n)
	}
	stored := count.stored(t)
	if len(stored) != 3 || stored["block"] != 1 || stored["a"] != 2 || stored["b"] != 3 {
		t.Errorf("stored %v", stored)
	}
	if got := text(t, other.Read, "select string_agg(n::text, ',' order by n) from taken"); got != "1,2,3" {
		t.Errorf("taken %s", got)
	}
}

func TestAGroupRunsAgainWhenAsked(t *testing.T) { each(t, testAGroupRunsAgainWhenAsked) }

func testAGroupRunsAgainWhenAsked(t *testing.T, d sqldb.Dialect) {
	var c calls
	var asked atomic.Int64
	count := newCounter(t, d, func(cfg *sqldb.GroupConfig[string, int64]) {
		counted(&c, func(_ context.Context, _ *sql.Tx, call int64) error {
			if call == 1 {
				return fmt.Errorf("read the head: %w", sqldb.ErrRetryGroup)
			}
			return nil
		})(cfg)
		apply := cfg.Apply
		cfg.Apply = func(ctx context.Context, tx *sql.Tx, id string) (int64, error) {
			n, err := apply(ctx, tx, id)
			if id == "late" && asked.Add(1) == 2 {
				return n, errors.Join(sqldb.ErrRetryGroup, io.EOF)
			}
			return n, err
		}
	})
	for i, err := range collect(count.queue(t, "a", "late", "b")) {
		if err != nil {
			t.Errorf("request %d: %v", i, err)
		}
	}
	// The second try ends in the middle: "b" is not applied.
	if a, s := c.apply.Load(), c.stamp.Load(); a != 8 || s != 2 {
		t.Errorf("%d applied, %d stamped, want 8 and 2", a, s)
	}
	if stored := count.stored(t); len(stored) != 4 || stored["b"] != 4 {
		t.Errorf("stored %v", stored)
	}
}

func TestAGroupThatIsAlwaysInTheWayEndsBusy(t *testing.T) {
	each(t, testAGroupThatIsAlwaysInTheWayEndsBusy)
}

func testAGroupThatIsAlwaysInTheWayEndsBusy(t *testing.T, d sqldb.Dialect) {
	var c calls
	always := true
	count := newCounter(t, d, counted(&c, func(context.Context, *sql.Tx, int64) error {
		if always {
			return sqldb.ErrRetryGroup
		}
		return nil
	}))
	errs := collect(count.queue(t, "a", "fail", "b"))
	for _, i := range []int{0, 2} {
		refused(t, "a group without end", errs[i], fault.Unavailable, sqldb.ReasonUnavailable, sqldb.ConditionBusy)
	}
	if fault.ReasonOf(errs[1]) != "ETAG_MISMATCH" {
		t.Errorf("the request that failed by itself got %v", errs[1])
	}
	if n := c.stamp.Load(); n != 8 {
		t.Errorf("%d tries", n)
	}
	always = false
	if rev, err := count.group.Submit(t.Context(), "a"); err != nil || rev != 2 {
		t.Errorf("afterwards: revision %d, %v", rev, err)
	}
}

// The server may end any transaction in favour of another; here it says so once, for a reason that a rollback does not undo.
func TestAGroupThatLostToAnotherRunsAgain(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"40001", "40P01"} {
		for _, where := range []string{"apply", "apply alone", "stamp", "commit"} {
			t.Run(state+" "+where, func(t *testing.T) {
				db := open(t, sqldb.Postgres, sqldb.Config{})
				exec(t, db, "create sequence once", "create table t(id text primary key)", fmt.Sprintf(
					`create function lose() returns trigger language plpgsql as $$ begin
						if nextval('once') = 1 then raise exception 'lost' using errcode = '%s'; end if; return null; end $$`, state))
				if where == "commit" {
					exec(t, db, "create constraint trigger lose after insert on t deferrable initially deferred for each row execute function lose()")
				} else {
					exec(t, db, "create trigger lose after insert on t for each row execute function lose()")
				}
				insert := func(ctx context.Context, tx *sql.Tx, id string) (int64, error) {
					_, err := tx.ExecContext(ctx, "insert into t values ($1)", id)
					return 1, err
				}
				count := newCounterAt(t, db, func(cfg *sqldb.GroupConfig[string, int64]) {
					apply := cfg.Apply
					cfg.Apply = func(ctx context.Context, tx *sql.Tx, id string) (int64, error) {
						if n, err := apply(ctx, tx, id); err != nil || id == "block" || where == "stamp" {
							return n, err
						}
						return insert(ctx, tx, id)
					}
					stamp := cfg.Stamp
					cfg.Stamp = func(ctx context.Context, tx *sql.Tx, done []*sqldb.Done[string, int64]) error {
						for _, one := range done {
							if where == "stamp" && one.Req != "block" {
								if _, err := insert(ctx, tx, one.Req); err != nil {
									return fault.New(fault.Internal, "OF_A_DRIVER", "its own words").Wrap(err)
								}
							}
						}
						return stamp(ctx, tx, done)
					}
				})
				ids := []string{"a", "b"}
				if where == "apply alone" {
					ids = ids[:1]
				}
				if err := errors.Join(collect(count.queue(t, ids...))...); err != nil {
					t.Error(err)
				}
				if got := text(t, db.Read, "select count(*)::text from t"); got != fmt.Sprint(len(ids)) {
					t.Errorf("%s rows", got)
				}
			})
		}
	}
}

func TestRequestsThatOnlyReadNeedNoSavepoint(t *testing.T) {
	each(t, testRequestsThatOnlyReadNeedNoSavepoint)
}

func testRequestsThatOnlyReadNeedNoSavepoint(t *testing.T, d sqldb.Dialect) {
	var applied atomic.Int64
	var count *counter
	count = newCounter(t, d, func(cfg *sqldb.GroupConfig[string, int64]) {
		cfg.ApplyReads = true
		stamp := cfg.Stamp
		cfg.Apply = func(ctx context.Context, tx *sql.Tx, id string) (int64, error) {
			if strings.HasPrefix(id, "block") {
				count.block()
				return 0, nil
			}
			applied.Add(1)
			query := "select n from counter"
			if strings.HasPrefix(id, "broken") {
				query = "select n from nowhere"
			}
			var n int64
			if err := tx.QueryRowContext(ctx, query).Scan(&n); err != nil {
				return 0, err
			}
			if strings.HasPrefix(id, "fail") {
				return 0, fault.New(fault.Conflict, "ETAG_MISMATCH", "read it again")
			}
			return n, nil
		}
		cfg.Stamp = func(ctx context.Context, tx *sql.Tx, done []*sqldb.Done[string, int64]) error {
			for _, one := range done {
				if _, err := tx.ExecContext(ctx, "insert into changes(id) values ($1)", one.Req); err != nil {
					return err
				}
			}
			return stamp(ctx, tx, done)
		}
	})
	for _, c := range []struct {
		ids     []string
		reasons []string
		applied int64
	}{
		{[]string{"a", "fail1", "b"}, []string{"", "ETAG_MISMATCH", ""}, 3},
		// The statement of the second fails; then all are applied again, apart.
		{[]string{"c", "broken1", "d", "fail2", "broken2"}, []string{"", sqldb.ReasonInternal, "", "ETAG_MISMATCH", sqldb.ReasonInternal}, 2 + 5},
	} {
		applied.Store(0)
		var reasons []string
		for _, err := range collect(count.queueBehind(t, fmt.Sprint("block", c.applied), c.ids...)) {
			reasons = append(reasons, fault.ReasonOf(err))
		}
		if !slices.Equal(reasons, c.reasons) || applied.Load() != c.applied {
			t.Errorf("%q: reasons %q after %d, want %q after %d", c.ids, reasons, applied.Load(), c.reasons, c.applied)
		}
	}
	if _, err := count.group.Submit(t.Context(), "broken alone"); fault.ReasonOf(err) != sqldb.ReasonInternal {
		t.Errorf("a broken request alone gave %v", err)
	}
	if stored := count.stored(t); len(stored) != 6 || stored["d"] == 0 {
		t.Errorf("stored %v", stored)
	}
}

// A request that drops the error of a statement fails, and takes no other along.
func TestARequestThatDropsAnErrorFailsAlone(t *testing.T) {
	count := newCounter(t, sqldb.Postgres, func(cfg *sqldb.GroupConfig[string, int64]) {
		apply := cfg.Apply
		cfg.Apply = func(ctx context.Context, tx *sql.Tx, id string) (int64, error) {
			if id == "careless" {
				_, _ = tx.ExecContext(ctx, "select * from nowhere")
				return 0, nil
			}
			return apply(ctx, tx, id)
		}
	})
	errs := collect(count.queue(t, "a", "careless", "b"))
	if errs[0] != nil || fault.ReasonOf(errs[1]) != sqldb.ReasonInternal || errs[2] != nil {
		t.Errorf("answers %v", errs)
	}
	if stored := count.stored(t); len(stored) != 3 || stored["b"] != 3 {
		t.Errorf("stored %v", stored)
	}
}

// Several processes with a group each: revisions stay dense and unique, and whatever is not answered with one was not written.
func TestGroupsOfSeveralProcessesShareOneCounter(t *testing.T) {
	t.Parallel()
	url := config.NewSecret(testkit.Postgres(t))
	first := newCounterAt(t, open(t, sqldb.Postgres, sqldb.Config{URL: url}), nil)
	counters := []*counter{first}
	for range 2 {
		counters = append(counters, joinCounter(t, open(t, sqldb.Postgres, sqldb.Config{URL: url}), nil))
	}
	const callers, each = 8, 10
	var mu sync.Mutex
	answered := map[string]int64{}
	var wg sync.WaitGroup
	for p, c := range counters {
		for w := range callers {
			wg.Go(func() {
				for i := range each {
					id := fmt.Sprintf("%d/%d", w, i) // the same in every process: only one may have it
					rev, err := c.group.Submit(t.Context(), id)
					switch {
					case err == nil:
						mu.Lock()
						if answered[id] != 0 {
							t.Errorf("%s was answered twice", id)
						}
						answered[id] = rev
						mu.Unlock()
					case fault.ReasonOf(err) != sqldb.ReasonUnique && condition(err) != sqldb.ConditionBusy:
						t.Errorf("process %d: %s: %v", p, id, err)
					}
				}
			})
		}
	}
	wg.Wait()
	stored := first.stored(t)
	if len(stored) != len(answered) || len(stored) == 0 {
		t.Errorf("%d rows, %d answers", len(stored), len(answered))
	}
	seen := map[int64]bool{}
	for id, rev := range stored {
		if answered[id] != rev || rev < 1 || rev > int64(len(stored)) || seen[rev] {
			t.Fatalf("%s has revision %d and was answered %d, of %d", id, rev, answered[id], len(stored))
		}
		seen[rev] = true
	}
}
