package sqlstore

import (
	"bytes"
	"context"
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
)

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

// upsert stages one row, whose surroundings are loaded. After an error nothing is staged.
func (d *draft) upsert(r profile.Row) (profile.Upserted, error) {
	p, ids := r.Profile, r.Profile.ExternalIDs()
	uid := d.follow(p.UID)
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
		var err error
		if old, err = d.make(); err != nil {
			return profile.Upserted{}, err
		}
		uid = old.uid
	}
	p, err := old.keepComputed(p)
	if err != nil {
		return profile.Upserted{}, err
	}
	body, contact := record.Body(make([]byte, 0, len(old.body)+256), p), record.Contact(nil, p)
	same, err := old.same(d.b, body, contact)
	switch {
	case err != nil:
		return profile.Upserted{}, err
	case same:
		return profile.Upserted{UID: uid, Outcome: profile.Unchanged}, nil
	}
	if _, err := d.put(old, p, body, contact, ids, r.Source); err != nil {
		return profile.Upserted{}, err
	}
	if old.exists {
		return profile.Upserted{UID: uid, Outcome: profile.Updated}, nil
	}
	return profile.Upserted{UID: uid, Outcome: profile.Created}, nil
}

// keepComputed returns a profile that is to replace a state, with what is computed in that. The one given stays as it is: the group may be
// applied again.
func (e *entry) keepComputed(p *profile.Profile) (*profile.Profile, error) {
	q := *p
	if !e.exists {
		profile.KeepComputed(&q, nil)
		return &q, nil
	}
	var old profile.Profile
	if err := record.Decode(e.body, &old); err != nil {
		return nil, fmt.Errorf("decode %s: %w", nameOf(e.uid), err)
	}
	profile.KeepComputed(&q, &old)
	return &q, nil
}

// same says that a state has just these records.
func (e *entry) same(b *batch, body, contact []byte) (bool, error) {
	if !e.exists || !bytes.Equal(e.body, body) {
		return false, nil
	}
	have, err := e.open(b)
	return bytes.Equal(have, contact), err
}
