package sqlstore

import (
	"context"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
)

// Create stores a new profile.
func (s *Store) Create(ctx context.Context, p *profile.Profile, requestID string, options ...profile.WriteOption) (*profile.Profile, profile.Position, error) {
	var made *op
	var first *profile.Profile
	source := profile.OptionsOf(options).Source
	pos, err := s.submit(ctx, "create profile", 1, func(ctx context.Context, d *draft) (err error) {
		made, first = nil, nil
		if requestID != "" {
			if made, first, err = d.answered(ctx, requestID); err != nil || made != nil || first != nil {
				return err
			}
		}
		made, err = d.create(ctx, p, source)
		if err == nil && requestID != "" {
			made.requestID = requestID
			d.requests[requestID] = made
		}
		return err
	})
	if err != nil {
		return nil, profile.Position{}, err
	}
	if first == nil {
		if first, err = made.profile(); err != nil {
			return nil, profile.Position{}, s.translate(err)
		}
	}
	return first, pos, nil
}

func (d *draft) create(ctx context.Context, p *profile.Profile, source string) (*op, error) {
	ids := p.ExternalIDs()
	if err := d.b.loadHolders(ctx, ids); err != nil {
		return nil, err
	}
	var old *entry
	var err error
	if p.UID == (audience.UID{}) {
		if old, err = d.make(); err != nil {
			return nil, err
		}
	} else {
		if err := d.b.load(ctx, []audience.UID{p.UID}); err != nil {
			return nil, err
		}
		if old = d.entry(p.UID); old.exists || old.dead {
			return nil, profile.Exists(nameOf(p.UID))
		}
	}
	if err := d.claim(old.uid, ids); err != nil {
		return nil, err
	}
	profile.KeepComputed(p, nil)
	return d.putProfile(old, p, source)
}

// Update changes a profile.
func (s *Store) Update(ctx context.Context, uid audience.UID, etag string, change func(*profile.Profile) error, options ...profile.WriteOption) (*profile.Profile, profile.Position, error) {
	var made *op
	var same *profile.Profile
	source := profile.OptionsOf(options).Source
	pos, err := s.submit(ctx, "update profile", 1, func(ctx context.Context, d *draft) error {
		made, same = nil, nil
		old, err := d.found(ctx, uid, etag)
		if err != nil {
			return err
		}
		p, err := old.profile(d.b)
		if err != nil {
			return err
		}
		computed := &profile.Profile{Lifecycle: p.Lifecycle, Traits: p.Traits.Clone()}
		if err := change(p); err != nil {
			return err
		}
		p.UID = old.uid
		profile.KeepComputed(p, computed)
		ids := p.ExternalIDs()
		if err := d.b.loadHolders(ctx, ids); err != nil {
			return err
		}
		if err := d.claim(old.uid, ids); err != nil {
			return err
		}
		body, contact := record.Body(make([]byte, 0, len(old.body)+64), p), record.Contact(nil, p)
		unchanged, err := old.same(d.b, body, contact)
		if err != nil {
			return err
		}
		if unchanged {
			made, same = old.op, p
			return nil
		}
		made, err = d.put(old, p, body, contact, ids, source)
		return err
	})
	if err != nil {
		return nil, profile.Position{}, err
	}
	if made == nil {
		return same, pos, nil
	}
	p, err := made.profile()
	if err != nil {
		return nil, profile.Position{}, s.translate(err)
	}
	return p, pos, nil
}

// Delete deletes a profile.
func (s *Store) Delete(ctx context.Context, uid audience.UID, etag string) (profile.Position, error) {
	return s.submit(ctx, "delete profile", 1, func(ctx context.Context, d *draft) error {
		old, err := d.found(ctx, uid, etag)
		if err != nil {
			return err
		}
		if err := d.forgetMerges(ctx, old.uid); err != nil {
			return err
		}
		_, err = d.remove(old)
		return err
	})
}

// Upsert creates or replaces profiles, all or none.
func (s *Store) Upsert(ctx context.Context, rows []profile.Row) ([]profile.Upserted, profile.Position, error) {
	results := make([]profile.Upserted, len(rows))
	pos, err := s.submit(ctx, "upsert profiles", len(rows), func(ctx context.Context, d *draft) error {
		if err := d.loadRows(ctx, rows); err != nil {
			return err
		}
		for i, r := range rows {
			var err error
			if results[i], err = d.upsert(r); err != nil {
				if f := fault.As(err); f != nil {
					return f.At(fault.Index("profiles", i))
				}
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, profile.Position{}, err
	}
	return results, pos, nil
}
