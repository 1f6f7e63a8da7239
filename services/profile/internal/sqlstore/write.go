package sqlstore

import (
	"context"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// writeProfiles writes the last staged state of each profile, by uid.
func (b *batch) writeProfiles(ctx context.Context) error {
	var fresh, bodies, contacts, removed []*op
	var revived []audience.UID
	for _, o := range b.ops {
		e := o.entry
		if e == nil || b.entries[e.uid] != e {
			continue // a later change of the group goes over it
		}
		switch old := b.dbEntries[e.uid]; {
		case !e.exists:
			removed = append(removed, o)
		case old == nil || !old.exists:
			fresh = append(fresh, o)
			if old != nil && old.dead {
				revived = append(revived, e.uid)
			}
		case e.keeps || string(old.contact) == string(e.contact): // opened to be compared
			bodies = append(bodies, o)
		default:
			contacts = append(contacts, o)
		}
	}
	st := &b.s.stmt
	if err := b.writeRemoved(ctx, removed); err != nil {
		return err
	}
	for _, uid := range revived {
		if _, err := b.tx.ExecContext(ctx, "delete from tombstones where uid = $1", uid[:]); err != nil {
			return err
		}
	}
	if err := b.writeWhole(ctx, st.insertProfiles, fresh); err != nil {
		return err
	}
	if err := b.writeWhole(ctx, st.updateContacts, contacts); err != nil {
		return err
	}
	// The seal stays as it is: another key may have come to it meanwhile.
	return b.exactly(ctx, st.updateBodies, len(bodies), func(i int, to []any) []any {
		e := bodies[i].entry
		return append(to, e.uid[:], bodies[i].revision, e.created, e.updated, e.body, e.provenance)
	})
}

func (b *batch) writeWhole(ctx context.Context, stmt *bulk, ops []*op) error {
	sealed, keys := make([][]byte, len(ops)), make([]int64, len(ops))
	for i, o := range ops {
		var err error
		if sealed[i], keys[i], err = seal(b.ring, o.entry.uid, o.entry.contact); err != nil {
			return err
		}
	}
	return b.exactly(ctx, stmt, len(ops), func(i int, to []any) []any {
		e := ops[i].entry
		return append(to, e.uid[:], ops[i].revision, e.created, e.updated, e.body, e.provenance, sealed[i], keys[i])
	})
}

func (b *batch) writeRemoved(ctx context.Context, ops []*op) error {
	// One that came and went in this group has no row.
	if _, err := b.s.stmt.deleteProfiles.write(ctx, b.tx, len(ops), func(i int, to []any) []any { return append(to, ops[i].entry.uid[:]) }); err != nil {
		return err
	}
	return b.exactly(ctx, b.s.stmt.insertTombstones, len(ops), func(i int, to []any) []any {
		return append(to, ops[i].entry.uid[:], ops[i].revision)
	})
}

// exactly writes rows that must all be touched.
func (b *batch) exactly(ctx context.Context, stmt *bulk, n int, row func(i int, to []any) []any) error {
	touched, err := stmt.write(ctx, b.tx, n, row)
	if err == nil && touched != int64(n) {
		err = errStale
	}
	return err
}
