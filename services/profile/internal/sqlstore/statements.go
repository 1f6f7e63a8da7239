package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
)

// statements are prepared when the store is opened: while a transaction has SQLite's one writing connection, none could be.
type statements struct {
	// On the reading connections.
	readProfiles  *keyed
	resolve       *keyed
	list          *sql.Stmt
	head          *sql.Stmt
	readRedirects *keyed
	readSurvivors *keyed
	readStories   *keyed
	readDue       *keyed
	mark          *sql.Stmt
	oldestMark    *sql.Stmt
	countDue      *sql.Stmt

	// On the writing connections. writeHead reads the head as the transaction finds it, lockHead keeps it from moving until the end.
	profiles         *keyed
	revisions        *keyed
	tombstones       *keyed
	redirects        *keyed
	holders          *keyed
	bearers          *keyed
	events           *keyed
	stories          *keyed
	due              *keyed
	insertProfiles   *bulk
	updateBodies     *bulk
	updateContacts   *bulk
	rekeyContacts    *bulk
	deleteProfiles   *bulk
	insertTombstones *bulk
	insertHashes     *bulk
	deleteHashes     *bulk
	insertEvents     *bulk
	moveEvents       *bulk
	deleteEvents     *bulk
	deleteStories    *bulk
	putDue           *bulk
	deleteDue        *bulk
	writeHead        *sql.Stmt
	lockHead         *sql.Stmt
}

const headQuery = "select store, incarnation, revision, mark from store where id = 1"

func (st *statements) prepare(ctx context.Context, db *sqldb.DB) error {
	p := &preparer{ctx: ctx, db: db}
	const profiles = "select {uid}, revision, create_time, update_time, body, contact, contact_key from profiles where uid "
	st.readProfiles = p.keyed(db.Read, profiles+"{in uid}", 0)
	st.resolve = p.keyed(db.Read, "select hash, {uid} from identifiers where key_id = $1 and hash {in hash}", 1)
	st.readRedirects = p.keyed(db.Read, "select {uid}, {target} from redirects where uid {in uid}", 0)
	st.readSurvivors = p.keyed(db.Read, "select {target} from redirects where target {in uid}", 0)
	st.readStories = p.keyed(db.Read, "select {uid}, body from events where uid {in uid}", 0)
	st.readDue = p.keyed(db.Read, "select {uid}, day from due where uid {in uid}", 0)
	st.list = p.one(db.Read, profiles+"> $1 order by uid limit $2")
	st.head = p.one(db.Read, headQuery)
	st.mark = p.one(db.Read, "select mark from marks where revision >= $1 order by revision limit 1")
	st.oldestMark = p.one(db.Read, "select min(revision) from marks")

	st.countDue = p.one(db.Read, "select count(*) from due where day <= $1")

	st.profiles = p.keyed(db.Write, strings.Replace(profiles, " from", ", provenance from", 1)+"{in uid}", 0)
	st.revisions = p.keyed(db.Write, "select {uid}, revision from profiles where uid {in uid}", 0)
	st.tombstones = p.keyed(db.Write, "select {uid} from tombstones where uid {in uid}", 0)
	st.redirects = p.keyed(db.Write, "select {uid}, {survivor}, {target}, seq from redirects where uid {in uid}", 0)
	st.holders = p.keyed(db.Write, "select hash, {uid} from identifiers where key_id = $1 and kind = 1 and hash {in hash}", 1)
	st.bearers = p.keyed(db.Write, "select hash, {uid} from identifiers where key_id = $1 and hash {in hash}", 1)
	st.events = p.keyed(db.Write, "select id, {uid} from events where id {in hash}", 0)
	st.stories = p.keyed(db.Write, "select {uid}, id, {origin}, body from events where uid {in uid}", 0)
	st.due = p.keyed(db.Write, "select {uid}, version from due where uid {in uid}", 0)
	st.writeHead = p.one(db.Write, headQuery)
	st.lockHead = p.one(db.Write, headQuery+"{for update}")
	dialectOf(db).writes(p, st)
	return p.err
}

// dialect writes what the engines say differently, in sqlite.go and postgres.go.
type dialect interface {
	// text replaces what stands in braces, for a list of size keys after lead values: {uid}, {origin}, {survivor} and {target} are columns as bytes, {in uid} the
	// comparison of a key with the list, {for update} a lock.
	text(query string, lead, size int) string
	// sizes are the lengths of lists that are prepared; none: a list is one array.
	sizes() []int
	// writes prepares the statements that write many rows.
	writes(p *preparer, st *statements)
}

func dialectOf(db *sqldb.DB) dialect {
	if db.Dialect == sqldb.Postgres {
		return postgres{}
	}
	return sqlite{}
}

// preparer prepares statements until one fails.
type preparer struct {
	ctx context.Context
	db  *sqldb.DB
	err error
}

func (p *preparer) stmt(pool *sql.DB, query string) *sql.Stmt {
	if p.err != nil {
		return nil
	}
	stmt, err := pool.PrepareContext(p.ctx, query)
	if err != nil {
		p.err = fmt.Errorf("prepare statement: %w", err)
	}
	return stmt
}

func (p *preparer) one(pool *sql.DB, query string) *sql.Stmt {
	return p.stmt(pool, dialectOf(p.db).text(query, 0, 0))
}

func (p *preparer) keyed(pool *sql.DB, query string, lead int) *keyed {
	d := dialectOf(p.db)
	k := &keyed{sizes: d.sizes()}
	for _, size := range k.sizes {
		k.stmts = append(k.stmts, p.stmt(pool, d.text(query, lead, size)))
	}
	if len(k.sizes) == 0 {
		k.stmts = append(k.stmts, p.stmt(pool, d.text(query, lead, 0)))
	}
	return k
}

// keyed is a statement that reads rows by a list of keys.
type keyed struct {
	sizes []int // ascending; a list is filled up to the next size by repeating its last key. None: one statement takes all keys
	stmts []*sql.Stmt
}

// each calls row for each row found by the keys, in as few statements as the list takes. lead are the values before the keys.
func (k *keyed) each(ctx context.Context, tx *sql.Tx, lead []any, keys [][]byte, row func(*sql.Rows) error) error {
	for len(keys) > 0 {
		stmt, args := k.stmts[0], append(make([]any, 0, 300), lead...)
		if len(k.sizes) == 0 {
			args, keys = append(args, keys), nil
		} else {
			i := k.sizeFor(len(keys))
			stmt = k.stmts[i]
			for n := range k.sizes[i] {
				args = append(args, keys[min(n, len(keys)-1)])
			}
			keys = keys[min(len(keys), k.sizes[i]):]
		}
		rows, err := within(ctx, tx, stmt).QueryContext(ctx, args...)
		if err := eachRow(rows, err, row); err != nil {
			return err
		}
	}
	return nil
}

// sizeFor returns the index of the smallest size that holds n, or of the largest.
func (k *keyed) sizeFor(n int) int {
	for i, size := range k.sizes {
		if n <= size {
			return i
		}
	}
	return len(k.sizes) - 1
}

// eachRow calls row for each row of a query and closes it.
func eachRow(rows *sql.Rows, err error, row func(*sql.Rows) error) error {
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := row(rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// bulk is a statement that writes many rows.
type bulk struct {
	// one writes one row and many writes perStatement rows; many is nil where rows are written one by one.
	one, many *sql.Stmt
	// columns, where all rows are written by one statement that takes an array for each column, are the columns' types.
	columns []column
}

// column is the type of a column of a bulk statement.
type column uint8

const (
	uidColumn column = iota
	bytesColumn
	intColumn
)

// perStatement is how many rows a statement writes where there are as many.
const perStatement = 50

// write writes n rows; row appends the values of row i to a list. It returns how many rows the engine says were touched.
func (b *bulk) write(ctx context.Context, tx *sql.Tx, n int, row func(i int, to []any) []any) (int64, error) {
	if n == 0 {
		return 0, nil
	}
	var touched int64
	exec := func(stmt statement, args []any) error {
		done, err := stmt.ExecContext(ctx, args...)
		if err != nil {
			return err
		}
		rows, err := done.RowsAffected()
		touched += rows
		return err
	}
	one := within(ctx, tx, b.one)
	if b.columns != nil {
		return touched, exec(one, b.arrays(n, row))
	}
	var args []any
	i := 0
	if b.many != nil && n >= perStatement {
		for many := within(ctx, tx, b.many); n-i >= perStatement; i += perStatement {
			args = args[:0]
			for r := range perStatement {
				args = row(i+r, args)
			}
			if err := exec(many, args); err != nil {
				return touched, err
			}
		}
	}
	for ; i < n; i++ {
		args = row(i, args[:0])
		if err := exec(one, args); err != nil {
			return touched, err
		}
	}
	return touched, nil
}

// arrays turns rows into a list for each column.
func (b *bulk) arrays(n int, row func(i int, to []any) []any) []any {
	texts, numbers := make([][][]byte, len(b.columns)), make([][]int64, len(b.columns))
	args := make([]any, len(b.columns))
	for c, kind := range b.columns {
		if kind == intColumn {
			numbers[c] = make([]int64, n)
			args[c] = numbers[c]
		} else {
			texts[c] = make([][]byte, n)
			args[c] = texts[c]
		}
	}
	values := make([]any, 0, len(b.columns))
	for i := range n {
		values = row(i, values[:0])
		for c := range b.columns {
			switch v := values[c].(type) {
			case []byte:
				texts[c][i] = v
			case int64:
				numbers[c][i] = v
			}
		}
	}
	return args
}

// keysOf are the bytes of uids, in their memory.
func keysOf(uids []audience.UID) [][]byte {
	keys := make([][]byte, len(uids))
	for i := range uids {
		keys[i] = uids[i][:]
	}
	return keys
}

// text is a statement in the words of the store's engine.
func (s *Store) text(query string) string { return dialectOf(s.db).text(query, 0, 0) }

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
