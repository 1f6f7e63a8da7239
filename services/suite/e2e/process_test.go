package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/rpc"
)

// builds holds the programs, built once for the test binary.
var builds binaries

type binaries struct {
	once sync.Once
	dir  string
	err  error
}

// path builds all programs the first time, and returns one of them.
func (b *binaries) path(t testing.TB, program string) string {
	t.Helper()
	b.once.Do(func() {
		if b.dir, b.err = os.MkdirTemp("", "narrowcast-e2e-"); b.err != nil {
			return
		}
		const services = "github.com/narrowcast/narrowcast/services/"
		args := []string{"build", "-o", b.dir + "/", services + "suite/cmd/narrowcast"}
		for _, target := range targets {
			args = append(args, services+target+"/cmd/"+target)
		}
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			b.err = fmt.Errorf("build the programs: %w\n%s", err, out)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return filepath.Join(b.dir, program)
}

func (b *binaries) remove() error {
	if b.dir == "" {
		return nil
	}
	return os.RemoveAll(b.dir)
}

// fourProcesses runs the four programs, each on a SQLite file or a schema of its own, over loopback and o.redis.
func fourProcesses(t testing.TB, o options) *stack {
	t.Helper()
	o = o.filled(t)
	addr := map[string]string{}
	conns := map[string]grpc.ClientConnInterface{}
	for _, target := range targets {
		args := []string{"--allow-sqlite"}
		if o.database != "" {
			args = []string{"--database=" + o.database}
			if target == profileTarget {
				args = append(args, "--allow-sqlite") // it takes no database yet
			}
		}
		switch target {
		case segmentTarget:
			args = append(args, "--profile-addr="+addr[profileTarget], "--redis="+o.redis)
		case personaTarget:
			args = append(args, "--segment-addr="+addr[segmentTarget])
		case campaignTarget:
			args = append(args, "--profile-addr="+addr[profileTarget], "--segment-addr="+addr[segmentTarget], "--redis="+o.redis)
		}
		p := startProcess(t, o.logs, target, append(args, serveFlags(filepath.Join(o.dataDir, target))...)...)
		addr[target] = p.addr
		conns[target] = dial(t, p.addr, rpc.DialOptions{})
	}
	return newStack(byTarget(conns), addr, o)
}

// serveFlags are the flags of every process: ports that the system chooses, and a log that can be read.
func serveFlags(dataDir string) []string {
	return []string{"--listen=127.0.0.1:0", "--ops-listen=none", "--data-dir=" + dataDir, "--log-format=json", "--log-level=debug"}
}

// process is a started program that serves.
type process struct {
	t     testing.TB
	name  string
	cmd   *exec.Cmd
	addr  string
	ended chan struct{} // closed when it has ended, and err is set
	err   error
}

// startProcess starts a program and waits until it serves. The test's end ends it.
func startProcess(t testing.TB, l *logs, program string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(builds.path(t, program), args...)
	cmd.Env = cleanEnv()
	cmd.SysProcAttr = diesWithParent()
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	p := &process{t: t, name: program, cmd: cmd, ended: make(chan struct{})}
	serving := make(chan string, 1)
	var lines sync.WaitGroup
	lines.Go(func() { p.read(read, l, serving) })
	go func() {
		err := cmd.Wait() // all output has been copied
		err = errors.Join(err, write.Close())
		lines.Wait()
		p.err = err
		close(p.ended)
	}()
	t.Cleanup(p.terminate)
	select {
	case p.addr = <-serving:
	case <-p.ended:
		t.Fatalf("%s ended before it served: %v\n%s", program, p.err, l.tail(40))
	case <-time.After(patience):
		t.Fatalf("%s does not serve after %v\n%s", program, patience, l.tail(40))
	}
	return p
}

// read copies the process's log and finds the address in it.
func (p *process) read(from io.Reader, l *logs, serving chan<- string) {
	in := bufio.NewReader(from)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			// One write for each line, so that lines of several processes do not mix.
			_, _ = l.Write(append(bytes.TrimRight(line, "\n"), '\n'))
			var entry struct{ Msg, Protocol, Address string }
			if json.Unmarshal(line, &entry) == nil && entry.Msg == "serving" && entry.Protocol == "grpc" {
				select {
				case serving <- entry.Address:
				default:
				}
			}
		}
		if err != nil {
			return
		}
	}
}

// terminate asks the process to stop, as an orchestrator does, and fails the test if it does not end well within the bound.
func (p *process) terminate() {
	if p.hasEnded() {
		return
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("ask %s to stop: %v", p.name, err)
	}
	select {
	case <-p.ended:
		if p.err != nil {
			p.t.Errorf("%s did not stop in order: %v", p.name, p.err)
		}
	case <-time.After(patience):
		p.t.Errorf("%s has not stopped after %v and is killed", p.name, patience)
		p.kill()
	}
}

// kill ends the process as a power cut does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// cleanEnv is the environment without settings of the suite.
func cleanEnv() []string {
	var env []string
	for _, one := range os.Environ() {
		if !strings.HasPrefix(one, "NARROWCAST_") && !strings.HasPrefix(one, "OTEL_") {
			env = append(env, one)
		}
	}
	return env
}
