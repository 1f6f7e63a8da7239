package blockstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// Server is a store under test and a way round it.
type Server struct {
	Store blocks.Store
	// ID is an installation id that no other test uses.
	ID string
	Tamper
}

// Tamper changes a store's content behind its back. Its methods fail the test on errors.
type Tamper interface {
	// Take returns a copy of all that is kept of a block, nil if nothing is. PutBack replaces the block by such a copy; nil
	// deletes it.
	Take(key blocks.Key) any
	PutBack(key blocks.Key, held any)
	// Get returns the bytes of one field (blocks.MetaField too), nil if there are none. Set replaces them; nil deletes them.
	Get(key blocks.Key, field audience.Field) []byte
	Set(key blocks.Key, field audience.Field, data []byte)
}

// Factory makes a server for one test, with nothing under its ID.
type Factory func(t testing.TB) *Server

type write = blocks.BlockWrite

// Run tests a store's own promises.
func Run(t *testing.T, factory Factory) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s *Server)
	}{
		{"what was written is read, what was not is nil", readWrite},
		{"a change keeps the other fields", change},
		{"a whole write leaves nothing else", whole},
		{"a write of a thousand fields", wide},
		{"keys do not meet", keys},
		{"a writer whose lease was overtaken is refused", superseded},
		{"a late write of the same epoch is refused, the same write is not", late},
		{"a write mark that was tampered with stops nobody", tampered},
		{"the caller owns the bytes", ownership},
		{"dropped blocks are gone", drop},
		{"a write is seen whole or not at all", atomic},
		{"an ended context ends the call", canceled},
		{"a closed store says so", closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := factory(t)
			c.test(t, s)
		})
	}
}

func (s *Server) key(block uint32) blocks.Key {
	return blocks.Key{Store: s.ID, Layout: 1, Block: block}
}

func (s *Server) write(t testing.TB, w write) {
	t.Helper()
	if err := s.Store.Write(t.Context(), w); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// expect reads fields and compares them; an empty text stands for nil.
func (s *Server) expect(t testing.TB, key blocks.Key, meta string, want map[audience.Field]string) {
	t.Helper()
	fields := make([]audience.Field, 0, len(want))
	for f := range want {
		fields = append(fields, f)
	}
	gotMeta, values, err := s.Store.Read(t.Context(), key, fields)
	if err != nil || len(values) != len(fields) {
		t.Fatalf("read: %d values, %v", len(values), err)
	}
	if string(gotMeta) != meta || (gotMeta == nil) != (meta == "") {
		t.Errorf("meta is %q, want %q", gotMeta, meta)
	}
	for i, f := range fields {
		if string(values[i]) != want[f] || (values[i] == nil) != (want[f] == "") {
			t.Errorf("%s is %q, want %q", f, values[i], want[f])
		}
	}
}

func set(pairs ...string) []blocks.Value {
	var list []blocks.Value
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, blocks.Value{Field: audience.Field(pairs[i]), Data: []byte(pairs[i+1])})
	}
	return list
}

var first = blocks.Epoch{Number: 1, Random: 7}

func readWrite(t *testing.T, s *Server) {
	if err := s.Store.Ping(t.Context()); err != nil {
		t.Fatalf("ping: %v", err)
	}
	k := s.key(0)
	s.expect(t, k, "", map[audience.Field]string{"live": ""})
	binary := "\x00\r\n\xff{}:"
	s.write(t, write{Key: k, Epoch: first, Version: 1, Meta: []byte("m1"), Set: set("live", "x", "f/city=Zoë", binary), Whole: true})
	s.expect(t, k, "m1", map[audience.Field]string{"live": "x", "f/city=Zoë": binary, "f/city=zoë": "", "F/city=Zoë": ""})
	// Meta alone, and the order of what is asked for.
	meta, values, err := s.Store.Read(t.Context(), k, nil)
	if err != nil || string(meta) != "m1" || len(values) != 0 {
		t.Errorf("meta alone: %q, %d values, %v", meta, len(values), err)
	}
	_, values, err = s.Store.Read(t.Context(), k, []audience.Field{"f/city=Zoë", "none", "live", "live"})
	if err != nil || string(values[0]) != binary || values[1] != nil || string(values[2]) != "x" || string(values[3]) != "x" {
		t.Errorf("values %q, %v", values, err)
	}
}

func change(t *testing.T, s *Server) {
	k := s.key(0)
	s.write(t, write{Key: k, Epoch: first, Version: 1, Meta: []byte("m1"), Set: set("a", "1", "b", "2", "c", "3"), Whole: true})
	s.write(t, write{Key: k, Epoch: first, Version: 2, Meta: []byte("m2"), Set: set("b", "two", "d", "4"), Delete: []audience.Field{"c", "never there"}})
	s.expect(t, k, "m2", map[audience.Field]string{"a": "1", "b": "two", "c": "", "d": "4"})
	s.write(t, write{Key: k, Epoch: first, Version: 3, Meta: []byte("m3")})
	s.expect(t, k, "m3", map[audience.Field]string{"a": "1", "b": "two", "d": "4"})
}

func whole(t *testing.T, s *Server) {
	k := s.key(0)
	s.write(t, write{Key: k, Epoch: first, Version: 1, Meta: []byte("m1"), Set: set("a", "1", "b", "2"), Whole: true})
	s.write(t, write{Key: k, Epoch: first, Version: 2, Meta: []byte("m2"), Set: set("c", "3"), Whole: true})
	s.expect(t, k, "m2", map[audience.Field]string{"a": "", "b": "", "c": "3"})
}

func wide(t *testing.T, s *Server) {
	k := s.key(0)
	var values []blocks.Value
	var fields []audience.Field
	for i := range 5003 {
		f := audience.Field(fmt.Sprintf("f/custom.x=%d", i))
		fields = append(fields, f)
		values = append(values, blocks.Value{Field: f, Data: bytes.Repeat([]byte{byte(i)}, i%50+1)})
	}
	s.write(t, write{Key: k, Epoch: first, Version: 1, Meta: []byte("m"), Set: values, Whole: true})
	_, got, err := s.Store.Read(t.Context(), k, fields)
	if err != nil {
		t.Fatal(err)
	}
	for i := range fields {
		if !bytes.Equal(got[i], values[i].Data) {
			t.Fatalf("%s differs", fields[i])
		}
	}
	s.write(t, write{Key: k, Epoch: first, Version: 2, Meta: []byte("m"), Delete: fields[1:]})
	_, got, err = s.Store.Read(t.Context(), k, fields)
	if err != nil || got[0] == nil {
		t.Fatalf("the field that was not deleted: %q, %v", got[0], err)
	}
	for i := 1; i < len(got); i++ {
		if got[i] != nil {
			t.Fatalf("%s is still there", fields[i])
		}
	}
}

func keys(t *testing.T, s *Server) {
	a := s.key(1)
	others := []blocks.Key{s.key(11), {Store: s.ID, Layout: 11, Block: 1}, {Store: s.ID + "1", Layout: 1, Block: 1}}
	s.write(t, write{Key: a, Epoch: first, Version: 1, Meta: []byte("a"), Whole: true})
	for _, k := range others {
		s.expect(t, k, "", nil)
		s.write(t, write{Key: k, Epoch: first, Version: 1, Meta: []byte(k.String()), Whole: true})
	}
	s.expect(t, a, "a", nil)
	if want := fmt.Sprintf("nc:%s:1:%d:{b1}", s.ID, blocks.Format); a.String() != want || !strings.Contains(others[1].String(), ":11:") {
		t.Errorf("key %s, want %s", a, want)
	}
	for _, k := range others {
		s.PutBack(k, nil)
	}
}

func superseded(t *testing.T, s *Server) {
	k := s.key(0)
	now := blocks.Epoch{Number: 1 << 62, Random: 1}
	s.write(t, write{Key: k, Epoch: now, Version: 1, Meta: []byte("now"), Set: set("a", "1"), Whole: true})
	for _, was := range []blocks.Epoch{{Number: now.Number - 1, Random: 1 << 63}, {Number: 9, Random: 1}, {}} {
		for _, all := range []bool{true, false} {
			w := write{Key: k, Epoch: was, Version: 1 << 63, Meta: []byte("was"), Set: set("a", "0"), Delete: []audience.Field{"b"}, Whole: all}
			if err := s.Store.Write(t.Context(), w); !errors.Is(err, blocks.ErrSuperseded) {
				t.Errorf("epoch %d: %v, want ErrSuperseded", was.Number, err)
			}
		}
	}
	s.expect(t, k, "now", map[audience.Field]string{"a": "1"})
	// A higher number goes on, and so does another lease of the same number: they are not ordered.
	s.write(t, write{Key: k, Epoch: blocks.Epoch{Number: now.Number, Random: 0}, Version: 1, Meta: []byte("other"), Whole: true})
	s.write(t, write{Key: k, Epoch: blocks.Epoch{Number: now.Number + 1}, Version: 1, Meta: []byte("next"), Whole: true})
	s.expect(t, k, "next", nil)
	// What was flushed has no lease.
	s.PutBack(k, nil)
	s.write(t, write{Key: k, Epoch: first, Version: 1, Meta: []byte("anew"), Whole: true})
	s.expect(t, k, "anew", nil)
}

func late(t *testing.T, s *Server) {
	k := s.key(0)
	w := write{Key: k, Epoch: first, Version: 1<<63 + 1, Meta: []byte("m"), Set: set("a", "1"), Whole: true}
	s.write(t, w)
	s.write(t, w) // a driver that saw no answer tries again
	w.Version--
	w.Meta = []byte("late")
	if err := s.Store.Write(t.Context(), w); !errors.Is(err, blocks.ErrOutOfOrder) {
		t.Errorf("%v, want ErrOutOfOrder", err)
	}
	s.expect(t, k, "m", map[audience.Field]string{"a": "1"})
}

func tampered(t *testing.T, s *Server) {
	k := s.key(0)
	s.write(t, write{Key: k, Epoch: blocks.Epoch{Number: 5, Random: 5}, Version: 1, Meta: []byte("m"), Set: set("a", "1"), Whole: true})
	for _, mark := range []string{"", "x", strings.Repeat("9", 20) + "." + strings.Repeat("9", 20) + "." + strings.Repeat("9", 20) + ".00"} {
		s.Set(k, "w", []byte(mark))
		s.write(t, write{Key: k, Epoch: blocks.Epoch{Number: 5, Random: 5}, Version: 2, Meta: []byte("m2"), Set: set("a", "2")})
		s.expect(t, k, "m2", map[audience.Field]string{"a": "2"})
	}
}

func ownership(t *testing.T, s *Server) {
	k := s.key(0)
	meta, data := []byte("meta"), []byte("data")
	s.write(t, write{Key: k, Epoch: first, Version: 1, Meta: meta, Set: []blocks.Value{{Field: "a", Data: data}}, Whole: true})
	meta[0], data[0] = 'X', 'X'
	s.expect(t, k, "meta", map[audience.Field]string{"a": "data"})
	m, v, err := s.Store.Read(t.Context(), k, []audience.Field{"a"})
	if err != nil {
		t.Fatal(err)
	}
	m[0], v[0][0] = 'Y', 'Y'
	s.expect(t, k, "meta", map[audience.Field]string{"a": "data"})
}

func drop(t *testing.T, s *Server) {
	var all []blocks.Key
	for b := range uint32(600) {
		all = append(all, s.key(b))
		if b%100 == 0 {
			s.write(t, write{Key: s.key(b), Epoch: first, Version: 1, Meta: []byte("m"), Whole: true})
		}
	}
	if err := s.Store.Drop(t.Context()); err != nil {
		t.Fatalf("drop nothing: %v", err)
	}
	if err := s.Store.Drop(t.Context(), all[1:]...); err != nil {
		t.Fatalf("drop: %v", err)
	}
	s.expect(t, s.key(0), "m", nil)
	for b := uint32(100); b < 600; b += 100 {
		s.expect(t, s.key(b), "", nil)
	}
}

// atomic has writers change every field together while readers compare them.
func atomic(t *testing.T, s *Server) {
	const versions = 60
	k := s.key(0)
	fields := []audience.Field{"a", "b", "c"}
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			last := ""
			for {
				meta, values, err := s.Store.Read(context.WithoutCancel(t.Context()), k, fields)
				if err != nil {
					t.Errorf("read: %v", err)
					return
				}
				for i, v := range values {
					if !bytes.Equal(v, meta) {
						t.Errorf("%s is of %q under the meta of %q", fields[i], v, meta)
						return
					}
				}
				if string(meta) < last {
					t.Errorf("%q after %q", meta, last)
					return
				}
				last = string(meta)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for v := range versions {
		text := fmt.Sprintf("%04d", v+1)
		s.write(t, write{Key: k, Epoch: first, Version: uint64(v + 1), Meta: []byte(text), Set: set("a", text, "b", text, "c", text), Whole: v%2 == 0})
	}
	close(done)
	wg.Wait()
}

func canceled(t *testing.T, s *Server) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := s.Store.Read(ctx, s.key(0), nil)
	for op, err := range map[string]error{
		"read": err, "write": s.Store.Write(ctx, write{Key: s.key(0), Epoch: first, Version: 1, Meta: []byte("m"), Whole: true}),
		"drop": s.Store.Drop(ctx, s.key(0)), "ping": s.Store.Ping(ctx),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", op, err)
		}
	}
	s.expect(t, s.key(0), "", nil)
}

func closed(t *testing.T, s *Server) {
	for range 2 {
		if err := s.Store.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	_, _, err := s.Store.Read(t.Context(), s.key(0), nil)
	for op, err := range map[string]error{
		"read": err, "write": s.Store.Write(t.Context(), write{Key: s.key(0), Epoch: first, Version: 1, Whole: true}),
		"drop": s.Store.Drop(t.Context(), s.key(0)), "ping": s.Store.Ping(t.Context()),
	} {
		if !errors.Is(err, blocks.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", op, err)
		}
	}
}
