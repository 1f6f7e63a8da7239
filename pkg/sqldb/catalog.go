package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// valueKind is what a column's values are in a dump, whatever the engine's own type is called.
type valueKind byte

// The kinds. A uuid is 16 bytes, a boolean 0 or 1.
const (
	kindInteger valueKind = 'i'
	kindText    valueKind = 't'
	kindBytes   valueKind = 'b'
)

// tableColumn is a column of a table.
type tableColumn struct {
	name string
	kind valueKind
	// declared is the engine's own type.
	declared string
}

// table is what an engine says of one.
type table struct {
	name    string
	columns []tableColumn // by name
	key     []string      // columns of the primary key, in its order
	parents []string      // tables that its foreign keys refer to
	// counter is where the numbers of a column come from that the engine gives out; counted is that column. PostgreSQL has a
	// sequence of some name, SQLite a row named after the table.
	counter, counted string
}

// quote makes a name fit to stand in a statement of either engine.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// tables returns all tables but the one of the migrations, those that are referred to before those that refer to them.
func (db *DB) tables(ctx context.Context, tx *sql.Tx) ([]table, error) {
	read := sqliteTables
	if db.Dialect == Postgres {
		read = postgresTables
	}
	list, err := read(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	for i := range list {
		t := &list[i]
		slices.SortFunc(t.columns, func(a, b tableColumn) int { return strings.Compare(a.name, b.name) })
		for j := range t.columns {
			c := &t.columns[j]
			if c.kind = kindOf(c.declared); c.kind == 0 {
				return nil, fmt.Errorf("read catalogue: column %s.%s is of type %q, which dumps do not have", t.name, c.name, c.declared)
			}
		}
	}
	return parentsFirst(list)
}

func kindOf(declared string) valueKind {
	switch strings.ToLower(declared) {
	case "bigint", "integer", "smallint", "boolean":
		return kindInteger
	case "text":
		return kindText
	case "blob", "bytea", "uuid":
		return kindBytes
	}
	return 0
}

// parentsFirst orders tables so that rows can be written in their order, by name where that does not matter.
func parentsFirst(list []table) (ordered []table, err error) {
	slices.SortFunc(list, func(a, b table) int { return strings.Compare(a.name, b.name) })
	placed := make(map[string]bool, len(list))
	for len(ordered) < len(list) {
		before := len(ordered)
		for _, t := range list {
			ready := !placed[t.name] && !slices.ContainsFunc(t.parents, func(p string) bool { return !placed[p] })
			if ready {
				ordered, placed[t.name] = append(ordered, t), true
			}
		}
		if len(ordered) == before {
			return nil, fmt.Errorf("read catalogue: foreign keys go in a circle, so no order of %d tables can be written", len(list)-before)
		}
	}
	return ordered, nil
}

// texts reads the rows of a query of one text column.
func texts(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return Collect(rows, func(row Scanner) (s string, err error) { return s, row.Scan(&s) })
}

// columns reads the rows of a query of a column's name and type.
func columns(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]tableColumn, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return Collect(rows, func(row Scanner) (c tableColumn, err error) { return c, row.Scan(&c.name, &c.declared) })
}

func sqliteTables(ctx context.Context, tx *sql.Tx) ([]table, error) {
	names, err := texts(ctx, tx, `select name from sqlite_schema where type = 'table' and name not like 'sqlite\_%' escape '\' and name <> 'goose_db_version'`)
	if err != nil {
		return nil, err
	}
	// Whether a table counts for ever stands nowhere but in its own statement.
	counting, err := texts(ctx, tx, `select name from sqlite_schema where type = 'table' and lower(sql) like '%autoincrement%'`)
	if err != nil {
		return nil, err
	}
	list := make([]table, 0, len(names))
	for _, name := range names {
		t := table{name: name}
		if t.columns, err = columns(ctx, tx, "select name, type from pragma_table_info($1)", name); err != nil {
			return nil, err
		}
		if t.key, err = texts(ctx, tx, "select name from pragma_table_info($1) where pk > 0 order by pk", name); err != nil {
			return nil, err
		}
		if t.parents, err = texts(ctx, tx, `select distinct "table" from pragma_foreign_key_list($1)`, name); err != nil {
			return nil, err
		}
		if slices.Contains(counting, name) && len(t.key) == 1 { // a comment may hold the word too; who counts has one key
			t.counter, t.counted = name, t.key[0]
		}
		list = append(list, t)
	}
	return list, nil
}

func postgresTables(ctx context.Context, tx *sql.Tx) ([]table, error) {
	const of = " from pg_catalog.pg_class c join pg_catalog.pg_namespace s on s.oid = c.relnamespace and s.nspname = current_schema()"
	names, err := texts(ctx, tx, "select c.relname"+of+" where c.relkind = 'r' and c.relname <> 'goose_db_version'")
	if err != nil {
		return nil, err
	}
	list := make([]table, 0, len(names))
	for _, name := range names {
		t := table{name: name}
		if t.columns, err = columns(ctx, tx, `select a.attname, format_type(a.atttypid, a.atttypmod)`+of+
			` join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped where c.relname = $1`, name); err != nil {
			return nil, err
		}
		if t.key, err = texts(ctx, tx, `select a.attname`+of+` join pg_catalog.pg_index i on i.indrelid = c.oid and i.indisprimary
			cross join lateral unnest(i.indkey::smallint[]) with ordinality as k(attnum, n)
			join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum where c.relname = $1 order by k.n`, name); err != nil {
			return nil, err
		}
		if t.parents, err = texts(ctx, tx, `select distinct p.relname`+of+` join pg_catalog.pg_constraint f on f.conrelid = c.oid and f.contype = 'f'
			join pg_catalog.pg_class p on p.oid = f.confrelid where c.relname = $1`, name); err != nil {
			return nil, err
		}
		counted, err := columns(ctx, tx, `select a.attname, pg_get_serial_sequence(quote_ident(c.relname), a.attname)`+of+
			` join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
			where c.relname = $1 and pg_get_serial_sequence(quote_ident(c.relname), a.attname) is not null`, name)
		switch {
		case err != nil:
			return nil, err
		case len(counted) > 1:
			return nil, fmt.Errorf("table %s has several columns that count", name)
		case len(counted) == 1:
			t.counted, t.counter = counted[0].name, counted[0].declared
		}
		list = append(list, t)
	}
	return list, nil
}

// lastCounted returns the last number that a table's counter gave out, 0 if none.
func (db *DB) lastCounted(ctx context.Context, tx *sql.Tx, t *table) (last int64, err error) {
	if t.counter == "" {
		return 0, nil
	}
	query, args := "select coalesce(max(seq), 0) from sqlite_sequence where name = $1", []any{t.counter}
	if db.Dialect == Postgres { // the engine made the name, quoted where that is needed
		query, args = "select case when is_called then last_value else 0 end from "+t.counter, nil
	}
	return last, tx.QueryRowContext(ctx, query, args...).Scan(&last)
}

// countFrom makes a table's counter go on above last and above what the table holds.
func (db *DB) countFrom(ctx context.Context, tx *sql.Tx, t *table, last int64) error {
	if t.counter == "" {
		return nil
	}
	var most int64
	if err := tx.QueryRowContext(ctx, "select coalesce(max("+quote(t.counted)+"), 0) from "+quote(t.name)).Scan(&most); err != nil {
		return err
	}
	if last = max(last, most); last <= 0 {
		return nil
	}
	if db.Dialect == Postgres {
		_, err := tx.ExecContext(ctx, "select setval($1::text::regclass, $2::bigint)", t.counter, last)
		return err
	}
	if _, err := tx.ExecContext(ctx, "delete from sqlite_sequence where name = $1", t.counter); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "insert into sqlite_sequence (name, seq) values ($1, $2)", t.counter, last)
	return err
}
