package storetest

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
)

// undoPeriod is that of a store of the suite: the default.
const undoPeriod = 30 * 24 * time.Hour

func (e *env) merge(t testing.TB, survivor, merged audience.UID) *profile.Profile {
	t.Helper()
	p, _, _, err := e.Merge(t.Context(), survivor, merged, profile.MergeOptions{})
	must(t, err)
	return p
}

func (e *env) get(t testing.TB, uid audience.UID) *profile.Profile {
	t.Helper()
	p, err := e.Get(t.Context(), uid)
	must(t, err)
	return p
}

// set changes the occupation of a profile.
func (e *env) set(t testing.TB, uid audience.UID, occupation string) *profile.Profile {
	t.Helper()
	p, _, err := e.Update(t.Context(), uid, "", func(p *profile.Profile) error { p.Occupation = occupation; return nil })
	must(t, err)
	return p
}

// pair makes two profiles, the second later, of which one says what the other does not.
func (e *env) pair(t testing.TB) (a, b *profile.Profile) {
	t.Helper()
	name := "Zoë"
	a = e.create(t, &profile.Profile{
		UID: uid(21), Occupation: "smith", Gender: "female", Interests: []string{"a", "b"}, Identifiers: []profile.Identifier{external("crm", 1), email("both@example.com")},
		Consents: []profile.Consent{{Purpose: "marketing", Channel: "email", Status: "granted"}, {Purpose: "profiling", Status: "granted"}},
	})
	e.advance(time.Hour)
	b = e.create(t, &profile.Profile{
		UID: uid(20), GivenName: &name, Occupation: "baker", Region: "FR", Interests: []string{"b", "c"}, Needs: []string{},
		Identifiers: []profile.Identifier{external("crm", 2), external("shop", 1), email("both@example.com"), email("b@example.com")},
		Consents:    []profile.Consent{{Purpose: "marketing", Status: "denied"}},
		Custom:      map[string]profile.Value{"plan": {Type: profile.TypeString, Text: "gold"}},
	})
	e.advance(time.Hour)
	return a, b
}

// ofPair is what comes of merging the pair's second into its first.
func ofPair(a, b *profile.Profile) *profile.Profile {
	want := a.Clone()
	want.GivenName, want.Occupation, want.Region, want.Custom = b.GivenName, "baker", "FR", b.Custom
	want.Interests, want.Needs = []string{"a", "b", "c"}, []string{}
	want.Identifiers = []profile.Identifier{external("crm", 1), external("crm", 2), external("shop", 1), email("b@example.com"), email("both@example.com")}
	want.Consents = []profile.Consent{
		{Purpose: "marketing", Status: "denied"}, {Purpose: "marketing", Channel: "email", Status: "denied"}, {Purpose: "profiling", Status: "granted"},
	}
	return want
}

func merges(t *testing.T, e *env) {
	a, b := e.pair(t)
	got, until, at, err := e.Merge(t.Context(), a.UID, b.UID, profile.MergeOptions{Etag: profile.Etag(a.Revision), MergedEtag: profile.Etag(b.Revision)})
	must(t, err)
	want := ofPair(a, b)
	want.Revision, want.UpdateTime = 4, e.now // the profile that goes has the revision before
	if !reflect.DeepEqual(got, want) {
		t.Errorf("merged into\n%+v, want\n%+v", got, want)
	}
	if !until.Equal(e.now.Add(undoPeriod)) || at.Revision != 4 || e.head(t).Revision != 4 {
		t.Errorf("the merge can be undone until %v, and is at %d of %d", until, at.Revision, e.head(t).Revision)
	}
	// Both uids lead to the one person.
	for _, uid := range []audience.UID{a.UID, b.UID} {
		if got := e.get(t, uid); !reflect.DeepEqual(got, want) {
			t.Errorf("%x is\n%+v, want\n%+v", uid, got, want)
		}
	}
	both, err := e.BatchGet(t.Context(), []audience.UID{b.UID, uid(1), a.UID, b.UID})
	must(t, err)
	if both[1] != nil || !reflect.DeepEqual(both[0], want) || !reflect.DeepEqual(both[2], want) || !reflect.DeepEqual(both[3], want) || both[0] == both[3] {
		t.Errorf("several are %+v", both)
	}
	list, err := e.List(t.Context(), audience.UID{}, 10)
	must(t, err)
	if len(list) != 1 || list[0].UID != a.UID {
		t.Errorf("%d profiles are listed, want the survivor", len(list))
	}
	one := []audience.UID{a.UID}
	e.resolve(t, "merged", []profile.Identifier{external("crm", 1), external("crm", 2), external("shop", 1), email("both@example.com"), email("b@example.com")}, one, one, one, one, one)
	// A watcher hears first that one goes, and where to, then what the other one became.
	changes := e.changesAfter(t, 2, 10, 1<<20)
	if len(changes) != 2 || changes[0].Deleted == nil || *changes[0].Deleted != b.UID || changes[0].MergedInto == nil || *changes[0].MergedInto != a.UID ||
		changes[1].Profile == nil || !reflect.DeepEqual(changes[1].Profile, want) || changes[1].MergedInto != nil {
		t.Errorf("the changes are %+v", changes)
	}
}

// mergingOrder merges into the profile with the higher uid and into the one with the lower: the one that goes comes first.
func mergingOrder(t *testing.T, e *env) {
	for n := range 2 {
		var uids []audience.UID
		for i := range 2 {
			p := person(10*n + i)
			p.UID = uid(10*n + i)
			uids = append(uids, e.create(t, p).UID)
		}
		survivor, merged := uids[n], uids[1-n]
		before := e.head(t).Revision
		e.merge(t, survivor, merged)
		changes := e.changesAfter(t, before, 10, 1<<20)
		if len(changes) != 2 || changes[0].Deleted == nil || *changes[0].Deleted != merged || changes[1].Profile == nil || changes[1].Profile.UID != survivor {
			t.Errorf("merging %x into %x: the changes are %+v", merged, survivor, changes)
		}
	}
}

// mergingBySource lets the policy decide by what earlier writes said of their source, however they were made.
func mergingBySource(t *testing.T, e *env) {
	occupied := func(n int, occupation string) *profile.Profile {
		p := person(n)
		p.UID, p.Occupation = uid(n), occupation
		return p
	}
	update := func(n int, occupation, source string) {
		_, _, err := e.Update(t.Context(), uid(n), "", func(p *profile.Profile) error { p.Occupation = occupation; return nil }, profile.From(source))
		must(t, err)
	}
	writes := map[string]func(n int, occupation, source string){
		"create": func(n int, occupation, source string) {
			_, _, err := e.Create(t.Context(), occupied(n, occupation), "", profile.From(source))
			must(t, err)
		},
		"update": func(n int, occupation, source string) {
			e.create(t, occupied(n, "before"))
			update(n, occupation, source)
		},
		"upsert": func(n int, occupation, source string) {
			_, _, err := e.Upsert(t.Context(), []profile.Row{{Profile: occupied(n, occupation), Source: source}})
			must(t, err)
		},
		"import": func(n int, occupation, source string) {
			_, _, _, err := e.Import(t.Context(), occupied(n, "").Identifiers[0].Value, 0, []profile.Row{{Profile: occupied(n, occupation), Source: source}})
			must(t, err)
		},
		"a write of something else later": func(n int, occupation, source string) {
			_, _, err := e.Create(t.Context(), occupied(n, occupation), "", profile.From(source))
			must(t, err)
			e.advance(10 * time.Hour)
			_, _, err = e.Update(t.Context(), uid(n), "", func(p *profile.Profile) error { p.Household = "h"; return nil }, profile.From("web"))
			must(t, err)
			e.advance(-10 * time.Hour)
		},
	}
	n := 0
	for name, write := range writes {
		for _, c := range []struct {
			policy       profile.MergePolicy
			first, later string
			want         string
		}{
			{profile.MergeMostRecent, "crm", "web", "later"},
			{profile.MergeMostTrusted, "crm", "web", "first"},
			{profile.MergeMostTrusted, "shop", "crm", "later"},
			{profile.MergeMostTrusted, "", "web", "later"},
		} {
			write(n, "first", c.first)
			e.advance(time.Hour)
			write(n+1, "later", c.later)
			e.advance(time.Hour)
			for _, uids := range [][2]audience.UID{{uid(n), uid(n + 1)}, {uid(n + 1), uid(n)}} {
				got, _, _, err := e.Merge(t.Context(), uids[0], uids[1], profile.MergeOptions{Policy: c.policy, Trust: []string{"crm", "shop"}})
				must(t, err)
				if got.Occupation != c.want {
					t.Errorf("%s from %q, then %q: by policy %d the occupation is %q, want %q", name, c.first, c.later, c.policy, got.Occupation, c.want)
				}
				_, _, _, err = e.Unmerge(t.Context(), uids[1])
				must(t, err)
			}
			n += 2
		}
	}
}

func mergingRefused(t *testing.T, e *env) {
	a, b := e.pair(t)
	before := e.head(t)
	merge := func(survivor, merged audience.UID, want profile.MergeOptions) error {
		_, _, _, err := e.Merge(t.Context(), survivor, merged, want)
		return err
	}
	wantFault(t, merge(uid(1), b.UID, profile.MergeOptions{}), fault.NotFound, profile.ReasonProfileNotFound)
	wantFault(t, merge(a.UID, uid(1), profile.MergeOptions{}), fault.NotFound, profile.ReasonProfileNotFound)
	wantFault(t, merge(a.UID, b.UID, profile.MergeOptions{Etag: profile.Etag(b.Revision)}), fault.Conflict, profile.ReasonEtagMismatch)
	wantFault(t, merge(a.UID, b.UID, profile.MergeOptions{MergedEtag: profile.Etag(a.Revision)}), fault.Conflict, profile.ReasonEtagMismatch)
	wantFault(t, merge(a.UID, a.UID, profile.MergeOptions{}), fault.Precondition, profile.ReasonAlreadyMerged)
	if e.head(t).Revision != before.Revision || !reflect.DeepEqual(e.get(t, a.UID), a) || !reflect.DeepEqual(e.get(t, b.UID), b) {
		t.Error("refused merges left something behind")
	}
	e.merge(t, a.UID, b.UID)
	// Whoever lost the answer and asks again hears that it is done, with the etags of before, too.
	wantFault(t, merge(a.UID, b.UID, profile.MergeOptions{Etag: profile.Etag(a.Revision), MergedEtag: profile.Etag(b.Revision)}), fault.Precondition, profile.ReasonAlreadyMerged)
	wantFault(t, merge(b.UID, a.UID, profile.MergeOptions{}), fault.Precondition, profile.ReasonAlreadyMerged)
	// What the survivor has, nobody else can get, and the uid is not given again.
	_, _, err := e.Create(t.Context(), having(external("crm", 2)), "")
	wantFault(t, err, fault.Exists, profile.ReasonExternalIDTaken)
	_, _, err = e.Create(t.Context(), &profile.Profile{UID: b.UID}, "")
	wantFault(t, err, fault.Exists, profile.ReasonProfileExists)
}

// formerUIDs writes by the uid of a profile that was merged.
func formerUIDs(t *testing.T, e *env) {
	a, b := e.pair(t)
	merged := e.merge(t, a.UID, b.UID)
	_, _, err := e.Update(t.Context(), b.UID, profile.Etag(b.Revision), func(*profile.Profile) error { return nil })
	wantFault(t, err, fault.Conflict, profile.ReasonEtagMismatch)
	got, _, err := e.Update(t.Context(), b.UID, profile.Etag(merged.Revision), func(p *profile.Profile) error { p.Occupation = "joiner"; return nil })
	must(t, err)
	if got.UID != a.UID || got.Occupation != "joiner" || !reflect.DeepEqual(e.get(t, a.UID), got) {
		t.Errorf("an update by the former uid gave %+v", got)
	}
	row := func(occupation string) []profile.Row {
		p := got.Clone()
		p.UID, p.Occupation = b.UID, occupation
		return []profile.Row{{Profile: p}}
	}
	upserted, _, err := e.Upsert(t.Context(), row("tanner"))
	must(t, err)
	if upserted[0] != (profile.Upserted{UID: a.UID, Outcome: profile.Updated}) || e.get(t, a.UID).Occupation != "tanner" {
		t.Errorf("an upsert by the former uid gave %+v", upserted)
	}
	imported, _, _, err := e.Import(t.Context(), "i", 0, append(row("tanner"), row("cooper")...))
	must(t, err)
	if imported[0] != (profile.Upserted{UID: a.UID, Outcome: profile.Unchanged}) || imported[1] != (profile.Upserted{UID: a.UID, Outcome: profile.Updated}) {
		t.Errorf("an import by the former uid gave %+v", imported)
	}
	// The person is deleted, and nothing leads there any more.
	at, err := e.Delete(t.Context(), b.UID, "")
	must(t, err)
	for _, uid := range []audience.UID{a.UID, b.UID} {
		_, err := e.Get(t.Context(), uid)
		wantFault(t, err, fault.NotFound, profile.ReasonProfileNotFound)
		_, err = e.Delete(t.Context(), uid, "")
		wantFault(t, err, fault.NotFound, profile.ReasonProfileNotFound)
		_, _, err = e.Upsert(t.Context(), []profile.Row{{Profile: &profile.Profile{UID: uid}}})
		wantFault(t, err, fault.Exists, profile.ReasonProfileExists)
	}
	changes := e.changesAfter(t, at.Revision-1, 10, 1<<20)
	if len(changes) != 1 || changes[0].Deleted == nil || *changes[0].Deleted != a.UID || changes[0].MergedInto != nil {
		t.Errorf("the deletion shows as %+v", changes)
	}
	_, _, _, err = e.Unmerge(t.Context(), b.UID)
	wantFault(t, err, fault.Precondition, profile.ReasonMergeBuiltUpon)
	// Nothing is kept of what the person was.
	e.advance(2 * undoPeriod)
	if n, err := e.PurgeMerges(t.Context()); err != nil || n != 0 {
		t.Errorf("%d merges of a deleted person were kept (%v)", n, err)
	}
}

func unmerging(t *testing.T, e *env) {
	a, b := e.pair(t)
	e.merge(t, a.UID, b.UID)
	e.advance(undoPeriod - time.Second)
	before := e.head(t).Revision
	restored, remaining, at, err := e.Unmerge(t.Context(), b.UID)
	must(t, err)
	wantA, wantB := a.Clone(), b.Clone()
	wantB.Revision, wantA.Revision, wantA.UpdateTime, wantB.UpdateTime = before+1, before+2, e.now, e.now // by uid
	if !reflect.DeepEqual(remaining, wantA) || !reflect.DeepEqual(restored, wantB) {
		t.Errorf("unmerged into\n%+v and\n%+v, want\n%+v and\n%+v", remaining, restored, wantA, wantB)
	}
	if !reflect.DeepEqual(e.get(t, a.UID), wantA) || !reflect.DeepEqual(e.get(t, b.UID), wantB) || at.Revision != before+2 {
		t.Error("what was returned is not what is stored")
	}
	e.resolve(t, "unmerged", []profile.Identifier{external("crm", 1), external("crm", 2), external("shop", 1), email("both@example.com"), email("b@example.com")},
		[]audience.UID{a.UID}, []audience.UID{b.UID}, []audience.UID{b.UID}, []audience.UID{b.UID, a.UID}, []audience.UID{b.UID})
	changes := e.changesAfter(t, 2, 10, 1<<20)
	if len(changes) != 2 || !reflect.DeepEqual(changes[0].Profile, wantB) || !reflect.DeepEqual(changes[1].Profile, wantA) {
		t.Errorf("the changes are %+v", changes)
	}
	_, _, _, err = e.Unmerge(t.Context(), b.UID)
	wantFault(t, err, fault.NotFound, profile.ReasonMergeNotFound)
	// Merged once more, the other way round.
	again := e.merge(t, b.UID, a.UID)
	if again.Occupation != "baker" || len(again.Identifiers) != 5 || e.get(t, a.UID).UID != b.UID {
		t.Errorf("merged the other way round: %+v", again)
	}
	_, _, _, err = e.Unmerge(t.Context(), a.UID)
	must(t, err)
	e.merge(t, a.UID, b.UID)
}

// unmergingAfterChanges takes a merge back after the survivor was changed.
func unmergingAfterChanges(t *testing.T, e *env) {
	a, b := e.pair(t)
	e.merge(t, a.UID, b.UID)
	e.advance(time.Hour)
	_, _, err := e.Update(t.Context(), a.UID, "", func(p *profile.Profile) error {
		p.Gender, p.Interests = "other", []string{"b", "c", "d"}
		p.Identifiers = append(slices.DeleteFunc(p.Identifiers, func(id profile.Identifier) bool { return id == external("crm", 1) }), email("new@example.com"))
		p.Consents = append(p.Consents, profile.Consent{Purpose: "measurement", Status: "withdrawn"})
		return nil
	})
	must(t, err)
	restored, remaining, _, err := e.Unmerge(t.Context(), b.UID)
	must(t, err)
	wantA, wantB := a.Clone(), b.Clone()
	refused := profile.Consent{Purpose: "measurement", Status: "withdrawn"}
	wantA.Gender, wantA.Interests, wantA.Identifiers = "other", []string{"b", "d"}, []profile.Identifier{email("both@example.com"), email("new@example.com")}
	wantA.Consents, wantB.Consents = append(wantA.Consents, refused), append(wantB.Consents, refused)
	wantA.Revision, wantB.Revision, wantA.UpdateTime, wantB.UpdateTime = remaining.Revision, restored.Revision, e.now, e.now
	if !reflect.DeepEqual(remaining, wantA) || !reflect.DeepEqual(restored, wantB) {
		t.Errorf("unmerged into\n%+v and\n%+v, want\n%+v and\n%+v", remaining, restored, wantA, wantB)
	}
	e.create(t, having(external("crm", 1))) // given up meanwhile
	// What is known of where things come from came back, too: b's occupation is still the later one.
	e.set(t, a.UID, "smith") // changes nothing
	if got := e.merge(t, a.UID, b.UID); got.Occupation != "baker" {
		t.Errorf("merged again, the occupation is %q", got.Occupation)
	}
}

func unmergingRefused(t *testing.T, e *env) {
	unmerge := func(uid audience.UID) error {
		_, _, _, err := e.Unmerge(t.Context(), uid)
		return err
	}
	a, b := e.pair(t)
	dead := e.create(t, person(5))
	_, err := e.Delete(t.Context(), dead.UID, "")
	must(t, err)
	for _, uid := range []audience.UID{a.UID, dead.UID, uid(1)} {
		wantFault(t, unmerge(uid), fault.NotFound, profile.ReasonMergeNotFound)
	}
	e.merge(t, a.UID, b.UID)
	wantFault(t, unmerge(a.UID), fault.NotFound, profile.ReasonMergeNotFound)
	// A third profile has one of its external ids by now.
	_, _, err = e.Update(t.Context(), a.UID, "", func(p *profile.Profile) error {
		p.Identifiers = slices.DeleteFunc(p.Identifiers, func(id profile.Identifier) bool { return id == external("shop", 1) })
		return nil
	})
	must(t, err)
	third := e.create(t, having(external("shop", 1)))
	before := e.head(t).Revision
	wantFault(t, unmerge(b.UID), fault.Exists, profile.ReasonExternalIDTaken)
	if e.head(t).Revision != before || e.get(t, b.UID).UID != a.UID {
		t.Error("what was refused left something behind")
	}
	_, err = e.Delete(t.Context(), third.UID, "")
	must(t, err)
	// The period is over; nothing else of the merge changes, with what was kept of it and without.
	e.advance(undoPeriod)
	for range 2 {
		wantFault(t, unmerge(b.UID), fault.Precondition, profile.ReasonMergeExpired)
		if e.get(t, b.UID).UID != a.UID {
			t.Error("after the period the uid leads elsewhere")
		}
		_, err = e.PurgeMerges(t.Context())
		must(t, err)
	}
	if n, err := e.PurgeMerges(t.Context()); err != nil || n != 0 {
		t.Errorf("purged again: %d (%v)", n, err)
	}
}

// purging forgets no merge that can still be taken back.
func purging(t *testing.T, e *env) {
	a, b := e.pair(t)
	c := e.create(t, person(7))
	e.merge(t, a.UID, b.UID)
	e.advance(time.Hour)
	e.merge(t, a.UID, c.UID)
	e.advance(undoPeriod - time.Hour)
	if n, err := e.PurgeMerges(t.Context()); err != nil || n != 1 {
		t.Errorf("%d merges are purged (%v), want the first", n, err)
	}
	_, _, _, err := e.Unmerge(t.Context(), c.UID)
	must(t, err)
	_, _, _, err = e.Unmerge(t.Context(), b.UID)
	wantFault(t, err, fault.Precondition, profile.ReasonMergeExpired)
}

// chains merges on what was merged into.
func chains(t *testing.T, e *env) {
	var uids []audience.UID
	for n := range 5 {
		p := person(n)
		p.UID = uid(n)
		uids = append(uids, e.create(t, p).UID)
	}
	lead := func(what string, want ...int) {
		t.Helper()
		survivors := make(map[audience.UID]bool)
		for n, to := range want {
			if got := e.get(t, uids[n]).UID; got != uids[to] {
				t.Errorf("%s: profile %d leads to %x, want %d", what, n, got, to)
			}
			if n != to {
				survivors[uids[to]] = true
			}
		}
		if got, err := e.Survivors(t.Context(), append(uids, uid(99))); err != nil || !maps.Equal(got, survivors) {
			t.Errorf("%s: survivors are %v (%v), want %v", what, got, err, survivors)
		}
		if got, err := e.Survivors(t.Context(), nil); err != nil || len(got) != 0 {
			t.Errorf("%s: of nobody, survivors are %v (%v)", what, got, err)
		}
	}
	unmerge := func(n int) error {
		_, _, _, err := e.Unmerge(t.Context(), uids[n])
		return err
	}
	e.merge(t, uids[1], uids[0])
	e.merge(t, uids[1], uids[2])
	e.merge(t, uids[3], uids[1])
	lead("a chain", 3, 3, 3, 3, 4)
	if got := e.get(t, uids[0]); len(got.Identifiers) != 4 {
		t.Errorf("the last has %d identifiers", len(got.Identifiers))
	}
	// By the name of one that was merged, both sides.
	wantFault(t, e.mergeFault(t, uids[0], uids[2]), fault.Precondition, profile.ReasonAlreadyMerged)
	e.merge(t, uids[4], uids[0]) // all of it
	lead("by a former uid", 4, 4, 4, 4, 4)
	for _, n := range []int{0, 1, 2} {
		wantFault(t, unmerge(n), fault.Precondition, profile.ReasonMergeBuiltUpon)
	}
	must(t, unmerge(3))
	lead("the last taken back", 3, 3, 3, 3, 4)
	wantFault(t, unmerge(0), fault.Precondition, profile.ReasonMergeBuiltUpon)
	must(t, unmerge(1))
	lead("and the one before", 1, 1, 1, 3, 4)
	// Merges into one profile are taken back from the last on.
	wantFault(t, unmerge(0), fault.Precondition, profile.ReasonMergeBuiltUpon)
	must(t, unmerge(2))
	must(t, unmerge(0))
	lead("all taken back", 0, 1, 2, 3, 4)
	for n, uid := range uids {
		if got := e.get(t, uid); len(got.Identifiers) != 1 || got.Identifiers[0] != external("crm", n) || got.Occupation != person(n).Occupation {
			t.Errorf("profile %d came back as %+v", n, got)
		}
	}
}

func (e *env) mergeFault(t testing.TB, survivor, merged audience.UID) error {
	t.Helper()
	_, _, _, err := e.Merge(t.Context(), survivor, merged, profile.MergeOptions{})
	if err == nil {
		t.Fatal("the merge was made")
	}
	return err
}
