package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/profile"
)

// redirect says where the uid of a profile that was merged leads.
type redirect struct {
	survivor audience.UID // which it was merged into
	target   audience.UID // which the person is now: the survivor, or which that was merged into
	seq      int64        // place among the merges into the survivor
	gone     bool         // staged: the merge was taken back
}

// loadRedirects reads where dead profiles lead, and the profiles there. Rows change only together with the revision of the profile that they
// lead to, so verifying profiles verifies them.
func (b *batch) loadRedirects(ctx context.Context, dead []audience.UID) error {
	var targets []audience.UID
	err := b.s.stmt.redirects.each(ctx, b.tx, nil, keysOf(dead), func(rows *sql.Rows) error {
		r, err := b.loadRedirect(rows)
		targets = append(targets, r.target)
		return err
	})
	if err != nil || len(targets) == 0 {
		return err
	}
	return b.load(ctx, targets)
}

func (b *batch) loadRedirect(rows *sql.Rows) (redirect, error) {
	var uid, survivor, target sql.RawBytes
	var r redirect
	if err := rows.Scan(&uid, &survivor, &target, &r.seq); err != nil {
		return r, err
	}
	r.survivor, r.target = audience.UID(survivor), audience.UID(target)
	b.dbRedirects[audience.UID(uid)] = r
	return r, nil
}

// redirect returns where a profile leads as this request would find it; false: nowhere.
func (d *draft) redirect(uid audience.UID) (redirect, bool) {
	for _, m := range [...]map[audience.UID]redirect{d.redirects, d.b.redirects, d.b.dbRedirects} {
		if r, ok := m[uid]; ok {
			return r, !r.gone
		}
	}
	return redirect{}, false
}

// follow returns the uid of the profile that a person is now, by a uid that is loaded.
func (d *draft) follow(uid audience.UID) audience.UID {
	if d.entry(uid).exists {
		return uid
	}
	if r, ok := d.redirect(uid); ok {
		return r.target
	}
	return uid
}

// leadingTo returns the uids that lead to a profile, ascending.
func (d *draft) leadingTo(ctx context.Context, target audience.UID) ([]audience.UID, error) {
	if !d.b.dbTargets[target] {
		rows, err := d.b.tx.QueryContext(ctx, d.b.s.text("select {uid}, {survivor}, {target}, seq from redirects where target = $1"), target[:])
		err = eachRow(rows, err, func(rows *sql.Rows) error {
			_, err := d.b.loadRedirect(rows)
			return err
		})
		if err != nil {
			return nil, err
		}
		d.b.dbTargets[target] = true
	}
	found := make(map[audience.UID]bool)
	for _, m := range [...]map[audience.UID]redirect{d.redirects, d.b.redirects, d.b.dbRedirects} {
		for uid := range m {
			if r, ok := d.redirect(uid); ok && r.target == target {
				found[uid] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), compareUIDs), nil
}

// readTargets returns the profiles that dead ones lead to.
func (s *Store) readTargets(ctx context.Context, tx *sql.Tx, uids []audience.UID) (map[audience.UID]audience.UID, error) {
	targets := make(map[audience.UID]audience.UID)
	err := s.stmt.readRedirects.each(ctx, tx, nil, keysOf(uids), func(rows *sql.Rows) error {
		var uid, target sql.RawBytes
		if err := rows.Scan(&uid, &target); err != nil {
			return err
		}
		targets[audience.UID(uid)] = audience.UID(target)
		return nil
	})
	return targets, err
}

// Survivors returns which of the profiles are what the uid of another one leads to.
func (s *Store) Survivors(ctx context.Context, uids []audience.UID) (map[audience.UID]bool, error) {
	found := make(map[audience.UID]bool)
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		return s.stmt.readSurvivors.each(ctx, tx, nil, keysOf(uids), func(rows *sql.Rows) error {
			var target sql.RawBytes
			if err := rows.Scan(&target); err != nil {
				return err
			}
			found[audience.UID(target)] = true
			return nil
		})
	})
	if err != nil {
		return nil, s.translate(fmt.Errorf("read survivors of merges: %w", err))
	}
	return found, nil
}

// person returns the uid of the profile that a person is now, or NotFound.
func (s *Store) person(ctx context.Context, tx *sql.Tx, uid audience.UID) (audience.UID, error) {
	exists := func(uid audience.UID) (bool, error) {
		var n int
		err := tx.QueryRowContext(ctx, "select count(*) from profiles where uid = $1", uid[:]).Scan(&n)
		return n > 0, err
	}
	if here, err := exists(uid); err != nil || here {
		return uid, err
	}
	targets, err := s.readTargets(ctx, tx, []audience.UID{uid})
	if err != nil {
		return uid, err
	}
	if target, merged := targets[uid]; merged {
		if here, err := exists(target); err != nil || here {
			return target, err
		}
	}
	return uid, profile.NotFound(nameOf(uid))
}

// writeRedirects writes where profiles lead from now on. The head is locked.
func (b *batch) writeRedirects(ctx context.Context) error {
	for _, uid := range slices.SortedFunc(maps.Keys(b.redirects), compareUIDs) {
		r := b.redirects[uid]
		query, args := "delete from redirects where uid = $1", []any{uid[:]}
		if !r.gone {
			query = `insert into redirects (uid, survivor, target, seq) values ($1, $2, $3, $4)
				on conflict (uid) do update set survivor = excluded.survivor, target = excluded.target, seq = excluded.seq`
			args = append(args, r.survivor[:], r.target[:], r.seq)
		}
		if _, err := b.tx.ExecContext(ctx, query, args...); err != nil {
			return err
		}
	}
	return nil
}

func compareUIDs(a, b audience.UID) int { return bytes.Compare(a[:], b[:]) }
