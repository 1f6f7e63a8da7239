package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
)

// entry is one state of one profile. Entries are not changed once they are staged; a change stages a new one.
type entry struct {
	uid              audience.UID
	exists           bool
	dead             bool // there is a tombstone
	created, updated int64
	body             []byte
	stored           int64 // revision, where the state is that of the database
	op               *op   // the change that made the state, where it is not
}

// op is one change, which gets its revision when the group is stamped.
type op struct {
	entry     *entry             // a profile's new state, or
	attribute *profile.Attribute // a declaration's
	requestID string             // under which the first answer is kept
	revision  int64
}

// stage is what a request, or the requests of a group so far, would make of the database.
type stage struct {
	entries    map[audience.UID]*entry
	holders    map[profile.ExternalID]audience.UID // zero: nobody
	attributes map[string]*profile.Attribute
	requests   map[string]*op
	ops        []*op
}

func newStage() stage {
	return stage{
		entries: make(map[audience.UID]*entry), holders: make(map[profile.ExternalID]audience.UID),
		attributes: make(map[string]*profile.Attribute), requests: make(map[string]*op),
	}
}

// batch is a group at work: what it read from its transaction, and what its successful requests staged.
type batch struct {
	stage
	tx *sql.Tx
	s  *Store
	// What the transaction held when the group began.
	dbEntries map[audience.UID]*entry
	dbHolders map[profile.ExternalID]audience.UID
	now       int64
	moved     bool // the group made revisions
}

// draft is one request at work, staged apart until it has succeeded.
type draft struct {
	stage
	*batchRef
}

// batchRef keeps draft's own stage from being shadowed by its batch's.
type batchRef struct{ b *batch }

func (b *batch) draft() *draft { return &draft{stage: newStage(), batchRef: &batchRef{b}} }

// keep makes a successful request's stage part of the group's.
func (b *batch) keep(d *draft) {
	if len(b.ops) == 0 { // the first one, of an import often the only one
		b.stage = d.stage
		return
	}
	maps.Copy(b.entries, d.entries)
	maps.Copy(b.holders, d.holders)
	maps.Copy(b.attributes, d.attributes)
	maps.Copy(b.requests, d.requests)
	b.ops = append(b.ops, d.ops...)
}

// load reads the states of profiles that the group has not met yet, and of those that do not exist whether they ever did.
func (b *batch) load(ctx context.Context, uids []audience.UID) error {
	var missing []audience.UID
	for _, uid := range uids {
		if b.dbEntries[uid] == nil {
			b.dbEntries[uid] = &entry{uid: uid}
			missing = append(missing, uid)
		}
	}
	if err := inChunks(missing, func(chunk []any, size int) error { return b.readEntries(ctx, chunk, size) }); err != nil {
		return err
	}
	missing = slices.DeleteFunc(missing, func(uid audience.UID) bool { return b.dbEntries[uid].exists })
	return inChunks(missing, func(chunk []any, size int) error { return b.readTombstones(ctx, chunk, size) })
}

func (b *batch) readEntries(ctx context.Context, chunk []any, size int) error {
	rows, err := within(ctx, b.tx, b.s.stmt.profiles[size]).QueryContext(ctx, chunk...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var uid sql.RawBytes
		e := &entry{exists: true}
		if err := rows.Scan(&uid, &e.stored, &e.created, &e.updated, &e.body); err != nil {
			return err
		}
		copy(e.uid[:], uid)
		b.dbEntries[e.uid] = e
	}
	return rows.Err()
}

func (b *batch) readTombstones(ctx context.Context, chunk []any, size int) error {
	rows, err := within(ctx, b.tx, b.s.stmt.tombstones[size]).QueryContext(ctx, chunk...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var uid sql.RawBytes
		if err := rows.Scan(&uid); err != nil {
			return err
		}
		b.dbEntries[audience.UID(uid)].dead = true
	}
	return rows.Err()
}

// loadHolders reads who holds external ids that the group has not met yet.
func (b *batch) loadHolders(ctx context.Context, ids []profile.ExternalID) error {
	missing := make(map[string][]string) // by source
	for _, id := range ids {
		if _, ok := b.dbHolders[id]; !ok {
			b.dbHolders[id] = audience.UID{}
			missing[id.Source] = append(missing[id.Source], id.Value)
		}
	}
	for source, values := range missing {
		for len(values) > 0 {
			size := sizeFor(len(values))
			args := make([]any, 1, readSizes[size]+1)
			args[0] = source
			for i := range readSizes[size] {
				args = append(args, values[min(i, len(values)-1)])
			}
			values = values[min(len(values), readSizes[size]):]
			if err := b.readHolders(ctx, source, size, args); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *batch) readHolders(ctx context.Context, source string, size int, args []any) error {
	rows, err := within(ctx, b.tx, b.s.stmt.externals[size]).QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var value string
		var uid sql.RawBytes
		if err := rows.Scan(&value, &uid); err != nil {
			return err
		}
		b.dbHolders[profile.ExternalID{Source: source, Value: value}] = audience.UID(uid)
	}
	return rows.Err()
}

// entry returns the state of a profile, which must be loaded, as this request would find it.
func (d *draft) entry(uid audience.UID) *entry {
	for _, m := range [...]map[audience.UID]*entry{d.entries, d.b.entries, d.b.dbEntries} {
		if e := m[uid]; e != nil {
			return e
		}
	}
	return &entry{uid: uid}
}

// holder returns who holds an external id, which must be loaded; zero: nobody.
func (d *draft) holder(id profile.ExternalID) audience.UID {
	for _, m := range [...]map[profile.ExternalID]audience.UID{d.holders, d.b.holders} {
		if uid, ok := m[id]; ok {
			return uid
		}
	}
	return d.b.dbHolders[id]
}

// loadRows reads what the rows of an upsert may touch, in few statements.
func (d *draft) loadRows(ctx context.Context, rows []profile.Row) error {
	var uids []audience.UID
	var ids []profile.ExternalID
	for _, r := range rows {
		if r.Profile == nil {
			continue
		}
		if r.Profile.UID != (audience.UID{}) {
			uids = append(uids, r.Profile.UID)
		}
		ids = append(ids, r.Profile.ExternalIDs()...)
	}
	if err := d.b.load(ctx, uids); err != nil {
		return err
	}
	if err := d.b.loadHolders(ctx, ids); err != nil {
		return err
	}
	uids = uids[:0]
	for _, id := range ids {
		if uid := d.holder(id); uid != (audience.UID{}) {
			uids = append(uids, uid)
		}
	}
	return d.b.load(ctx, uids)
}

// claim refuses a profile's external ids if another one holds them.
func (d *draft) claim(owner audience.UID, ids []profile.ExternalID) error {
	for _, id := range ids {
		if held := d.holder(id); held != (audience.UID{}) && held != owner {
			return profile.ExternalIDTaken(id.Source)
		}
	}
	return nil
}

// upsert stages one row, whose surroundings are loaded. After an error nothing is staged.
func (d *draft) upsert(r profile.Row) (profile.Upserted, error) {
	p, ids := r.Profile, r.Profile.ExternalIDs()
	uid := p.UID
	for _, id := range ids {
		if uid != (audience.UID{}) {
			break
		}
		uid = d.holder(id)
	}
	if err := d.claim(uid, ids); err != nil {
		return profile.Upserted{}, err
	}
	old := d.entry(uid)
	if r.Etag != "" && (!old.exists || !old.hasEtag(r.Etag)) {
		return profile.Upserted{}, profile.EtagMismatch(nameOf(uid))
	}
	if old.dead {
		return profile.Upserted{}, profile.Exists(nameOf(uid))
	}
	if uid == (audience.UID{}) {
		made, err := d.b.s.uids.Next(1)
		if err != nil {
			return profile.Upserted{}, err
		}
		uid = made[0]
		old = &entry{uid: uid}
	}
	body := record.Encode(make([]byte, 0, 256), p)
	if old.exists && bytes.Equal(body, old.body) {
		return profile.Upserted{UID: uid, Outcome: profile.Unchanged}, nil
	}
	if _, err := d.put(old, body, ids); err != nil {
		return profile.Upserted{}, err
	}
	if old.exists {
		return profile.Upserted{UID: uid, Outcome: profile.Updated}, nil
	}
	return profile.Upserted{UID: uid, Outcome: profile.Created}, nil
}

// hasEtag compares with the etag given. A state staged in this group has no revision yet, so nobody can have read its etag.
func (e *entry) hasEtag(etag string) bool { return e.op == nil && profile.Etag(e.stored) == etag }

// put stages a new state of a profile, whose external ids are claimed.
func (d *draft) put(old *entry, body []byte, ids []profile.ExternalID) (*op, error) {
	if err := d.release(old); err != nil {
		return nil, err
	}
	e := &entry{uid: old.uid, exists: true, created: old.created, updated: d.b.now, body: body}
	if !old.exists {
		e.created = d.b.now
	}
	for _, id := range ids {
		d.holders[id] = old.uid
	}
	return d.change(e), nil
}

// remove stages the deletion of a profile.
func (d *draft) remove(old *entry) (*op, error) {
	if err := d.release(old); err != nil {
		return nil, err
	}
	return d.change(&entry{uid: old.uid, dead: true}), nil
}

func (d *draft) change(e *entry) *op {
	o := &op{entry: e}
	e.op = o
	d.entries[e.uid] = e
	d.ops = append(d.ops, o)
	return o
}

// release gives up the external ids of a state.
func (d *draft) release(old *entry) error {
	if !old.exists {
		return nil
	}
	var p profile.Profile
	if err := record.Decode(old.body, &p); err != nil {
		return err
	}
	for _, id := range p.ExternalIDs() {
		if _, known := d.b.dbHolders[id]; !known {
			// Not read, because nobody asked for it; but what a stored profile has, it holds.
			d.b.dbHolders[id] = old.uid
		}
		d.holders[id] = audience.UID{}
	}
	return nil
}
