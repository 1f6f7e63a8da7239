package checkpoint_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/segment/internal/checkpoint"
)

var blocks = []*checkpoint.Block{
	{Number: 0, UIDs: []audience.UID{{1}, {}, {3}}, Fields: []checkpoint.Field{{Name: "live", Data: []byte("abc")}, {Name: "c/n", Data: []byte("d")}}},
	{Number: 1, UIDs: []audience.UID{{4}}, Fields: []checkpoint.Field{{Name: "live", Data: []byte("e")}}},
}

func open(t *testing.T, path string) *checkpoint.Dir {
	t.Helper()
	d, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func commit(t *testing.T, d *checkpoint.Dir, list []*checkpoint.Block) checkpoint.Manifest {
	t.Helper()
	m := checkpoint.Manifest{
		Store: "s", Incarnation: "i", Zone: "UTC", Layout: 3, Cursor: "c", Newest: "n", Revision: 7, Mark: "m", Definitions: checkpoint.Position{Incarnation: "x", Revision: 9, Mark: []byte{0xff}},
		Attributes: []audience.Attribute{{Name: "custom.n", Kind: audience.KindDecimal, Scale: 2, Revision: 4}},
	}
	for _, b := range list {
		f, err := d.Write(m.Store, m.Layout, b)
		if err != nil {
			t.Fatal(err)
		}
		m.Blocks = append(m.Blocks, f)
	}
	if err := d.Commit(m); err != nil {
		t.Fatal(err)
	}
	m.Format = 1
	return m
}

// load reads all; the first error is returned.
func load(d *checkpoint.Dir) (*checkpoint.Manifest, []*checkpoint.Block, error) {
	m, err := d.Load()
	if err != nil {
		return nil, nil, err
	}
	var list []*checkpoint.Block
	for _, f := range m.Blocks {
		b, err := d.Block(m, f)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, b)
	}
	return m, list, nil
}

func names(t *testing.T, path string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
	return list
}

func TestWhatWasCommittedComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d := open(t, path)
	if _, err := d.Load(); !errors.Is(err, checkpoint.ErrNone) {
		t.Fatalf("an empty folder: %v", err)
	}
	want := commit(t, d, blocks)
	m, list, err := load(open(t, path))
	if err != nil || !reflect.DeepEqual(*m, want) || !reflect.DeepEqual(list, blocks) {
		t.Fatalf("%+v, %v, %v", m, list, err)
	}
	// What is no longer named goes, what is the same stays.
	before := names(t, path)
	changed := []*checkpoint.Block{blocks[0], {Number: 1, UIDs: []audience.UID{{}}}}
	commit(t, d, changed)
	after := names(t, path)
	if len(after) != 3 || !slices.Contains(after, before[0]) || slices.Contains(after, before[1]) {
		t.Errorf("%q after %q", after, before)
	}
	if _, list, err := load(d); err != nil || !reflect.DeepEqual(list[1], changed[1]) {
		t.Errorf("%v, %v", list, err)
	}
	if err := d.Discard(); err != nil || len(names(t, path)) != 0 {
		t.Errorf("discarded: %v, %q", err, names(t, path))
	}
}

func TestAWriteThatWasCutShortLeavesTheOneBefore(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	want := commit(t, d, blocks)
	if _, err := d.Write("s", 3, &checkpoint.Block{Number: 1, UIDs: []audience.UID{{9}}}); err != nil { // and no commit
		t.Fatal(err)
	}
	for _, name := range []string{"temp-manifest.json", "temp-block-000000-0123456789abcdef"} {
		if err := os.WriteFile(filepath.Join(path, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, list, err := load(open(t, path))
	if err != nil || !reflect.DeepEqual(*m, want) || !reflect.DeepEqual(list, blocks) {
		t.Fatalf("%+v, %v, %v", m, list, err)
	}
	if slices.ContainsFunc(names(t, path), func(name string) bool { return name[0] == 't' }) {
		t.Errorf("half a file is left: %q", names(t, path))
	}
}

// TestAnyDamageIsNoticed changes, cuts and lengthens every file at every byte, swaps files, and takes them away.
func TestAnyDamageIsNoticed(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	commit(t, d, blocks)
	whole := map[string][]byte{}
	for _, name := range names(t, path) {
		data, err := os.ReadFile(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		whole[name] = data
	}
	put := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(path, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what, name string) {
		t.Helper()
		if _, _, err := load(d); err == nil {
			t.Errorf("%s: %s was taken", name, what)
		}
	}
	var files []string
	for name, data := range whole {
		for i := range data {
			bad := slices.Clone(data)
			bad[i] ^= 1 << (i % 8)
			put(name, bad)
			refused("a changed byte", name)
			put(name, data[:i])
			refused("a cut", name)
		}
		put(name, append(slices.Clone(data), 0))
		refused("a byte more", name)
		if err := os.Remove(filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
		refused("nothing", name)
		put(name, data)
		if name != "manifest.json" {
			files = append(files, name)
		}
	}
	put(files[0], whole[files[1]])
	refused("another block", files[0])
	put(files[0], whole[files[0]])
	// The same block of another store or layout.
	for _, of := range []struct {
		store  string
		layout uint32
	}{{"other", 3}, {"s", 4}} {
		f, err := d.Write(of.store, of.layout, blocks[0])
		if err != nil {
			t.Fatal(err)
		}
		m, err := d.Load()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Block(m, f); err == nil {
			t.Errorf("a block of store %s and layout %d was taken", of.store, of.layout)
		}
	}
	if _, _, err := load(d); err != nil {
		t.Errorf("undamaged: %v", err)
	}
}

func FuzzBlock(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x000123456789abcdef\x01\x00\x00\x00\x04\x00\x00\x00live\x01\x00\x00\x00x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if b, err := checkpoint.Parse(data); err == nil && len(b.UIDs) > audience.BlockSize {
			t.Error("more uids than a block has")
		}
	})
}
