package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
)

// Sizes of the lists in prepared statements. A list is filled up to the next size by repeating its last value.
var readSizes = [...]int{1, 16, 256}

// writeRows is how many rows a statement writes where there are as many.
const writeRows = 50

// statements are prepared when the store is opened: while a transaction has the one writing connection, none could be.
type statements struct {
	// On the reading connections.
	readProfiles [len(readSizes)]*sql.Stmt
	list         *sql.Stmt
	head         *sql.Stmt
	mark         *sql.Stmt
	oldestMark   *sql.Stmt

	// On the writing connection.
	profiles    [len(readSizes)]*sql.Stmt
	tombstones  [len(readSizes)]*sql.Stmt
	externals   [len(readSizes)]*sql.Stmt
	putProfile  [2]*sql.Stmt
	putExternal [2]*sql.Stmt
	writeHead   *sql.Stmt
}

func (st *statements) prepare(ctx context.Context, db *sqldb.DB) error {
	var err error
	prepare := func(pool *sql.DB, query string) *sql.Stmt {
		if err != nil {
			return nil
		}
		var stmt *sql.Stmt
		if stmt, err = pool.PrepareContext(ctx, query); err != nil {
			err = fmt.Errorf("prepare statement: %w", err)
		}
		return stmt
	}
	const profiles = "select uid, revision, create_time, update_time, body from profiles where uid "
	for i, n := range readSizes {
		in := "in (" + marks(n) + ")"
		st.readProfiles[i] = prepare(db.Read, profiles+in)
		st.profiles[i] = prepare(db.Write, profiles+in)
		st.tombstones[i] = prepare(db.Write, "select uid from tombstones where uid "+in)
		st.externals[i] = prepare(db.Write, "select value, uid from external_ids where source = ? and value in ("+marks(n)+")")
	}
	st.list = prepare(db.Read, profiles+"> $1 order by uid limit $2")
	st.head = prepare(db.Read, headQuery)
	st.mark = prepare(db.Read, "select mark from marks where revision >= $1 order by revision limit 1")
	st.oldestMark = prepare(db.Read, "select min(revision) from marks")
	for i, n := range [2]int{1, writeRows} {
		st.putProfile[i] = prepare(db.Write, "insert into profiles (uid, revision, create_time, update_time, body) values "+tuples(n, 5)+
			" on conflict (uid) do update set revision = excluded.revision, update_time = excluded.update_time, body = excluded.body")
		st.putExternal[i] = prepare(db.Write, "insert into external_ids (source, value, uid) values "+tuples(n, 3)+
			" on conflict (source, value) do update set uid = excluded.uid")
	}
	st.writeHead = prepare(db.Write, headQuery)
	return err
}

// marks returns n placeholders. They have no numbers: the engine would look each one up by its name, among hundreds.
func marks(n int) string { return strings.Repeat("?,", n-1) + "?" }

// tuples returns n lists of placeholders of a width.
func tuples(n, width int) string {
	one := "(" + marks(width) + ")"
	return strings.Repeat(one+",", n-1) + one
}

// inChunks calls fn with the uids in lists as long as one of readSizes, whose index it gets.
func inChunks(uids []audience.UID, fn func(chunk []any, size int) error) error {
	for len(uids) > 0 {
		size := sizeFor(len(uids))
		chunk := make([]any, readSizes[size])
		for i := range chunk {
			chunk[i] = uids[min(i, len(uids)-1)][:]
		}
		if err := fn(chunk, size); err != nil {
			return err
		}
		uids = uids[min(len(uids), len(chunk)):]
	}
	return nil
}

// sizeFor returns the index of the smallest size that holds n, or of the largest.
func sizeFor(n int) int {
	for i, size := range readSizes {
		if n <= size {
			return i
		}
	}
	return len(readSizes) - 1
}

// statement is a prepared statement that its user does not close.
type statement interface {
	QueryContext(ctx context.Context, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, args ...any) *sql.Row
	ExecContext(ctx context.Context, args ...any) (sql.Result, error)
}

// within returns a statement as part of a transaction, which closes it when it ends.
func within(ctx context.Context, tx *sql.Tx, stmt *sql.Stmt) statement {
	return tx.StmtContext(ctx, stmt)
}
