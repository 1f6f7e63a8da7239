package sqldb

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
)

// DumpInfo says what a dump holds.
type DumpInfo struct {
	// Schema is the version of the schema.
	Schema int64
	// Tables and Rows are how many there are, goose's own table left out.
	Tables int
	Rows   int64
	// Incarnation is the life that the store was in, where it has such a thing; who makes the dump says so.
	Incarnation string
}

// Dump writes every table of the store to w, all as of one moment, whatever is written meanwhile, and takes no lock that a writer
// would wait for. Both engines write the same bytes for the same rows, so a dump of one can be loaded into the other. It is in
// clear: what must not be read in it has to be sealed in the store already. also, unless nil, reads more in the same transaction.
//
// A reading transaction as long as this keeps SQLite's log from being folded back and PostgreSQL's dead rows from being swept; w
// should be as fast as a disk.
func (db *DB) Dump(ctx context.Context, w io.Writer, also func(tx *sql.Tx) error) (DumpInfo, error) {
	var info DumpInfo
	err := db.ReadTx(ctx, func(tx *sql.Tx) error {
		if err := db.unhurried(ctx, tx); err != nil {
			return err
		}
		version, err := schemaVersion(ctx, tx)
		if err != nil {
			return fmt.Errorf("read schema version: %w", err)
		}
		tables, err := db.tables(ctx, tx)
		if err != nil {
			return err
		}
		info = DumpInfo{Schema: version, Tables: len(tables)}
		out, err := newDumpWriter(w)
		if err != nil {
			return err
		}
		if err := out.frame(frameHead, binary.AppendUvarint(binary.AppendUvarint(nil, uint64(version)), uint64(len(tables)))); err != nil {
			return err
		}
		for i := range tables {
			rows, err := db.dumpTable(ctx, tx, out, &tables[i])
			if err != nil {
				return fmt.Errorf("table %s: %w", tables[i].name, err)
			}
			info.Rows += rows
		}
		if err := out.end(info.Rows); err != nil {
			return err
		}
		if also == nil {
			return nil
		}
		return also(tx)
	})
	if err != nil {
		return DumpInfo{}, fmt.Errorf("dump store: %w", err)
	}
	return info, nil
}

// unhurried lifts the bounds of a transaction that reads or writes a whole store.
func (db *DB) unhurried(ctx context.Context, tx *sql.Tx) error {
	if db.Dialect != Postgres {
		return nil
	}
	for _, setting := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
		if _, err := tx.ExecContext(ctx, "set local "+setting+" = 0"); err != nil {
			return err
		}
	}
	return nil
}

func schemaVersion(ctx context.Context, tx *sql.Tx) (version int64, err error) {
	return version, tx.QueryRowContext(ctx, "select coalesce(max(version_id), 0) from goose_db_version").Scan(&version)
}

// appendTable appends what a frame says of a table.
func appendTable(to []byte, t *table, last int64) []byte {
	to = appendBytes(to, []byte(t.name))
	to = binary.AppendVarint(to, last)
	to = binary.AppendUvarint(to, uint64(len(t.columns)))
	for _, c := range t.columns {
		to = appendBytes(append(to, byte(c.kind)), []byte(c.name))
	}
	return to
}

// dumpTable writes one table, its rows in the order of its primary key.
func (db *DB) dumpTable(ctx context.Context, tx *sql.Tx, out *dumpWriter, t *table) (total int64, err error) {
	last, err := db.lastCounted(ctx, tx, t)
	if err != nil {
		return 0, err
	}
	if err := out.frame(frameTable, appendTable(nil, t, last)); err != nil {
		return 0, err
	}
	list := make([]string, len(t.columns))
	for i, c := range t.columns {
		list[i] = quote(c.name)
		switch c.declared {
		case "uuid":
			list[i] = "uuid_send(" + list[i] + ")"
		case "boolean":
			list[i] += "::integer"
		}
	}
	query := "select " + strings.Join(list, ", ") + " from " + quote(t.name)
	if len(t.key) > 0 {
		key := make([]string, len(t.key))
		for i, name := range t.key {
			key[i] = quote(name)
		}
		query += " order by " + strings.Join(key, ", ")
	}
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	values, at := make([]any, len(t.columns)), make([]any, len(t.columns))
	for i := range values {
		at[i] = &values[i]
	}
	var batch, frame []byte
	var n uint64
	flush := func() error {
		if n == 0 {
			return nil
		}
		frame = append(binary.AppendUvarint(frame[:0], n), batch...)
		total += int64(n)
		batch, n = batch[:0], 0
		return out.frame(frameRows, frame)
	}
	for rows.Next() {
		clear(values)
		if err := rows.Scan(at...); err != nil {
			return 0, err
		}
		for i, c := range t.columns {
			if batch, err = appendValue(batch, c.kind, values[i]); err != nil {
				return 0, fmt.Errorf("column %s: %w", c.name, err)
			}
		}
		if n++; len(batch) >= frameBytes {
			if err := flush(); err != nil {
				return 0, err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	if err := flush(); err != nil {
		return 0, err
	}
	return total, out.frame(frameClose, binary.AppendUvarint(nil, uint64(total)))
}

// sameShape reports whether a dumped table has the columns of one that is there.
func sameShape(a, b *table) bool {
	return a.name == b.name && slices.EqualFunc(a.columns, b.columns, func(x, y tableColumn) bool { return x.name == y.name && x.kind == y.kind })
}
