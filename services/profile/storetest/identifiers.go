package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/profile"
)

func email(value string) profile.Identifier { return profile.Identifier{Kind: "email", Value: value} }

// having makes a profile with identifiers.
func having(ids ...profile.Identifier) *profile.Profile { return &profile.Profile{Identifiers: ids} }

// resolve asks and compares.
func (e *env) resolve(t testing.TB, what string, ids []profile.Identifier, want ...[]audience.UID) {
	t.Helper()
	got, err := e.Resolve(t.Context(), ids)
	must(t, err)
	if len(got) != len(want) {
		t.Fatalf("%s: %d identifiers lead to %d answers", what, len(ids), len(got))
	}
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("%s: identifier %d leads to %x, want %x", what, i, got[i], want[i])
		}
	}
}

func resolving(t *testing.T, e *env) {
	shared := email("both@example.com")
	nobody := []audience.UID(nil)
	e.resolve(t, "an empty store", []profile.Identifier{shared}, nobody)
	e.resolve(t, "nothing asked", nil)
	b := e.create(t, &profile.Profile{UID: uid(8), Identifiers: []profile.Identifier{external("crm", 2), shared}}).UID
	a := e.create(t, &profile.Profile{UID: uid(7), Identifiers: []profile.Identifier{external("crm", 1), shared, {Kind: "phone", Value: "+33639980001"}}}).UID
	e.resolve(t, "created", []profile.Identifier{external("crm", 2), shared, external("crm", 3), external("crm", 1), external("crm", 2), {Kind: "phone", Value: "+33639980001"}},
		[]audience.UID{b}, []audience.UID{a, b}, nobody, []audience.UID{a}, []audience.UID{b}, []audience.UID{a})
	// What makes an identifier the same: its kind and value, and its source where a value means nothing without.
	e.resolve(t, "others", []profile.Identifier{
		{Kind: "email", Source: "shop", Value: shared.Value}, {Kind: "phone", Value: shared.Value}, {Kind: "external_id", Source: "shop", Value: "id-00001"},
		{Kind: "cookie", Source: "crm", Value: "id-00001"}, email("Both@example.com"),
	}, []audience.UID{a, b}, nobody, nobody, nobody, nobody)
	_, _, err := e.Update(t.Context(), b, "", func(p *profile.Profile) error {
		p.Identifiers = []profile.Identifier{external("crm", 4), {Kind: "email", Source: "shop", Value: shared.Value}}
		return nil
	})
	must(t, err)
	e.resolve(t, "updated", []profile.Identifier{external("crm", 2), external("crm", 4), shared}, nobody, []audience.UID{b}, []audience.UID{a, b})
	_, _, err = e.Update(t.Context(), a, "", func(p *profile.Profile) error { p.Occupation = "x"; return nil })
	must(t, err)
	e.resolve(t, "updated elsewhere", []profile.Identifier{external("crm", 1), shared}, []audience.UID{a}, []audience.UID{a, b})
	// Within one commit: one gives up what the next takes.
	rows := []profile.Row{{Profile: having(external("crm", 4))}, {Profile: having(external("crm", 5), shared)}, {Profile: having(external("crm", 5), email("last@example.com"))}}
	got, _, err := e.Upsert(t.Context(), rows)
	must(t, err)
	c := got[1].UID
	e.resolve(t, "upserted", []profile.Identifier{external("crm", 4), shared, external("crm", 5), email("last@example.com")},
		[]audience.UID{b}, []audience.UID{a}, []audience.UID{c}, []audience.UID{c})
	_, err = e.Delete(t.Context(), a, "")
	must(t, err)
	e.resolve(t, "deleted", []profile.Identifier{external("crm", 1), shared, {Kind: "phone", Value: "+33639980001"}}, nobody, nobody, nobody)
	// A refused write leaves nothing.
	_, _, err = e.Create(t.Context(), having(external("crm", 5), email("refused@example.com")), "")
	if err == nil {
		t.Error("an external id was given twice")
	}
	e.resolve(t, "refused", []profile.Identifier{email("refused@example.com")}, nobody)
}

func resolvingMany(t *testing.T, e *env) {
	const n = 1500 // more than any driver puts into one statement
	rows := make([]profile.Row, n)
	ids := make([]profile.Identifier, n)
	for i := range rows {
		ids[i] = email(fmt.Sprintf("p%d@example.com", i))
		rows[i].Profile = having(external("crm", i), ids[i], email("all@example.com"))
	}
	got, _, err := e.Upsert(t.Context(), rows)
	must(t, err)
	var all []audience.UID
	want := make([][]audience.UID, n)
	for i := range got {
		want[i] = []audience.UID{got[i].UID}
		all = append(all, got[i].UID)
	}
	e.resolve(t, "many", append(slices.Clone(ids), email("all@example.com")), append(want, all)...)
}

// contactless reads changes without names and identifiers.
func contactless(t *testing.T, e *env) {
	made := e.create(t, full())
	page, err := e.Changes(t.Context(), 0, profile.PageOptions{Limit: 10, Bytes: 1 << 20, WithoutContact: true})
	must(t, err)
	want := made.Clone()
	want.GivenName, want.FamilyName, want.Identifiers = nil, nil, nil
	if len(page.Changes) != 1 || !reflect.DeepEqual(page.Changes[0].Profile, want) {
		t.Errorf("without contact the changes are %+v, want %+v", page.Changes, want)
	}
}

// unchanged repeats what is stored: names and identifiers count as much as all else.
func unchanged(t *testing.T, e *env) {
	made := e.create(t, full())
	row := func(change func(*profile.Profile)) []profile.Row {
		p := full()
		p.UID = made.UID
		change(p)
		return []profile.Row{{Profile: p, Etag: profile.Etag(e.head(t).Revision)}}
	}
	revision := made.Revision
	for name, c := range map[string]struct {
		change func(*profile.Profile)
		want   profile.Outcome
	}{
		"the same":      {func(*profile.Profile) {}, profile.Unchanged},
		"a name":        {func(p *profile.Profile) { other := "Zoe"; p.GivenName = &other }, profile.Updated},
		"no name":       {func(p *profile.Profile) { p.FamilyName = nil }, profile.Updated},
		"an identifier": {func(p *profile.Profile) { p.Identifiers[1].Value = "y@example.com" }, profile.Updated},
		"no contact":    {func(p *profile.Profile) { p.GivenName, p.FamilyName, p.Identifiers = nil, nil, nil }, profile.Updated},
	} {
		for range 2 { // what was changed is the same the second time, and then back
			got, at, err := e.Upsert(t.Context(), row(c.change))
			must(t, err)
			if got[0].Outcome != c.want {
				t.Errorf("%s: outcome %d, want %d", name, got[0].Outcome, c.want)
			}
			if c.want == profile.Updated {
				revision++
			}
			if at.Revision != revision {
				t.Errorf("%s: revision %d, want %d", name, at.Revision, revision)
			}
			c.want = profile.Unchanged
		}
		_, at, err := e.Upsert(t.Context(), row(func(*profile.Profile) {}))
		must(t, err)
		revision = at.Revision
	}
	got, err := e.Get(t.Context(), made.UID)
	must(t, err)
	want := full()
	want.UID, want.Revision, want.CreateTime, want.UpdateTime = made.UID, revision, e.now, e.now
	if !reflect.DeepEqual(got, want) {
		t.Errorf("after all changes and back: %+v, want %+v", got, want)
	}
}

// keyUse counts what is stored under the one key of each kind.
func keyUse(t *testing.T, e *env) {
	e.create(t, person(1))
	e.create(t, having(email("a@example.com"), email("b@example.com")))
	e.create(t, &profile.Profile{Occupation: "nobody we know"})
	use, err := e.KeyUse(t.Context())
	must(t, err)
	if use.Remaining() != 0 || use.Contact[use.PrimaryContact] != 2 || use.Index[use.PrimaryIndex] != 3 || len(use.Contact) != 1 || len(use.Index) != 1 {
		t.Errorf("in use are %+v", use)
	}
	n, err := e.Rekey(t.Context(), 100)
	must(t, err)
	if n != 0 || e.head(t).Revision != 3 {
		t.Errorf("%d profiles were put under the keys that they are under", n)
	}
}
