package worldtest

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/client"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/services/suite"
)

// Patience bounds every wait for something that is to come. It is long because the machine may be slow and busy; nothing waits
// for it to pass.
const Patience = time.Minute

// Process is a suite that runs.
type Process struct {
	// Addr is where it serves gRPC, host:port. A process that is started again has another one; a [Way] hides that.
	Addr string

	t    testing.TB
	once sync.Once
	stop context.CancelFunc
	err  chan error
}

// Config is a configuration of some targets (comma-separated; suite.All is every one) that serves on any port of this machine.
func Config(target, dir string) suite.Config {
	cfg := suite.Default()
	cfg.Target, cfg.DataDir = []string{target}, dir
	cfg.Listen, cfg.HTTP = "127.0.0.1:0", "none"
	cfg.AllowSQLite = target != suite.All
	return cfg
}

// Start runs a suite until Stop, or the end of the test. It returns when the suite serves, which is before its index is there.
func Start(t testing.TB, cfg suite.Config, deps suite.Deps) *Process {
	t.Helper()
	s, err := suite.New(cfg, deps)
	if err != nil {
		t.Fatalf("make suite: %v", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &Process{t: t, stop: cancel, err: make(chan error, 1)}
	go func() { p.err <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-p.err:
		cancel()
		t.Fatalf("run suite %v: %v", cfg.Target, err)
	case <-time.After(Patience):
		cancel()
		t.Fatalf("the suite %v is not ready after %v", cfg.Target, Patience)
	}
	p.Addr = s.Addr()
	t.Cleanup(p.Stop)
	return p
}

// Stop stops the suite and waits for its end. Stopping again does nothing.
func (p *Process) Stop() {
	p.t.Helper()
	p.once.Do(func() {
		p.stop()
		select {
		case err := <-p.err:
			if err != nil {
				p.t.Errorf("the suite did not stop in order: %v", err)
			}
		case <-time.After(Patience):
			p.t.Errorf("the suite has not stopped after %v", Patience)
		}
	})
}

// Client is a client of services at their addresses, closed when the test ends. It states no consistency of its own.
func Client(t testing.TB, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.Dial(cfg)
	if err != nil {
		t.Fatalf("make client: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close client: %v", err)
		}
	})
	return c
}

// Dial connects without retries, so that a refusal is seen when it is given. The connection is closed when the test ends.
func Dial(t testing.TB, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := rpc.Dial(addr, rpc.DialOptions{})
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("close connection: %v", err)
		}
	})
	return conn
}

// Clock is the system's clock set to a moment: it goes on from there, and its readings are monotonic.
func Clock(at time.Time) func() time.Time {
	ahead := time.Until(at)
	return func() time.Time { return time.Now().Add(ahead) }
}

// Pause waits between two attempts, or until ctx ends.
func Pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
