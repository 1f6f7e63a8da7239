package testkit

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Logger returns a logger that writes everything, debug included, to t's output. What is logged after the test has ended
// (by a goroutine on its way out) is dropped rather than failing another test.
func Logger(t testing.TB) *slog.Logger {
	w := &output{w: t.Output()}
	t.Cleanup(w.close)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type output struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.w == nil {
		return len(p), nil
	}
	return o.w.Write(p)
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.w = nil
}

// StoreID returns a fresh random id for a test's installation: 16 lower-case letters and digits, so that the keys of tests that
// share a server never meet.
func StoreID(t testing.TB) string {
	t.Helper()
	return "t" + strings.ToLower(rand.Text()[:15])
}

// SharedData returns the path of a file or folder of the sample data, which is kept beside the repository and not in it. Where
// the data is not there the test is skipped, or fails if CI=true.
func SharedData(t testing.TB, path ...string) string {
	t.Helper()
	root := os.Getenv("NARROWCAST_SHARED_DATA")
	if root == "" {
		repo, err := repoRoot()
		if err != nil {
			Missing(t, "SAMPLE DATA NOT AVAILABLE: %v; set NARROWCAST_SHARED_DATA to its folder", err)
		}
		root = filepath.Join(filepath.Dir(repo), "shared", "data")
	}
	full := filepath.Join(append([]string{root}, path...)...)
	if _, err := os.Stat(full); err != nil {
		Missing(t, "SAMPLE DATA NOT AVAILABLE: %v; set NARROWCAST_SHARED_DATA to its folder", err)
	}
	return full
}

// repoRoot walks up from the working directory to the folder that holds go.work.
func repoRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find working directory: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.work above the working directory")
		}
		dir = parent
	}
}

// Missing ends a test for want of something, loudly: as a skip on a developer's machine, as a failure where CI=true. The text begins with
// what is missing, in capital letters, and "NOT AVAILABLE", by which scripts/test.sh counts skips, and says how to get it.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
