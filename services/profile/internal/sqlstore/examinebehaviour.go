package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/behaviour"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
)

// settings looks whether the traits were computed with the settings that the examination was given. The day is read after the head, so no
// commit that it sees was made on a later one.
func (e *examiner) settings(ctx context.Context) error {
	e.today = e.s.day(e.s.cfg.Now().UnixMicro())
	var with string
	err := e.tx.QueryRowContext(ctx, "select behaviour from settings where id = 1").Scan(&with)
	if errors.Is(err, sql.ErrNoRows) { // nothing has opened the store yet
		return nil
	}
	if err != nil {
		return err
	}
	if e.judged = with == e.s.settings(); !e.judged {
		e.problem(profile.CheckDue, "", "traits were computed with another currency, time zone, silence or retention than this examination has; give it those of the service")
	}
	return nil
}

// life is what is stored of a person's behaviour.
type life struct {
	due    bool
	day    int64 // of the next computation, if due
	events []profile.Event
	broken bool // not all events can be read
}

// behaviour reads the events of a page of profiles, and computes their traits once more.
func (e *examiner) behaviour(ctx context.Context, page []examined) error {
	lives := make(map[audience.UID]*life, len(page))
	uids := make([]audience.UID, len(page))
	for i := range page {
		uids[i] = page[i].uid
		lives[uids[i]] = &life{}
	}
	err := e.s.stmt.readDue.each(ctx, e.tx, nil, keysOf(uids), func(rows *sql.Rows) error {
		var uid sql.RawBytes
		var day int64
		if err := rows.Scan(&uid, &day); err != nil {
			return err
		}
		l := lives[audience.UID(uid)]
		l.due, l.day = true, day
		return nil
	})
	if err != nil {
		return err
	}
	err = e.s.stmt.readStories.each(ctx, e.tx, nil, keysOf(uids), func(rows *sql.Rows) error {
		var uid, body sql.RawBytes
		if err := rows.Scan(&uid, &body); err != nil {
			return err
		}
		l, event := lives[audience.UID(uid)], profile.Event{}
		e.n.Events++
		if record.DecodeEvent(body, &event) != nil { // what is wrong with it may be personal
			l.broken = true
			e.problem(profile.CheckEvents, nameOf(audience.UID(uid)), "an event cannot be read")
		}
		l.events = append(l.events, event)
		return nil
	})
	if err != nil {
		return err
	}
	for i := range page {
		e.judge(&page[i], lives[page[i].uid])
	}
	return nil
}

// judge compares the traits of a profile with what its events give. Whose day has come is left alone: the service is about to compute them.
func (e *examiner) judge(stored *examined, l *life) {
	var p profile.Profile
	if l.broken || record.Decode(stored.body, &p) != nil { // told already
		return
	}
	problem := func(what string) { e.problem(profile.CheckDue, nameOf(stored.uid), what) }
	switch {
	case !l.due && len(l.events) > 0:
		problem("there are events and no day on which the traits are computed again")
		return
	case !l.due && p.Traits != nil:
		problem("there are traits and no events")
		return
	case !l.due || !e.judged || l.day <= e.today:
		return
	}
	due := int64(never)
	if keep := e.s.cfg.Retention; !keep.None() {
		for i := range l.events {
			if last, forever := keep.Last(l.events[i].Kind, e.s.cfg.Behaviour.Day(l.events[i].Time)); !forever {
				due = min(due, last+1)
			}
		}
	}
	before := record.Body(nil, &p)
	if day := behaviour.Apply(&p, l.events, e.today, e.s.cfg.Behaviour); day != 0 {
		due = min(due, day)
	}
	if !bytes.Equal(record.Body(nil, &p), before) {
		problem("the traits or the lifecycle are not what the events give")
	}
	if l.day > due {
		problem("the traits change on an earlier day than the one on which they are computed again")
	}
}

// strays looks for events and days of nobody.
func (e *examiner) strays(ctx context.Context) error {
	for _, c := range []struct{ check, query, what string }{
		{
			profile.CheckEvents, "select {uid} from (select distinct uid from events) e where not exists (select 1 from profiles p where p.uid = e.uid) order by uid limit 1000",
			"there are events of a profile that is not there",
		},
		{
			profile.CheckDue, "select {uid} from due d where not exists (select 1 from profiles p where p.uid = d.uid) order by uid limit 1000",
			"there is a day on which the traits of a profile are computed again that is not there",
		},
	} {
		if err := e.uids(ctx, c.query, nil, func(uid audience.UID) { e.problem(c.check, nameOf(uid), c.what) }); err != nil {
			return err
		}
	}
	return nil
}
