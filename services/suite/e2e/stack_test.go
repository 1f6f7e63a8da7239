package e2e_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/memblocks"
	"github.com/narrowcast/narrowcast/pkg/client"
	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/pkg/telemetry"
	"github.com/narrowcast/narrowcast/services/suite"
)

// patience bounds every wait. It is long because the machine may be slow and busy; nothing waits for it to pass.
const patience = time.Minute

// The targets, in the order in which they can start.
const (
	profileTarget  = "profile"
	segmentTarget  = "segment"
	personaTarget  = "persona"
	campaignTarget = "campaign"
)

var targets = []string{profileTarget, segmentTarget, personaTarget, campaignTarget}

// options of a stack; the zero value is everything in memory and in a folder of the test.
type options struct {
	// redis is the URL of the block store; empty: in memory.
	redis string
	// database is the URL of a PostgreSQL for the services' stores; empty: SQLite files. The profile service takes it once it can.
	database string
	// telemetry of every service and of the client.
	telemetry *telemetry.Telemetry
	// dataDir is the folder of the stores; empty: a new one.
	dataDir string
	// logs collects what the services log; nil: a new one.
	logs *logs
}

func (o options) filled(t testing.TB) options {
	if o.dataDir == "" {
		o.dataDir = t.TempDir()
	}
	if o.logs == nil {
		o.logs = newLogs(t)
	}
	return o
}

// stack is a running suite and a client of it that reads its writes.
type stack struct {
	*client.Client
	conns client.Conns
	// addr is where each target serves; empty where it is not on the network.
	addr map[string]string
	logs *logs
}

// newStack makes the client over connections to the targets.
func newStack(conns client.Conns, addr map[string]string, o options) *stack {
	return &stack{
		Client: client.New(conns, client.Config{ReadYourWrites: true}),
		conns:  conns, addr: addr, logs: o.logs,
	}
}

// oneProcess runs everything in one suite of this process.
func oneProcess(t testing.TB, o options) *stack {
	t.Helper()
	o = o.filled(t)
	s := runSuite(t, configure(o, suite.All, nil), suite.Deps{Logger: o.logs.logger(), Telemetry: o.telemetry})
	conn := dial(t, s.Addr(), rpc.DialOptions{Telemetry: o.telemetry})
	addr := map[string]string{}
	for _, target := range targets {
		addr[target] = s.Addr()
	}
	return newStack(client.Conns{Profile: conn, Segment: conn, Persona: conn, Campaign: conn}, addr, o)
}

// fourSuites runs each service in a suite of its own in this process, connected over gRPC, sharing one block store.
func fourSuites(t testing.TB, o options) *stack {
	t.Helper()
	o = o.filled(t)
	var shared blocks.Store
	if o.redis == "" {
		shared = &memblocks.Store{}
		t.Cleanup(func() { check(t, shared.Close()) })
	}
	addr := map[string]string{}
	conns := map[string]grpc.ClientConnInterface{}
	for _, target := range targets {
		cfg := configure(o, target, addr)
		s := runSuite(t, cfg, suite.Deps{Logger: o.logs.logger().With("process", target), Telemetry: o.telemetry, Blocks: shared})
		addr[target] = s.Addr()
		conns[target] = dial(t, s.Addr(), rpc.DialOptions{Telemetry: o.telemetry})
	}
	return newStack(byTarget(conns), addr, o)
}

// configure is the configuration of one suite; addr says where the targets are that run already.
func configure(o options, target string, addr map[string]string) suite.Config {
	cfg := suite.Default()
	cfg.Target, cfg.Listen, cfg.HTTP = []string{target}, "127.0.0.1:0", "127.0.0.1:0"
	cfg.AllowSQLite = target != suite.All
	cfg.DataDir, cfg.Redis, cfg.Database = filepath.Join(o.dataDir, target), config.NewSecret(o.redis), config.NewSecret(o.database)
	cfg.Neighbours.ProfileAddr, cfg.Neighbours.SegmentAddr = addr[profileTarget], addr[segmentTarget]
	return cfg
}

func byTarget(conns map[string]grpc.ClientConnInterface) client.Conns {
	return client.Conns{
		Profile: conns[profileTarget], Segment: conns[segmentTarget], Persona: conns[personaTarget], Campaign: conns[campaignTarget],
	}
}

// runSuite runs a suite until the test ends, and waits for both its ready and its end.
func runSuite(t testing.TB, cfg suite.Config, deps suite.Deps) *suite.Suite {
	t.Helper()
	s, err := suite.New(cfg, deps)
	if err != nil {
		t.Fatalf("make suite: %v", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-ended:
		cancel()
		t.Fatalf("run suite: %v", err)
	case <-time.After(patience):
		cancel()
		t.Fatalf("the suite is not ready after %v", patience)
	}
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the suite did not stop in order: %v", err)
			}
		case <-time.After(patience):
			t.Errorf("the suite has not stopped after %v", patience)
		}
	})
	return s
}

// dial connects as pkg/client does, and closes the connection before what it leads to.
func dial(t testing.TB, addr string, o rpc.DialOptions) *grpc.ClientConn {
	t.Helper()
	conn, err := rpc.Dial(addr, o)
	if err != nil {
		t.Fatalf("dial %s: %v", addr, err)
	}
	t.Cleanup(func() { check(t, conn.Close()) })
	return conn
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// logs is everything that the services of a stack log. It is shown when the test fails.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func newLogs(t testing.TB) *logs {
	l := &logs{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the services' last logs:\n%s", l.tail(60))
		}
	})
	return l
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logs) tail(lines int) string {
	all := strings.Split(strings.TrimSpace(l.String()), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := builds.remove(); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		code = max(code, 1)
	}
	if left := lingering(10 * time.Second); left != "" && code == 0 {
		os.Stderr.WriteString("goroutines of the suite are left after all tests:\n" + left + "\n")
		code = 1
	}
	os.Exit(code)
}

// lingering waits until no goroutine but the caller runs code of the suite, and returns the stacks of those that stay.
func lingering(bound time.Duration) string {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(bound); ; <-tick.C {
		buf := make([]byte, 16<<20)
		var left []string
		for i, one := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			// The first is this goroutine. The kit for tests keeps a shared server until the process ends.
			if i > 0 && strings.Contains(one, "github.com/narrowcast/narrowcast/") && !strings.Contains(one, "/pkg/testkit.") {
				left = append(left, one)
			}
		}
		if len(left) == 0 || time.Now().After(end) {
			return strings.Join(left, "\n\n")
		}
	}
}
