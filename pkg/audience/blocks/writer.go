package blocks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Change is what a block is to hold from now on: all of it for Writer.Rewrite, what differs for Writer.Apply.
type Change struct {
	Block uint32
	// Rows by field; a nil or empty row becomes empty (and stays listed if it is a segment's or the live row).
	Rows map[audience.Field]*audience.Bits
	// Columns by field; a nil column, or one without a value, becomes empty.
	Columns map[audience.Field]*audience.Column
	// UIDs are whole parts of the dictionary by their number, 0 to Chunks-1, at most ChunkSize uids each; a deleted profile's
	// is blank.
	UIDs map[int][]audience.UID
	// Removed are fields that the block no longer represents, such as a segment's row under a former rule. Unknown ones do no
	// harm. For Apply only.
	Removed []audience.Field
	// Defs and Pending are the directory's new ones, always whole.
	Defs    Position
	Pending []audience.Field
}

// WriterConfig says under which identity a Writer writes.
type WriterConfig struct {
	Store  string
	Layout uint32
	Epoch  Epoch
	// Meter may be nil.
	Meter metric.Meter
}

// Writer turns changes of blocks into encoded fields, writes them to a store, and says what a frame has to tell of them. It
// remembers each block's directory, not its content. One Writer serves one holding of the lease. Different blocks may be written
// at the same time; writes of one block wait for each other.
type Writer struct {
	store Store
	cfg   WriterConfig

	written metric.Int64Counter
	bytes   metric.Int64Counter

	mu     sync.Mutex
	blocks map[uint32]*written
	ended  error // why no further write can succeed
}

// written is what the writer knows of one block. Its lock is held during a write.
type written struct {
	mu  sync.Mutex
	dir *Directory // last acknowledged; nil: none in this epoch
	// burned is the highest version that was tried: a version whose write had an unknown outcome is never used again, since the
	// store may hold it with that content.
	burned  uint64
	rewrite bool
}

// NewWriter returns a writer for one epoch.
func NewWriter(store Store, cfg WriterConfig) (*Writer, error) {
	if cfg.Store == "" || len(cfg.Store) > maxStoreBytes {
		return nil, fmt.Errorf("new block writer: store id of %d bytes, want 1 to %d", len(cfg.Store), maxStoreBytes)
	}
	w := &Writer{store: store, cfg: cfg, blocks: make(map[uint32]*written)}
	meter := cmp.Or[metric.Meter](cfg.Meter, noop.Meter{})
	var errs [2]error
	w.written, errs[0] = meter.Int64Counter(metricWrites, metric.WithDescription("writes of blocks, by kind and outcome"))
	w.bytes, errs[1] = meter.Int64Counter(metricWrittenBytes, metric.WithUnit("By"), metric.WithDescription("encoded bytes of fields written to the store"))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("new block writer: %w", err)
	}
	return w, nil
}

// Key returns the key under which the writer keeps a block.
func (w *Writer) Key(block uint32) Key { return Key{w.cfg.Store, w.cfg.Layout, block} }

// Directory returns the last acknowledged directory of a block, or nil if this writer has not written it.
func (w *Writer) Directory(block uint32) *Directory {
	b, _ := w.block(block)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dir
}

// Apply writes what differs from the block's state, and returns what the next frame has to say of it. Fields whose content is
// unchanged are not written; if nothing is, not even Defs or Pending, the second result is false and nothing was written. The
// first write of a block in an epoch must be a Rewrite.
//
// Errors: ErrRewriteNeeded; ErrSuperseded, after which every call fails likewise and the holder must step down; else those of
// Store.Write, after which the block needs a Rewrite.
func (w *Writer) Apply(ctx context.Context, c Change) (state BlockState, changed bool, err error) {
	return w.write(ctx, c, false)
}

// Rewrite writes the whole block, whatever the store holds. The change must hold everything; Removed is ignored. It always makes a
// new version, whose BlockState is a difference to the last acknowledged directory, or the whole one if there is none. Errors as
// for Apply.
func (w *Writer) Rewrite(ctx context.Context, c Change) (BlockState, error) {
	state, _, err := w.write(ctx, c, true)
	return state, err
}

func (w *Writer) block(block uint32) (*written, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.blocks[block]
	if b == nil {
		b = new(written)
		w.blocks[block] = b
	}
	return b, w.ended
}

func (w *Writer) write(ctx context.Context, c Change, whole bool) (BlockState, bool, error) {
	fail := func(err error) (BlockState, bool, error) {
		return BlockState{}, false, fmt.Errorf("write block %d: %w", c.Block, err)
	}
	b, err := w.block(c.Block)
	if err != nil {
		return fail(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !whole && (b.rewrite || b.dir == nil) {
		return fail(ErrRewriteNeeded)
	}
	enc, err := c.encode()
	if err != nil {
		return fail(err)
	}
	dir := &Directory{Store: w.cfg.Store, Layout: w.cfg.Layout, Block: c.Block, Epoch: w.cfg.Epoch, Version: b.burned + 1, Defs: c.Defs}
	dir.Pending = slices.Compact(slices.Sorted(slices.Values(c.Pending)))
	bw := BlockWrite{Key: w.Key(c.Block), Epoch: w.cfg.Epoch, Version: dir.Version, Whole: whole}
	if whole {
		dir.Entries = enc.listed
		bw.Set = enc.values
	} else {
		enc.drop(b.dir)
		dir.Entries = merge(b.dir.Entries, enc.listed, enc.lost)
		bw.Set, bw.Delete = enc.values, enc.deleted
		if len(enc.listed)+len(enc.lost) == 0 && dir.Defs == b.dir.Defs && slices.Equal(dir.Pending, b.dir.Pending) {
			return BlockState{}, false, nil
		}
	}
	if bw.Meta, err = EncodeMeta(dir); err != nil {
		return fail(err)
	}
	b.burned = dir.Version
	if err := w.store.Write(ctx, bw); err != nil {
		b.rewrite = true
		if errors.Is(err, ErrSuperseded) {
			w.mu.Lock()
			w.ended = ErrSuperseded
			w.mu.Unlock()
		}
		w.written.Add(ctx, 1, metric.WithAttributes(attrWhole.Bool(whole), attrFailed.Bool(true)))
		return fail(err)
	}
	w.written.Add(ctx, 1, metric.WithAttributes(attrWhole.Bool(whole), attrFailed.Bool(false)))
	w.bytes.Add(ctx, int64(bw.size()))

	state := BlockState{Block: c.Block, Epoch: dir.Epoch, Version: dir.Version, Defs: dir.Defs, Pending: dir.Pending}
	if b.dir == nil {
		state.Entries = dir.Entries
	} else {
		state.Base = b.dir.Version
		state.Entries, state.Lost = difference(b.dir.Entries, dir.Entries)
	}
	b.dir, b.rewrite = dir, false
	return state, true, nil
}

func (bw *BlockWrite) size() int {
	n := len(bw.Meta)
	for _, v := range bw.Set {
		n += len(v.Data)
	}
	return n
}

// encoded are the fields of a change. listed, lost and deleted are sorted by field.
type encoded struct {
	listed  []Listed
	values  []Value
	lost    []audience.Field // leave the directory
	deleted []audience.Field // leave the hash
}

func (c *Change) encode() (*encoded, error) {
	e := new(encoded)
	for f, row := range c.Rows {
		data, n := EncodeRow(row)
		e.add(f, data, n)
	}
	for f, column := range c.Columns {
		data, n, err := EncodeColumn(column)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f, err)
		}
		e.add(f, data, n)
	}
	for part, uids := range c.UIDs {
		if part < 0 || part >= Chunks {
			return nil, fmt.Errorf("dictionary part %d of %d", part, Chunks)
		}
		data, n, err := EncodeUIDs(uids)
		if err != nil {
			return nil, err
		}
		e.add(UIDField(part), data, n)
	}
	e.lost = append(e.lost, c.Removed...)
	slices.Sort(e.lost)
	e.lost = slices.Compact(e.lost)
	slices.SortFunc(e.listed, func(a, b Listed) int { return cmp.Compare(a.Field, b.Field) })
	// In the order of the fields, so that equal changes are equal writes.
	slices.SortFunc(e.values, func(a, b Value) int { return cmp.Compare(a.Field, b.Field) })
	return e, nil
}

func (e *encoded) add(f audience.Field, data []byte, cardinality int) {
	switch {
	case cardinality > 0:
		e.values = append(e.values, Value{f, data})
		e.listed = append(e.listed, Listed{f, Entry{uint32(cardinality), Checksum(f, data), uint32(len(data))}})
	case explicit(f):
		e.listed = append(e.listed, Listed{Field: f})
	default:
		e.lost = append(e.lost, f)
	}
}

// drop leaves only what differs from the directory.
func (e *encoded) drop(dir *Directory) {
	same := func(l Listed) bool {
		was, ok := dir.Find(l.Field)
		return ok && was == l.Entry
	}
	// What is set in the same change stays, changed or not: a field is never set and lost.
	e.lost = slices.DeleteFunc(e.lost, func(f audience.Field) bool {
		_, set := slices.BinarySearchFunc(e.listed, f, func(l Listed, f audience.Field) int { return cmp.Compare(l.Field, f) })
		_, was := dir.Find(f)
		return set || !was
	})
	e.values = slices.DeleteFunc(e.values, func(v Value) bool {
		was, _ := dir.Find(v.Field)
		return was.Cardinality > 0 && was.Size == uint32(len(v.Data)) && was.Checksum == Checksum(v.Field, v.Data)
	})
	e.listed = slices.DeleteFunc(e.listed, same)
	for _, f := range e.lost {
		if was, _ := dir.Find(f); was.Cardinality > 0 {
			e.deleted = append(e.deleted, f)
		}
	}
	for _, l := range e.listed {
		if was, _ := dir.Find(l.Field); l.Cardinality == 0 && was.Cardinality > 0 {
			e.deleted = append(e.deleted, l.Field)
		}
	}
	slices.Sort(e.deleted)
}
