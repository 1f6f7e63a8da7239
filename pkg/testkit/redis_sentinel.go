package testkit

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Sentinels is a Redis master with one replica and three sentinels, of one test alone. Its methods fail the test on error and are for
// the test's own goroutine.
type Sentinels struct {
	// Addrs are the host:port of the sentinels, and Master is the name under which they know the master.
	Addrs  []string
	Master string

	t      testing.TB
	master *backend
}

// RedisSentinel starts a master, a replica and three sentinels for t alone and stops them when t ends. It needs redis-server on this
// machine; without it the test is skipped, or fails if CI=true.
func RedisSentinel(t testing.TB) *Sentinels {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		Missing(t, "REDIS SENTINEL NOT AVAILABLE: %v; install redis-server", err)
	}
	s := &Sentinels{Master: "blocks", t: t}
	s.master = s.start(path, t.TempDir())
	host, port, err := net.SplitHostPort(s.master.addr)
	if err != nil {
		t.Fatal(err)
	}
	replica := s.start(path, t.TempDir(), "--replicaof", host, port, "--repl-diskless-sync-delay", "0", "--replica-serve-stale-data", "yes")
	s.await(replica.addr, "INFO replication", "role:slave", "master_link_status:up")
	for range 3 {
		dir := t.TempDir()
		file := filepath.Join(dir, "sentinel.conf")
		conf := fmt.Sprintf("sentinel monitor %[1]s %[2]s %[3]s 2\nsentinel down-after-milliseconds %[1]s 1000\nsentinel failover-timeout %[1]s 3000\n",
			s.Master, host, port)
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		sentinel := s.start(path, dir, file, "--sentinel")
		s.Addrs = append(s.Addrs, sentinel.addr)
	}
	for _, addr := range s.Addrs {
		s.await(addr, "INFO sentinel", "master0:name="+s.Master+",status=ok,address="+s.master.addr+",slaves=1,sentinels=3")
	}
	return s
}

// StopMaster ends the server that was the master at first, as a crash does. The sentinels notice within a second and promote its
// replica, which lacks what it was not sent yet. Stopping it again does nothing.
func (s *Sentinels) StopMaster() {
	s.t.Helper()
	if err := s.master.stop(); err != nil {
		s.t.Fatalf("stop the master: %v", err)
	}
}

// start starts one server, which is stopped when the test ends.
func (s *Sentinels) start(path, dir string, args ...string) *backend {
	s.t.Helper()
	var last error
	for range 10 { // until no other program takes the port
		b, err := tryBinary(path, dir, args...)
		if err == nil {
			b.stop = sync.OnceValue(b.stop) // by the test or at its end
			s.t.Cleanup(func() {
				if err := b.stop(); err != nil {
					s.t.Errorf("stop a redis: %v", err)
				}
			})
			return b
		}
		last = err
	}
	s.t.Fatalf("start a redis behind sentinels: %v", last)
	return nil
}

func (s *Sentinels) await(addr, command string, lines ...string) {
	s.t.Helper()
	if err := awaitLines(addr, command, lines...); err != nil {
		s.t.Fatalf("behind sentinels: %v", err)
	}
}
