package testkit_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/narrowcast/narrowcast/pkg/testkit"
)

func TestSharedRedisIsOneServerThatAnswers(t *testing.T) {
	a, b := testkit.Redis(t), testkit.Redis(t)
	if a != b {
		t.Errorf("two callers got %s and %s", a, b)
	}
	c := redis.NewClient(&redis.Options{Addr: a})
	defer c.Close()
	key := testkit.StoreID(t)
	if err := c.Set(t.Context(), key, "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Del(t.Context(), key).Result(); err != nil || n != 1 {
		t.Errorf("deleted %d, %v", n, err)
	}
}

func TestPrivateRedisStopsAndComesBackEmptyAtTheSameAddress(t *testing.T) {
	p := testkit.RedisPrivate(t)
	c := redis.NewClient(&redis.Options{Addr: p.Addr, MaxRetries: -1})
	defer c.Close()
	ctx := t.Context()
	if err := c.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}

	p.Stop()
	p.Stop()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Error("a stopped server answered")
	}
	p.Start()
	p.Start()
	retrying := redis.NewClient(&redis.Options{Addr: p.Addr})
	defer retrying.Close()
	if err := retrying.Get(ctx, "k").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("after a restart the key gave %v, want redis.Nil", err)
	}
}

func TestCutKeepsTheData(t *testing.T) {
	p := testkit.RedisPrivate(t)
	c := redis.NewClient(&redis.Options{Addr: p.Addr})
	defer c.Close()
	if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	conn := c.Conn()
	defer conn.Close()
	if err := conn.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if got, err := c.Get(t.Context(), "k").Result(); err != nil || got != "v" {
		t.Errorf("after a cut the key gave %q, %v", got, err)
	}
}

func TestPrivateServersAreApartFromTheSharedOne(t *testing.T) {
	p, q := testkit.RedisPrivate(t), testkit.RedisPrivate(t)
	if p.Addr == q.Addr || p.Addr == testkit.Redis(t) {
		t.Error("two servers have one address")
	}
}

func TestALoggerOutlivesItsTest(t *testing.T) {
	var late interface{ Info(string, ...any) }
	t.Run("inner", func(t *testing.T) { late = testkit.Logger(t) })
	late.Info("after the test") // panics if it reaches the output of the ended test
}

func TestStoreIDsDiffer(t *testing.T) {
	a, b := testkit.StoreID(t), testkit.StoreID(t)
	if a == b || len(a) != 16 || strings.ToLower(a) != a {
		t.Errorf("ids %q and %q", a, b)
	}
}

func TestSharedDataIsTakenFromTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.csv"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NARROWCAST_SHARED_DATA", dir)
	if got := testkit.SharedData(t, "x.csv"); got != filepath.Join(dir, "x.csv") {
		t.Errorf("path %q", got)
	}
}

// What is missing must be loud: this runs the test binary itself, with nothing available, as CI and as a developer would.
func TestWhatIsMissingSkipsLoudlyAndFailsInCI(t *testing.T) {
	t.Parallel()
	if os.Getenv("TESTKIT_INNER") != "" {
		switch os.Getenv("TESTKIT_INNER") {
		case "redis":
			testkit.Redis(t)
		case "postgres":
			testkit.Postgres(t)
		case "data":
			testkit.SharedData(t, "no", "such", "file")
		case "thing":
			testkit.Missing(t, "THING NOT AVAILABLE: %s; buy one", "none")
		}
		t.Log("REACHED")
		return
	}
	for _, c := range []struct{ what, ci, want string }{
		{"redis", "false", "--- SKIP"}, {"redis", "true", "--- FAIL"},
		{"postgres", "false", "--- SKIP"}, {"postgres", "true", "--- FAIL"},
		{"data", "false", "--- SKIP"}, {"data", "true", "--- FAIL"},
		{"thing", "false", "--- SKIP"}, {"thing", "true", "--- FAIL"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^TestWhatIsMissingSkipsLoudlyAndFailsInCI$")
		cmd.Env = append(os.Environ(), "TESTKIT_INNER="+c.what, "CI="+c.ci, "NARROWCAST_TEST_REDIS=",
			"NARROWCAST_TEST_REDIS_PROVIDER=env", "NARROWCAST_TEST_POSTGRES=", "NARROWCAST_TEST_POSTGRES_PROVIDER=env", "NARROWCAST_SHARED_DATA="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if (err != nil) != (c.ci == "true") {
			t.Errorf("%s, CI=%s: exit %v\n%s", c.what, c.ci, err, out)
		}
		for _, want := range []string{c.want, "NOT AVAILABLE"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s, CI=%s: output lacks %q:\n%s", c.what, c.ci, want, out)
			}
		}
		if strings.Contains(string(out), "REACHED") {
			t.Errorf("%s, CI=%s: the test went on", c.what, c.ci)
		}
	}
}
