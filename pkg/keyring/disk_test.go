package keyring_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
)

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func content(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// alone asserts that a folder holds these names and nothing left over.
func alone(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("the folder holds %v, want %v", got, names)
	}
}

func TestCreateMakesAPrivateFileOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	k := fresh(t)
	if err := keyring.Create(path, k); err != nil {
		t.Fatal(err)
	}
	if got := mode(t, path); got != 0o600 {
		t.Errorf("mode %o", got)
	}
	got, warning, err := keyring.Read(path)
	if err != nil || warning != "" || marshal(t, got) != marshal(t, k) {
		t.Errorf("read back %v, %q, %v", got, warning, err)
	}
	refuse(t, keyring.Create(path, fresh(t)), fault.Exists, keyring.ReasonExist)
	refuse(t, keyring.Create(path+"2", keyring.Keys{}), fault.Invalid, keyring.ReasonBroken)
	refuse(t, keyring.Create(filepath.Join(path, "below"), k), fault.Precondition, keyring.ReasonUnwritable)
	if content(t, path) != marshal(t, k) {
		t.Error("a refused creation changed the file")
	}
	alone(t, filepath.Dir(path), "keys.json")
}

func TestOfManyCreationsOneWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	const many = 8
	var all sync.WaitGroup
	won := make(chan string, many)
	for range many {
		k := fresh(t)
		all.Go(func() {
			switch err := keyring.Create(path, k); {
			case err == nil:
				won <- marshal(t, k)
			case fault.ReasonOf(err) != keyring.ReasonExist:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(won) != 1 || <-won != content(t, path) {
		t.Error("not the one creation that won is in the file")
	}
	alone(t, filepath.Dir(path), "keys.json")
}

func TestReadTellsWhatIsWrong(t *testing.T) {
	path := write(t, plain)
	for bits, warned := range map[fs.FileMode]bool{0o600: false, 0o400: false, 0o440: true, 0o644: true, 0o602: true} {
		if err := os.Chmod(path, bits); err != nil {
			t.Fatal(err)
		}
		_, warning, err := keyring.Read(path)
		if err != nil || (warning != "") != warned || warned && (!strings.Contains(warning, path) || leaks(warning)) {
			t.Errorf("mode %o: warning %q, %v", bits, warning, err)
		}
	}
	_, _, err := keyring.Read(path + ".not")
	refuse(t, err, fault.NotFound, keyring.ReasonMissing)
	_, _, err = keyring.Read(t.TempDir())
	refuse(t, err, fault.Precondition, keyring.ReasonUnreadable)
	_, _, err = keyring.Read(filepath.Join(path, "below"))
	refuse(t, err, fault.Precondition, keyring.ReasonUnreadable)
	broken := write(t, plain[:len(plain)/2])
	_, _, err = keyring.Read(broken)
	refuse(t, err, fault.Invalid, keyring.ReasonBroken)
	if f := fault.As(err); f.Metadata["file"] != broken || leaks(err.Error()) {
		t.Errorf("the fault %v does not name the file, or shows keys", err)
	}
}

func TestUpdateReplacesTheFileAndKeepsItsMode(t *testing.T) {
	path := write(t, plain)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	// The way a link leads to the file does not matter.
	link := filepath.Join(t.TempDir(), "link.json")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	got, err := keyring.Update(link, func(k keyring.Keys) (keyring.Keys, error) { return k.Promote(keyring.Contact, 9) })
	if err != nil {
		t.Fatal(err)
	}
	if ring(t, got).PrimaryContact() != 9 || content(t, path) != marshal(t, got) {
		t.Errorf("the file does not hold %v", got)
	}
	if mode(t, path) != 0o640 {
		t.Errorf("mode %o", mode(t, path))
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link became %v, %v", info, err)
	}
	alone(t, filepath.Dir(path), "keys.json")
}

func TestUpdatesThatFailChangeNothing(t *testing.T) {
	path := write(t, plain)
	_, err := keyring.Update(path, func(k keyring.Keys) (keyring.Keys, error) { return k.Remove(keyring.Index, 5) })
	refuse(t, err, fault.Precondition, keyring.ReasonKeyPrimary)
	own := errors.New("own")
	if _, err = keyring.Update(path, func(k keyring.Keys) (keyring.Keys, error) { return k, own }); !errors.Is(err, own) {
		t.Errorf("got %v", err)
	}
	_, err = keyring.Update(path, func(keyring.Keys) (keyring.Keys, error) { return keyring.Keys{}, nil })
	refuse(t, err, fault.Invalid, keyring.ReasonBroken)
	_, err = keyring.Update(path, func(k keyring.Keys) (keyring.Keys, error) {
		_, err := keyring.Update(path, func(k keyring.Keys) (keyring.Keys, error) { return k, nil })
		refuse(t, err, fault.Conflict, keyring.ReasonBusy)
		return k, err
	})
	refuse(t, err, fault.Conflict, keyring.ReasonBusy)
	_, err = keyring.Update(path+".not", func(k keyring.Keys) (keyring.Keys, error) { return k, nil })
	refuse(t, err, fault.NotFound, keyring.ReasonMissing)
	if content(t, path) != plain {
		t.Error("a failed update changed the file")
	}
	alone(t, filepath.Dir(path), "keys.json")
	put(t, path, "broken")
	_, err = keyring.Update(path, func(k keyring.Keys) (keyring.Keys, error) { return fresh(t), nil })
	refuse(t, err, fault.Invalid, keyring.ReasonBroken)
	if content(t, path) != "broken" {
		t.Error("an update replaced a broken file")
	}
}

// TestNoUpdateIsLost adds keys from many goroutines; each addition that was said to have been made is in the file.
func TestNoUpdateIsLost(t *testing.T) {
	path := write(t, plain)
	var all sync.WaitGroup
	added := make(chan uint32, 8*20)
	for range 8 {
		all.Go(func() {
			for range 20 {
				var id uint32
				_, err := keyring.Update(path, func(k keyring.Keys) (out keyring.Keys, err error) {
					out, id, err = k.Add(keyring.Index)
					return out, err
				})
				switch {
				case err == nil:
					added <- id
				case fault.ReasonOf(err) != keyring.ReasonBusy:
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	close(added)
	k, _, err := keyring.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	held := map[uint32]bool{}
	for _, key := range k.List() {
		held[key.ID] = key.Kind == keyring.Index
	}
	n := 0
	for id := range added {
		n++
		if !held[id] {
			t.Errorf("key %d was lost", id)
		}
	}
	if n == 0 || len(k.List()) != 4+n {
		t.Errorf("%d keys in the file after %d additions to 4", len(k.List()), n)
	}
	alone(t, filepath.Dir(path), "keys.json")
}
