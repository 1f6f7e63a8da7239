package worldtest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Way leads from one process to another, over an address that stays the same. It can be cut, and its other end can move.
type Way struct {
	// Addr is where it begins, host:port.
	Addr string

	l       net.Listener
	running sync.WaitGroup

	mu   sync.Mutex
	to   string // "" is cut
	open map[net.Conn]struct{}
}

// NewWay returns a way that leads nowhere yet. It ends with the test.
func NewWay(t testing.TB) *Way {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	w := &Way{Addr: l.Addr().String(), l: l, open: make(map[net.Conn]struct{})}
	w.running.Go(w.accept)
	t.Cleanup(func() {
		l.Close() // its only other user is accept, which this ends
		w.Cut()
		w.running.Wait()
	})
	return w
}

// Cut breaks every connection and refuses new ones.
func (w *Way) Cut() { w.Lead("") }

// Lead breaks every connection and lets new ones lead to an address.
func (w *Way) Lead(to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = to
	for c := range w.open {
		c.Close() // breaking it is the purpose
	}
}

func (w *Way) accept() {
	for {
		in, err := w.l.Accept()
		if err != nil {
			return
		}
		w.running.Go(func() { w.relay(in) })
	}
}

func (w *Way) relay(in net.Conn) {
	defer in.Close() // the end of a relayed connection is no event
	out := w.connect(in)
	if out == nil {
		return
	}
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1]) // either side may break; then both are closed
			in.Close()
			out.Close()
		})
	}
	both.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, in)
	delete(w.open, out)
}

// connect dials and notes both ends under one lock, so that no connection outlives a cut.
func (w *Way) connect(in net.Conn) net.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.to == "" {
		return nil
	}
	out, err := net.Dial("tcp", w.to)
	if err != nil {
		return nil
	}
	w.open[in], w.open[out] = struct{}{}, struct{}{}
	return out
}
