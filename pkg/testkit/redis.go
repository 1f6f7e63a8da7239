package testkit

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// startTimeout bounds the start of a Redis server, an image that must be pulled included.
const startTimeout = 2 * time.Minute

// backend is a running Redis and the way to end it.
type backend struct {
	addr string
	stop func() error
}

// shared is the one server of this test binary. It is never stopped by a test: its watcher ends it with the process.
var shared = sync.OnceValues(func() (*backend, error) { return startRedis(true) })

// Redis returns the host:port of a Redis that all tests of this binary share. Keep apart by a [StoreID] in every key, and do not
// flush it. Without any provider the test is skipped, or fails if CI=true.
func Redis(t testing.TB) string {
	t.Helper()
	b, err := shared()
	if err != nil {
		Missing(t, "REDIS NOT AVAILABLE: %v", err)
	}
	return b.addr
}

// Private is a Redis of one test alone, which may be flushed, corrupted, stopped and started again. Its Addr never changes:
// a relay in this process listens there, so a restart needs no port to be free again. Its methods fail the test on error and are
// for the test's own goroutine.
type Private struct {
	// Addr is the host:port to connect to.
	Addr string

	t     testing.TB
	relay *relay
	b     *backend
}

// RedisPrivate starts a Redis for t alone and stops it when t ends. An address in the environment is not used, since what
// others use must not be stopped. Without a provider the test is skipped, or fails if CI=true.
func RedisPrivate(t testing.TB) *Private {
	t.Helper()
	relay, err := newRelay()
	if err != nil {
		t.Fatalf("listen for a private redis: %v", err)
	}
	p := &Private{Addr: relay.addr(), t: t, relay: relay}
	t.Cleanup(func() {
		relay.close()
		if p.b != nil {
			if err := p.b.stop(); err != nil {
				t.Errorf("stop private redis: %v", err)
			}
		}
	})
	b, err := startRedis(false)
	if err != nil {
		Missing(t, "REDIS NOT AVAILABLE: %v", err)
	}
	p.b = b
	relay.target(b.addr)
	return p
}

// Stop ends the server as a crash does: connections are cut, new ones are closed at once, everything in it is lost. Stopping a
// stopped server does nothing.
func (p *Private) Stop() {
	p.t.Helper()
	if p.b == nil {
		return
	}
	p.relay.target("")
	if err := p.b.stop(); err != nil {
		p.t.Fatalf("stop private redis: %v", err)
	}
	p.b = nil
}

// Start starts an empty server behind the same Addr. Starting a running server does nothing.
func (p *Private) Start() {
	p.t.Helper()
	if p.b != nil {
		return
	}
	b, err := startRedis(false)
	if err != nil {
		p.t.Fatalf("start private redis: %v", err)
	}
	p.b = b
	p.relay.target(b.addr)
}

// Cut breaks every open connection while the server keeps running and keeps its data.
func (p *Private) Cut() { p.relay.cut() }

// startRedis tries the providers in order, or only the one that the environment demands. An address in the environment serves
// only where a shared server will do.
func startRedis(share bool) (*backend, error) {
	providers := []struct {
		name  string
		start func() (*backend, error)
	}{{"env", startEnv}, {"binary", startBinary}, {"container", startContainer}}

	only := os.Getenv("NARROWCAST_TEST_REDIS_PROVIDER")
	if only == "env" && !share {
		only = "" // a private server needs one that may be stopped: the next provider that works
	}
	var tried []error
	for _, p := range providers {
		if p.name == "env" && !share || only != "" && only != p.name {
			continue
		}
		b, err := p.start()
		if err == nil {
			return b, nil
		}
		tried = append(tried, fmt.Errorf("%s: %w", p.name, err))
	}
	if len(tried) == 0 {
		return nil, fmt.Errorf("NARROWCAST_TEST_REDIS_PROVIDER=%q is none of env, binary, container", only)
	}
	return nil, fmt.Errorf("%w; install redis-server, start Docker, or set NARROWCAST_TEST_REDIS to host:port", errors.Join(tried...))
}

func startEnv() (*backend, error) {
	addr := os.Getenv("NARROWCAST_TEST_REDIS")
	if addr == "" {
		return nil, errors.New("NARROWCAST_TEST_REDIS is not set")
	}
	if _, err := processID(addr, time.Second); err != nil {
		return nil, fmt.Errorf("ask the server at NARROWCAST_TEST_REDIS: %w", err)
	}
	return &backend{addr: addr, stop: func() error { return nil }}, nil
}
