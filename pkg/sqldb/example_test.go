package sqldb_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing/fstest"

	"github.com/narrowcast/narrowcast/pkg/sqldb"
)

// A store whose writes get dense revisions: many may submit at once, few transactions are made.
func ExampleGroup() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	db, err := sqldb.OpenSQLite(ctx, sqldb.Config{Path: filepath.Join(dir, "store.db")})
	if err != nil {
		panic(err)
	}
	defer db.Close()
	migrations := fstest.MapFS{"00001_notes.sql": {Data: []byte(`-- +goose Up
create table head (revision integer not null);
insert into head values (0);
create table notes (text text not null, revision integer);
`)}} // a program embeds a folder
	if err := db.Migrate(ctx, migrations, slog.New(slog.DiscardHandler)); err != nil {
		panic(err)
	}

	group, err := sqldb.NewGroup(db, sqldb.GroupConfig[string, int64]{
		Apply: func(ctx context.Context, tx *sql.Tx, text string) (row int64, err error) {
			return row, tx.QueryRowContext(ctx, "insert into notes(text) values ($1) returning rowid", text).Scan(&row)
		},
		Stamp: func(ctx context.Context, tx *sql.Tx, done []*sqldb.Done[string, int64]) error {
			var head int64
			if err := tx.QueryRowContext(ctx, "update head set revision = revision + $1 returning revision", len(done)).Scan(&head); err != nil {
				return err
			}
			for i, d := range done {
				row := d.Res
				d.Res = head - int64(len(done)-1-i)
				if _, err := tx.ExecContext(ctx, "update notes set revision = $1 where rowid = $2", d.Res, row); err != nil {
					return err
				}
			}
			return nil
		},
	})
	if err != nil {
		panic(err)
	}
	defer group.Close(ctx)
	for _, text := range []string{"first", "second"} {
		fmt.Println(group.Submit(ctx, text))
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
}
