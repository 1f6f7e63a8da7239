package sqlstore_test

import (
	"testing"

	"github.com/narrowcast/narrowcast/pkg/keyring"
)

// newKeys makes fresh keys that stay as they are.
func newKeys(t testing.TB) *keyring.Source {
	t.Helper()
	keys, err := keyring.New()
	if err != nil {
		t.Fatal(err)
	}
	return fixed(t, keys)
}

func fixed(t testing.TB, keys keyring.Keys) *keyring.Source {
	t.Helper()
	ring, err := keys.Ring()
	if err != nil {
		t.Fatal(err)
	}
	return keyring.Fixed(ring)
}
