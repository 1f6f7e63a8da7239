package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
)

// eventKey is what an event's id is in the database: short, of one length, and as good as unique.
type eventKey [16]byte

func keyOfEvent(id string) eventKey {
	sum := sha256.Sum256([]byte(id))
	return eventKey(sum[:16])
}

// happening is one state of one event. Like entries, happenings are not changed once they are staged.
type happening struct {
	exists bool
	uid    audience.UID // whose it is
	origin audience.UID // for whom it was recorded, where that is another one; zero: nobody else
	fresh  bool         // it is to be inserted
	// event is what happened; nil in states of the database where the person's story was not read. ID and UID are not set there.
	event *profile.Event
}

// happening returns the state of an event as this request would find it; the event, or its person's story, must be loaded.
func (d *draft) happening(key eventKey) *happening {
	for _, m := range [...]map[eventKey]*happening{d.events, d.b.events, d.b.dbEvents} {
		if h := m[key]; h != nil {
			if h.exists && d.removed(h.uid) {
				return &happening{}
			}
			return h
		}
	}
	return &happening{}
}

// removed says that this request or an earlier one of the group deletes a profile, and its events with it.
func (d *draft) removed(uid audience.UID) bool {
	for _, m := range [...]map[audience.UID]*entry{d.entries, d.b.entries} {
		if e := m[uid]; e != nil {
			return !e.exists
		}
	}
	return false
}

// loadEvents reads whose the events are that the group has not met yet.
func (b *batch) loadEvents(ctx context.Context, keys []eventKey) error {
	var missing [][]byte
	for i, key := range keys {
		if b.dbEvents[key] == nil {
			b.dbEvents[key] = &happening{}
			missing = append(missing, keys[i][:])
		}
	}
	err := b.s.stmt.events.each(ctx, b.tx, nil, missing, func(rows *sql.Rows) error {
		var id, uid sql.RawBytes
		if err := rows.Scan(&id, &uid); err != nil {
			return err
		}
		b.dbEvents[eventKey(id)] = &happening{exists: true, uid: audience.UID(uid)}
		return nil
	})
	if err != nil {
		for _, key := range missing {
			delete(b.dbEvents, eventKey(key))
		}
	}
	return err
}

// loadEventRows reads what the rows of events may touch, in few statements.
func (d *draft) loadEventRows(ctx context.Context, rows []profile.EventRow) error {
	keys := make([]eventKey, 0, len(rows))
	var uids []audience.UID
	var external []profile.ExternalID
	var others []profile.Identifier
	for _, r := range rows {
		switch {
		case r.Event == nil:
			continue
		case r.Event.UID != audience.UID{}:
			uids = append(uids, r.Event.UID)
		case r.Whose.Kind == profile.KindExternalID:
			external = append(external, profile.ExternalID{Source: r.Whose.Source, Value: r.Whose.Value})
		default:
			others = append(others, r.Whose)
		}
		keys = append(keys, keyOfEvent(r.Event.ID))
	}
	if err := d.b.loadEvents(ctx, keys); err != nil {
		return err
	}
	if err := d.b.loadHolders(ctx, external); err != nil {
		return err
	}
	for _, id := range external {
		if uid := d.holder(id); uid != (audience.UID{}) {
			uids = append(uids, uid)
		}
	}
	if err := d.b.loadBearers(ctx, others); err != nil {
		return err
	}
	for _, id := range others {
		uids = append(uids, d.b.dbBearers[id]...)
	}
	return d.b.load(ctx, uids)
}

// loadBearers reads who has identifiers that the group has not met yet, under every key.
func (b *batch) loadBearers(ctx context.Context, ids []profile.Identifier) error {
	var missing []profile.Identifier
	for _, id := range ids {
		if _, ok := b.dbBearers[id]; !ok {
			b.dbBearers[id] = nil
			missing = append(missing, id)
		}
	}
	err := eachBearer(ctx, b.tx, b.s.stmt.bearers, b.ring, missing, func(i int, uid audience.UID) {
		if id := missing[i]; !slices.Contains(b.dbBearers[id], uid) {
			b.dbBearers[id] = append(b.dbBearers[id], uid)
		}
	})
	if err != nil {
		for _, id := range missing {
			delete(b.dbBearers, id)
		}
	}
	return err
}

// whose returns the profile that a row means, with create a new one for an external id that nobody has. Who gets or loses another
// identifier in the same group does so after this request.
func (d *draft) whose(r profile.EventRow, create bool) (audience.UID, error) {
	uid := r.Event.UID
	switch {
	case uid != audience.UID{}:
	case r.Whose.Kind == profile.KindExternalID:
		if uid = d.holder(profile.ExternalID{Source: r.Whose.Source, Value: r.Whose.Value}); uid != (audience.UID{}) {
			break
		}
		if !create {
			return profile.OneOf(nil)
		}
		e, err := d.make()
		if err != nil {
			return uid, err
		}
		p := &profile.Profile{Identifiers: []profile.Identifier{r.Whose}}
		_, err = d.putProfile(e, p, "")
		return e.uid, err
	default:
		var alive []audience.UID
		for _, one := range d.b.dbBearers[r.Whose] {
			if one = d.follow(one); d.entry(one).exists && !slices.Contains(alive, one) {
				alive = append(alive, one)
			}
		}
		return profile.OneOf(alive)
	}
	uid = d.follow(uid)
	if !d.entry(uid).exists {
		return uid, profile.NotFound(nameOf(r.Event.UID))
	}
	return uid, nil
}

// record stages one event, whose surroundings are loaded. After an error nothing is staged.
func (d *draft) record(r profile.EventRow, create bool) (profile.Recorded, error) {
	key := keyOfEvent(r.Event.ID)
	if h := d.happening(key); h.exists {
		return profile.Recorded{UID: h.uid, Duplicate: true}, nil
	}
	uid, err := d.whose(r, create)
	if err != nil {
		return profile.Recorded{}, err
	}
	h := &happening{exists: true, fresh: true, uid: uid, event: r.Event}
	if asked := r.Event.UID; asked != (audience.UID{}) && asked != uid {
		h.origin = asked // should the merge of that profile be taken back
	}
	d.events[key] = h
	d.touched[uid] = true
	return profile.Recorded{UID: uid}, nil
}

// Record stores events, all or none.
func (s *Store) Record(ctx context.Context, rows []profile.EventRow) ([]profile.Recorded, profile.Position, error) {
	results := make([]profile.Recorded, len(rows))
	pos, err := s.submit(ctx, "record events", len(rows), func(ctx context.Context, d *draft) error {
		if err := d.loadEventRows(ctx, rows); err != nil {
			return err
		}
		for i, r := range rows {
			var err error
			if results[i], err = d.record(r, false); err != nil {
				if f := fault.As(err); f != nil {
					return f.At(fault.Index("events", i))
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

// eventImport is the id under which an import of events is kept among all imports. An import's own id has no slash.
func eventImport(id string) string { return "events/" + id }

func eventProgress(p profile.Progress) profile.EventProgress {
	return profile.EventProgress{Through: p.Through, Recorded: p.Created, Duplicates: p.Unchanged, Rejected: p.Rejected}
}

// EventImportProgress returns how far an import of events has come.
func (s *Store) EventImportProgress(ctx context.Context, id string) (profile.EventProgress, profile.Position, error) {
	p, at, err := s.ImportProgress(ctx, eventImport(id))
	return eventProgress(p), at, err
}

// ImportEvents stores events and the import's progress with them.
func (s *Store) ImportEvents(ctx context.Context, id string, from int64, rows []profile.EventRow, create bool) ([]profile.Recorded, profile.EventProgress, profile.Position, error) {
	id = eventImport(id)
	results := make([]profile.Recorded, len(rows))
	var progress profile.EventProgress
	pos, err := s.submit(ctx, "import events", len(rows), func(ctx context.Context, d *draft) error {
		i, err := d.importing(ctx, id)
		if err != nil {
			return err
		}
		if i.Through != from {
			return overtaken(i.Through)
		}
		if err := d.loadEventRows(ctx, rows); err != nil {
			return err
		}
		progress = eventProgress(i.Progress)
		for n, r := range rows {
			if results[n], err = d.importEvent(r, create); err != nil {
				return err
			}
			progress.Count(results[n])
		}
		i.Progress = profile.Progress{Through: progress.Through, Created: progress.Recorded, Unchanged: progress.Duplicates, Rejected: progress.Rejected}
		d.imports[id] = i
		return nil
	})
	if err != nil {
		return nil, profile.EventProgress{}, profile.Position{}, err
	}
	return results, progress, pos, nil
}

// importEvent stages one row; a refusal is its result's Err, any other error the whole import's.
func (d *draft) importEvent(r profile.EventRow, create bool) (profile.Recorded, error) {
	if r.Event == nil {
		return profile.Recorded{}, nil
	}
	result, err := d.record(r, create)
	if f := fault.As(err); f != nil && (f.Kind == fault.NotFound || f.Kind == fault.Precondition) {
		return profile.Recorded{Err: f}, nil
	}
	return result, err
}

// DeleteEvent deletes an event of a profile.
func (s *Store) DeleteEvent(ctx context.Context, uid audience.UID, id string) (profile.Position, error) {
	key := keyOfEvent(id)
	return s.submit(ctx, "delete event", 1, func(ctx context.Context, d *draft) error {
		if err := d.b.loadEvents(ctx, []eventKey{key}); err != nil {
			return err
		}
		if err := d.b.load(ctx, []audience.UID{uid}); err != nil {
			return err
		}
		now := d.follow(uid)
		if h := d.happening(key); !h.exists || h.uid != now {
			return profile.EventNotFound(uid, id)
		}
		d.events[key] = &happening{}
		d.touched[now] = true
		return nil
	})
}

// moveEvents stages that the events of one profile are another's from now on, and that the traits of both are computed anew. Where of
// names profiles, only the events that were recorded for one of them move: so what a merge moved can be moved back, also what was
// recorded since.
func (d *draft) moveEvents(ctx context.Context, from, to audience.UID, of ...audience.UID) error {
	uids := []audience.UID{from, to}
	if err := d.b.load(ctx, uids); err != nil {
		return err
	}
	if err := d.b.loadStories(ctx, uids); err != nil {
		return err
	}
	keys := make(map[eventKey]bool)
	for _, key := range d.b.dbStories[from].events {
		keys[key] = true
	}
	for _, m := range [...]map[eventKey]*happening{d.events, d.b.events} {
		for key := range m {
			keys[key] = true
		}
	}
	for key := range keys {
		h := d.happening(key)
		if !h.exists || h.uid != from {
			continue
		}
		moved := *h
		if moved.origin == (audience.UID{}) {
			moved.origin = from
		}
		if len(of) > 0 && !slices.Contains(of, moved.origin) {
			continue
		}
		if moved.uid = to; moved.origin == to {
			moved.origin = audience.UID{}
		}
		d.events[key] = &moved
	}
	d.touched[from], d.touched[to] = true, true
	return nil
}

const (
	newestEvents = "select event_id, create_time, body from events where uid = $1 order by time desc, id desc limit $2"
	olderEvents  = "select event_id, create_time, body from events where uid = $1 and (time, id) < ($3, $4) order by time desc, id desc limit $2"
)

// Events returns events of a profile, the newest first.
func (s *Store) Events(ctx context.Context, uid audience.UID, before *profile.EventPlace, limit int) ([]*profile.Event, error) {
	out := make([]*profile.Event, 0, min(limit, 1000))
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		out = out[:0]
		now, err := s.person(ctx, tx, uid)
		if err != nil {
			return err
		}
		query, args := newestEvents, []any{now[:], limit}
		if before != nil {
			key := keyOfEvent(before.ID)
			query, args = olderEvents, append(args, before.Time.UnixMicro(), key[:])
		}
		rows, err := tx.QueryContext(ctx, query, args...)
		return eachRow(rows, err, func(rows *sql.Rows) error {
			e, err := scanEvent(rows, now)
			out = append(out, e)
			return err
		})
	})
	if err != nil {
		return nil, s.translate(fmt.Errorf("list events: %w", err))
	}
	return out, nil
}
