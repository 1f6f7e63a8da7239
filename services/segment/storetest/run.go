package storetest

import (
	"encoding/binary"
	"sync/atomic"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/segment"
)

// Clock is a clock that only moves when told to.
type Clock struct{ micro atomic.Int64 }

// Now returns the clock's time.
func (c *Clock) Now() time.Time { return time.UnixMicro(c.micro.Load()).UTC() }

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) { c.micro.Add(d.Microseconds()) }

// Options say how a store is to be opened.
type Options struct {
	// Now is the store's clock.
	Now func() time.Time
	// MaxMembers is the limit of a static list.
	MaxMembers int64
}

// maxMembers is the limit of lists in the suite, which takes more than one change to reach: a million take minutes under the race detector.
const maxMembers = segment.MaxChange

// Factory opens an empty store, and closes it when the test ends.
type Factory func(t testing.TB, o Options) segment.Store

// Run checks a driver.
func Run(t *testing.T, open Factory) {
	for _, c := range []struct {
		name string
		test func(*testing.T, segment.Store, *Clock)
	}{
		{"a segment comes back as it was created", testCreate},
		{"an id is taken once and compared byte by byte", testIDs},
		{"pages hold every segment once", testList},
		{"an update changes what it names and nothing else", testUpdate},
		{"an old etag changes nothing", testETag},
		{"an owned segment is changed on the owner's word only", testOwned},
		{"references must exist and are returned with ids", testReferences},
		{"circles are refused with their path", testCycles},
		{"concurrent updates never make a circle together", testCyclesConcurrently},
		{"a segment in use is not deleted", testDelete},
		{"checking only stores nothing", testCheckOnly},
		{"revisions are dense and in order under concurrent writers", testRevisions},
		{"metadata takes a revision but is no new definition", testDefinitionRevision},
		{"definitions are one state", testDefinitions},
		{"positions of another life are not held", testHolds},
		{"a list keeps each member once", testMembers},
		{"a list has a limit", testMembersLimit},
		{"a large list is walked whole and in order", testMembersWalk},
		{"ordinals come back as they were given", testOrdinals},
		{"ordinals are given once", testOrdinalsOnce},
		{"a blanked ordinal stays taken", testBlank},
		{"layout numbers are never used again", testLayouts},
		{"lease numbers grow and old leases are refused", testLease},
		{"a lease is taken over when it has expired", testLeaseExpiry},
		{"one of many wins the lease", testLeaseRace},
		{"a cancelled call writes nothing", testCancelled},
		{"a closed store says so", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			clock := new(Clock)
			clock.Advance(time.Hour)
			c.test(t, open(t, Options{Now: clock.Now, MaxMembers: maxMembers}), clock)
		})
	}
}

var uids atomic.Uint64

// newUID returns a segment's uid that no other call returned.
func newUID() string {
	n := uids.Add(1)
	hex := []byte("0190a000-0000-7000-8000-000000000000")
	for i := len(hex) - 1; n > 0; i-- {
		hex[i] = "0123456789abcdef"[n%16]
		n /= 16
	}
	return string(hex)
}

// person returns the nth profile's uid; they ascend with n.
func person(n int) audience.UID {
	var u audience.UID
	u[0] = 1
	binary.BigEndian.PutUint64(u[8:], uint64(n))
	return u
}

func people(from, to int) []audience.UID {
	list := make([]audience.UID, 0, to-from)
	for n := from; n < to; n++ {
		list = append(list, person(n))
	}
	return list
}

func rule(id, text string, refs ...segment.Segment) segment.Segment {
	s := segment.Segment{ID: id, UID: newUID(), Rule: text}
	for _, r := range refs {
		s.References = append(s.References, segment.Reference{ID: r.ID, UID: r.UID})
	}
	return s
}

func create(t testing.TB, s segment.Store, seg segment.Segment) segment.Segment {
	t.Helper()
	got, _, err := s.Create(t.Context(), seg, false)
	if err != nil {
		t.Fatalf("create %s: %v", seg.ID, err)
	}
	return got
}

// change is an update of the rule to name other segments.
func change(id string, refs ...segment.Segment) segment.Change {
	text := "refers"
	c := segment.Change{ID: id}
	for _, r := range refs {
		text += " " + r.ID
		c.References = append(c.References, segment.Reference{ID: r.ID, UID: r.UID})
	}
	c.Rule = &text
	return c
}

func wantReason(t testing.TB, err error, kind fault.Kind, reason string) fault.Error {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Kind != kind || f.Reason != reason {
		t.Fatalf("error = %v, want %v with reason %s", err, kind, reason)
	}
	return *f
}

func head(t testing.TB, s segment.Store) segment.Position {
	t.Helper()
	p, err := s.Head(t.Context())
	if err != nil {
		t.Fatalf("head: %v", err)
	}
	return p
}
