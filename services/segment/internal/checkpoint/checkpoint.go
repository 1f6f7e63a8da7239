package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// format is that of the manifest and of all files; another one is refused.
const format = 1

// Names of files. Temporary ones begin with tempPrefix.
const (
	manifestName = "manifest.json"
	blockPrefix  = "block-"
	tempPrefix   = "temp-"
)

// ErrNone says that there is no checkpoint.
var ErrNone = errors.New("there is no checkpoint")

// errDamaged is about a file that is not what was written.
var errDamaged = errors.New("the file is not what was written")

// Manifest says of what a checkpoint is.
type Manifest struct {
	Format      int    `json:"format"`
	Store       string `json:"store"`
	Incarnation string `json:"incarnation"`
	Currency    string `json:"currency"`
	Zone        string `json:"zone"`
	Layout      uint32 `json:"layout"`
	// Cursor is what the profile store's changes are watched after, Revision and Mark are its position. Blocks may hold later changes, up to
	// Newest, and none are missing from before it. A store that lost what came before Newest holds other changes after Cursor.
	Cursor   string `json:"cursor"`
	Newest   string `json:"newest"`
	Revision uint64 `json:"revision"`
	Mark     string `json:"mark"`
	// Definitions is the newest position of the segment store whose rules rows of segments follow.
	Definitions Position             `json:"definitions"`
	Attributes  []audience.Attribute `json:"attributes"`
	Blocks      []File               `json:"blocks"` // by number, from 0 on
}

// Position is one of the segment store.
type Position struct {
	Incarnation string `json:"incarnation"`
	Revision    uint64 `json:"revision"`
	Mark        []byte `json:"mark"`
}

// File is the file of one block.
type File struct {
	Number uint32 `json:"number"`
	Size   int64  `json:"size"`
	Sum    uint64 `json:"sum,string"`
}

func (f File) name() string { return fmt.Sprintf("%s%06d-%016x", blockPrefix, f.Number, f.Sum) }

// Field is one field of a block in the form in which the block store has it.
type Field struct {
	Name audience.Field
	Data []byte
}

// Block is the content of one block: its uids by ordinal (a blank one is nobody's), and its fields.
type Block struct {
	Number uint32
	UIDs   []audience.UID
	Fields []Field
}

// Dir is a folder that holds the checkpoint of one index. It is for one goroutine at a time, except that Block may be called by several.
type Dir struct{ path string }

// Open makes the folder, if it is not there, and removes what a write that was cut short left in it.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("open checkpoint folder: %w", err)
	}
	d := &Dir{path: path}
	return d, d.sweep(func(name string) bool { return strings.HasPrefix(name, tempPrefix) })
}

// sweep removes the files of whose name unwanted is true.
func (d *Dir) sweep(unwanted func(name string) bool) error {
	list, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("read checkpoint folder: %w", err)
	}
	for _, e := range list {
		if unwanted(e.Name()) {
			if err := os.Remove(filepath.Join(d.path, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("clear checkpoint folder: %w", err)
			}
		}
	}
	return nil
}

// Discard removes the checkpoint.
func (d *Dir) Discard() error {
	return d.sweep(func(name string) bool {
		return name == manifestName || strings.HasPrefix(name, blockPrefix) || strings.HasPrefix(name, tempPrefix)
	})
}

// seed begins a checksum that is bound to where the file belongs.
func seed(store string, layout, block uint32) *xxhash.Digest {
	d := xxhash.New()
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(store)))
	head = append(head, store...)
	head = binary.LittleEndian.AppendUint32(head, layout)
	head = binary.LittleEndian.AppendUint32(head, block)
	d.Write(head) //nolint:errcheck // a digest never fails
	return d
}

// Write writes the file of one block, for the manifest of a later Commit.
func (d *Dir) Write(store string, layout uint32, b *Block) (File, error) {
	size := 8 + 16*len(b.UIDs)
	for _, f := range b.Fields {
		size += 8 + len(f.Name) + len(f.Data)
	}
	data := make([]byte, 0, size)
	data = binary.LittleEndian.AppendUint32(data, uint32(len(b.UIDs)))
	for i := range b.UIDs {
		data = append(data, b.UIDs[i][:]...)
	}
	data = binary.LittleEndian.AppendUint32(data, uint32(len(b.Fields)))
	for _, f := range b.Fields {
		data = binary.LittleEndian.AppendUint32(data, uint32(len(f.Name)))
		data = append(data, f.Name...)
		data = binary.LittleEndian.AppendUint32(data, uint32(len(f.Data)))
		data = append(data, f.Data...)
	}
	sum := seed(store, layout, b.Number)
	sum.Write(data) //nolint:errcheck // a digest never fails
	f := File{Number: b.Number, Size: int64(len(data)), Sum: sum.Sum64()}
	if info, err := os.Stat(filepath.Join(d.path, f.name())); err == nil && info.Size() == f.Size {
		return f, nil // the same content as before
	}
	if err := d.write(f.name(), data); err != nil {
		return File{}, fmt.Errorf("write checkpoint of block %d: %w", b.Number, err)
	}
	return f, nil
}

// write writes a file that is there whole, and on disk, or not at all.
func (d *Dir) write(name string, data []byte) (err error) {
	temp, err := os.OpenFile(filepath.Join(d.path, tempPrefix+name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return os.Rename(temp.Name(), filepath.Join(d.path, name))
}

// Commit makes what the manifest names the checkpoint, and removes all other files.
func (d *Dir) Commit(m Manifest) error {
	m.Format = format
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("commit checkpoint: %w", err)
	}
	text = append(append(text, '\n'), strconv.FormatUint(xxhash.Sum64(text), 16)...)
	if err := d.syncFolder(); err != nil { // the files that it names
		return fmt.Errorf("commit checkpoint: %w", err)
	}
	if err := d.write(manifestName, text); err != nil {
		return fmt.Errorf("commit checkpoint: %w", err)
	}
	if err := d.syncFolder(); err != nil {
		return fmt.Errorf("commit checkpoint: %w", err)
	}
	named := make(map[string]bool, len(m.Blocks))
	for _, f := range m.Blocks {
		named[f.name()] = true
	}
	return d.sweep(func(name string) bool { return strings.HasPrefix(name, blockPrefix) && !named[name] })
}

func (d *Dir) syncFolder() error {
	folder, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Load returns the manifest of the checkpoint. Errors: ErrNone; others if it is damaged or of another format.
func (d *Dir) Load() (*Manifest, error) {
	data, err := os.ReadFile(filepath.Join(d.path, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	text, sum, ok := bytes.Cut(data, []byte{'\n'})
	if !ok || string(sum) != strconv.FormatUint(xxhash.Sum64(text), 16) {
		return nil, fmt.Errorf("read checkpoint: manifest: %w", errDamaged)
	}
	m := new(Manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("read checkpoint: manifest: %w", errors.Join(errDamaged, err))
	}
	if m.Format != format {
		return nil, fmt.Errorf("read checkpoint: format %d, and this program reads %d", m.Format, format)
	}
	for i, f := range m.Blocks {
		if f.Number != uint32(i) {
			return nil, fmt.Errorf("read checkpoint: no block %d: %w", i, errDamaged)
		}
	}
	return m, nil
}

// Block reads the file of one block.
func (d *Dir) Block(m *Manifest, f File) (*Block, error) {
	data, err := os.ReadFile(filepath.Join(d.path, f.name()))
	if err != nil {
		return nil, fmt.Errorf("read checkpoint of block %d: %w", f.Number, err)
	}
	sum := seed(m.Store, m.Layout, f.Number)
	sum.Write(data) //nolint:errcheck // a digest never fails
	if int64(len(data)) != f.Size || sum.Sum64() != f.Sum {
		return nil, fmt.Errorf("read checkpoint of block %d: %w", f.Number, errDamaged)
	}
	b, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("read checkpoint of block %d: %w", f.Number, err)
	}
	b.Number = f.Number
	return b, nil
}

// parse takes a block's bytes apart. Its fields share their memory.
func parse(data []byte) (*Block, error) {
	ok := true
	count := func() int {
		if len(data) < 4 || binary.LittleEndian.Uint32(data) > math.MaxInt32 {
			ok, data = false, nil
			return 0
		}
		n := int(binary.LittleEndian.Uint32(data))
		data = data[4:]
		return n
	}
	take := func(n int) []byte {
		if n > len(data) {
			ok, data = false, nil
			return nil
		}
		part := data[:n:n]
		data = data[n:]
		return part
	}
	b := new(Block)
	n := count()
	if n > audience.BlockSize {
		return nil, errDamaged
	}
	uids := take(16 * n)
	b.UIDs = make([]audience.UID, len(uids)/16)
	for i := range b.UIDs {
		copy(b.UIDs[i][:], uids[16*i:])
	}
	for fields := count(); ok && fields > 0; fields-- {
		name := audience.Field(take(count()))
		b.Fields = append(b.Fields, Field{Name: name, Data: take(count())})
	}
	if !ok || len(data) > 0 {
		return nil, errDamaged
	}
	return b, nil
}
