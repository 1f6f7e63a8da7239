package testkit

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// watcher is the parent of every server that is started here. It starts the server in the background, prints its process id, and
// waits for the end of its input, which it holds from this process: when this process stops the server, ends or is killed, the
// input ends and the watcher kills its child. So nothing is left behind, whatever happens to the test binary.
const watcher = `"$@" >/dev/null 2>&1 & p=$!; echo $p; cat >/dev/null; kill -9 $p 2>/dev/null; wait $p 2>/dev/null; exit 0`

// startBinary starts a local redis-server on a free port. The port is only known to be free before the server binds it, so the
// server that answers must be the child that was started, and otherwise another port is tried.
func startBinary() (*backend, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, err
	}
	var last error
	for range 10 {
		b, err := tryBinary(path, os.TempDir())
		if err == nil {
			return b, nil
		}
		last = err
	}
	return nil, last
}

// tryBinary starts a server once, with a folder to work in and further arguments, which may begin with a file of settings.
func tryBinary(path, dir string, args ...string) (*backend, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	// Nothing on disk, so nothing survives a stop and no folder has to be removed.
	all := slices.Concat([]string{"-c", watcher, "sh", path}, args,
		[]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir})
	cmd := exec.Command("/bin/sh", all...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start redis-server: %w", err)
	}
	stop := func() error {
		return errors.Join(in.Close(), cmd.Wait())
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start redis-server: %w", err), stop())
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the process id of redis-server: %w", err), stop())
	}
	addr := net.JoinHostPort("127.0.0.1", port)
	pid, err := awaitRedis(addr, 10*time.Second)
	if err == nil && pid != child {
		err = errors.New("another server took the port")
	}
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return &backend{addr: addr, stop: stop}, nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// awaitRedis asks until a server answers, and returns its process id.
func awaitRedis(addr string, bound time.Duration) (int, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(bound)
	for {
		pid, err := processID(addr, time.Second)
		if err == nil {
			return pid, nil
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("wait for redis: %w", err)
		}
		<-tick.C
	}
}

// processID asks the server at addr for its process id, in the one line of the protocol that needs no client library.
func processID(addr string, bound time.Duration) (int, error) {
	conn, err := net.DialTimeout("tcp", addr, bound)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(bound)); err != nil {
		return 0, err
	}
	if _, err := conn.Write([]byte("INFO server\r\n")); err != nil {
		return 0, err
	}
	for scan := bufio.NewScanner(conn); scan.Scan(); {
		line := scan.Text()
		if strings.HasPrefix(line, "-") {
			return 0, fmt.Errorf("the server answered %q", line)
		}
		if id, ok := strings.CutPrefix(line, "process_id:"); ok {
			return strconv.Atoi(id)
		}
	}
	return 0, errors.New("the server gave no process id")
}
