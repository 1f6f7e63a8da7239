package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
)

// importing is the progress of an import, staged over the one that is stored.
type importing struct {
	profile.Progress
	stored int64 // through, in the database
}

const progressQuery = "select through, created, updated, unchanged, rejected from imports where id = $1"

func scanProgress(row *sql.Row) (p profile.Progress, err error) {
	err = row.Scan(&p.Through, &p.Created, &p.Updated, &p.Unchanged, &p.Rejected)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return p, err
}

// ImportProgress returns how far an import has come.
func (s *Store) ImportProgress(ctx context.Context, id string) (profile.Progress, profile.Position, error) {
	var progress profile.Progress
	var head profile.Head
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) (err error) {
		if progress, err = scanProgress(tx.QueryRowContext(ctx, progressQuery, id)); err != nil {
			return err
		}
		head, err = readHead(ctx, tx, s.stmt.head)
		return err
	})
	if err != nil {
		return profile.Progress{}, profile.Position{}, s.translate(fmt.Errorf("read import: %w", err))
	}
	return progress, head.Position, nil
}

// importing returns the progress of an import as this request would find it.
func (d *draft) importing(ctx context.Context, id string) (importing, error) {
	if i, staged := d.b.imports[id]; staged {
		return i, nil
	}
	p, err := scanProgress(d.b.tx.QueryRowContext(ctx, progressQuery, id))
	return importing{Progress: p, stored: p.Through}, err
}

// Import upserts rows and stores the import's progress with them.
func (s *Store) Import(ctx context.Context, id string, from int64, rows []profile.Row) ([]profile.Upserted, profile.Progress, profile.Position, error) {
	results := make([]profile.Upserted, len(rows))
	var progress profile.Progress
	pos, err := s.submit(ctx, "import profiles", len(rows), func(ctx context.Context, d *draft) error {
		i, err := d.importing(ctx, id)
		if err != nil {
			return err
		}
		if i.Through != from {
			return overtaken(i.Through)
		}
		if err := d.loadRows(ctx, rows); err != nil {
			return err
		}
		for n, r := range rows {
			if results[n], err = d.importRow(r); err != nil {
				return err
			}
			i.Count(results[n])
		}
		d.imports[id], progress = i, i.Progress
		return nil
	})
	if err != nil {
		return nil, profile.Progress{}, profile.Position{}, err
	}
	return results, progress, pos, nil
}

func overtaken(through int64) error {
	return fault.New(fault.Conflict, profile.ReasonImportProtocol,
		"another stream of this import went on meanwhile; start it again with the same id").With("expected", through)
}

// importRow upserts one row; a refusal is its result's Err, any other error the whole import's.
func (d *draft) importRow(r profile.Row) (profile.Upserted, error) {
	if r.Profile == nil {
		return profile.Upserted{}, nil
	}
	result, err := d.upsert(r)
	if f := fault.As(err); f != nil && (f.Kind == fault.Exists || f.Kind == fault.Conflict) {
		return profile.Upserted{Err: f}, nil
	}
	return result, err
}

// writeImports stores how far imports have come, unless another process went on with one.
func (b *batch) writeImports(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(b.imports)) {
		i := b.imports[id]
		done, err := b.tx.ExecContext(ctx, `insert into imports (id, through, created, updated, unchanged, rejected, update_time)
			values ($1, $2, $3, $4, $5, $6, $7) on conflict (id) do update set through = excluded.through, created = excluded.created,
			updated = excluded.updated, unchanged = excluded.unchanged, rejected = excluded.rejected, update_time = excluded.update_time
			where imports.through = $8`, id, i.Through, i.Created, i.Updated, i.Unchanged, i.Rejected, b.now, i.stored)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, errStale)
		}
	}
	return nil
}

// PurgeImports removes up to limit imports to which nothing was written since before, and returns how many. An import that goes on
// afterwards begins from its first row: rows that are known by a uid or an external id are unchanged then.
func (s *Store) PurgeImports(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int64
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, "delete from imports where id in (select id from imports where update_time < $1 order by id limit $2)", before.UnixMicro(), int64(limit))
		if err == nil {
			n, err = done.RowsAffected()
		}
		return err
	})
	if err != nil {
		return 0, s.translate(fmt.Errorf("purge imports: %w", err))
	}
	return int(n), nil
}
