package testkit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/narrowcast/narrowcast/pkg/testkit/localpostgres"
)

// postgresWatcher is the parent of a PostgreSQL. It starts the server, prints its process id, and waits for a word or the end of
// its input, which it holds from this process: at the word "crash" it kills the server and all its processes, and otherwise, also
// when this process is killed, it ends the server at once, which then takes its processes and its shared memory along. The server
// keeps the output open and the watcher does not, so the output ends when the last process of the server has.
const postgresWatcher = `log=$1; shift
"$@" </dev/null 2>"$log" & p=$!
echo $p
exec >/dev/null 2>&1
read -r how
if [ "$how" = crash ]; then
	kill -STOP $p
	kill -9 $(ps -A -o ppid= -o pid= | while read -r parent child; do [ "$parent" = $p ] && echo $child; done) $p
else
	kill -QUIT $p
fi
wait $p
exit 0`

// removeFolder is the watcher of a folder: it removes the folder when its input, held from this process, ends.
const removeFolder = `cat >/dev/null; until rm -rf "$1" 2>/dev/null; do sleep 0.1; done; exit 0`

// How a server ends.
const (
	crash = "crash" // kill -9 of all its processes
	quit  = "quit"  // SIGQUIT, which is as sudden but leaves no shared memory behind
)

// cluster is a data folder of PostgreSQL, watched by a process that removes it when this process ends.
type cluster struct {
	bin     string // folder of the programs
	dir     string // holds the data, the socket and the log
	durable bool
	as      *syscall.Credential // whom to run as; nil for ourselves
	keeper  *exec.Cmd
	held    io.Closer // the keeper's input
}

// server is a running PostgreSQL.
type server struct {
	addr string // host:port
	cmd  *exec.Cmd
	in   io.WriteCloser
	gone chan struct{} // closed when no process of it is left
}

func (s *server) url() string { return serverURL(s.addr) }

// newCluster makes an empty data folder with the programs of this machine. It costs about a second.
func newCluster(durable bool) (*cluster, error) {
	bin, err := localpostgres.Programs()
	if err != nil {
		return nil, fmt.Errorf("binary: %w; install postgresql, or set NARROWCAST_TEST_POSTGRES to a superuser's URL", err)
	}
	as, err := localpostgres.Unprivileged()
	if err != nil {
		return nil, fmt.Errorf("binary: %w", err)
	}
	dir, err := os.MkdirTemp("", "narrowcast-pg-")
	if err != nil {
		return nil, err
	}
	c := &cluster{bin: bin, dir: dir, durable: durable, as: as}
	c.keeper = exec.Command("/bin/sh", "-c", removeFolder, "sh", dir)
	c.keeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is not for it
	if c.held, err = c.keeper.StdinPipe(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := c.keeper.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("watch the data folder: %w", err), os.RemoveAll(dir))
	}
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			return nil, errors.Join(err, c.remove())
		}
	}
	if out, err := c.command("initdb", "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions").
		CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, out), c.remove())
	}
	return c, nil
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

// command prepares a program of PostgreSQL, run as somebody who is not root, in a folder that this somebody may enter.
func (c *cluster) command(name string, args ...string) *exec.Cmd {
	return c.own(exec.Command(filepath.Join(c.bin, name), args...))
}

func (c *cluster) own(cmd *exec.Cmd) *exec.Cmd {
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as, Setpgid: true}
	return cmd
}

// remove takes the folder away. The server must have ended.
func (c *cluster) remove() error { return errors.Join(c.held.Close(), c.keeper.Wait()) }

// start starts a server on the folder, at a port that is free, and waits until it answers.
func (c *cluster) start() (*server, error) {
	var last error
	for range 10 {
		s, err := c.try()
		if err == nil {
			return s, nil
		}
		last = err
	}
	return nil, last
}

// try starts a server. It is asked through a socket in its own folder, so no other server can answer; where it could not bind the
// port, which was only known to be free before, it ends by itself.
func (c *cluster) try() (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	settings := []string{"shared_buffers=32MB", "max_connections=100"}
	if !c.durable {
		settings = []string{"shared_buffers=64MB", "max_connections=200", "fsync=off", "synchronous_commit=off", "full_page_writes=off"}
	}
	log := filepath.Join(c.dir, "log")
	args := []string{"-c", postgresWatcher, "sh", log, filepath.Join(c.bin, "postgres"), "-D", c.data(), "-p", port, "-k", c.dir, "-h", "127.0.0.1"}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	cmd := c.own(exec.Command("/bin/sh", args...))
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	s := &server{addr: net.JoinHostPort("127.0.0.1", port), cmd: cmd, in: in, gone: make(chan struct{})}
	go func() {
		defer close(s.gone)
		_, _ = io.Copy(io.Discard, out) // only its end matters
	}()
	if err := s.await("postgres:///postgres?user=postgres&sslmode=disable&host="+c.dir+"&port="+port, 30*time.Second); err != nil {
		err = errors.Join(err, s.end(quit))
		return nil, fmt.Errorf("%w; its log ends with: %s", err, tail(log))
	}
	return s, nil
}

// await asks until the server answers.
func (s *server) await(url string, bound time.Duration) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(bound)
	for {
		err := askPostgres(url, "select 1")
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for postgres: %w", err)
		}
		select {
		case <-s.gone:
			return errors.New("postgres ended at its start")
		case <-tick.C:
		}
	}
}

// end ends the server and waits until all its processes have gone.
func (s *server) end(how string) error {
	// A watcher that has gone needs no telling: its server ended by itself.
	if _, err := io.WriteString(s.in, how+"\n"); err != nil && !errors.Is(err, syscall.EPIPE) {
		return err
	}
	late := time.AfterFunc(20*time.Second, func() { _ = s.cmd.Process.Kill() }) // never in good health; the error below tells
	defer late.Stop()
	select {
	case <-s.gone:
	case <-time.After(15 * time.Second):
		return errors.New("processes of postgres are left after 15 s")
	}
	err := s.in.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	return errors.Join(err, s.cmd.Wait())
}

// tail returns the last lines of a log.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	var lines []string
	for scan := bufio.NewScanner(f); scan.Scan(); {
		lines = append(lines, scan.Text())
	}
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}
