package testkit

import (
	"io"
	"net"
	"sync"
)

// relay passes connections on to a server whose address may change. While it has no target it closes what it accepts.
type relay struct {
	l  net.Listener
	wg sync.WaitGroup

	mu   sync.Mutex
	to   string
	open map[net.Conn]struct{}
}

func newRelay() (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{l: l, open: make(map[net.Conn]struct{})}
	r.wg.Go(r.accept)
	return r, nil
}

func (r *relay) addr() string { return r.l.Addr().String() }

// target cuts all connections and sends new ones to addr; none if addr is empty.
func (r *relay) target(addr string) {
	r.mu.Lock()
	r.to = addr
	r.mu.Unlock()
	r.cut()
}

func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.open {
		c.Close() // breaking it is the purpose
	}
}

func (r *relay) close() {
	r.l.Close() // the listener's only other user is accept, which this ends
	r.target("")
	r.wg.Wait()
}

func (r *relay) accept() {
	for {
		in, err := r.l.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.serve(in) })
	}
}

func (r *relay) serve(in net.Conn) {
	defer in.Close() // the end of a relayed connection is not an event
	out, ok := r.dial(in)
	if !ok {
		return
	}
	defer r.forget(in, out)
	var wg sync.WaitGroup
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		wg.Go(func() {
			_, _ = io.Copy(pair[0], pair[1]) // either side may break; then both are closed
			in.Close()
			out.Close()
		})
	}
	wg.Wait()
}

// dial connects to the target and registers both ends under one lock, so that a change of target misses no connection.
func (r *relay) dial(in net.Conn) (net.Conn, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.to == "" {
		return nil, false
	}
	out, err := net.Dial("tcp", r.to)
	if err != nil {
		return nil, false
	}
	r.open[in], r.open[out] = struct{}{}, struct{}{}
	return out, true
}

func (r *relay) forget(in, out net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, in)
	delete(r.open, out)
	out.Close() // closed already in most cases
}
