package keyring_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
)

func TestAFileIsReadAndWrittenBack(t *testing.T) {
	k := parse(t, plain)
	want := []keyring.Key{
		{Kind: keyring.Contact, ID: 7, Status: keyring.Enabled, Primary: true},
		{Kind: keyring.Contact, ID: 9, Status: keyring.Enabled},
		{Kind: keyring.Index, ID: 5, Status: keyring.Enabled, Primary: true},
		{Kind: keyring.Index, ID: 3, Status: keyring.Enabled},
	}
	if got := k.List(); !slices.Equal(got, want) {
		t.Errorf("keys %v, want %v", got, want)
	}
	text := marshal(t, k)
	again := parse(t, text)
	if !slices.Equal(again.List(), want) || marshal(t, again) != text {
		t.Errorf("written and read back: %v", again.List())
	}
	if a, b := ring(t, k).Hashes([]byte("x")), ring(t, again).Hashes([]byte("x")); !slices.Equal(a, b) {
		t.Errorf("hashes differ after writing and reading: %v, %v", a, b)
	}
	if !strings.HasPrefix(text, "{\n  \"version\": 1,\n") || !strings.HasSuffix(text, "}\n") {
		t.Errorf("the file begins with %.30q", text)
	}
}

func TestBrokenFilesAreRefusedWhereTheyAreWrong(t *testing.T) {
	contact, index := set(keyring.Contact, 7, contact7), set(keyring.Index, 5, index5)
	as := func(k rawKey, change func(*rawKey)) rawKey { change(&k); return k }
	contacts := func(primary uint32, change func(*rawKey)) string {
		return whole(set(keyring.Contact, primary, contact9, as(contact7, change)), index)
	}
	indexes := func(change func(*rawKey)) string {
		return whole(contact, set(keyring.Index, 3, index3, as(index5, change)))
	}
	for name, c := range map[string]struct{ text, field string }{
		"empty":                 {"", ""},
		"null":                  {"null", ""},
		"array":                 {"[" + plain + "]", ""},
		"text":                  {`"version"`, ""},
		"two objects":           {plain + plain, ""},
		"cut":                   {plain[:len(plain)-1], ""},
		"empty object":          {"{}", "version"},
		"no version":            {`{"contact": ` + contact + `, "index": ` + index + `}`, "version"},
		"version null":          {strings.Replace(plain, `"version": 1`, `"version": null`, 1), "version"},
		"version 0":             {strings.Replace(plain, `"version": 1`, `"version": 0`, 1), "version"},
		"version 2":             {strings.Replace(plain, `"version": 1`, `"version": 2`, 1), "version"},
		"version as text":       {strings.Replace(plain, `"version": 1`, `"version": "1"`, 1), "version"},
		"version in capitals":   {strings.Replace(plain, `"version"`, `"Version"`, 1), ""},
		"unknown field":         {strings.Replace(plain, `{"version"`, `{"x": 1, "version"`, 1), ""},
		"contact twice":         {strings.Replace(plain, `{"version"`, `{"contact": `+contact+`, "version"`, 1), "contact"},
		"no contact":            {`{"version": 1, "index": ` + index + `}`, "contact"},
		"no index":              {`{"version": 1, "contact": ` + contact + `}`, "index"},
		"contact null":          {whole("null", index), "contact"},
		"contact empty":         {whole("{}", index), "contact"},
		"no keys":               {whole(set(keyring.Contact, 7), index), "contact"},
		"sets exchanged":        {whole(index, contact), "contact.key[0]"},
		"unknown keyset field":  {whole(strings.Replace(contact, `"primaryKeyId"`, `"x": 1, "primaryKeyId"`, 1), index), "contact"},
		"primary unknown":       {contacts(8, func(*rawKey) {}), "contact"},
		"primary disabled":      {contacts(7, func(k *rawKey) { k.status = "DISABLED" }), "contact"},
		"id twice":              {contacts(9, func(k *rawKey) { k.id = 9 }), "contact"},
		"id 0":                  {contacts(9, func(k *rawKey) { k.id = 0 }), "contact.key[1]"},
		"destroyed":             {contacts(9, func(k *rawKey) { k.status = "DESTROYED" }), "contact.key[1]"},
		"unknown status":        {contacts(9, func(k *rawKey) { k.status = "UNKNOWN_STATUS" }), "contact"},
		"no prefix":             {contacts(9, func(k *rawKey) { k.prefix = "RAW" }), "contact.key[1]"},
		"other prefix":          {contacts(9, func(k *rawKey) { k.prefix = "CRUNCHY" }), "contact.key[1]"},
		"short contact key":     {contacts(9, func(k *rawKey) { k.bytes = k.bytes[:16] }), "contact.key[1]"},
		"odd contact key":       {contacts(9, func(k *rawKey) { k.bytes = k.bytes[:31] }), "contact"},
		"other kind of key":     {contacts(9, func(k *rawKey) { k.url = "AesGcmSivKey" }), "contact.key[1]"},
		"asymmetric":            {contacts(9, func(k *rawKey) { k.material = "ASYMMETRIC_PRIVATE" }), "contact"},
		"garbage in a key":      {contacts(9, func(k *rawKey) { k.value = []byte("sEcReT-csEcReT-c") }), "contact"},
		"disabled and broken":   {contacts(9, func(k *rawKey) { k.status, k.bytes = "DISABLED", k.bytes[:16] }), "contact.key[1]"},
		"short index key":       {indexes(func(k *rawKey) { k.bytes = k.bytes[:16] }), "index.key[1]"},
		"long index key":        {indexes(func(k *rawKey) { k.bytes = append(slices.Clone(k.bytes), 0) }), "index.key[1]"},
		"SHA-512":               {indexes(func(k *rawKey) { k.value = bytes.Replace(prf(k.bytes), []byte{0x08, 3}, []byte{0x08, 4}, 1) }), "index.key[1]"},
		"index key with prefix": {indexes(func(k *rawKey) { k.prefix = "TINK" }), "index"},
		"too large":             {plain + strings.Repeat(" ", 1<<20), ""},
	} {
		_, err := keyring.Parse([]byte(c.text))
		f := fault.As(err)
		if f == nil || f.Kind != fault.Invalid || f.Reason != keyring.ReasonBroken || len(f.Violations) != 1 || f.Violations[0].Field != c.field {
			t.Errorf("%s: %v, want KEYS_BROKEN at %q", name, err, c.field)
		}
		if err != nil && leaks(err.Error()) {
			t.Errorf("%s: the fault shows keys: %v", name, err)
		}
	}
}

// TestNoDamageToAFileShowsKeys damages a file at random, so that every parser below stops in the midst of keys.
func TestNoDamageToAFileShowsKeys(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	taken := 0
	for range 5000 {
		raw := []byte(plain)
		for range 1 + rnd.IntN(3) {
			at := rnd.IntN(len(raw))
			switch rnd.IntN(3) {
			case 0:
				raw[at] = byte(rnd.IntN(256))
			case 1:
				raw = slices.Delete(raw, at, min(at+1+rnd.IntN(8), len(raw)))
			case 2:
				raw = slices.Insert(raw, at, `":,{}0a`[rnd.IntN(7)])
			}
		}
		if _, err := keyring.Parse(raw); err == nil {
			taken++ // as where only a space or a byte of a key is another
		} else if leaks(err.Error()) {
			t.Fatalf("the fault shows keys: %v", err)
		}
	}
	if taken == 0 || taken == 5000 {
		t.Errorf("%d of 5000 damaged files were taken", taken)
	}
}

// FuzzParse looks for files that break the parser, or that are taken and do not hold what Parse promises.
func FuzzParse(f *testing.F) {
	f.Add([]byte(plain))
	f.Add([]byte(whole(set(keyring.Contact, 7, contact7), set(keyring.Index, 5, index5))))
	f.Add([]byte(whole(set(keyring.Contact, 7, contact7, rawKey{id: 1, bytes: contact9.bytes, status: "DISABLED"}), set(keyring.Index, 5, index5))))
	f.Add([]byte(`{"version": 1, "contact": {"key": [{}]}, "index": {"key": [null]}}`))
	f.Add([]byte(whole(set(keyring.Contact, 7, rawKey{id: 7, value: []byte{0x1a, 0x20}}), set(keyring.Index, 5, rawKey{id: 5, value: []byte{}}))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		k, err := keyring.Parse(raw)
		if err != nil {
			refuse(t, err, fault.Invalid, keyring.ReasonBroken)
			return
		}
		primaries := map[keyring.Kind]int{}
		ids := map[keyring.Key]bool{}
		for _, key := range k.List() {
			if key.Primary {
				primaries[key.Kind]++
			}
			id := keyring.Key{Kind: key.Kind, ID: key.ID}
			if key.ID == 0 || ids[id] || key.Primary && key.Status != keyring.Enabled || key.Status != keyring.Enabled && key.Status != keyring.Disabled {
				t.Errorf("taken with %+v", key)
			}
			ids[id] = true
		}
		if primaries[keyring.Contact] != 1 || primaries[keyring.Index] != 1 {
			t.Errorf("taken with %v primary keys", primaries)
		}
		text := marshal(t, k)
		again := parse(t, text)
		if marshal(t, again) != text || !slices.Equal(again.List(), k.List()) {
			t.Error("not the same after writing and reading")
		}
		a, b := ring(t, k), ring(t, again)
		sealed, err := a.Seal([]byte("text"), []byte("where"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := b.Open(sealed, []byte("where")); err != nil || string(got) != "text" {
			t.Errorf("opened %q, %v", got, err)
		}
		if a.Hash(raw) != b.Hash(raw) {
			t.Error("hashes differ")
		}
	})
}
