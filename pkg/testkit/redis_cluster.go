package testkit

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// slots is how many hash slots a Redis Cluster has.
const slots = 16384

// RedisCluster starts a Redis Cluster of three masters for t alone, which share the slots evenly, and stops it when t ends. It returns
// their host:port. The extra arguments are those of each redis-server. It needs redis-server on this machine; without it the
// test is skipped, or fails if CI=true.
func RedisCluster(t testing.TB, args ...string) []string {
	t.Helper()
	addrs, err := startCluster(t, args)
	for range 4 { // a port of the cluster's bus may have been taken meanwhile
		if err == nil || errors.Is(err, exec.ErrNotFound) {
			break
		}
		addrs, err = startCluster(t, args)
	}
	switch {
	case errors.Is(err, exec.ErrNotFound):
		Missing(t, "REDIS CLUSTER NOT AVAILABLE: %v; install redis-server", err)
	case err != nil:
		t.Fatalf("start a redis cluster: %v", err)
	}
	return addrs
}

func startCluster(t testing.TB, args []string) ([]string, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, err
	}
	var addrs, buses []string
	for range 3 {
		bus, err := freePort()
		if err != nil {
			return nil, err
		}
		dir, err := os.MkdirTemp("", "narrowcast-redis-")
		if err != nil {
			return nil, fmt.Errorf("make a folder: %w", err)
		}
		t.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Errorf("remove a cluster's folder: %v", err)
			}
		})
		b, err := tryBinary(path, dir, append([]string{
			"--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "5000",
		}, args...)...)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() {
			if err := b.stop(); err != nil {
				t.Errorf("stop a cluster's node: %v", err)
			}
		})
		addrs, buses = append(addrs, b.addr), append(buses, bus)
	}
	for i, addr := range addrs {
		if err := say(addr, "CLUSTER ADDSLOTSRANGE %d %d", i*slots/3, (i+1)*slots/3-1); err != nil {
			return nil, err
		}
		if err := say(addr, "CLUSTER SET-CONFIG-EPOCH %d", i+1); err != nil {
			return nil, err
		}
	}
	for i, addr := range addrs[1:] {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("read an address: %w", err)
		}
		if err := say(addrs[0], "CLUSTER MEET 127.0.0.1 %s %s", port, buses[i+1]); err != nil {
			return nil, err
		}
	}
	for _, addr := range addrs {
		if err := awaitLines(addr, "CLUSTER INFO", "cluster_state:ok", "cluster_known_nodes:3", "cluster_slots_ok:16384", "cluster_size:3"); err != nil {
			return nil, err
		}
	}
	return addrs, nil
}

// awaitLines asks until the answer has all lines.
func awaitLines(addr, command string, want ...string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		text, err := ask(addr, command)
		missing := ""
		for _, line := range want {
			if !strings.Contains(text, line+"\r\n") {
				missing = line
			}
		}
		if err == nil && missing == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for %q from %s: %w", missing, command, errors.Join(err, os.ErrDeadlineExceeded))
		}
	}
}

// say sends a command that is answered by OK.
func say(addr, format string, args ...any) error {
	answer, err := ask(addr, fmt.Sprintf(format, args...))
	if err == nil && answer != "OK" {
		err = fmt.Errorf("the server answered %q", answer)
	}
	return err
}

// ask sends a command whose words hold no spaces, in the one line of the protocol that needs no client library, and returns the answer:
// a line, or a text.
func ask(addr, command string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
		return "", err
	}
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.New("the server answered nothing")
	}
	switch kind, rest := line[0], line[1:]; kind {
	case '+', ':':
		return rest, nil
	case '$':
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return "", fmt.Errorf("the server answered a text of length %q", rest)
		}
		text := make([]byte, n)
		for got := 0; got < n; {
			m, err := r.Read(text[got:])
			if err != nil {
				return "", err
			}
			got += m
		}
		return string(text), nil
	default:
		return "", fmt.Errorf("the server answered %q", line)
	}
}
