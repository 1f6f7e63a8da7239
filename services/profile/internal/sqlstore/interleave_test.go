package sqlstore_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
)

// until waits for something that another goroutine does.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for !done() {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
}

// inOneGroup hands in writes that are committed together, in their order.
func inOneGroup(t *testing.T, s *sqlstore.Store, writes ...func() error) []error {
	t.Helper()
	p, _, err := s.Create(t.Context(), &profile.Profile{Occupation: "first"}, "")
	if err != nil {
		t.Fatal(err)
	}
	entered, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // the group before, which goes on until all wait
		var once sync.Once
		_, _, err := s.Update(t.Context(), p.UID, "", func(*profile.Profile) error {
			once.Do(func() { close(entered); <-release })
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-entered
	errs := make([]error, len(writes))
	for i, write := range writes {
		wg.Go(func() { errs[i] = write() })
		until(t, func() bool { return s.Waiting() == i+1 })
	}
	close(release)
	wg.Wait()
	return errs
}

// TestAnEventThatComesDuringAMergeIsNotLost has another process record an event of a coming day, which makes no revision, for a profile
// that is being merged.
func TestAnEventThatComesDuringAMergeIsNotLost(t *testing.T) {
	a, b, _ := two(t)
	survivor, merged, other := create(t, a, 1), create(t, a, 2), create(t, a, 3)
	recordAll(t, a, event("before", "visit", merged, 1))
	var once sync.Once
	errs := inOneGroup(t, a, func() error {
		_, _, _, err := a.Merge(t.Context(), survivor, merged, profile.MergeOptions{})
		return err
	}, func() error {
		_, _, err := a.Update(t.Context(), other, "", func(*profile.Profile) (err error) { // after the merge was staged, before it is written
			once.Do(func() {
				_, _, err = b.Record(context.WithoutCancel(t.Context()), rows(event("coming", "visit", merged, -10_000)))
			})
			return err
		})
		return err
	})
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	events, err := a.Events(t.Context(), merged, nil, 10)
	if err != nil || len(events) != 2 || events[0].ID != "coming" || events[0].UID != survivor {
		t.Errorf("after the merge the events are %+v (%v), want both", events, err)
	}
}

// TestWhatIsTakenAwayWhileKeysChangeIsNotFound has another process put a profile under a new key while an identifier is taken from it.
func TestWhatIsTakenAwayWhileKeysChangeIsNotFound(t *testing.T) {
	keys := newKeys(t)
	a, b, _ := twoWith(t, keys)
	made, _, err := a.Create(t.Context(), customer(1), "")
	if err != nil {
		t.Fatal(err)
	}
	keys.begin(t, keyring.Index)
	var wg sync.WaitGroup
	err = b.RekeyHeld(t.Context(), 10, func() {
		wg.Go(func() {
			_, _, err := a.Update(context.WithoutCancel(t.Context()), made.UID, "", func(p *profile.Profile) error {
				p.Identifiers = nil
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		until(t, func() bool { return b.Locked(t) == 1 })
	})
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	found, err := b.Resolve(t.Context(), made.Identifiers)
	if err != nil || len(found[0])+len(found[1]) != 0 {
		t.Errorf("identifiers that were taken away lead to %x (%v)", found, err)
	}
	if _, _, err := b.Create(t.Context(), customer(1), ""); err != nil {
		t.Errorf("an external id that was given up: %v", err)
	}
}

// TestAReadThatFailedIsMadeAgain has a request fail in the middle of a group: those after it find what is there.
func TestAReadThatFailedIsMadeAgain(t *testing.T) {
	for name, where := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, sqlstore.Config{SQL: where(t)})
			uid := create(t, s, 1)
			recordAll(t, s, event("e", "visit", uid, 1))
			ended, end := context.WithCancel(t.Context())
			end()
			found, recorded, holds, bears, counted, err := s.ReadAgain(t.Context(), ended, uid, "e", person(1).Identifiers[0])
			if err != nil || !found || !recorded || !holds || !bears || !counted {
				t.Errorf("found %v, recorded %v, holds %v, bears %v, counted %v (%v)", found, recorded, holds, bears, counted, err)
			}
		})
	}
}

// TestAnAttributeIsDeclaredOnce declares and changes an attribute in one commit.
func TestAnAttributeIsDeclaredOnce(t *testing.T) {
	s := open(t, sqlstore.Config{})
	var made, changed *profile.Attribute
	errs := inOneGroup(t, s, func() (err error) {
		made, _, err = s.CreateAttribute(t.Context(), &profile.Attribute{ID: "plan", Type: profile.TypeBool})
		return err
	}, func() (err error) {
		changed, _, err = s.UpdateAttribute(t.Context(), "plan", "", func(a *profile.Attribute) error { a.Description = "d"; return nil })
		return err
	})
	if errs[0] != nil || errs[1] != nil {
		t.Fatal(errs)
	}
	schema, err := s.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprint(schema["plan"].Declared, " ", schema["plan"].Revision)
	if got := fmt.Sprint(changed.Declared, " ", changed.Revision); got != want || made.Declared != changed.Declared || made.Revision != changed.Declared {
		t.Errorf("declared as %+v, changed to %+v; stored are the revisions %s", made, changed, want)
	}
}
