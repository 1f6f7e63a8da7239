package storetest

import (
	"reflect"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
)

func importing(t *testing.T, e *env) {
	p, at, err := e.ImportProgress(t.Context(), "i")
	must(t, err)
	if p != (profile.Progress{}) || at.Revision != 0 || len(at.Mark) == 0 {
		t.Errorf("an unknown import has come to %+v at %+v", p, at)
	}
	e.create(t, person(1))
	taken := person(1)
	taken.UID = uid(4)
	got, p, at, err := e.Import(t.Context(), "i", 0, []profile.Row{{Profile: person(1)}, {Profile: person(2)}, {}, {Profile: taken}})
	must(t, err)
	if p != (profile.Progress{Through: 4, Created: 1, Unchanged: 1, Rejected: 2}) || at.Revision != 2 {
		t.Errorf("after the first unit: %+v at %d", p, at.Revision)
	}
	if got[0].Outcome != profile.Unchanged || got[1].Outcome != profile.Created || got[2] != (profile.Upserted{}) {
		t.Errorf("rows became %+v", got)
	}
	wantFault(t, got[3].Err, fault.Exists, profile.ReasonExternalIDTaken)
	// A unit whose rows are all refused makes no revision, and counts.
	_, p, at, err = e.Import(t.Context(), "i", 4, []profile.Row{{}})
	must(t, err)
	if p.Through != 5 || p.Rejected != 3 || at.Revision != 2 {
		t.Errorf("after a unit without profiles: %+v at %d", p, at.Revision)
	}
	// Another stream was faster.
	_, _, _, err = e.Import(t.Context(), "i", 4, []profile.Row{{Profile: person(9)}})
	wantFault(t, err, fault.Conflict, profile.ReasonImportProtocol)
	_, _, _, err = e.Import(t.Context(), "i", 6, []profile.Row{{Profile: person(9)}})
	wantFault(t, err, fault.Conflict, profile.ReasonImportProtocol)
	stored, _, err := e.ImportProgress(t.Context(), "i")
	must(t, err)
	if stored != p || e.head(t).Revision != 2 {
		t.Errorf("a refused unit left %+v, head %d", stored, e.head(t).Revision)
	}
	if other, _, err := e.ImportProgress(t.Context(), "I"); err != nil || other != (profile.Progress{}) {
		t.Errorf("an import of another name has come to %+v (%v)", other, err)
	}
}

func importOrder(t *testing.T, e *env) {
	later := person(1)
	later.Occupation = "later"
	given := person(2)
	given.UID = uid(1)
	rename := &profile.Profile{UID: uid(1), Identifiers: []profile.Identifier{external("crm", 3)}}
	got, p, at, err := e.Import(t.Context(), "i", 0, []profile.Row{
		{Profile: person(1)}, {Profile: later}, {Profile: given}, {Profile: rename}, {Profile: person(2)}, {Profile: person(3)},
	})
	must(t, err)
	if p != (profile.Progress{Through: 6, Created: 3, Updated: 3}) || at.Revision != 6 {
		t.Errorf("progress %+v at %d", p, at.Revision)
	}
	if got[1].UID != got[0].UID || got[5].UID != uid(1) || got[4].UID == uid(1) {
		t.Errorf("rows became %+v", got)
	}
	one, err := e.Get(t.Context(), got[0].UID)
	must(t, err)
	if one.Occupation != "later" {
		t.Errorf("of two rows with one external id %q won, want the later", one.Occupation)
	}
	// Every profile once, at its last revision; the six revisions are dense.
	var kept []int64
	for _, c := range e.changesAfter(t, 0, 100, 1<<20) {
		kept = append(kept, c.Revision)
	}
	if len(kept) != 3 || kept[2] != 6 {
		t.Errorf("three profiles have the revisions %v", kept)
	}
	many := make([]profile.Row, 2000)
	for i := range many {
		many[i].Profile = person(100 + i/2)
	}
	_, p, _, err = e.Import(t.Context(), "many", 0, many)
	must(t, err)
	if !reflect.DeepEqual(p, profile.Progress{Through: 2000, Created: 1000, Unchanged: 1000}) {
		t.Errorf("each of a thousand people twice: %+v", p)
	}
}
