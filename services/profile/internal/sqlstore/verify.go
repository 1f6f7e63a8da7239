package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/profile"
)

// verify returns an error that has the group applied again if what it read no longer holds. The head is locked. What others cannot have
// changed without moving the head needs no look while it stands where it stood; new uids and external ids are guarded by unique
// indexes besides.
func (b *batch) verify(ctx context.Context, head profile.Head) error {
	if head.Revision == b.began.Revision && head.Incarnation == b.began.Incarnation {
		return nil
	}
	revisions := make(map[audience.UID]int64, len(b.dbEntries))
	uids := make([]audience.UID, 0, len(b.dbEntries))
	var absent []audience.UID
	for uid, e := range b.dbEntries {
		if _, leads := b.dbRedirects[uid]; e.dead && leads {
			continue // who comes back does so from a profile that changes, too, and was read with it
		}
		uids = append(uids, uid)
		if !e.exists && !e.dead {
			absent = append(absent, uid)
		}
	}
	err := b.s.stmt.revisions.each(ctx, b.tx, nil, keysOf(uids), func(rows *sql.Rows) error {
		var uid sql.RawBytes
		var revision int64
		err := rows.Scan(&uid, &revision)
		revisions[audience.UID(uid)] = revision
		return err
	})
	if err != nil {
		return err
	}
	for uid, e := range b.dbEntries {
		if now, exists := revisions[uid]; exists != e.exists || now != e.stored {
			return errStale
		}
	}
	// Created and deleted meanwhile.
	died := false
	err = b.s.stmt.tombstones.each(ctx, b.tx, nil, keysOf(absent), func(*sql.Rows) error { died = true; return nil })
	if err != nil || died {
		return errors.Join(err, errStale)
	}
	return b.verifyAttributes(ctx)
}

// certain returns the fault of a request, or an error that has the group applied again where the fault may come of a commit between two reads:
// a request that fails is not verified, and one that asks what became of a profile reads several rows.
func (b *batch) certain(ctx context.Context, err error) error {
	f := fault.As(err)
	if f == nil || b.s.db.Dialect == sqldb.SQLite {
		return err
	}
	of := f.Kind == fault.NotFound || f.Kind == fault.Precondition || f.Reason == profile.ReasonProfileExists
	if !of && len(b.dbRedirects) == 0 {
		return err
	}
	head, failed := readHead(ctx, b.tx, b.s.stmt.writeHead)
	if failed != nil {
		return failed
	}
	if head.Revision == b.began.Revision && head.Incarnation == b.began.Incarnation {
		return err
	}
	b.s.disturbed = true
	return errStale
}

// verifyHolders looks once more for the holders of external ids that the group gives away. The head is locked.
func (b *batch) verifyHolders(ctx context.Context) error {
	var claimed []profile.ExternalID
	for id, uid := range b.holders {
		if uid != (audience.UID{}) && uid != b.dbHolders[id] {
			claimed = append(claimed, id)
		}
	}
	taken := false
	err := b.readHolders(ctx, claimed, func(id profile.ExternalID, uid audience.UID) {
		// This group's own rows are there already.
		taken = taken || uid != b.holders[id]
	})
	if err == nil && taken {
		err = errStale
	}
	return err
}
