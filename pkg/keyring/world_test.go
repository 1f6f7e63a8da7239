package keyring_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
)

// rawKey is a key as the file holds it, written here without Tink.
type rawKey struct {
	id     uint32
	bytes  []byte
	status string // empty: ENABLED
	// Empty: what is right for the kind.
	prefix, url, material string
	value                 []byte
}

// gcm is an AesGcmKey message: field 3 is the key.
func gcm(key []byte) []byte { return append([]byte{0x1a, byte(len(key))}, key...) }

// prf is an HmacPrfKey message: field 2 holds the hash, 3 (SHA256), field 3 is the key.
func prf(key []byte) []byte { return append([]byte{0x12, 2, 0x08, 3, 0x1a, byte(len(key))}, key...) }

// set is a Tink keyset as JSON, as Tink's documentation shows it.
func set(kind keyring.Kind, primary uint32, keys ...rawKey) string {
	var all []string
	for _, k := range keys {
		url, prefix, value := "AesGcmKey", "TINK", k.value
		if kind == keyring.Index {
			url, prefix = "HmacPrfKey", "RAW"
		}
		if value == nil && kind == keyring.Contact {
			value = gcm(k.bytes)
		} else if value == nil {
			value = prf(k.bytes)
		}
		all = append(all, fmt.Sprintf(`{"keyData": {"typeUrl": "type.googleapis.com/google.crypto.tink.%s", "keyMaterialType": %q, "value": %q},
			"outputPrefixType": %q, "keyId": %d, "status": %q}`, or(k.url, url), or(k.material, "SYMMETRIC"),
			base64.StdEncoding.EncodeToString(value), or(k.prefix, prefix), k.id, or(k.status, "ENABLED")))
	}
	return fmt.Sprintf(`{"primaryKeyId": %d, "key": [%s]}`, primary, strings.Join(all, ","))
}

func or(given, otherwise string) string {
	if given != "" {
		return given
	}
	return otherwise
}

func whole(contact, index string) string {
	return `{"version": 1, "contact": ` + contact + `, "index": ` + index + `}`
}

// Two keys of each kind whose material a printed text would show.
var (
	contact7 = rawKey{id: 7, bytes: bytes.Repeat([]byte("sEcReT-c"), 4)}
	contact9 = rawKey{id: 9, bytes: bytes.Repeat([]byte("SeCrEt-C"), 4)}
	index5   = rawKey{id: 5, bytes: bytes.Repeat([]byte("hUsH-iii"), 4)}
	index3   = rawKey{id: 3, bytes: bytes.Repeat([]byte("HuSh-III"), 4)}
	plain    = whole(set(keyring.Contact, 7, contact7, contact9), set(keyring.Index, 5, index5, index3))
)

// leaks tells whether a text shows material of the keys above, as it is, or as the file or a careless print would have it.
func leaks(text string) bool {
	for _, k := range []rawKey{contact7, contact9, index5, index3} {
		part := k.bytes[:8]
		for _, form := range []string{
			string(part), hex.EncodeToString(part), strings.ToUpper(hex.EncodeToString(part)), strings.Trim(fmt.Sprint(part), "[]"), //nolint:staticcheck // as a careless print would have it
			base64.StdEncoding.EncodeToString(gcm(k.bytes))[8:20], base64.StdEncoding.EncodeToString(prf(k.bytes))[12:24],
			base64.StdEncoding.EncodeToString(k.bytes)[:10], strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", part), "[]byte{"), "}"),
		} {
			if strings.Contains(text, form) {
				return true
			}
		}
	}
	return false
}

func parse(t testing.TB, text string) keyring.Keys {
	t.Helper()
	k, err := keyring.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ring(t testing.TB, k keyring.Keys) *keyring.Ring {
	t.Helper()
	r, err := k.Ring()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func fresh(t testing.TB) keyring.Keys {
	t.Helper()
	k, err := keyring.New()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func marshal(t testing.TB, k keyring.Keys) string {
	t.Helper()
	raw, err := k.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// write puts a text into a fresh file with mode 0600 and returns its path.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	put(t, path, text)
	return path
}

// put replaces a file as an administrator does who knows what he does: at one stroke.
func put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".put", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".put", path); err != nil {
		t.Fatal(err)
	}
}

// refuse asserts kind and reason of a fault.
func refuse(t testing.TB, err error, kind fault.Kind, reason string) {
	t.Helper()
	if fault.ReasonOf(err) != reason || fault.KindOf(err) != kind {
		t.Errorf("got %v (%v), want %v (%s)", err, fault.KindOf(err), kind, reason)
	}
}
