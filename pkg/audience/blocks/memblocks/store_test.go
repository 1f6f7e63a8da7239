package memblocks_test

import (
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/blockstest"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/memblocks"
)

func server(testing.TB) *blockstest.Server {
	s := memblocks.New()
	return &blockstest.Server{Store: s, ID: "test", Tamper: tamper{s}}
}

func TestStore(t *testing.T) { blockstest.Run(t, server) }

func TestReader(t *testing.T) { blockstest.RunReader(t, server) }

// tamper reaches into the store. The mark of the last write is no field here: to set it does nothing.
type tamper struct{ s *memblocks.Store }

func (m tamper) Take(key blocks.Key) any {
	if h := m.s.Copy(key); h != nil {
		return h
	}
	return nil
}

func (m tamper) PutBack(key blocks.Key, held any) {
	h, _ := held.(*memblocks.Held)
	m.s.Put(key, h)
}

func (m tamper) Get(key blocks.Key, field audience.Field) []byte {
	if h := m.s.Copy(key); h != nil {
		return h.Get(field)
	}
	return nil
}

func (m tamper) Set(key blocks.Key, field audience.Field, data []byte) {
	h := m.s.Copy(key)
	if h == nil {
		h = new(memblocks.Held)
	}
	h.Set(field, data)
	m.s.Put(key, h)
}
