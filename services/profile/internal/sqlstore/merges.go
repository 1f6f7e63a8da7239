package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
	"github.com/narrowcast/narrowcast/services/profile/merging"
)

// merge is what is kept of a merge; record is in clear. A nil record is staged where it is forgotten.
type merge struct {
	expires int64
	record  []byte
}

// Merge makes one profile of two.
func (s *Store) Merge(ctx context.Context, survivor, merged audience.UID, want profile.MergeOptions) (*profile.Profile, time.Time, profile.Position, error) {
	var made *op
	var expires int64
	var b *batch
	pos, err := s.submit(ctx, "merge profiles", 3, func(ctx context.Context, d *draft) (err error) {
		b = d.b
		made, expires, err = d.merge(ctx, survivor, merged, want)
		return err
	})
	if err != nil {
		return nil, time.Time{}, profile.Position{}, err
	}
	p, err := b.final(made).profile()
	if err != nil {
		return nil, time.Time{}, profile.Position{}, s.translate(err)
	}
	return p, time.UnixMicro(expires).UTC(), pos, nil
}

// final returns the change that made a profile what it is after the commit, where it still is one: traits are computed last.
func (b *batch) final(o *op) *op {
	if e := b.entries[o.entry.uid]; e.exists {
		return e.op
	}
	return o
}

func (d *draft) merge(ctx context.Context, survivor, merged audience.UID, want profile.MergeOptions) (*op, int64, error) {
	into, err := d.found(ctx, survivor, "")
	if err != nil {
		return nil, 0, err
	}
	from, err := d.found(ctx, merged, "")
	switch {
	case err != nil:
		return nil, 0, err
	case into.uid == from.uid: // whoever repeats a merge, with etags of before, hears this
		return nil, 0, profile.AlreadyMerged(nameOf(merged))
	case want.Etag != "" && !into.hasEtag(want.Etag):
		return nil, 0, profile.EtagMismatch(nameOf(survivor))
	case want.MergedEtag != "" && !from.hasEtag(want.MergedEtag):
		return nil, 0, profile.EtagMismatch(nameOf(merged))
	}
	var r merging.Record
	if r.Survivor, err = into.side(d.b); err != nil {
		return nil, 0, err
	}
	if r.Merged, err = from.side(d.b); err != nil {
		return nil, 0, err
	}
	r.Result = merging.Merge(r.Survivor, r.Merged, want.Policy, want.Trust)
	if err := d.moveEvents(ctx, from.uid, into.uid); err != nil {
		return nil, 0, err
	}
	if _, err := d.remove(from); err != nil {
		return nil, 0, err
	}
	made, err := d.putSide(into, into.created, r.Result)
	if err != nil {
		return nil, 0, err
	}
	if err := d.lead(ctx, from.uid, into.uid); err != nil {
		return nil, 0, err
	}
	expires := d.b.now + d.b.s.cfg.UndoPeriod.Microseconds()
	d.merges[from.uid] = merge{expires: expires, record: r.Encode(nil)}
	return made, expires, nil
}

// putSide stages a new state of a profile whose provenance is known, and claims its external ids.
func (d *draft) putSide(old *entry, created int64, s merging.Side) (*op, error) {
	p := s.Profile
	return d.store(old, created, record.Body(nil, p), record.Contact(nil, p), s.Provenance.Encode(nil, p), p.ExternalIDs())
}

// lead stages that a profile leads to another one, and with it all that led to it.
func (d *draft) lead(ctx context.Context, from, to audience.UID) error {
	others, err := d.leadingTo(ctx, to)
	if err != nil {
		return err
	}
	seq := int64(1)
	for _, uid := range others {
		if r, _ := d.redirect(uid); r.survivor == to {
			seq = max(seq, r.seq+1)
		}
	}
	before, err := d.leadingTo(ctx, from)
	if err != nil {
		return err
	}
	for _, uid := range before {
		r, _ := d.redirect(uid)
		r.target = to
		d.redirects[uid] = r
	}
	d.redirects[from] = redirect{survivor: to, target: to, seq: seq}
	return nil
}

// Unmerge takes a merge back.
func (s *Store) Unmerge(ctx context.Context, merged audience.UID) (restored, remaining *profile.Profile, at profile.Position, err error) {
	var ops [2]*op
	var b *batch
	at, err = s.submit(ctx, "unmerge profiles", 4, func(ctx context.Context, d *draft) (err error) {
		b = d.b
		ops, err = d.unmerge(ctx, merged)
		return err
	})
	if err != nil {
		return nil, nil, profile.Position{}, err
	}
	var both [2]*profile.Profile
	for i, o := range ops {
		if both[i], err = b.final(o).profile(); err != nil {
			return nil, nil, profile.Position{}, s.translate(err)
		}
	}
	return both[0], both[1], at, nil
}

// unmerge returns the changes of the profile that was merged and of the one that it was merged into.
func (d *draft) unmerge(ctx context.Context, uid audience.UID) (ops [2]*op, err error) {
	into, r, err := d.undoable(ctx, uid)
	if err != nil {
		return ops, err
	}
	now, err := into.side(d.b)
	if err != nil {
		return ops, err
	}
	survivor, merged := merging.Undo(r, now)
	if ops[1], err = d.putSide(into, into.created, survivor); err != nil {
		return ops, err
	}
	// The survivor gave its external ids up. One that was its own no longer may be somebody else's by now.
	ids := merged.Profile.ExternalIDs()
	if err := d.b.loadHolders(ctx, ids); err != nil {
		return ops, err
	}
	if err := d.claim(uid, ids); err != nil {
		return ops, err
	}
	old := d.entry(uid)
	// Where nothing was known of its provenance, the time of its last change told it, which is another one now.
	merged.Provenance = merging.Track(merged.Profile, merged.Profile, merged.Provenance, time.UnixMicro(d.b.now), "")
	if ops[0], err = d.putSide(old, r.Merged.Profile.CreateTime.UnixMicro(), merged); err != nil {
		return ops, err
	}
	back, err := d.leadBack(ctx, uid, into.uid)
	if err != nil {
		return ops, err
	}
	d.merges[uid] = merge{}
	return ops, d.moveEvents(ctx, into.uid, uid, back...)
}

// undoable returns the survivor of a merge that can be taken back, and what is kept of the merge.
func (d *draft) undoable(ctx context.Context, uid audience.UID) (*entry, merging.Record, error) {
	none := merging.Record{}
	if err := d.b.load(ctx, []audience.UID{uid}); err != nil {
		return nil, none, err
	}
	to, ok := d.redirect(uid)
	name := nameOf(uid)
	if !ok || d.entry(uid).exists {
		return nil, none, profile.MergeNotFound(name)
	}
	into := d.entry(to.target)
	switch {
	case to.target != to.survivor:
		return nil, none, profile.MergeBuiltUpon(name, "the profile that it was merged into was merged on; undo that merge first")
	case !into.exists:
		return nil, none, profile.MergeBuiltUpon(name, "the profile that it was merged into was deleted")
	}
	others, err := d.leadingTo(ctx, to.target)
	if err != nil {
		return nil, none, err
	}
	for _, other := range others {
		if r, _ := d.redirect(other); r.survivor == to.survivor && r.seq > to.seq {
			return nil, none, profile.MergeBuiltUpon(name, nameOf(other)+" was merged into the same profile later; undo that merge first")
		}
	}
	m, err := d.merged(ctx, uid)
	if err != nil {
		return nil, none, err
	}
	if m.record == nil || m.expires <= d.b.now {
		return nil, none, profile.MergeExpired(name)
	}
	r, err := merging.DecodeRecord(m.record)
	if err != nil {
		return nil, none, fmt.Errorf("decode merge of %s: %w", name, err)
	}
	return into, r, nil
}

// leadBack stages that a profile leads nowhere any more, and that what was merged into it leads to it again; it returns these, and itself.
func (d *draft) leadBack(ctx context.Context, uid, from audience.UID) ([]audience.UID, error) {
	others, err := d.leadingTo(ctx, from)
	if err != nil {
		return nil, err
	}
	r, _ := d.redirect(uid)
	r.gone = true
	d.redirects[uid] = r
	// Merges into it, merges into these, and so on.
	back := map[audience.UID]bool{uid: true}
	for found := true; found; {
		found = false
		for _, other := range others {
			if r, ok := d.redirect(other); ok && !back[other] && back[r.survivor] {
				r.target = uid
				d.redirects[other] = r
				back[other], found = true, true
			}
		}
	}
	return slices.Collect(maps.Keys(back)), nil
}

// forgetMerges stages that nothing is kept of the merges that made a profile.
func (d *draft) forgetMerges(ctx context.Context, uid audience.UID) error {
	others, err := d.leadingTo(ctx, uid)
	if err != nil {
		return err
	}
	for _, other := range others {
		d.merges[other] = merge{}
	}
	return nil
}

// merged returns what is kept of a merge as this request would find it; no record where nothing is.
func (d *draft) merged(ctx context.Context, uid audience.UID) (merge, error) {
	for _, m := range [...]map[audience.UID]merge{d.merges, d.b.merges} {
		if one, ok := m[uid]; ok {
			return one, nil
		}
	}
	var m merge
	var sealed []byte
	err := d.b.tx.QueryRowContext(ctx, "select expire_time, record from merges where uid = $1", uid[:]).Scan(&m.expires, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	if m.record, err = d.b.s.open(d.b.ring, sealed, mergeSeal(uid)); err != nil {
		return m, fmt.Errorf("open merge of %s: %w", nameOf(uid), err)
	}
	return m, nil
}

// mergeSeal is what the record of a merge is sealed with beside the key, so that it is not taken for the contact of a profile.
func mergeSeal(uid audience.UID) []byte { return append(bytes.Clone(uid[:]), "merge"...) }

// writeMerges writes what is kept of merges. The head is locked.
func (b *batch) writeMerges(ctx context.Context) error {
	for _, uid := range slices.SortedFunc(maps.Keys(b.merges), compareUIDs) {
		m := b.merges[uid]
		if _, err := b.tx.ExecContext(ctx, "delete from merges where uid = $1", uid[:]); err != nil {
			return err
		}
		if m.record == nil {
			continue
		}
		sealed, err := b.ring.Seal(m.record, mergeSeal(uid))
		if err != nil {
			return err
		}
		if _, err := b.tx.ExecContext(ctx, "insert into merges (uid, expire_time, record, record_key) values ($1, $2, $3, $4)",
			uid[:], m.expires, sealed, int64(b.ring.PrimaryContact())); err != nil {
			return err
		}
	}
	return nil
}

// PurgeMerges forgets what is kept of merges that can no longer be taken back.
func (s *Store) PurgeMerges(ctx context.Context) (int, error) {
	var n int64
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, "delete from merges where expire_time <= $1", s.cfg.Now().UnixMicro())
		if err != nil {
			return err
		}
		n, err = done.RowsAffected()
		return err
	})
	if err != nil {
		return 0, s.translate(fmt.Errorf("purge merges: %w", err))
	}
	return int(n), nil
}

// rekeyMerges stages the records of merges that are sealed with another key than the primary, one that the ring has.
func (d *draft) rekeyMerges(ctx context.Context, limit int) error {
	return d.eachFormer(ctx, nextMergeKey, "select {uid}, record from merges where record_key = $1 limit $2", func(rows *sql.Rows) error {
		var uid sql.RawBytes
		var m sealedMerge
		if err := rows.Scan(&uid, &m.sealed); err != nil {
			return err
		}
		m.uid = audience.UID(uid)
		if _, err := d.b.ring.Open(m.sealed, mergeSeal(m.uid)); err == nil { // else it waits for its key, or for the end of its period
			d.rekeyed.merges = append(d.rekeyed.merges, m)
		}
		return nil
	}, limit, func() int { return len(d.rekeyed.merges) })
}

type sealedMerge struct {
	uid    audience.UID
	sealed []byte
}

// writeRekeyedMerges seals records anew that nobody changed otherwise.
func (b *batch) writeRekeyedMerges(ctx context.Context, ring *keyring.Ring) error {
	for _, m := range b.rekeyed.merges {
		if _, changed := b.merges[m.uid]; changed {
			continue
		}
		plain, err := ring.Open(m.sealed, mergeSeal(m.uid))
		if err != nil {
			return err
		}
		again, err := ring.Seal(plain, mergeSeal(m.uid))
		if err != nil {
			return err
		}
		if _, err := b.tx.ExecContext(ctx, "update merges set record = $1, record_key = $2 where uid = $3 and record = $4", again, int64(ring.PrimaryContact()), m.uid[:], m.sealed); err != nil {
			return err
		}
	}
	return nil
}
