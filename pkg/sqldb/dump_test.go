package sqldb_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// dumped has what the stores of the services have: tables that refer to one that comes later by name, counters, partial indexes, columns
// that the engines call differently, null beside empty.
const dumped = `-- +goose Up
create table zoo (
  number %[1]s,
  name   text not null unique
);
create table animals (
  id     %[2]s primary key,
  zoo    bigint not null references zoo (number) on delete cascade,
  tame   %[3]s not null,
  legs   smallint,
  "from" text,
  photo  %[4]s
);
create unique index animals_tame on animals (zoo) where legs = 7;
create table visits (
  day   bigint not null,
  zoo   bigint not null references zoo (number),
  count bigint not null,
  primary key (zoo, day)
);
create table notes (
  said text -- a word in a comment, such as autoincrement, is no counter
);
`

// migrated opens a fresh store with the tables above and, up to version, some that are empty.
func migrated(t testing.TB, d sqldb.Dialect, version int) *sqldb.DB {
	t.Helper()
	words := []any{"integer primary key autoincrement", "blob", "integer", "blob"}
	if d == sqldb.Postgres {
		words = []any{"bigint generated always as identity primary key", "uuid", "boolean", "bytea"}
	}
	db := open(t, d, sqldb.Config{Schema: "zoo"})
	files := fstest.MapFS{"00001_zoo.sql": {Data: fmt.Appendf(nil, dumped, words...)}}
	for v := 2; v <= version; v++ {
		files[fmt.Sprintf("%05d_more.sql", v)] = &fstest.MapFile{Data: fmt.Appendf(nil, "-- +goose Up\ncreate table more%d (id bigint primary key);", v)}
	}
	if err := db.Migrate(t.Context(), files, testkit.Logger(t)); err != nil {
		t.Fatal(err)
	}
	return db
}

func do(t testing.TB, db *sqldb.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Write.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// fill writes rows at random, the same for the same seed on both engines.
func fill(t testing.TB, db *sqldb.DB, rows int) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, uint64(rows)))
	maybe := func(v any) any {
		if r.IntN(4) == 0 {
			return nil
		}
		return v
	}
	for n := range 5 {
		do(t, db, "insert into zoo (name) values ($1)", fmt.Sprint("zoo ", n))
	}
	do(t, db, "delete from zoo where name = 'zoo 4'") // its number is not given again
	for n := range rows {
		id, photo := make([]byte, 16), make([]byte, r.IntN(3)*r.IntN(200))
		for _, b := range [][]byte{id, photo} {
			for i := range b {
				b[i] = byte(r.Uint32())
			}
		}
		tame := any(int64(r.IntN(2)))
		if db.Dialect == sqldb.Postgres {
			tame = tame != int64(0)
		}
		legs := []int64{math.MinInt16, -1, 0, 4, math.MaxInt16}[r.IntN(5)]
		text := []string{"", "Łódź", "a'b\"c\n", strings.Repeat("x", r.IntN(500))}[r.IntN(4)]
		do(t, db, `insert into animals (id, zoo, tame, legs, "from", photo) values ($1, $2, $3, $4, $5, $6)`,
			id, int64(1+r.IntN(4)), tame, maybe(legs), maybe(text), maybe(photo))
		do(t, db, "insert into visits (day, zoo, count) values ($1, $2, $3)", int64(n), int64(1+r.IntN(4)),
			[]int64{math.MinInt64, 0, math.MaxInt64}[r.IntN(3)])
	}
}

func dump(t testing.TB, db *sqldb.DB) []byte {
	t.Helper()
	var b bytes.Buffer
	info, err := db.Dump(t.Context(), &b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := sqldb.VerifyDump(bytes.NewReader(b.Bytes())); err != nil || again != info {
		t.Fatalf("the dump of %+v is read as %+v (%v)", info, again, err)
	}
	return b.Bytes()
}

func load(t testing.TB, db *sqldb.DB, text []byte) {
	t.Helper()
	if _, err := db.Load(t.Context(), bytes.NewReader(text), nil); err != nil {
		t.Fatal(err)
	}
}

func number(t testing.TB, db *sqldb.DB, query string) (n int64) {
	t.Helper()
	if err := db.Read.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestADumpGoesFromEitherEngineToEither(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, from sqldb.Dialect) {
		source := migrated(t, from, 1)
		fill(t, source, 900)
		text := dump(t, source)
		each(t, func(t *testing.T, to sqldb.Dialect) {
			target := migrated(t, to, 1)
			load(t, target, text)
			if !bytes.Equal(dump(t, target), text) {
				t.Error("the dump of what was loaded is another one")
			}
			for query, want := range map[string]int64{
				"select count(*) from animals": 900, "select count(*) from visits": 900, "select count(*) from zoo": 4,
				"select count(*) from visits where count = -9223372036854775808": number(t, source, "select count(*) from visits where count = -9223372036854775808"),
				"select count(*) from animals where photo is null":               number(t, source, "select count(*) from animals where photo is null"),
				"select count(*) from animals where length(photo) = 0":           number(t, source, "select count(*) from animals where length(photo) = 0"),
			} {
				if got := number(t, target, query); got != want || want == 0 {
					t.Errorf("%s: %d, want %d", query, got, want)
				}
			}
			do(t, target, "insert into zoo (name) values ('new')")
			if got := number(t, target, "select number from zoo where name = 'new'"); got != 6 {
				t.Errorf("the next number is %d, want 6: 5 was given out before", got)
			}
		})
	})
}

func TestADumpIsOfOneMoment(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d sqldb.Dialect) {
		source := migrated(t, d, 1)
		fill(t, source, 50)
		do(t, source, "insert into visits (day, zoo, count) values (-1, 1, 0), (-2, 2, 0)")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		var moves atomic.Int64
		go func() { // what goes to one zoo leaves the other
			for ; ; moves.Add(1) {
				err := source.Tx(ctx, func(tx *sql.Tx) error {
					_, err := tx.ExecContext(ctx, "update visits set count = count + 1 where day = -1")
					if err == nil {
						_, err = tx.ExecContext(ctx, "update visits set count = count - 1 where day = -2")
					}
					return err
				})
				if err != nil {
					ended <- err
					return
				}
			}
		}()
		for range 10 {
			made := moves.Load()
			until(t, "another move", func() bool { return moves.Load() > made })
			target := migrated(t, sqldb.SQLite, 1)
			load(t, target, dump(t, source))
			if sum := number(t, target, "select sum(count) from visits where day < 0"); sum != 0 {
				t.Errorf("the dump holds half a transaction: %d", sum)
			}
			if got := number(t, target, "select count from visits where day = -1"); got <= made {
				t.Errorf("the dump holds %d moves, and more than %d were made before", got, made)
			}
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// damaged is a dump of which one bit is another.
func damaged(text []byte, at int) []byte {
	bad := bytes.Clone(text)
	bad[at] ^= 1 << (at % 8)
	return bad
}

// damage checks the refusal of such a dump. In its first line the damage may make another format of it.
func damage(t *testing.T, at int, err error) {
	t.Helper()
	if fault.ReasonOf(err) != sqldb.ReasonDumpDamaged && at >= len("narrowcast dump 1\n") || err == nil {
		t.Errorf("byte %d changed: %v", at, err)
	}
}

// Every byte counts, and so does every end.
func TestNoDamageToADumpIsMissed(t *testing.T) {
	t.Parallel()
	source := migrated(t, sqldb.SQLite, 1)
	fill(t, source, 3)
	text := dump(t, source)
	for i := range text {
		if _, err := sqldb.VerifyDump(bytes.NewReader(text[:i])); fault.ReasonOf(err) != sqldb.ReasonDumpDamaged {
			t.Errorf("cut at %d: %v", i, err)
		}
		_, err := sqldb.VerifyDump(bytes.NewReader(damaged(text, i)))
		damage(t, i, err)
	}
}

func TestWhatCannotBeLoadedLeavesTheStoreEmpty(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d sqldb.Dialect) {
		source := migrated(t, sqldb.SQLite, 1)
		fill(t, source, 3)
		text := dump(t, source)
		target := migrated(t, d, 1)
		refuse := func(what string, db *sqldb.DB, text []byte, reason string) {
			t.Helper()
			if _, err := db.Load(t.Context(), bytes.NewReader(text), nil); fault.ReasonOf(err) != reason {
				t.Errorf("%s: %v, want %s", what, err, reason)
			}
		}
		for i := 0; i < len(text); i += 1 + len(text)/40 {
			refuse(fmt.Sprint("cut at ", i), target, text[:i], sqldb.ReasonDumpDamaged)
			_, err := target.Load(t.Context(), bytes.NewReader(damaged(text, i)), nil)
			damage(t, i, err)
		}
		refuse("something behind the end", target, append(bytes.Clone(text), 0), sqldb.ReasonDumpDamaged)
		refuse("another format", target, bytes.Replace(text, []byte("dump 1"), []byte("dump 9"), 1), sqldb.ReasonDumpVersion)
		refuse("another schema version", migrated(t, d, 2), text, sqldb.ReasonDumpSchema)
		stop := errors.New("stop")
		if _, err := target.Load(t.Context(), bytes.NewReader(text), func(*sql.Tx) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("a finish that failed: %v", err)
		}
		for _, table := range []string{"zoo", "animals", "visits"} {
			if n := number(t, target, "select count(*) from "+table); n != 0 {
				t.Errorf("%s has %d rows", table, n)
			}
		}
		load(t, target, text)
		refuse("a store that is not empty", target, text, sqldb.ReasonStoreNotEmpty)
		if !bytes.Equal(dump(t, target), text) {
			t.Error("a refused load changed the store")
		}
	})
}

func FuzzVerifyDump(f *testing.F) {
	source := migrated(f, sqldb.SQLite, 1)
	fill(f, source, 2)
	text := dump(f, source)
	f.Add(text)
	f.Add(text[:len(text)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := sqldb.VerifyDump(bytes.NewReader(b)); err != nil && fault.As(err) == nil {
			t.Errorf("bytes that are no dump: %v is no fault", err)
		}
	})
}
