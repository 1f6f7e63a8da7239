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
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/rpc"
)

// builds holds the programs, each built once for the test binary, and only if a test needs it or its neighbours.
var builds binaries

type binaries struct {
	mu   sync.Mutex
	dir  string
	made map[string]error // by program
}

// path builds a program the first time, and returns it.
func (b *binaries) path(t testing.TB, program string) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "narrowcast-e2e-")
		if err != nil {
			t.Fatal(err)
		}
		b.dir, b.made = dir, make(map[string]error)
	}
	err, tried := b.made[program]
	if !tried {
		const services = "github.com/narrowcast/narrowcast/services/"
		together, from := []string{program}, []string{services + "suite/cmd/narrowcast"}
		if slices.Contains(targets, program) { // who needs one needs the others, and one command links them side by side
			together, from = targets, nil
			for _, target := range targets {
				from = append(from, services+target+"/cmd/"+target)
			}
		}
		// Without what only a debugger reads, linking takes half as long.
		out, failed := exec.Command("go", slices.Concat([]string{"build", "-ldflags=-s -w", "-o", b.dir + "/"}, from)...).CombinedOutput()
		if failed != nil {
			err = fmt.Errorf("build %s: %w\n%s", strings.Join(together, ", "), failed, out)
		}
		for _, one := range together {
			b.made[one] = err
		}
	}
	if err != nil {
		t.Fatal(err)
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
				args = append(args, "--profile-keys="+o.keys)
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
	return []string{"--listen=127.0.0.1:0", "--ops-listen=none", "--data-dir=" + dataDir, "--log-format=json", "--log-level=debug",
		// Restarts of any kind are then from a checkpoint of a moment ago.
		"--segment-checkpoint-every=50ms"}
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
