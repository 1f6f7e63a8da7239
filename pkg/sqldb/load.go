package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Load fills an empty store that is migrated to the schema version of the dump. Everything happens in one transaction: a dump that is
// damaged, cut short (DUMP_DAMAGED), of another format (DUMP_VERSION) or of another schema (DUMP_SCHEMA), or a store that holds
// anything (STORE_NOT_EMPTY), leaves the store as it was. Counters go on above what was loaded. finish, unless nil, changes or checks
// what was loaded before it is committed; its error undoes everything.
//
// On PostgreSQL who writes to the store meanwhile waits. The loading itself can be undone only as a whole, so a large one needs
// room for its log.
func (db *DB) Load(ctx context.Context, r io.Reader, finish func(tx *sql.Tx) error) (DumpInfo, error) {
	var info DumpInfo
	err := db.Tx(ctx, func(tx *sql.Tx) error {
		l := loader{db: db, tx: tx}
		if err := l.load(ctx, r); err != nil {
			return err
		}
		info = l.info
		if finish == nil {
			return nil
		}
		return finish(tx)
	})
	if err != nil {
		return DumpInfo{}, fmt.Errorf("load store: %w", err)
	}
	return info, nil
}

// VerifyDump reads a whole dump and checks it without a store.
func VerifyDump(r io.Reader) (DumpInfo, error) {
	var l loader
	if err := l.load(context.Background(), r); err != nil {
		return DumpInfo{}, fmt.Errorf("verify dump: %w", err)
	}
	return l.info, nil
}

// loader is one load at work. Without a store it only checks.
type loader struct {
	db     *DB
	tx     *sql.Tx
	in     *dumpReader
	info   DumpInfo
	there  []table // of the store, in the order in which they are written
	counts []int64 // where their counters stood
}

func (l *loader) load(ctx context.Context, r io.Reader) (err error) {
	if l.in, err = newDumpReader(r); err != nil {
		return err
	}
	kind, payload, err := l.in.frame()
	if err != nil {
		return err
	}
	f := fields{rest: payload}
	version, tables := f.uint(), f.uint()
	if kind != frameHead || f.bad || len(f.rest) > 0 || tables > maxTables {
		return errDamaged(l.in.at, "the head is missing")
	}
	l.info = DumpInfo{Schema: int64(version), Tables: int(tables)}
	if l.db != nil {
		if err := l.prepare(ctx); err != nil {
			return err
		}
	}
	for i := range l.info.Tables {
		if err := l.table(ctx, i); err != nil {
			return err
		}
	}
	if kind, payload, err = l.in.frame(); err != nil {
		return err
	}
	if kind != frameEnd {
		return errDamaged(l.in.at, "the end is missing")
	}
	if err := l.in.finish(payload, l.info.Rows); err != nil {
		return err
	}
	for i := range l.there {
		if err := l.db.countFrom(ctx, l.tx, &l.there[i], l.counts[i]); err != nil {
			return fmt.Errorf("counter of %s: %w", l.there[i].name, err)
		}
	}
	return nil
}

// prepare checks that the store can take the dump.
func (l *loader) prepare(ctx context.Context) error {
	if err := l.db.unhurried(ctx, l.tx); err != nil {
		return err
	}
	version, err := schemaVersion(ctx, l.tx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if version != l.info.Schema {
		return fault.Newf(fault.Precondition, ReasonDumpSchema, "the dump has schema version %d and the store %d; restore with the program that wrote the dump, then start the newer one", l.info.Schema, version).
			With("dump_version", l.info.Schema).With("schema_version", version)
	}
	if l.there, err = l.db.tables(ctx, l.tx); err != nil {
		return err
	}
	if len(l.there) != l.info.Tables {
		return otherTables()
	}
	if l.db.Dialect == Postgres {
		names := make([]string, len(l.there))
		for i, t := range l.there {
			names[i] = quote(t.name)
		}
		if len(names) > 0 {
			if _, err := l.tx.ExecContext(ctx, "lock table "+strings.Join(names, ", ")+" in exclusive mode"); err != nil {
				return err
			}
		}
	} else if _, err := l.tx.ExecContext(ctx, "pragma defer_foreign_keys = on"); err != nil {
		return err
	}
	return empty(ctx, l.tx, l.there)
}

func otherTables() error {
	return fault.New(fault.Precondition, ReasonDumpSchema, "the dump has other tables or columns than the store; restore it into the service that it comes from")
}

// table reads a table of the dump and writes it.
func (l *loader) table(ctx context.Context, i int) error {
	kind, payload, err := l.in.frame()
	if err != nil {
		return err
	}
	f := fields{rest: payload}
	t := table{name: string(f.bytes())}
	last, n := f.int(), f.uint()
	for range min(n, maxColumns) {
		c := tableColumn{kind: valueKind(f.byte())}
		c.name = string(f.bytes())
		f.bad = f.bad || c.kind != kindInteger && c.kind != kindText && c.kind != kindBytes
		t.columns = append(t.columns, c)
	}
	if kind != frameTable || f.bad || len(f.rest) > 0 || n == 0 || n > maxColumns {
		return errDamaged(l.in.at, "a table is expected")
	}
	w := &rowWriter{}
	if l.db != nil {
		if !sameShape(&t, &l.there[i]) {
			return otherTables()
		}
		l.counts = append(l.counts, last)
		w = l.db.rowWriter(l.tx, &l.there[i])
		defer w.close()
	}
	var total int64
	for {
		if kind, payload, err = l.in.frame(); err != nil {
			return err
		}
		f = fields{rest: payload}
		if kind != frameRows {
			break
		}
		rows, err := decodeRows(&f, t.columns)
		if err != nil {
			return errDamaged(l.in.at, "rows cannot be read")
		}
		if err := w.write(ctx, rows); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
		total += int64(len(rows))
	}
	if n := f.uint(); kind != frameClose || f.bad || len(f.rest) > 0 || n != uint64(total) {
		return errDamaged(l.in.at, "a table is not whole")
	}
	l.info.Rows += total
	return nil
}

// decodeRows reads the rows of a frame.
func decodeRows(f *fields, columns []tableColumn) ([][]any, error) {
	n := f.uint()
	if n > uint64(len(f.rest)) { // a value has a byte at least
		f.bad = true
	}
	var rows [][]any
	for i := uint64(0); i < n && !f.bad; i++ {
		row := make([]any, len(columns))
		for c := range columns {
			row[c] = f.value(columns[c].kind)
		}
		rows = append(rows, row)
	}
	if f.bad || len(f.rest) > 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return rows, nil
}

// rowWriter writes many rows of one table. The zero value writes nothing.
type rowWriter struct {
	tx      *sql.Tx
	table   *table
	perStmt int      // rows of a statement on SQLite
	query   []string // for that many rows, and for one
	stmts   []*sql.Stmt
}

// placeholders is how many values a statement on SQLite takes at most.
const placeholders = 500

func (db *DB) rowWriter(tx *sql.Tx, t *table) *rowWriter {
	w := &rowWriter{tx: tx, table: t}
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = quote(c.name)
	}
	into := "insert into " + quote(t.name) + " (" + strings.Join(names, ", ") + ")"
	if db.Dialect == Postgres {
		lists, values := make([]string, len(t.columns)), make([]string, len(t.columns))
		for i, c := range t.columns {
			of, as := c.declared, fmt.Sprintf("c%d", i)
			values[i] = as
			if c.kind == kindInteger {
				of, values[i] = "bigint", as+"::"+c.declared
			}
			if c.declared == "boolean" {
				values[i] = as + " <> 0"
			}
			lists[i], names[i] = fmt.Sprintf("$%d::%s[]", i+1, of), as
		}
		w.query = []string{into + " overriding system value select " + strings.Join(values, ", ") +
			" from unnest(" + strings.Join(lists, ", ") + ") as r(" + strings.Join(names, ", ") + ")"}
		return w
	}
	one := "(?" + strings.Repeat(",?", len(t.columns)-1) + ")"
	w.perStmt = max(1, placeholders/len(t.columns))
	w.query = []string{into + " values " + one + strings.Repeat(","+one, w.perStmt-1), into + " values " + one}
	return w
}

func (w *rowWriter) close() {
	for _, s := range w.stmts {
		s.Close() // the transaction closes it in any case
	}
}

func (w *rowWriter) write(ctx context.Context, rows [][]any) error {
	if w.table == nil || len(rows) == 0 {
		return nil
	}
	if w.stmts == nil {
		for _, q := range w.query {
			s, err := w.tx.PrepareContext(ctx, q) //nolint:sqlclosecheck // close does
			if err != nil {
				return err
			}
			w.stmts = append(w.stmts, s)
		}
	}
	if w.perStmt == 0 {
		_, err := w.stmts[0].ExecContext(ctx, w.arrays(rows)...)
		return err
	}
	for len(rows) > 0 {
		stmt, n := w.stmts[0], w.perStmt
		if len(rows) < n {
			stmt, n = w.stmts[1], 1
		}
		if _, err := stmt.ExecContext(ctx, slices.Concat(rows[:n]...)...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// arrays turns rows into a list for each column, with nil for null.
func (w *rowWriter) arrays(rows [][]any) []any {
	args := make([]any, len(w.table.columns))
	for c := range args {
		switch w.table.columns[c].kind {
		case kindInteger:
			args[c] = column[int64](rows, c)
		case kindText:
			args[c] = column[string](rows, c)
		default:
			list := make([][]byte, len(rows))
			for i, row := range rows {
				list[i], _ = row[c].([]byte) // nil is null
			}
			args[c] = list
		}
	}
	return args
}

func column[T any](rows [][]any, c int) []*T {
	list := make([]*T, len(rows))
	for i, row := range rows {
		if v, ok := row[c].(T); ok {
			list[i] = &v
		}
	}
	return list
}
