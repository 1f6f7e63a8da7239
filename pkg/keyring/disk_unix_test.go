//go:build unix

package keyring_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/keyring"
)

func TestUpdateKeepsTheOwner(t *testing.T) {
	path := write(t, plain)
	want := uint32(os.Getuid())
	if want == 0 { // only an administrator can hand a file to somebody, and then has to
		want = 12345
		if err := os.Chown(path, int(want), -1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := keyring.Update(path, func(k keyring.Keys) (keyring.Keys, error) { return k.Disable(keyring.Index, 3) }); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid != want {
		t.Errorf("the file belongs to %v, want %d", info.Sys(), want)
	}
}
