package suite_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/narrowcast/narrowcast/pkg/config"
	channel "github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/pkg/telemetry"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	"github.com/narrowcast/narrowcast/services/suite"
)

func configure(t *testing.T, targets ...string) suite.Config {
	t.Helper()
	cfg := suite.Default()
	cfg.Target, cfg.Listen, cfg.HTTP, cfg.DataDir = targets, "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	return cfg
}

func TestWhatCannotBeRightIsRefusedBeforeAnythingIsOpened(t *testing.T) {
	someRedis := config.NewSecret("redis://127.0.0.1:1/0")
	someDatabase := config.NewSecret("postgres://secret-password@127.0.0.1:1/x")
	for name, c := range map[string]struct {
		change func(*suite.Config)
		says   []string // nothing: it is accepted
	}{
		"everything":         {func(*suite.Config) {}, nil},
		"everything by name": {func(c *suite.Config) { c.Target = []string{"campaign", "persona", "segment", "profile"} }, nil},
		"an unknown target":  {func(c *suite.Config) { c.Target = []string{"gateway"} }, []string{"target", "gateway", "profile"}},
		"no target":          {func(c *suite.Config) { c.Target = nil }, []string{"target"}},
		"SQLite alone":       {func(c *suite.Config) { c.Target = []string{"profile"} }, []string{"allow-sqlite"}},
		"a database, alone": {func(c *suite.Config) {
			c.Target, c.Database, c.Neighbours.SegmentAddr = []string{"persona"}, someDatabase, "127.0.0.1:1"
		}, nil},
		"a database of its own, alone": {func(c *suite.Config) {
			c.Target, c.Persona.Database, c.Neighbours.SegmentAddr = []string{"persona"}, someDatabase, "127.0.0.1:1"
		}, nil},
		"another's database, alone": {func(c *suite.Config) {
			c.Target, c.Campaign.Database, c.Neighbours.SegmentAddr = []string{"persona"}, someDatabase, "127.0.0.1:1"
		}, []string{"allow-sqlite", "persona"}},
		"neither a file nor a database": {func(c *suite.Config) { c.Segment.Path = "" }, []string{"segment", "path"}},
		"SQLite alone, allowed":         {func(c *suite.Config) { c.Target, c.AllowSQLite = []string{"profile"}, true }, nil},
		"blocks in memory, alone":       {func(c *suite.Config) { c.Target, c.AllowSQLite = []string{"segment"}, true }, []string{"redis", "profile-addr"}},
		"a neighbour without an address": {func(c *suite.Config) {
			c.Target, c.AllowSQLite, c.Redis = []string{"campaign", "segment"}, true, someRedis
		}, []string{"profile-addr"}},
		"two that need each other, and an address": {func(c *suite.Config) {
			c.Target, c.AllowSQLite, c.Redis = []string{"campaign", "segment"}, true, someRedis
			c.Neighbours.ProfileAddr = "127.0.0.1:1"
		}, nil},
		"a redis that is no URL": {func(c *suite.Config) { c.Redis = config.NewSecret("secret-password@nowhere") }, []string{"redis"}},
		"a service's own flag":   {func(c *suite.Config) { c.Profile.Currency = "euro" }, []string{"currency"}},
		"no listen address":      {func(c *suite.Config) { c.Listen = "" }, []string{"listen"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := configure(t, suite.All)
			cfg.DataDir = filepath.Join(cfg.DataDir, "untouched")
			c.change(&cfg)
			_, err := suite.New(cfg, suite.Deps{Logger: testkit.Logger(t)})
			if (err == nil) != (c.says == nil) {
				t.Fatalf("got %v", err)
			}
			for _, word := range c.says {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q does not say %q", err, word)
				}
			}
			if err != nil && strings.Contains(err.Error(), "secret-password") {
				t.Error("the error repeats a secret")
			}
			if _, err := os.Stat(cfg.DataDir); !os.IsNotExist(err) {
				t.Error("the data folder was made")
			}
		})
	}
}

// start runs a suite until the test ends, and fails it if the suite does not stop cleanly.
func start(t *testing.T, cfg suite.Config, deps suite.Deps) (*suite.Suite, func() error) {
	t.Helper()
	deps.Logger = testkit.Logger(t)
	s, err := suite.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stopped := false
	stop := func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	wait, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	failed := make(chan error, 1)
	go func() { failed <- s.Wait(wait) }()
	select {
	case err := <-failed:
		if err != nil {
			t.Fatal(err)
		}
	case err := <-ended:
		ended <- err
		t.Fatalf("ended: %v", err)
	}
	return s, stop
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, body.String()
}

func TestItServesHealthAndMetricsAndStopsCleanly(t *testing.T) {
	s, stop := start(t, configure(t, suite.All), suite.Deps{})
	conn, err := channel.Dial(s.Addr(), channel.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	health, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || health.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", health, err)
	}
	if _, err := profilev1.NewProfileServiceClient(conn).GetHead(t.Context(), &profilev1.GetHeadRequest{}); err != nil {
		t.Errorf("over the network: %v", err)
	}
	if _, err := profilev1.NewProfileServiceClient(s.Local()).GetHead(t.Context(), &profilev1.GetHeadRequest{}); err != nil {
		t.Errorf("in the process: %v", err)
	}
	base := "http://" + s.HTTPAddr()
	for path, want := range map[string]struct {
		code int
		says string
	}{"/livez": {200, "ok"}, "/healthz": {200, "ok"}, "/readyz": {200, "ready"}, "/metrics": {200, "narrowcast"}, "/": {404, ""}} {
		if code, body := get(t, base+path); code != want.code || !strings.Contains(body, want.says) {
			t.Errorf("%s: %d %.100s", path, code, body)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestItsDataOutlivesTheProcess(t *testing.T) {
	cfg := configure(t, "profile")
	cfg.AllowSQLite = true
	s, stop := start(t, cfg, suite.Deps{Telemetry: telemetry.Noop()})
	made, err := profilev1.NewProfileServiceClient(s.Local()).CreateProfile(t.Context(), &profilev1.CreateProfileRequest{Profile: &profilev1.Profile{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s, _ = start(t, cfg, suite.Deps{})
	if _, err := profilev1.NewProfileServiceClient(s.Local()).GetProfile(t.Context(), &profilev1.GetProfileRequest{Name: made.GetName()}); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

func TestATakenPortIsAnErrorThatNamesTheFlag(t *testing.T) {
	cfg := configure(t, "profile")
	cfg.AllowSQLite = true
	s, _ := start(t, cfg, suite.Deps{})
	cfg.Listen, cfg.DataDir = s.Addr(), t.TempDir()
	second, err := suite.New(cfg, suite.Deps{Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("got %v", err)
	}
}

func TestMainOfAServiceSaysWhatItCannotDo(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--help"}, 0, "--allow-sqlite"},
		{[]string{"--nonsense"}, 2, "--help"},
		{nil, 2, "allow-sqlite"},
	} {
		var out bytes.Buffer
		if code := suite.Main("profile", c.args, &out, &out); code != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("%v: code %d, %s", c.args, code, out.String())
		}
	}
}
