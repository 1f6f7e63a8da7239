package keyring_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
)

func TestNewKeysAreOneOfEachKindAndRandom(t *testing.T) {
	k := fresh(t)
	list := k.List()
	if len(list) != 2 || list[0].Kind != keyring.Contact || list[1].Kind != keyring.Index {
		t.Fatalf("keys %v", list)
	}
	for _, key := range list {
		if !key.Primary || key.Status != keyring.Enabled || key.ID == 0 {
			t.Errorf("key %+v is not enabled and primary", key)
		}
	}
	r, other := ring(t, k), ring(t, fresh(t))
	if r.PrimaryContact() != list[0].ID || r.PrimaryIndex() != list[1].ID {
		t.Errorf("primaries %d and %d of %v", r.PrimaryContact(), r.PrimaryIndex(), list)
	}
	if r.Hash([]byte("x")).Sum == other.Hash([]byte("x")).Sum {
		t.Error("two fresh keys hash alike")
	}
	sealed, err := r.Seal([]byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = other.Open(sealed, nil)
	refuse(t, err, fault.Internal, keyring.ReasonKeyUnknown)
}

// TestRotation follows the steps of the package comment, with texts made before each of them.
func TestRotation(t *testing.T) {
	text, where := []byte("ada@example.com"), []byte("uid")
	k := fresh(t)
	seal := func(r *keyring.Ring) []byte {
		t.Helper()
		sealed, err := r.Seal(text, where)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	opens := func(r *keyring.Ring, sealed []byte) {
		t.Helper()
		if got, err := r.Open(sealed, where); err != nil || !bytes.Equal(got, text) {
			t.Errorf("opened %q, %v", got, err)
		}
	}
	before := ring(t, k)
	oldSealed, oldHash := seal(before), before.Hash(text)

	newID := map[keyring.Kind]uint32{}
	for _, kind := range keyring.Kinds() {
		var err error
		if k, newID[kind], err = k.Add(kind); err != nil {
			t.Fatal(err)
		}
	}
	added := ring(t, k)
	if added.PrimaryContact() != before.PrimaryContact() || added.Hash(text) != oldHash {
		t.Error("an added key is used before it is promoted")
	}

	for _, kind := range keyring.Kinds() {
		var err error
		if k, err = k.Promote(kind, newID[kind]); err != nil {
			t.Fatal(err)
		}
	}
	promoted := ring(t, k)
	newSealed, newHash := seal(promoted), promoted.Hash(text)
	if id, ok := promoted.SealedWith(newSealed); !ok || id != newID[keyring.Contact] || newHash.Key != newID[keyring.Index] {
		t.Errorf("a promoted key is not used: sealed with %d, hashed with %d", id, newHash.Key)
	}
	opens(promoted, oldSealed)
	// A process that has not heard of the promotion reads what the others write.
	opens(added, newSealed)
	for name, r := range map[string]*keyring.Ring{"added": added, "promoted": promoted} {
		if all := r.Hashes(text); len(all) != 2 || !slices.Contains(all, oldHash) || !slices.Contains(all, newHash) || all[0] != r.Hash(text) {
			t.Errorf("%s: hashes %v lack %v or %v", name, all, oldHash, newHash)
		}
	}

	oldID := map[keyring.Kind]uint32{keyring.Contact: before.PrimaryContact(), keyring.Index: before.PrimaryIndex()}
	for _, step := range []struct {
		name string
		do   func(keyring.Keys, keyring.Kind, uint32) (keyring.Keys, error)
		kept bool
	}{{"disabled", keyring.Keys.Disable, false}, {"enabled", keyring.Keys.Enable, true}, {"removed", keyring.Keys.Remove, false}} {
		for _, kind := range keyring.Kinds() {
			var err error
			if k, err = step.do(k, kind, oldID[kind]); err != nil {
				t.Fatal(err)
			}
		}
		r := ring(t, k)
		opens(r, newSealed)
		if step.kept {
			opens(r, oldSealed)
		} else {
			_, err := r.Open(oldSealed, where)
			refuse(t, err, fault.Internal, keyring.ReasonKeyUnknown)
			if f := fault.As(err); f == nil || f.Metadata["key"] != fmt.Sprint(oldID[keyring.Contact]) {
				t.Errorf("%s: the fault does not name key %d: %v", step.name, oldID[keyring.Contact], err)
			}
		}
		if got := slices.Contains(r.Hashes(text), oldHash); got != step.kept {
			t.Errorf("%s: found by the old hash: %v", step.name, got)
		}
	}
	if got := len(k.List()); got != 2 {
		t.Errorf("%d keys are left", got)
	}
	opens(before, oldSealed) // what was made of earlier keys has not changed
}

func TestChangesThatAreRefused(t *testing.T) {
	k := parse(t, whole(set(keyring.Contact, 7, contact7, rawKey{id: 9, bytes: contact9.bytes, status: "DISABLED"}), set(keyring.Index, 5, index5, index3)))
	before := marshal(t, k)
	for name, c := range map[string]struct {
		do     func() (keyring.Keys, error)
		kind   fault.Kind
		reason string
	}{
		"disable primary":  {func() (keyring.Keys, error) { return k.Disable(keyring.Contact, 7) }, fault.Precondition, keyring.ReasonKeyPrimary},
		"remove primary":   {func() (keyring.Keys, error) { return k.Remove(keyring.Index, 5) }, fault.Precondition, keyring.ReasonKeyPrimary},
		"promote disabled": {func() (keyring.Keys, error) { return k.Promote(keyring.Contact, 9) }, fault.Precondition, keyring.ReasonKeyDisabled},
		"promote unknown":  {func() (keyring.Keys, error) { return k.Promote(keyring.Contact, 5) }, fault.NotFound, keyring.ReasonKeyNotFound},
		"enable unknown":   {func() (keyring.Keys, error) { return k.Enable(keyring.Index, 7) }, fault.NotFound, keyring.ReasonKeyNotFound},
		"disable unknown":  {func() (keyring.Keys, error) { return k.Disable(keyring.Index, 0) }, fault.NotFound, keyring.ReasonKeyNotFound},
		"remove unknown":   {func() (keyring.Keys, error) { return k.Remove(keyring.Index, 1) }, fault.NotFound, keyring.ReasonKeyNotFound},
		"unknown kind":     {func() (keyring.Keys, error) { return k.Promote("house", 7) }, fault.Invalid, keyring.ReasonKindUnknown},
		"add unknown kind": {func() (keyring.Keys, error) { out, _, err := k.Add("house"); return out, err }, fault.Invalid, keyring.ReasonKindUnknown},
		"no keys":          {func() (keyring.Keys, error) { return keyring.Keys{}.Promote(keyring.Contact, 7) }, fault.Invalid, keyring.ReasonBroken},
		"add to no keys": {
			func() (keyring.Keys, error) { out, _, err := keyring.Keys{}.Add(keyring.Index); return out, err }, fault.Invalid, keyring.ReasonBroken,
		},
	} {
		out, err := c.do()
		t.Log(name, err)
		refuse(t, err, c.kind, c.reason)
		if len(out.List()) != 0 {
			t.Errorf("%s: refused and returned %v", name, out)
		}
	}
	if _, err := (keyring.Keys{}).Marshal(); fault.ReasonOf(err) != keyring.ReasonBroken {
		t.Errorf("no keys were written: %v", err)
	}
	if _, err := (keyring.Keys{}).Ring(); fault.ReasonOf(err) != keyring.ReasonBroken {
		t.Errorf("no keys made a ring: %v", err)
	}
	if marshal(t, k) != before {
		t.Error("a refused change changed the keys")
	}
}

// TestRandomChanges compares keys with a plain list that the same changes are made to.
func TestRandomChanges(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	k := fresh(t)
	model := k.List()
	for range 400 {
		kind := keyring.Kinds()[rnd.IntN(2)]
		key := model[rnd.IntN(len(model))]
		next, err, want := keyring.Keys{}, error(nil), slices.Clone(model)
		at := slices.Index(want, key)
		before := marshal(t, k)
		var refused bool
		switch op := rnd.IntN(5); op {
		case 0:
			var id uint32
			next, id, err = k.Add(kind)
			end := len(want)
			if kind == keyring.Contact {
				end = slices.IndexFunc(want, func(k keyring.Key) bool { return k.Kind == keyring.Index })
			}
			want = slices.Insert(want, end, keyring.Key{Kind: kind, ID: id, Status: keyring.Enabled})
		case 1:
			next, err = k.Promote(key.Kind, key.ID)
			refused = key.Status == keyring.Disabled
			for i := range want {
				if want[i].Kind == key.Kind {
					want[i].Primary = i == at
				}
			}
		case 2:
			next, err = k.Disable(key.Kind, key.ID)
			refused, want[at].Status = key.Primary, keyring.Disabled
		case 3:
			next, err = k.Enable(key.Kind, key.ID)
			want[at].Status = keyring.Enabled
		case 4:
			next, err = k.Remove(key.Kind, key.ID)
			refused, want = key.Primary, slices.Delete(want, at, at+1)
		}
		if marshal(t, k) != before {
			t.Fatal("a change changed what it was made from")
		}
		if refused != (err != nil) {
			t.Fatalf("%+v: %v, want an error: %v", key, err, refused)
		}
		if err != nil {
			continue
		}
		if k, model = parse(t, marshal(t, next)), want; !slices.Equal(k.List(), model) {
			t.Fatalf("keys %v\nwant %v", k.List(), model)
		}
		r, enabled := ring(t, k), 0
		for _, key := range model {
			if key.Kind == keyring.Index && key.Status == keyring.Enabled {
				enabled++
			}
		}
		if all := r.Hashes(nil); len(all) != enabled || !slices.IsSortedFunc(all[1:], func(a, b keyring.Hash) int { return int(int64(a.Key) - int64(b.Key)) }) {
			t.Fatalf("%d hashes of %d enabled keys, or not in order: %v", len(all), enabled, all)
		}
	}
}

func TestNothingPrintsKeys(t *testing.T) {
	if !leaks(plain) || !leaks(fmt.Sprint(contact7.bytes)) || !leaks(fmt.Sprintf("%#v", index3)) { //nolint:staticcheck // a careless print is what is looked for
		t.Fatal("the test would not see a leak")
	}
	k := parse(t, plain)
	r := ring(t, k)
	src := keyring.Fixed(r)
	holder := struct {
		K keyring.Keys
		R *keyring.Ring
		S *keyring.Source
		k keyring.Keys
	}{K: k, R: r, S: src, k: k}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "keys", k, "ring", r, "source", src, "holder", holder)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "keys", k, "ring", r, "source", src, "holder", holder)
	texts := []string{log.String(), k.String(), r.String(), fmt.Errorf("%w: %v %v", errors.ErrUnsupported, k, r).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, k), fmt.Sprintf(verb, r), fmt.Sprintf(verb, src), fmt.Sprintf(verb, holder), fmt.Sprintf(verb, &holder))
	}
	for _, text := range texts {
		if leaks(text) {
			t.Errorf("keys are printed: %s", text)
		}
	}
	if got := k.String(); got != "keys(2 contact, primary 7; 2 index, primary 5)" {
		t.Error(got)
	}
	if got := fmt.Sprintf("%#v", r); got != "ring(contact key 7 of 2, index key 5 of 2)" {
		t.Error(got)
	}
	if got := fmt.Sprint((*keyring.Ring)(nil)); !strings.Contains(got, "none") {
		t.Error(got)
	}
}
