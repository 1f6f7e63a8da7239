package profile

import (
	"context"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// EventRow is an event on its way into Record or ImportEvents.
type EventRow struct {
	// Event is canonical. Nil: the row was refused before it came to the store.
	Event *Event
	// Whose, where the event has no UID, is an identifier in normal form that its person has.
	Whose Identifier
}

// Recorded is what became of one event.
type Recorded struct {
	// UID is whose the event is; zero where it was refused.
	UID audience.UID
	// Duplicate says that an event of this id was there already, perhaps another person's, and stays as it is.
	Duplicate bool
	// Err is why a row of an import was refused. Nil in the results of Record.
	Err error
}

// EventProgress is how far an import of events has come, over all its streams.
type EventProgress struct {
	// Through is the number of rows, from the first, that are durable or refused for good.
	Through int64
	// What became of these rows; they add up to Through.
	Recorded, Duplicates, Rejected int64
}

// Count adds one row's result: refused where it is nobody's.
func (p *EventProgress) Count(r Recorded) {
	p.Through++
	switch {
	case r.UID == audience.UID{}:
		p.Rejected++
	case r.Duplicate:
		p.Duplicates++
	default:
		p.Recorded++
	}
}

// EventPlace is where an event stands among those of its person: by time, and among those of one time in an order that stays.
type EventPlace struct {
	Time time.Time
	ID   string
}

// Retention says how long events are kept. Its zero value keeps them for ever.
type Retention struct {
	// Days is how many days after its own an event is kept; 0: for ever.
	Days int64
	// Of says so for single kinds, instead.
	Of map[string]int64
}

// Last returns the last day on which an event of a kind and day is kept; forever says that there is none.
func (r Retention) Last(kind string, day int64) (last int64, forever bool) {
	keep, ok := r.Of[kind]
	if !ok {
		keep = r.Days
	}
	return day + keep, keep <= 0
}

// MaxRetention is the most days for which events can be said to be kept: so many as there are.
const MaxRetention = audience.MaxDay - audience.MinDay

// None says that nothing is ever given up.
func (r Retention) None() bool {
	for _, days := range r.Of {
		if days > 0 {
			return false
		}
	}
	return r.Days <= 0
}

// EventStore is the part of a [Store] that keeps events, and has the traits and lifecycles of profiles follow from them.
//
// A commit that adds or removes events of a profile stores the traits that follow, too. The profile gets a revision of its own for
// that, after those of its other changes in the same commit, if the traits or the lifecycle differ; an event of a coming day makes
// none before that day. What is older than the retention is not kept, and its traits are those without it.
type EventStore interface {
	// Record stores events in one commit, all or none, in their order: an event whose id is there already, among them or before, is a
	// duplicate and changes nothing, whatever else it says. An event of a profile that does not exist, or of an identifier that nobody
	// has, is NotFound (PROFILE_NOT_FOUND); one of an identifier that several profiles have is Precondition (NOT_ONE_PROFILE). The
	// fault names the row by the path events[i].
	Record(ctx context.Context, rows []EventRow) ([]Recorded, Position, error)
	// EventImportProgress is ImportProgress for the imports of events, whose ids are apart from those of profiles.
	EventImportProgress(ctx context.Context, id string) (EventProgress, Position, error)
	// ImportEvents is to Record what Import is to Upsert. With create, an external id that nobody has gets a new profile that has it
	// and nothing else, rather than that its event is refused.
	ImportEvents(ctx context.Context, id string, from int64, rows []EventRow, create bool) ([]Recorded, EventProgress, Position, error)
	// Events returns at most limit events of a profile, the newest first, from behind a place on; nil: from the newest. NotFound
	// (PROFILE_NOT_FOUND) where there is no profile.
	Events(ctx context.Context, uid audience.UID, before *EventPlace, limit int) ([]*Event, error)
	// DeleteEvent deletes an event of a profile, or NotFound (EVENT_NOT_FOUND). Its id is free again.
	DeleteEvent(ctx context.Context, uid audience.UID, id string) (Position, error)
	// Recompute computes the traits of up to limit profiles whose day has come, deletes those of their events that are no longer kept,
	// and returns how many profiles it looked at; 0 means that no day has come. Several processes may do so at once.
	Recompute(ctx context.Context, limit int) (int, error)
	// CountDue returns how many profiles' day has come.
	CountDue(ctx context.Context) (int64, error)
}

// EventName is the resource name of an event.
func EventName(uid audience.UID, id string) string { return Name(uid) + "/events/" + id }

// EventNotFound is the fault about an event that does not exist.
func EventNotFound(uid audience.UID, id string) error {
	return fault.New(fault.NotFound, ReasonEventNotFound, "the profile has no such event").With("name", EventName(uid, id))
}

// OneOf returns the one profile that has an identifier. Where nobody has it, that is NotFound (PROFILE_NOT_FOUND), where it does not tell
// people apart, Precondition (NOT_ONE_PROFILE). The value is personal and not named.
func OneOf(uids []audience.UID) (audience.UID, error) {
	switch len(uids) {
	case 0:
		return audience.UID{}, fault.New(fault.NotFound, ReasonProfileNotFound, "no profile has this identifier").With("name", "")
	case 1:
		return uids[0], nil
	}
	return audience.UID{}, fault.Newf(fault.Precondition, ReasonNotOneProfile,
		"%d profiles have this identifier; ask with BatchResolveIdentifiers and choose, or merge them if they are one person", len(uids)).With("count", len(uids))
}
