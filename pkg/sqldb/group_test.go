package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
)

// counter is a small store of the shape that groups are made for: rows stamped with dense revisions.
type counter struct {
	db      *sqldb.DB
	group   *sqldb.Group[string, int64]
	commits atomic.Int64
	entered chan struct{} // receives when Apply of "block" has begun
	release chan struct{} // ends it

	mu    sync.Mutex
	order []string // of what Committed was told
}

func newCounter(t testing.TB, d sqldb.Dialect, change func(*sqldb.GroupConfig[string, int64])) *counter {
	t.Helper()
	return newCounterAt(t, open(t, d, sqldb.Config{}), change)
}

func newCounterAt(t testing.TB, db *sqldb.DB, change func(*sqldb.GroupConfig[string, int64])) *counter {
	t.Helper()
	exec(t, db, "create table counter(n integer not null)", "insert into counter values (0)",
		"create table changes(id text primary key, revision integer unique)")
	return joinCounter(t, db, change)
}

// joinCounter is another process at the same store.
func joinCounter(t testing.TB, db *sqldb.DB, change func(*sqldb.GroupConfig[string, int64])) *counter {
	t.Helper()
	c := &counter{db: db, entered: make(chan struct{}, 10), release: make(chan struct{})}
	cfg := sqldb.GroupConfig[string, int64]{
		Apply: func(ctx context.Context, tx *sql.Tx, id string) (int64, error) {
			if _, err := tx.ExecContext(ctx, "insert into changes(id) values ($1)", id); err != nil {
				return 0, err
			}
			switch {
			case id == "block":
				c.block()
			case id == "panic":
				panic("a defect")
			case strings.HasPrefix(id, "fail"):
				return 0, fault.New(fault.Conflict, "ETAG_MISMATCH", "read it again").Wrap(io.EOF)
			}
			return 0, nil
		},
		Stamp: func(ctx context.Context, tx *sql.Tx, done []*sqldb.Done[string, int64]) error {
			var n int64
			if err := tx.QueryRowContext(ctx, "update counter set n = n + $1 returning n", len(done)).Scan(&n); err != nil {
				return err
			}
			for i, d := range done {
				d.Res = n - int64(len(done)) + int64(i) + 1
				if _, err := tx.ExecContext(ctx, "update changes set revision = $1 where id = $2", d.Res, d.Req); err != nil {
					return err
				}
			}
			return nil
		},
		Committed: func(done []*sqldb.Done[string, int64]) {
			c.commits.Add(1)
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, d := range done {
				c.order = append(c.order, d.Req)
			}
		},
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if c.group, err = sqldb.NewGroup(c.db, cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.group.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// stored returns the revisions that the store itself holds.
func (c *counter) stored(t testing.TB) map[string]int64 {
	t.Helper()
	rows, err := c.db.Read.QueryContext(context.Background(), "select id, revision from changes")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := map[string]int64{}
	for rows.Next() {
		var id string
		var rev int64
		if err := rows.Scan(&id, &rev); err != nil {
			t.Fatal(err)
		}
		got[id] = rev
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestManySubmittersGetDenseRevisionsInFewTransactions(t *testing.T) {
	t.Parallel()
	each(t, testManySubmittersGetDenseRevisionsInFewTransactions)
}

func testManySubmittersGetDenseRevisionsInFewTransactions(t *testing.T, d sqldb.Dialect) {
	c := newCounter(t, d, nil)
	const callers, each = 64, 20
	answers := make([]map[string]int64, callers)
	var failed atomic.Int64
	var wg sync.WaitGroup
	for w := range callers {
		answers[w] = map[string]int64{}
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d/%d", w, i)
				if i%5 == 4 {
					id = "fail/" + id
				}
				rev, err := c.group.Submit(t.Context(), id)
				if i%5 == 4 {
					if fault.ReasonOf(err) != "ETAG_MISMATCH" || !errors.Is(err, io.EOF) {
						t.Errorf("a failing request got %d, %v", rev, err)
					}
					failed.Add(1)
					continue
				}
				if err != nil {
					t.Errorf("request %s failed: %v", id, err)
				}
				answers[w][id] = rev
			}
		})
	}
	wg.Wait()

	stored := c.stored(t)
	var revisions []int64
	for w, m := range answers {
		last := int64(0)
		for i := range each {
			id := fmt.Sprintf("%d/%d", w, i)
			rev, ok := m[id]
			if !ok {
				continue
			}
			if stored[id] != rev || rev <= last {
				t.Fatalf("%s was answered %d after %d, and is stored as %d", id, rev, last, stored[id])
			}
			last = rev
			revisions = append(revisions, rev)
		}
	}
	slices.Sort(revisions)
	want := int64(callers*each) - failed.Load()
	if int64(len(revisions)) != want || int64(len(stored)) != want {
		t.Fatalf("%d answers, %d rows, want %d", len(revisions), len(stored), want)
	}
	for i, rev := range revisions {
		if rev != int64(i)+1 {
			t.Fatalf("revision %d is at place %d: not dense", rev, i+1)
		}
	}
	if n := c.commits.Load(); n > want/4 {
		t.Errorf("%d requests took %d transactions", want, n)
	}
	if len(c.order) != int(want) {
		t.Errorf("Committed was told of %d", len(c.order))
	}
	for i, id := range c.order {
		if stored[id] != int64(i)+1 {
			t.Fatalf("Committed was told of %s at place %d, its revision is %d", id, i+1, stored[id])
		}
	}
}

func (c *counter) block() {
	c.entered <- struct{}{}
	<-c.release
}

// queue submits ids one after the other behind a request that blocks the committer, so that they form the next group.
func (c *counter) queue(t *testing.T, ids ...string) (results []chan error) {
	t.Helper()
	return c.queueBehind(t, "block", ids...)
}

// queueBehind is queue with a name for the request that blocks.
func (c *counter) queueBehind(t *testing.T, blocks string, ids ...string) (results []chan error) {
	t.Helper()
	submit := func(id string) chan error {
		ch := make(chan error, 1)
		go func() {
			_, err := c.group.Submit(context.Background(), id)
			ch <- err
		}()
		return ch
	}
	first := submit(blocks)
	<-c.entered
	for i, id := range ids {
		results = append(results, submit(id))
		for c.group.Waiting() < i+1 {
			runtime.Gosched() // the queue has no other witness, and order is what is tested
		}
	}
	close(c.release)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	c.release = make(chan struct{}) // for the next time; nobody blocks now
	return results
}

func TestEachRequestOfAGroupFailsAlone(t *testing.T) { each(t, testEachRequestOfAGroupFailsAlone) }

func testEachRequestOfAGroupFailsAlone(t *testing.T, d sqldb.Dialect) {
	c := newCounter(t, d, nil)
	got := c.queue(t, "a", "fail", "b", "panic", "b", "c")
	var reasons []string
	for _, ch := range got {
		reasons = append(reasons, fault.ReasonOf(<-ch))
	}
	if want := []string{"", "ETAG_MISMATCH", "", sqldb.ReasonInternal, sqldb.ReasonUnique, ""}; !slices.Equal(reasons, want) {
		t.Errorf("reasons %q, want %q", reasons, want)
	}
	if n := c.commits.Load(); n != 2 {
		t.Errorf("%d transactions, want the blocking one and one for the rest", n)
	}
	stored := c.stored(t)
	for id, rev := range map[string]int64{"block": 1, "a": 2, "b": 3, "c": 4} {
		if stored[id] != rev {
			t.Errorf("%s has revision %d, want %d", id, stored[id], rev)
		}
	}
	if len(stored) != 4 {
		t.Errorf("stored %v", stored)
	}
}

func TestAGroupWithoutSuccessCommitsNothing(t *testing.T) {
	each(t, testAGroupWithoutSuccessCommitsNothing)
}

func testAGroupWithoutSuccessCommitsNothing(t *testing.T, d sqldb.Dialect) {
	c := newCounter(t, d, nil)
	for _, id := range []string{"fail", "panic"} {
		if _, err := c.group.Submit(t.Context(), id); err == nil {
			t.Errorf("%s succeeded", id)
		}
	}
	if n := c.commits.Load(); n != 0 {
		t.Errorf("%d commits", n)
	}
	if rev, err := c.group.Submit(t.Context(), "fine"); err != nil || rev != 1 {
		t.Errorf("after failures: revision %d, %v", rev, err)
	}
}

func TestAFailingStampFailsTheGroup(t *testing.T) { each(t, testAFailingStampFailsTheGroup) }

func testAFailingStampFailsTheGroup(t *testing.T, d sqldb.Dialect) {
	broken := true
	c := newCounter(t, d, func(cfg *sqldb.GroupConfig[string, int64]) {
		stamp := cfg.Stamp
		cfg.Stamp = func(ctx context.Context, tx *sql.Tx, done []*sqldb.Done[string, int64]) error {
			if broken {
				return io.ErrShortWrite
			}
			return stamp(ctx, tx, done)
		}
	})
	if _, err := c.group.Submit(t.Context(), "a"); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got %v", err)
	}
	broken = false
	if rev, err := c.group.Submit(t.Context(), "a"); err != nil || rev != 1 {
		t.Errorf("the undone request, again: revision %d, %v", rev, err)
	}
}

func TestACancelledWaiterWritesNothing(t *testing.T) { each(t, testACancelledWaiterWritesNothing) }

func testACancelledWaiterWritesNothing(t *testing.T, d sqldb.Dialect) {
	c := newCounter(t, d, nil)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := c.group.Submit(ctx, "block")
		first <- err
	}()
	<-c.entered
	second := make(chan error, 1)
	go func() {
		_, err := c.group.Submit(ctx, "withdrawn")
		second <- err
	}()
	for c.group.Waiting() < 1 {
		runtime.Gosched()
	}
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("the waiting request got %v", err)
	}
	close(c.release)
	// The first had begun: its caller learns what became of it, not that the caller went away.
	if err := <-first; err != nil {
		t.Errorf("the request under way got %v", err)
	}
	if _, err := c.group.Submit(ctx, "late"); !errors.Is(err, context.Canceled) {
		t.Errorf("an already cancelled request got %v", err)
	}
	if err := c.group.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.stored(t); len(got) != 1 || got["block"] != 1 {
		t.Errorf("stored %v", got)
	}
}

func TestAFullQueueBlocksUntilTheDeadline(t *testing.T) {
	each(t, testAFullQueueBlocksUntilTheDeadline)
}

func testAFullQueueBlocksUntilTheDeadline(t *testing.T, d sqldb.Dialect) {
	c := newCounter(t, d, func(cfg *sqldb.GroupConfig[string, int64]) { cfg.Queue = 1 })
	results := make(chan error, 2)
	submit := func(id string) {
		_, err := c.group.Submit(context.Background(), id)
		results <- err
	}
	go submit("block")
	<-c.entered
	go submit("queued")
	for c.group.Waiting() < 1 {
		runtime.Gosched()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.group.Submit(ctx, "too many"); fault.KindOf(err) != fault.Unavailable || condition(err) != sqldb.ConditionOverloaded {
		t.Errorf("a full queue gave %v", err)
	}
	close(c.release)
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestCloseCommitsWhatWaitsAndRefusesTheRest(t *testing.T) {
	each(t, testCloseCommitsWhatWaitsAndRefusesTheRest)
}

func testCloseCommitsWhatWaitsAndRefusesTheRest(t *testing.T, d sqldb.Dialect) {
	c := newCounter(t, d, nil)
	waiting := c.queue(t, "a", "b", "c")
	if err := c.group.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, ch := range waiting {
		if err := <-ch; err != nil {
			t.Errorf("a waiting request got %v", err)
		}
	}
	if _, err := c.group.Submit(t.Context(), "late"); condition(err) != sqldb.ConditionClosed {
		t.Errorf("a late request got %v", err)
	}
	if got := len(c.stored(t)); got != 4 {
		t.Errorf("%d rows", got)
	}
}

func TestCloseIsBoundedByItsContext(t *testing.T) { each(t, testCloseIsBoundedByItsContext) }

func testCloseIsBoundedByItsContext(t *testing.T, d sqldb.Dialect) {
	c := newCounter(t, d, nil)
	go c.group.Submit(context.Background(), "block") //nolint:errcheck // only its being under way matters
	<-c.entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.group.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("close gave %v", err)
	}
	close(c.release)
}

func TestGroupsAreBoundedByChangesAndSorted(t *testing.T) {
	each(t, testGroupsAreBoundedByChangesAndSorted)
}

func testGroupsAreBoundedByChangesAndSorted(t *testing.T, d sqldb.Dialect) {
	var mu sync.Mutex
	var sizes []int
	c := newCounter(t, d, func(cfg *sqldb.GroupConfig[string, int64]) {
		cfg.MaxChanges = 5
		cfg.Changes = func(id string) int { return len(id) }
		cfg.Order = strings.Compare
		told := cfg.Committed
		cfg.Committed = func(done []*sqldb.Done[string, int64]) {
			mu.Lock()
			sizes = append(sizes, len(done))
			mu.Unlock()
			told(done)
		}
	})
	for _, ch := range c.queue(t, "cc", "b", "aa", "a", "toolong", "z") {
		if err := <-ch; err != nil {
			t.Error(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []int{1, 3, 1, 1, 1}; !slices.Equal(sizes, want) {
		t.Errorf("groups of %v, want %v", sizes, want)
	}
	if want := []string{"block", "aa", "b", "cc", "a", "toolong", "z"}; !slices.Equal(c.order, want) {
		t.Errorf("order %q, want %q", c.order, want)
	}
}

func TestAFullDiskFailsTheGroupAndTheGroupRecovers(t *testing.T) {
	c := newCounter(t, sqldb.SQLite, nil)
	exec(t, c.db, "pragma max_page_count = 12")
	_, err := c.group.Submit(t.Context(), strings.Repeat("x", 200_000))
	if fault.ReasonOf(err) != sqldb.ReasonFull {
		t.Errorf("a full disk gave %v", err)
	}
	if _, err := c.group.Submit(t.Context(), "small"); err != nil {
		t.Errorf("after a full disk: %v", err)
	}
}

func TestASlowTransactionIsUnavailable(t *testing.T) { each(t, testASlowTransactionIsUnavailable) }

func testASlowTransactionIsUnavailable(t *testing.T, d sqldb.Dialect) {
	c := newCounter(t, d, func(cfg *sqldb.GroupConfig[string, int64]) {
		cfg.TxTimeout = time.Millisecond
		cfg.Apply = func(ctx context.Context, _ *sql.Tx, _ string) (int64, error) {
			<-ctx.Done()
			return 0, nil
		}
	})
	if _, err := c.group.Submit(t.Context(), "slow"); fault.KindOf(err) != fault.Unavailable || condition(err) != sqldb.ConditionTimeout {
		t.Errorf("got %v", err)
	}
}

func BenchmarkGroup(b *testing.B) {
	for _, d := range []sqldb.Dialect{sqldb.SQLite, sqldb.Postgres} {
		for _, callers := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("%s/callers=%d", d, callers), func(b *testing.B) {
				c := newCounter(b, d, nil)
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range callers {
					wg.Go(func() {
						for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
							if _, err := c.group.Submit(context.Background(), fmt.Sprint(n)); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/float64(max(1, c.commits.Load())), "requests/commit")
			})
		}
	}
}
