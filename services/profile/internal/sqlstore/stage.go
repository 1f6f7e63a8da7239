package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
	"github.com/narrowcast/narrowcast/services/profile/merging"
)

// entry is one state of one profile. Entries are not changed once they are staged; a change stages a new one.
type entry struct {
	uid              audience.UID
	exists           bool
	dead             bool // there is a tombstone
	made             bool // the uid is this store's own and new: nobody else can have it
	created, updated int64
	body             []byte
	contact          []byte // in clear; of a state of the database only once it was opened
	sealed           []byte // of a state of the database
	key              int64  // with which sealed is sealed
	provenance       []byte // of the body and the contact; see package merging
	keeps            bool   // names and identifiers are those of the database, whether contact was opened or not
	stored           int64  // revision, where the state is that of the database
	op               *op    // the change that made the state, where it is not
}

// open returns the contact of a state.
func (e *entry) open(b *batch) ([]byte, error) {
	if e.contact == nil && len(e.sealed) > 0 {
		var err error
		if e.contact, err = b.s.unseal(b.ring, e.uid, e.sealed); err != nil {
			return nil, err
		}
	}
	return e.contact, nil
}

// profile is the state as a profile.
func (e *entry) profile(b *batch) (*profile.Profile, error) {
	contact, err := e.open(b)
	if err != nil {
		return nil, err
	}
	return decode(e.uid, e.stored, e.created, e.updated, e.body, contact)
}

// externalIDs are those that the state holds.
func (e *entry) externalIDs(b *batch) ([]profile.ExternalID, error) {
	contact, err := e.open(b)
	if err != nil || len(contact) == 0 {
		return nil, err
	}
	var p profile.Profile
	if err := record.Decode(contact, &p); err != nil {
		return nil, err
	}
	return p.ExternalIDs(), nil
}

// hasEtag compares with the etag given. A state staged in this group has no revision yet, so nobody can have read its etag.
func (e *entry) hasEtag(etag string) bool { return e.op == nil && profile.Etag(e.stored) == etag }

// op is one change, which gets its revision when the group is stamped.
type op struct {
	entry     *entry             // a profile's new state, or
	attribute *profile.Attribute // a declaration's
	requestID string             // under which the first answer is kept
	revision  int64
}

// profile returns the state that a stamped change made.
func (o *op) profile() (*profile.Profile, error) {
	e := o.entry
	return decode(e.uid, o.revision, e.created, e.updated, e.body, e.contact)
}

// stage is what a request, or the requests of a group so far, would make of the database.
type stage struct {
	entries    map[audience.UID]*entry
	holders    map[profile.ExternalID]audience.UID // zero: nobody
	attributes map[string]*profile.Attribute
	requests   map[string]*op
	imports    map[string]importing
	redirects  map[audience.UID]redirect
	merges     map[audience.UID]merge
	events     map[eventKey]*happening
	touched    map[audience.UID]bool // whose traits are computed anew
	rekeyed    rekeyed
	ops        []*op
}

func newStage() stage {
	return stage{
		entries: make(map[audience.UID]*entry), holders: make(map[profile.ExternalID]audience.UID),
		attributes: make(map[string]*profile.Attribute), requests: make(map[string]*op), imports: make(map[string]importing),
		redirects: make(map[audience.UID]redirect), merges: make(map[audience.UID]merge),
		events: make(map[eventKey]*happening), touched: make(map[audience.UID]bool),
	}
}

// merge takes over what a later request staged.
func (s *stage) merge(later *stage) {
	maps.Copy(s.entries, later.entries)
	maps.Copy(s.holders, later.holders)
	maps.Copy(s.attributes, later.attributes)
	maps.Copy(s.requests, later.requests)
	maps.Copy(s.imports, later.imports)
	maps.Copy(s.redirects, later.redirects)
	maps.Copy(s.merges, later.merges)
	maps.Copy(s.events, later.events)
	maps.Copy(s.touched, later.touched)
	s.rekeyed.merge(later.rekeyed)
	s.ops = append(s.ops, later.ops...)
}

// batch is a group at work: what it read from its transaction, and what its successful requests staged.
type batch struct {
	stage
	kept bool // a request was staged
	tx   *sql.Tx
	s    *Store
	ring *keyring.Ring
	// began is the head before the group read anything: while it stands, nobody else has changed anything.
	began profile.Head
	// What the transaction held when the group read it.
	dbEntries map[audience.UID]*entry
	dbHolders map[profile.ExternalID]audience.UID
	// dbRedirects are where dead profiles lead, and dbTargets the profiles of which all that lead to them are known.
	dbRedirects map[audience.UID]redirect
	dbTargets   map[audience.UID]bool
	dbBearers   map[profile.Identifier][]audience.UID
	dbEvents    map[eventKey]*happening
	dbStories   map[audience.UID]*story
	// dbAttributes are the revisions of declarations.
	dbAttributes map[string]int64
	due          []dueRow
	stale        bool // what was read twice was not the same
	now          int64
	moved        int64 // the head that the group made; 0: none
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
	if !b.kept { // the first one, of an import often the only one
		b.stage, b.kept = d.stage, true
		return
	}
	b.merge(&d.stage)
}

// load reads the states of profiles that the group has not met yet, and of those that do not exist whether they ever did and where they
// lead.
func (b *batch) load(ctx context.Context, uids []audience.UID) error {
	var missing []audience.UID
	for _, uid := range uids {
		if b.dbEntries[uid] == nil {
			b.dbEntries[uid] = &entry{uid: uid}
			missing = append(missing, uid)
		}
	}
	err := b.readEntries(ctx, missing)
	if err != nil { // the group may go on without this request, and knows nothing of them
		for _, uid := range missing {
			delete(b.dbEntries, uid)
		}
	}
	return err
}

func (b *batch) readEntries(ctx context.Context, uids []audience.UID) error {
	if err := b.s.stmt.profiles.each(ctx, b.tx, nil, keysOf(uids), b.loadEntry); err != nil {
		return err
	}
	var absent, dead []audience.UID
	for _, uid := range uids {
		if !b.dbEntries[uid].exists {
			absent = append(absent, uid)
		}
	}
	err := b.s.stmt.tombstones.each(ctx, b.tx, nil, keysOf(absent), func(rows *sql.Rows) error {
		var uid sql.RawBytes
		if err := rows.Scan(&uid); err != nil {
			return err
		}
		b.dbEntries[audience.UID(uid)].dead = true
		dead = append(dead, audience.UID(uid))
		return nil
	})
	if err != nil {
		return err
	}
	return b.loadRedirects(ctx, dead)
}

func (b *batch) loadEntry(rows *sql.Rows) error {
	var uid sql.RawBytes
	e := &entry{exists: true}
	if err := rows.Scan(&uid, &e.stored, &e.created, &e.updated, &e.body, &e.sealed, &e.key, &e.provenance); err != nil {
		return err
	}
	copy(e.uid[:], uid)
	b.dbEntries[e.uid] = e
	return nil
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

// found loads the state of a profile that must exist and have the etag, if one is given: of the one that the person is now.
func (d *draft) found(ctx context.Context, uid audience.UID, etag string) (*entry, error) {
	if err := d.b.load(ctx, []audience.UID{uid}); err != nil {
		return nil, err
	}
	e := d.entry(d.follow(uid))
	if !e.exists {
		return nil, profile.NotFound(nameOf(uid))
	}
	if etag != "" && !e.hasEtag(etag) {
		return nil, profile.EtagMismatch(nameOf(uid))
	}
	return e, nil
}

// make returns the state of a new profile with a uid of the store's own.
func (d *draft) make() (*entry, error) {
	made, err := d.b.s.uids.Next(1)
	if err != nil {
		return nil, err
	}
	return &entry{uid: made[0], made: true}, nil
}

// put stages a new state of a profile, p, made of its two records, whose external ids are claimed. source is where it comes from.
func (d *draft) put(old *entry, p *profile.Profile, body, contact []byte, ids []profile.ExternalID, source string) (*op, error) {
	provenance, err := d.track(old, p, source)
	if err != nil {
		return nil, err
	}
	created := old.created
	if !old.exists {
		created = d.b.now
	}
	return d.store(old, created, body, contact, provenance, ids)
}

// store stages a new state of a profile as it is given.
func (d *draft) store(old *entry, created int64, body, contact, provenance []byte, ids []profile.ExternalID) (*op, error) {
	if err := d.release(old); err != nil {
		return nil, err
	}
	e := &entry{uid: old.uid, exists: true, made: old.made, created: created, updated: d.b.now, body: body, contact: contact, provenance: provenance}
	for _, id := range ids {
		d.holders[id] = old.uid
	}
	return d.change(e), nil
}

// track returns the provenance of what a write makes of a profile.
func (d *draft) track(old *entry, p *profile.Profile, source string) ([]byte, error) {
	var before merging.Side
	if old.exists {
		var err error
		if before, err = old.side(d.b); err != nil {
			return nil, err
		}
	}
	return merging.Track(before.Profile, p, before.Provenance, time.UnixMicro(d.b.now), source).Encode(nil, p), nil
}

// side is the state as a profile with its provenance.
func (e *entry) side(b *batch) (merging.Side, error) {
	p, err := e.profile(b)
	if err != nil {
		return merging.Side{}, err
	}
	provenance, err := merging.Decode(e.provenance, p)
	if err != nil {
		return merging.Side{}, fmt.Errorf("decode %s: %w", nameOf(e.uid), err)
	}
	return merging.Side{Profile: p, Provenance: provenance}, nil
}

// putProfile stages a profile, whose external ids are claimed.
func (d *draft) putProfile(old *entry, p *profile.Profile, source string) (*op, error) {
	return d.put(old, p, record.Body(make([]byte, 0, 256), p), record.Contact(nil, p), p.ExternalIDs(), source)
}

// remove stages the deletion of a profile.
func (d *draft) remove(old *entry) (*op, error) {
	if err := d.release(old); err != nil {
		return nil, err
	}
	return d.change(&entry{uid: old.uid, dead: true, made: old.made}), nil
}

func (d *draft) change(e *entry) *op {
	o := &op{entry: e}
	e.op = o
	d.entries[e.uid] = e
	d.ops = append(d.ops, o)
	return o
}
