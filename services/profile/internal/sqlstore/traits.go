package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/behaviour"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
	"github.com/narrowcast/narrowcast/services/profile/merging"
)

// Days in the table of due days beside real ones.
const (
	never = math.MaxInt64
	past  = math.MinInt64
)

// story is what the database has of a person's events.
type story struct {
	version int64 // 0: no row
	events  []eventKey
}

// dueRow is the day that a recomputation found, and the version that the commit makes.
type dueRow struct {
	uid          audience.UID
	day, version int64
}

// loadStories reads all events of people that the group has not read yet. Versions are read before events: whoever adds an event in
// between makes the version wrong, never the other way round.
func (b *batch) loadStories(ctx context.Context, uids []audience.UID) error {
	var missing []audience.UID
	for _, uid := range uids {
		if b.dbStories[uid] == nil {
			b.dbStories[uid] = &story{}
			if e := b.entries[uid]; e == nil || !e.made {
				missing = append(missing, uid)
			}
		}
	}
	keys := keysOf(missing)
	err := b.eachVersion(ctx, keys, func(uid audience.UID, version int64) { b.dbStories[uid].version = version })
	if err == nil {
		err = b.readEvents(ctx, keys)
	}
	if err != nil {
		for _, uid := range missing {
			delete(b.dbStories, uid)
		}
	}
	return err
}

// eachVersion calls found for each version of what people's events add up to.
func (b *batch) eachVersion(ctx context.Context, uids [][]byte, found func(uid audience.UID, version int64)) error {
	return b.s.stmt.due.each(ctx, b.tx, nil, uids, func(rows *sql.Rows) error {
		var uid sql.RawBytes
		var version int64
		err := rows.Scan(&uid, &version)
		if err == nil {
			found(audience.UID(uid), version)
		}
		return err
	})
}

// readEvents adds the events of people to their stories.
func (b *batch) readEvents(ctx context.Context, uids [][]byte) error {
	return b.s.stmt.stories.each(ctx, b.tx, nil, uids, func(rows *sql.Rows) error {
		var uid, id, origin, body sql.RawBytes
		if err := rows.Scan(&uid, &id, &origin, &body); err != nil {
			return err
		}
		h := &happening{exists: true, uid: audience.UID(uid), event: &profile.Event{}}
		if len(origin) > 0 {
			h.origin = audience.UID(origin)
		}
		if err := record.DecodeEvent(body, h.event); err != nil {
			return fmt.Errorf("decode event of %s: %w", nameOf(h.uid), err)
		}
		key := eventKey(id)
		if known := b.dbEvents[key]; known != nil && (!known.exists || known.uid != h.uid) {
			b.stale = true // it came meanwhile, perhaps without a revision
		}
		b.dbEvents[key] = h
		s := b.dbStories[h.uid]
		s.events = append(s.events, key)
		return nil
	})
}

// scanEvent reads a row of an event of one person.
func scanEvent(rows *sql.Rows, uid audience.UID) (*profile.Event, error) {
	var id, body sql.RawBytes
	var created int64
	if err := rows.Scan(&id, &created, &body); err != nil {
		return nil, err
	}
	e := &profile.Event{ID: string(id), UID: uid, CreateTime: time.UnixMicro(created).UTC()}
	if err := record.DecodeEvent(body, e); err != nil {
		return nil, fmt.Errorf("decode event of %s: %w", nameOf(uid), err)
	}
	return e, nil
}

// recompute stages the traits of everybody whose events the group changes, or whose day has come. It is the last change of a profile in
// the group, whatever else the requests did to it.
func (b *batch) recompute(ctx context.Context) error {
	if len(b.touched) == 0 {
		return nil
	}
	uids := slices.SortedFunc(maps.Keys(b.touched), compareUIDs)
	if err := b.load(ctx, uids); err != nil {
		return err
	}
	uids = slices.DeleteFunc(uids, func(uid audience.UID) bool { return !b.last(uid).exists })
	if err := b.loadStories(ctx, uids); err != nil {
		return err
	}
	come := make(map[audience.UID][]eventKey) // to people who did not have them
	for key, h := range b.events {
		if old := b.dbEvents[key]; h.exists && (h.fresh || old.uid != h.uid) {
			come[h.uid] = append(come[h.uid], key)
		}
	}
	if b.stale {
		return errStale
	}
	today := b.s.day(b.now)
	var events []profile.Event
	for _, uid := range uids {
		events = events[:0]
		s := b.dbStories[uid]
		due := int64(never)
		for _, key := range s.events {
			h := b.events[key]
			if h == nil {
				h = b.dbEvents[key]
			}
			if h.exists && !h.fresh && h.uid == uid {
				events = b.keepEvent(events, key, h.event, today, &due)
			}
		}
		for _, key := range come[uid] {
			events = b.keepEvent(events, key, b.events[key].event, today, &due)
		}
		if err := b.apply(uid, events, today, &due); err != nil {
			return err
		}
		b.due = append(b.due, dueRow{uid: uid, day: due, version: s.version + 1})
	}
	return nil
}

// last is the last state of a profile in the group, which must be loaded.
func (b *batch) last(uid audience.UID) *entry {
	if e := b.entries[uid]; e != nil {
		return e
	}
	return b.dbEntries[uid]
}

// keepEvent appends an event, or stages its end where it is no longer kept, and notes the day of its end.
func (b *batch) keepEvent(to []profile.Event, key eventKey, e *profile.Event, today int64, due *int64) []profile.Event {
	if keep := b.s.cfg.Retention; !keep.None() {
		if last, forever := keep.Last(e.Kind, b.s.cfg.Behaviour.Day(e.Time)); !forever {
			if last < today {
				b.events[key] = &happening{}
				return to
			}
			*due = min(*due, last+1)
		}
	}
	return append(to, *e)
}

// apply computes the traits of one person and stages a change of the profile, if it is one.
func (b *batch) apply(uid audience.UID, events []profile.Event, today int64, due *int64) error {
	old := b.last(uid)
	var p profile.Profile
	if err := record.Decode(old.body, &p); err != nil {
		return fmt.Errorf("decode %s: %w", nameOf(uid), err)
	}
	if day := behaviour.Apply(&p, events, today, b.s.cfg.Behaviour); day != 0 {
		*due = min(*due, day)
	}
	body := record.Body(make([]byte, 0, len(old.body)+64), &p)
	if bytes.Equal(body, old.body) {
		return nil
	}
	e := *old
	e.provenance = merging.Settled(old.provenance, old.updated, b.now)
	e.body, e.updated, e.stored = body, b.now, 0
	e.keeps = old.op == nil || old.keeps
	o := &op{entry: &e}
	e.op = o
	b.entries[uid] = &e
	b.ops = append(b.ops, o)
	return nil
}

// day is the day of a time of the store.
func (s *Store) day(micros int64) int64 { return s.cfg.Behaviour.Day(time.UnixMicro(micros)) }

// writeEvents brings the table of events up to what was staged: first what moves and goes, then what goes with its profile, last what is new,
// which may have the id of one that went.
func (b *batch) writeEvents(ctx context.Context) error {
	var moves, cuts, puts []eventKey
	for key, h := range b.events {
		old := b.dbEvents[key]
		switch {
		case old.exists && (h.fresh || !h.exists):
			cuts = append(cuts, key)
		case old.exists && old.uid != h.uid:
			moves = append(moves, key)
		}
		if h.exists && h.fresh && b.last(h.uid).exists {
			puts = append(puts, key)
		}
	}
	for _, keys := range [...][]eventKey{moves, cuts, puts} {
		slices.SortFunc(keys, func(x, y eventKey) int { return bytes.Compare(x[:], y[:]) })
	}
	st := &b.s.stmt
	err := b.exactly(ctx, st.moveEvents, len(moves), func(i int, to []any) []any {
		return append(to, moves[i][:], b.dbEvents[moves[i]].uid[:], b.events[moves[i]].uid[:], bytesOrNil(b.events[moves[i]].origin))
	})
	if err != nil {
		return err
	}
	err = b.exactly(ctx, st.deleteEvents, len(cuts), func(i int, to []any) []any {
		return append(to, cuts[i][:], b.dbEvents[cuts[i]].uid[:])
	})
	if err != nil {
		return err
	}
	if err := b.forget(ctx); err != nil {
		return err
	}
	// In the order of the table, where that is by person.
	slices.SortFunc(puts, func(x, y eventKey) int { return bytes.Compare(b.events[x].uid[:], b.events[y].uid[:]) })
	_, err = st.insertEvents.write(ctx, b.tx, len(puts), func(i int, to []any) []any {
		h := b.events[puts[i]]
		return append(to, puts[i][:], h.uid[:], h.event.Time.UnixMicro(), b.now, bytesOrNil(h.origin), []byte(h.event.ID), record.EncodeEvent(nil, h.event))
	})
	return err
}

func bytesOrNil(uid audience.UID) []byte {
	if uid == (audience.UID{}) {
		return nil
	}
	return uid[:]
}

// forget deletes the events and due days of profiles that the group deletes.
func (b *batch) forget(ctx context.Context) error {
	var gone []audience.UID
	for uid, e := range b.entries {
		if old := b.dbEntries[uid]; !e.exists && old != nil && old.exists {
			gone = append(gone, uid)
		}
	}
	if err := b.verifyStories(ctx, gone); err != nil {
		return err
	}
	row := func(i int, to []any) []any { return append(to, gone[i][:]) }
	for _, stmt := range [...]*bulk{b.s.stmt.deleteStories, b.s.stmt.deleteDue} {
		if _, err := stmt.write(ctx, b.tx, len(gone), row); err != nil {
			return err
		}
	}
	return nil
}

// verifyStories has the group applied again where somebody has recorded or deleted events of a profile that goes since the group read them, to
// move them to the profile that it is merged into. Events of a coming day make no revision, so the head may not have moved.
func (b *batch) verifyStories(ctx context.Context, gone []audience.UID) error {
	versions := make(map[audience.UID]int64)
	for _, uid := range gone {
		if b.dbStories[uid] != nil {
			versions[uid] = 0
		}
	}
	err := b.eachVersion(ctx, keysOf(slices.Collect(maps.Keys(versions))), func(uid audience.UID, version int64) { versions[uid] = version })
	if err != nil {
		return err
	}
	for uid, version := range versions {
		if version != b.dbStories[uid].version {
			return errStale
		}
	}
	return nil
}

// writeDue stores the days on which the traits of the group's people are to be computed again. A version that is not the one before
// means that another process changed events of the same person, perhaps without a revision.
func (b *batch) writeDue(ctx context.Context) error {
	return b.exactly(ctx, b.s.stmt.putDue, len(b.due), func(i int, to []any) []any {
		return append(to, b.due[i].uid[:], b.due[i].day, b.due[i].version)
	})
}

// Recompute computes the traits of profiles whose day has come.
func (s *Store) Recompute(ctx context.Context, limit int) (int, error) {
	n := 0
	_, err := s.submit(ctx, "recompute traits", limit, func(ctx context.Context, d *draft) error {
		n = 0
		rows, err := d.b.tx.QueryContext(ctx, s.text("select {uid} from due where day <= $1 order by day, uid limit $2"), s.day(d.b.now), limit)
		return eachRow(rows, err, func(rows *sql.Rows) error {
			var uid sql.RawBytes
			if err := rows.Scan(&uid); err != nil {
				return err
			}
			d.touched[audience.UID(uid)] = true
			n++
			return nil
		})
	})
	return n, err
}

// CountDue returns how many profiles' day has come.
func (s *Store) CountDue(ctx context.Context) (int64, error) {
	var n int64
	if err := s.stmt.countDue.QueryRowContext(ctx, s.day(s.cfg.Now().UnixMicro())).Scan(&n); err != nil {
		return 0, s.translate(fmt.Errorf("count due profiles: %w", err))
	}
	return n, nil
}

// resettle has all traits computed anew where they were computed with other settings, by calling their day come. It goes on where an
// earlier start was interrupted.
func (s *Store) resettle(ctx context.Context) error {
	now := s.settings()
	var before string
	err := s.db.Write.QueryRowContext(ctx, "select behaviour from settings where id = 1").Scan(&before)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if before == now {
		return nil
	}
	const some = 5000
	for n := int64(some); n == some; {
		done, err := s.db.Write.ExecContext(ctx, "update due set day = $1 where uid in (select uid from due where day > $1 order by day limit $2)", int64(past), some)
		if err != nil {
			return err
		}
		if n, err = done.RowsAffected(); err != nil {
			return err
		}
	}
	if before != "" {
		s.cfg.Logger.InfoContext(ctx, "traits are computed anew, with other settings than before")
	}
	_, err = s.db.Write.ExecContext(ctx, "insert into settings (id, behaviour) values (1, $1) on conflict (id) do update set behaviour = excluded.behaviour", now)
	return err
}

// settings says what traits depend on beside events and the day.
func (s *Store) settings() string {
	b := s.cfg.Behaviour
	text := fmt.Sprintf("1 %s %s %d %d", b.Currency, zoneName(b.Location), b.Silence, s.cfg.Retention.Days)
	for _, kind := range slices.Sorted(maps.Keys(s.cfg.Retention.Of)) {
		text += fmt.Sprintf(" %s=%d", kind, s.cfg.Retention.Of[kind])
	}
	return text
}

func zoneName(l *time.Location) string {
	if l == nil {
		return time.UTC.String()
	}
	return l.String()
}
