package sqlstore

import (
	"context"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/profile"
)

// loadHolders reads who holds external ids that the group has not met yet, under every key.
func (b *batch) loadHolders(ctx context.Context, ids []profile.ExternalID) error {
	var missing []profile.ExternalID
	for _, id := range ids {
		if _, ok := b.dbHolders[id]; !ok {
			b.dbHolders[id] = audience.UID{}
			missing = append(missing, id)
		}
	}
	err := b.readHolders(ctx, missing, func(id profile.ExternalID, uid audience.UID) { b.dbHolders[id] = uid })
	if err != nil {
		for _, id := range missing {
			delete(b.dbHolders, id)
		}
	}
	return err
}

// readHolders calls found for each of the external ids that is held.
func (b *batch) readHolders(ctx context.Context, ids []profile.ExternalID, found func(profile.ExternalID, audience.UID)) error {
	asked := make([]profile.Identifier, len(ids))
	for i, id := range ids {
		asked[i] = profile.Identifier{Kind: profile.KindExternalID, Source: id.Source, Value: id.Value}
	}
	return eachBearer(ctx, b.tx, b.s.stmt.holders, b.ring, asked, func(i int, uid audience.UID) { found(ids[i], uid) })
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

// claim refuses a profile's external ids if another one holds them.
func (d *draft) claim(owner audience.UID, ids []profile.ExternalID) error {
	for _, id := range ids {
		if held := d.holder(id); held != (audience.UID{}) && held != owner {
			return profile.ExternalIDTaken(id.Source)
		}
	}
	return nil
}

// release gives up the external ids of a state.
func (d *draft) release(old *entry) error {
	if !old.exists {
		return nil
	}
	ids, err := old.externalIDs(d.b)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, known := d.b.dbHolders[id]; !known {
			// Not read, because nobody asked for it; but what a stored profile has, it holds.
			d.b.dbHolders[id] = old.uid
		}
		d.holders[id] = audience.UID{}
	}
	return nil
}
