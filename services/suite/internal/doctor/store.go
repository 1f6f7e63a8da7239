package doctor

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/internal/profilefacts"
)

// sums hash rows and columns; the sum over those of a profile is what is compared, in any order.
type sums struct{ seed maphash.Seed }

func (s sums) row(f audience.Field) uint64 { return maphash.String(s.seed, string(f)) }

func (s sums) column(v audience.ColumnValue) uint64 { return maphash.Comparable(s.seed, v) }

func (s sums) of(d *audience.Derived) (sum uint64) {
	for _, f := range d.Rows {
		sum += s.row(f)
	}
	for _, v := range d.Columns {
		sum += s.column(v)
	}
	return sum
}

// state is a profile as the store tells of it.
type state struct {
	revision int64
	sum      uint64
}

// told is the store at one position.
type told struct {
	through int64
	people  map[audience.UID]state
	// rows are how many are in each row.
	rows map[audience.Field]int64
}

// listen reads the whole store as a watcher does. It is over with the first message that replays nothing more.
func listen(ctx context.Context, profiles profilev1.ProfileServiceClient, s sums) (*told, error) {
	head, err := profiles.GetHead(ctx, &profilev1.GetHeadRequest{})
	if err != nil {
		return nil, fmt.Errorf("ask the profile service: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := profiles.WatchProfiles(ctx, &profilev1.WatchProfilesRequest{WithoutContact: true})
	if err != nil {
		return nil, fmt.Errorf("watch profiles: %w", err)
	}
	l := &listener{sums: s, currency: head.GetCurrencyCode(), attributes: make(map[string]*audience.Attribute)}
	if err := l.declare(nil); err != nil {
		return nil, err
	}
	out := &told{people: make(map[audience.UID]state), rows: make(map[audience.Field]int64)}
	for {
		m, err := stream.Recv()
		if err != nil {
			return nil, fmt.Errorf("watch profiles: %w", err)
		}
		for _, c := range m.GetChanges() {
			if err := l.take(out, c); err != nil {
				return nil, err
			}
		}
		if !m.GetReplaying() {
			out.through = m.GetPosition().GetRevision()
			return out, nil
		}
	}
}

type listener struct {
	sums
	currency   string
	attributes map[string]*audience.Attribute
	schema     *audience.Schema
	derived    audience.Derived
}

func (l *listener) declare(a *audience.Attribute) error {
	if a != nil {
		l.attributes[a.Name] = a
	}
	list := make([]audience.Attribute, 0, len(l.attributes))
	for _, a := range l.attributes {
		list = append(list, *a)
	}
	slices.SortFunc(list, func(a, b audience.Attribute) int { return strings.Compare(a.Name, b.Name) })
	schema, err := audience.NewSchema(l.currency, list)
	if err != nil {
		return fmt.Errorf("read declarations: %w", err)
	}
	l.schema = schema
	return nil
}

func (l *listener) take(out *told, c *profilev1.WatchProfilesResponse_Change) error {
	switch x := c.GetChange().(type) {
	case *profilev1.WatchProfilesResponse_Change_Attribute:
		a := profilefacts.Attribute(x.Attribute)
		return l.declare(&a)
	case *profilev1.WatchProfilesResponse_Change_DeletedProfile:
		uid, err := profilefacts.UID(x.DeletedProfile)
		if err != nil {
			return fmt.Errorf("read a deletion: %w", err)
		}
		delete(out.people, uid)
	case *profilev1.WatchProfilesResponse_Change_Profile:
		// Wrong facts count as unknown, as in the index.
		uid, facts, err := profilefacts.Of(x.Profile, func(name string) (*audience.Attribute, bool) { a, ok := l.attributes[name]; return a, ok })
		if facts == nil {
			return fmt.Errorf("read a profile: %w", err)
		}
		l.derive(facts)
		for _, f := range l.derived.Rows {
			out.rows[f]++
		}
		out.people[uid] = state{revision: c.GetRevision(), sum: l.of(&l.derived)}
	default:
		return errors.New("read changes: a kind of change that this program does not know")
	}
	return nil
}

// derive leaves out what the schema does not allow, as the index does.
func (l *listener) derive(facts audience.Facts) {
	for {
		err := l.derived.Set(l.schema, facts)
		if err == nil {
			return
		}
		f := fault.As(err)
		if f == nil || f.Metadata["attribute"] == "" {
			l.derived = audience.Derived{Rows: []audience.Field{audience.FieldLive}}
			return
		}
		delete(facts, f.Metadata["attribute"])
	}
}
