package sqlstore_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
)

// ring is a source of keys that the test turns.
type ring struct {
	keys    keyring.Keys
	current atomic.Pointer[keyring.Ring]
}

func newKeys(t testing.TB) *ring {
	t.Helper()
	keys, err := keyring.New()
	if err != nil {
		t.Fatal(err)
	}
	r := &ring{}
	r.set(t, keys)
	return r
}

func (r *ring) Ring() *keyring.Ring { return r.current.Load() }

func (r *ring) set(t testing.TB, keys keyring.Keys) {
	t.Helper()
	made, err := keys.Ring()
	if err != nil {
		t.Fatal(err)
	}
	r.keys = keys
	r.current.Store(made)
}

// change applies one step of a rotation.
func (r *ring) change(t testing.TB, step func(keyring.Keys) (keyring.Keys, error)) {
	t.Helper()
	keys, err := step(r.keys)
	if err != nil {
		t.Fatal(err)
	}
	r.set(t, keys)
}

// primary is the id of a kind's primary key.
func (r *ring) primary(kind keyring.Kind) uint32 {
	if kind == keyring.Contact {
		return r.Ring().PrimaryContact()
	}
	return r.Ring().PrimaryIndex()
}

// begin adds a key and makes it the primary one; the former one is returned.
func (r *ring) begin(t testing.TB, kind keyring.Kind) uint32 {
	t.Helper()
	former := r.primary(kind)
	var id uint32
	r.change(t, func(k keyring.Keys) (next keyring.Keys, err error) { next, id, err = k.Add(kind); return next, err })
	r.change(t, func(k keyring.Keys) (keyring.Keys, error) { return k.Promote(kind, id) })
	return former
}

// finish rekeys everything and removes the former key.
func (r *ring) finish(t testing.TB, s *sqlstore.Store, kind keyring.Kind, former uint32) int {
	t.Helper()
	total := 0
	for {
		n, err := s.Rekey(t.Context(), 50)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		total += n
	}
	use, err := s.KeyUse(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if use.Remaining() != 0 {
		t.Fatalf("after rekeying: %+v", use)
	}
	r.change(t, func(k keyring.Keys) (keyring.Keys, error) { return k.Remove(kind, former) })
	return total
}

func customer(n int) *profile.Profile {
	name := fmt.Sprint("Customer ", n)
	return &profile.Profile{GivenName: &name, Identifiers: []profile.Identifier{
		{Kind: profile.KindExternalID, Source: "crm", Value: fmt.Sprintf("%06d", n)}, {Kind: "email", Value: fmt.Sprintf("house%d@example.com", n/2)},
	}}
}

// TestKeysAreRotatedUnderLoad changes both kinds of keys several times while profiles are written, read and looked up: nobody notices.
func TestKeysAreRotatedUnderLoad(t *testing.T) {
	for name, where := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys := newKeys(t)
			s := open(t, sqlstore.Config{SQL: where(t), Keys: keys})
			const people = 240
			rows := make([]profile.Row, people)
			for n := range rows {
				rows[n].Profile = customer(n)
			}
			got, _, err := s.Upsert(t.Context(), rows)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			var writes, looks atomic.Int64
			var wg sync.WaitGroup
			work := func(what string, do func(n int) error) {
				wg.Go(func() {
					for n := 0; ctx.Err() == nil; n++ {
						if err := do(n); err != nil {
							t.Errorf("%s: %v", what, err)
							return
						}
					}
				})
			}
			// Contexts are the test's own: what has begun is finished, and counted.
			work("upsert", func(n int) error {
				p := customer(n * 7 % people)
				p.Occupation = fmt.Sprint(n)
				result, _, err := s.Upsert(t.Context(), []profile.Row{{Profile: p}})
				if err == nil && (result[0].Outcome != profile.Updated || result[0].UID != got[n*7%people].UID) {
					err = fmt.Errorf("person %d was not recognised: %+v", n*7%people, result[0])
				}
				writes.Add(1)
				return err
			})
			work("update", func(n int) error { // what identifies somebody comes and goes
				_, _, err := s.Update(t.Context(), got[n*11%people].UID, "", func(p *profile.Profile) error {
					again := customer(n * 11 % people)
					p.GivenName, p.Identifiers = again.GivenName, again.Identifiers
					p.Identifiers = append(p.Identifiers, profile.Identifier{Kind: "phone", Value: fmt.Sprintf("+3363998%04d", n%10000)})
					p.Occupation = fmt.Sprint("u", n)
					return nil
				})
				writes.Add(1)
				return err
			})
			work("resolve", func(n int) error {
				n %= people
				ids := customer(n).Identifiers
				found, err := s.Resolve(t.Context(), ids)
				if err != nil {
					return err
				}
				house := []audience.UID{got[n/2*2].UID, got[n/2*2+1].UID}
				if !slices.Equal(found[0], []audience.UID{got[n].UID}) || !slices.Equal(found[1], house) {
					return fmt.Errorf("person %d is %x, the house %x", n, found[0], found[1])
				}
				looks.Add(1)
				return nil
			})
			work("get", func(n int) error {
				p, err := s.Get(t.Context(), got[n%people].UID)
				if err == nil && (p.GivenName == nil || *p.GivenName != fmt.Sprint("Customer ", n%people)) {
					err = fmt.Errorf("person %d has another name", n%people)
				}
				return err
			})
			work("changes", func(n int) error {
				_, err := s.Changes(t.Context(), int64(n%people), profile.PageOptions{Limit: 50, Bytes: 1 << 20})
				return err
			})
			for range 3 {
				contact, index := keys.begin(t, keyring.Contact), keys.begin(t, keyring.Index)
				if n := keys.finish(t, s, keyring.Contact, contact); n < people/2 {
					t.Errorf("%d profiles were put under the new keys", n)
				}
				keys.finish(t, s, keyring.Index, index)
			}
			stop()
			wg.Wait()
			if writes.Load() == 0 || looks.Load() == 0 {
				t.Error("nothing went on meanwhile")
			}
			head, err := s.Head(t.Context())
			if err != nil || head.Revision != people+writes.Load() {
				t.Errorf("%d writes after %d brought the head to %d (%v)", writes.Load(), people, head.Revision, err)
			}
			use, err := s.KeyUse(t.Context())
			if err != nil || len(use.Contact) != 1 || len(use.Index) != 1 || use.Contact[keys.primary(keyring.Contact)] != people {
				t.Errorf("in use are %+v (%v)", use, err)
			}
		})
	}
}

func TestRekeyingChangesNothingElse(t *testing.T) {
	for name, where := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys := newKeys(t)
			s := open(t, sqlstore.Config{SQL: where(t), Keys: keys})
			made, _, err := s.Create(t.Context(), customer(1), "request")
			if err != nil {
				t.Fatal(err)
			}
			bare, _, err := s.Create(t.Context(), &profile.Profile{Occupation: "o"}, "other request")
			if err != nil {
				t.Fatal(err)
			}
			former := map[keyring.Kind]uint32{}
			for _, kind := range keyring.Kinds() {
				former[kind] = keys.begin(t, kind)
			}
			use, err := s.KeyUse(t.Context())
			if err != nil || use.Remaining() != 4 { // the profile, the request, two identifiers
				t.Errorf("to be done are %d of %+v (%v)", use.Remaining(), use, err)
			}
			for kind, key := range former {
				keys.finish(t, s, kind, key)
			}
			for _, want := range []*profile.Profile{made, bare} {
				got, err := s.Get(t.Context(), want.UID)
				if err != nil || got.Revision != want.Revision || !got.UpdateTime.Equal(want.UpdateTime) || !slices.Equal(got.Identifiers, want.Identifiers) {
					t.Errorf("%+v became %+v (%v)", want, got, err)
				}
			}
			// The same request again has the answer that it had, and the same profile is the same.
			again, at, err := s.Create(t.Context(), customer(1), "request")
			if err != nil || again.UID != made.UID || *again.GivenName != *made.GivenName || at.Revision != 2 {
				t.Errorf("the request again: %+v at %d (%v)", again, at.Revision, err)
			}
			result, at, err := s.Upsert(t.Context(), []profile.Row{{Profile: customer(1)}})
			if err != nil || result[0].Outcome != profile.Unchanged || at.Revision != 2 {
				t.Errorf("the same profile again: %+v at %d (%v)", result, at.Revision, err)
			}
		})
	}
}

// TestAStoreWhoseKeysAreLostIsNotOpened covers a key file that was made anew, or that lacks one of the keys in use.
func TestAStoreWhoseKeysAreLostIsNotOpened(t *testing.T) {
	for _, kind := range keyring.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			where := sqldb.Config{Path: filepath.Join(t.TempDir(), "profile.db")}
			keys := newKeys(t)
			s := open(t, sqlstore.Config{SQL: where, Keys: keys})
			if _, _, err := s.Create(t.Context(), customer(1), ""); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			before := keys.keys
			former := keys.begin(t, kind)
			keys.change(t, func(k keyring.Keys) (keyring.Keys, error) { return k.Remove(kind, former) })
			_, err := sqlstore.Open(t.Context(), config(t, sqlstore.Config{SQL: where, Keys: keys}))
			if f := fault.As(err); f == nil || f.Reason != keyring.ReasonKeyUnknown || f.Metadata["key"] != fmt.Sprint(former) || f.Metadata["kind"] != string(kind) {
				t.Errorf("without the key the store opens with %v", err)
			}
			keys.set(t, before)
			open(t, sqlstore.Config{SQL: where, Keys: keys})
		})
	}
}
