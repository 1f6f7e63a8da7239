package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
)

// begin is where the clocks of the tests stand first.
var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Open opens a fresh store that reads the time from now, computes traits with Settings, and is closed when the test ends.
type Open func(t testing.TB, now func() time.Time) profile.Store

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, e *env)
	}{
		{"a profile comes back as it was stored", roundTrip},
		{"taken uids and external ids are refused and change nothing", taken},
		{"a request id returns the first answer for an hour", requestIDs},
		{"several profiles come in the order asked for", batchGet},
		{"a list is stable while profiles are added", listing},
		{"an update needs the current etag and fails whole", updates},
		{"a deleted profile is gone and its uid is not given again", deletes},
		{"upserts match by uid, then by external id, then create", upserts},
		{"an upsert is all or nothing", upsertWhole},
		{"an import stores its progress with its rows", importing},
		{"rows of one unit see each other in order", importOrder},
		{"identifiers lead to who has them", resolving},
		{"many identifiers are asked for at once", resolvingMany},
		{"changes come without contact data", contactless},
		{"what is stored already is unchanged, names and identifiers too", unchanged},
		{"what is under which key is counted", keyUse},
		{"events count once and traits follow", recording},
		{"events of nobody are refused, all or none", recordingWhole},
		{"an import of events stores its progress with them", importingEvents},
		{"what is deleted no longer counts", deletingEvents},
		{"events are listed by time", listingEvents},
		{"nobody writes what is computed", computed},
		{"events to come count from their day on", coming},
		{"day by day is the same as all at once", days},
		{"events recorded at the same time all count, once", together},
		{"declarations of attributes", attributes},
		{"changes are ordered and compacted", changes},
		{"pages of changes add up", changePages},
		{"positions are recognised", positions},
		{"two profiles become one", merges},
		{"of a merge the profile that goes comes first", mergingOrder},
		{"a merge knows where each value comes from", mergingBySource},
		{"a merge that is refused changes nothing", mergingRefused},
		{"a former uid leads to the person", formerUIDs},
		{"a merge is taken back", unmerging},
		{"what was changed after a merge stays", unmergingAfterChanges},
		{"a merge that cannot be taken back stays", unmergingRefused},
		{"only merges that cannot be taken back are forgotten", purging},
		{"merges follow each other", chains},
		{"events go with the people who are merged and parted", mergingEvents},
		{"events do not make what a profile says newer", mergingAfterEvents},
		{"random merges leave what a naive store has", metamorphicMerges},
		{"concurrent merges lose nobody", concurrentMerges},
		{"concurrent writes get dense revisions and fail alone", concurrent},
		{"a reader of changes misses nothing while others write", following},
		{"random operations leave what a naive store has", metamorphic},
		{"a cancelled call gives the context's error", cancelled},
		{"a closed store is unavailable", closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := &env{now: begin}
			e.Store = open(t, e.clock)
			c.test(t, e)
		})
	}
}

// env is a store with a clock that the test turns.
type env struct {
	profile.Store
	mu  sync.Mutex
	now time.Time
}

func (e *env) clock() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

func (e *env) advance(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = e.now.Add(d)
}

func (e *env) head(t testing.TB) profile.Head {
	t.Helper()
	h, err := e.Head(t.Context())
	must(t, err)
	return h
}

func (e *env) create(t testing.TB, p *profile.Profile) *profile.Profile {
	t.Helper()
	made, _, err := e.Create(t.Context(), p, "")
	must(t, err)
	return made
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantFault(t testing.TB, err error, kind fault.Kind, reason string) {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Kind != kind || f.Reason != reason {
		t.Fatalf("error %v, want %s %s", err, kind, reason)
	}
}

// uid makes a uid that the store did not give.
func uid(n int) audience.UID {
	return audience.UID{0x01, 0x80, byte(n >> 16), byte(n >> 8), byte(n), 0, 0x70, 0, 0x80, 15: 1}
}

// external makes an external identifier.
func external(source string, n int) profile.Identifier {
	return profile.Identifier{Kind: profile.KindExternalID, Source: source, Value: fmt.Sprintf("id-%05d", n)}
}

// person makes a profile that holds n and an external id.
func person(n int) *profile.Profile {
	return &profile.Profile{Occupation: fmt.Sprint("occupation ", n), Identifiers: []profile.Identifier{external("crm", n)}}
}

// full has every attribute, in canonical form, declared or not: a store does not ask.
func full() *profile.Profile {
	empty, name := "", "Zoë"
	day := int64(21000)
	return &profile.Profile{
		GivenName: &name, FamilyName: &empty, BirthDate: &profile.Interval{First: 5000, Last: 5364}, Gender: "other", Region: "FR-40",
		PostalCode: "40100", JobLevel: "cxo", Income: &profile.Money{Currency: "EUR", Amount: -1250}, Education: "master", MaritalStatus: "widowed",
		Occupation: "luthière", Employer: profile.Employer{Name: "Atelier", Industry: "music", Size: "2-10"}, Household: "h1",
		Roles: []string{}, Lifecycle: "lapsed", Interests: []string{"cycling", "été"}, Values: []string{"x"}, Needs: []string{},
		PreferredChannels: []string{"email", "post"}, PreferredBrands: []string{"b"},
		Consents: []profile.Consent{
			{Purpose: "marketing", Status: "denied"},
			{Purpose: "marketing", Channel: "email", Status: "granted", Expires: &day, Decided: time.Date(2025, 1, 2, 3, 4, 5, 6000, time.UTC), Source: "form"},
		},
		Identifiers: []profile.Identifier{external("crm", 1), {Kind: "email", Value: "z@example.com"}},
		Custom: map[string]profile.Value{
			"a": {Type: profile.TypeString, Text: "t"}, "b": {Type: profile.TypeDecimal, Text: "-0.50"}, "c": {Type: profile.TypeBool, Num: 1},
			"d": {Type: profile.TypeDate, Num: -3}, "e": {Type: profile.TypeStringList, List: []string{}}, "f": {Type: profile.TypeBool},
		},
	}
}

// changesAfter reads all changes after a revision, in pages.
func (e *env) changesAfter(t testing.TB, after int64, limit, bytes int) []profile.Change {
	t.Helper()
	var all []profile.Change
	for {
		page, err := e.Changes(t.Context(), after, profile.PageOptions{Limit: limit, Bytes: bytes})
		must(t, err)
		if len(page.Changes) > limit {
			t.Fatalf("a page holds %d changes, want at most %d", len(page.Changes), limit)
		}
		all = append(all, page.Changes...)
		if !page.More {
			return all
		}
		if len(page.Changes) == 0 {
			t.Fatal("a page without changes says that there are more")
		}
		after = page.Changes[len(page.Changes)-1].Revision
	}
}

func revisions(changes []profile.Change) []int64 {
	var list []int64
	for _, c := range changes {
		list = append(list, c.Revision)
	}
	return list
}

func ascending(t testing.TB, changes []profile.Change, after int64) {
	t.Helper()
	list := revisions(changes)
	if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) || len(list) > 0 && list[0] <= after {
		t.Fatalf("changes after %d have the revisions %v", after, list)
	}
}
