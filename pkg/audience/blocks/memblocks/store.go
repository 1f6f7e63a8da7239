package memblocks

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// Store is a blocks.Store in memory. The zero value is empty and ready.
type Store struct {
	mu     sync.RWMutex
	closed bool
	blocks map[blocks.Key]*block
}

var _ blocks.Store = (*Store)(nil)

type block struct {
	epoch   blocks.Epoch
	version uint64
	meta    []byte
	values  map[audience.Field][]byte
}

// New returns an empty store.
func New() *Store { return new(Store) }

// ready is called with the lock held.
func (s *Store) ready(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if s.closed {
		return fmt.Errorf("%s: %w", op, blocks.ErrClosed)
	}
	return nil
}

// Read implements blocks.Store.
func (s *Store) Read(ctx context.Context, key blocks.Key, fields []audience.Field) ([]byte, [][]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(ctx, "read block"); err != nil {
		return nil, nil, err
	}
	values := make([][]byte, len(fields))
	b := s.blocks[key]
	if b == nil {
		return nil, values, nil
	}
	for i, f := range fields {
		values[i] = bytes.Clone(b.values[f])
	}
	return bytes.Clone(b.meta), values, nil
}

// Write implements blocks.Store.
func (s *Store) Write(ctx context.Context, w blocks.BlockWrite) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx, "write block"); err != nil {
		return err
	}
	b := s.blocks[w.Key]
	if b == nil {
		b = new(block)
	}
	switch {
	case b.epoch.Number > w.Epoch.Number:
		return fmt.Errorf("write block: %w", blocks.ErrSuperseded)
	case b.epoch == w.Epoch && b.version > w.Version:
		return fmt.Errorf("write block: %w", blocks.ErrOutOfOrder)
	}
	next := &block{epoch: w.Epoch, version: w.Version, meta: bytes.Clone(w.Meta)}
	if w.Whole || b.values == nil {
		next.values = make(map[audience.Field][]byte, len(w.Set))
	} else {
		next.values = b.values
	}
	for _, f := range w.Delete {
		delete(next.values, f)
	}
	for _, v := range w.Set {
		next.values[v.Field] = bytes.Clone(v.Data)
	}
	if s.blocks == nil {
		s.blocks = make(map[blocks.Key]*block)
	}
	s.blocks[w.Key] = next
	return nil
}

// Drop implements blocks.Store.
func (s *Store) Drop(ctx context.Context, keys ...blocks.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx, "drop blocks"); err != nil {
		return err
	}
	for _, k := range keys {
		delete(s.blocks, k)
	}
	return nil
}

// Ping implements blocks.Store.
func (s *Store) Ping(ctx context.Context) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ready(ctx, "ping")
}

// Close implements blocks.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.blocks = nil
	return nil
}

// Copy returns a copy of the block as it is held, or nil: together with Put it lets a test do to this store what anyone can
// do to a server.
func (s *Store) Copy(key blocks.Key) *Held {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.blocks[key]
	if b == nil {
		return nil
	}
	h := &Held{block: *b, key: key}
	h.values = maps.Clone(b.values)
	return h
}

// Put replaces a block by a copy made before, without any check; nil removes it. A copy of another block stops no writer.
func (s *Store) Put(key blocks.Key, h *Held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h == nil {
		delete(s.blocks, key)
		return
	}
	b := h.block
	b.values = maps.Clone(h.values)
	if h.key != key {
		b.epoch, b.version = blocks.Epoch{}, 0
	}
	if s.blocks == nil {
		s.blocks = make(map[blocks.Key]*block)
	}
	s.blocks[key] = &b
}

// Held is a copy of a block in the store.
type Held struct {
	block
	key blocks.Key
}

// Set replaces the bytes of a field, or of the meta where field is blocks.MetaField; nil removes them.
func (h *Held) Set(field audience.Field, data []byte) {
	switch {
	case field == blocks.MetaField:
		h.meta = bytes.Clone(data)
	case data == nil:
		delete(h.values, field)
	default:
		h.values[field] = bytes.Clone(data)
	}
}

// Get returns the bytes of a field, or of the meta where field is blocks.MetaField; nil if there are none.
func (h *Held) Get(field audience.Field) []byte {
	if field == blocks.MetaField {
		return bytes.Clone(h.meta)
	}
	return bytes.Clone(h.values[field])
}
