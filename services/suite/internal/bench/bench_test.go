package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/run"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/suite/internal/bench"
	"github.com/narrowcast/narrowcast/services/suite/internal/cli"
)

// TestMain lets this binary be the narrowcast program where a run starts it as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("BENCH_CHILD") == "" {
		os.Exit(m.Run())
	}
	ctx, stop := run.Signals(context.Background())
	code := cli.Main(ctx, cli.Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Version: "test"}, os.Args[1:])
	stop()
	os.Exit(code)
}

// whole checks that every figure is there and every answer right. It says nothing about how fast it was.
func whole(t *testing.T, r *bench.Report) {
	t.Helper()
	taken := map[string]bool{}
	for _, f := range r.Figures {
		t.Logf("%-18s %-10s %4d taken, answer %d", f.Name, f.Path, f.Rounds, f.Cardinality)
		if f.Rounds == 0 {
			if f.Note == "" {
				t.Errorf("%s was not taken, and it does not say why", f.Name)
			}
			taken[f.Name] = true
			continue
		}
		taken[f.Name] = true
		if f.Checked && !f.OK {
			t.Errorf("%s %s answered %d, which is wrong", f.Name, f.Path, f.Cardinality)
		}
		// The narrowest may hold nobody of so few people; that all do would prove nothing.
		if f.Cardinality == 0 && slices.Contains([]string{"no-region", "country", "Q4", "Q6", "Q7", "segments"}, f.Name) {
			t.Errorf("%s %s holds nobody", f.Name, f.Path)
		}
		if f.Min <= 0 || f.P50 < f.Min || f.P99 < f.P50 {
			t.Errorf("%s %s: times %d, %d, %d", f.Name, f.Path, f.Min, f.P50, f.P99)
		}
	}
	for _, name := range append(bench.Names(), "empty call", "bare call", "raw stream", "dense AND", "segments", "change under load") {
		if !taken[name] {
			t.Errorf("there is no figure %s", name)
		}
	}
	if len(r.Sizes) < 8 || r.Load == nil || r.Load.People != int64(r.People) {
		t.Errorf("load %+v, sizes %+v", r.Load, r.Sizes)
	}
	for _, s := range r.Sizes {
		if s.Bytes <= 0 && !strings.HasPrefix(s.Part, "heap without") {
			t.Errorf("%s weighs %d bytes", s.Part, s.Bytes)
		}
	}
	var text, marked bytes.Buffer
	raw, err := r.JSON()
	if err != nil || r.Write(&text) != nil || r.Markdown(&marked) != nil || !json.Valid(raw) {
		t.Errorf("the report cannot be written: %v", err)
	}
	if strings.Contains(text.String(), "WRONG") || !strings.Contains(marked.String(), "| Q1 | grpc |") {
		t.Errorf("the report says:\n%s", text.String())
	}
}

func options(t *testing.T, people int) bench.Options {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return bench.Options{
		People: people, Seed: 22, Rounds: 2, Turn: time.Millisecond, Load: 300 * time.Millisecond, Rate: 200, Program: program, Version: "test",
		Progress: t.Output(), Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})), // not a line for each call
	}
}

func TestEveryAnswerIsRight(t *testing.T) {
	opts := options(t, 20_000)
	opts.Keep = t.TempDir()
	r, err := bench.Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	whole(t, r)

	// A second run finds the data; what was changed for the first one is as it was.
	opts.Only = []string{"Q1", "change"}
	r, err = bench.Run(t.Context(), opts)
	if err != nil || !r.Load.Earlier {
		t.Errorf("the second run: %v, %+v", err, r)
	}
	opts.Seed++
	if _, err := bench.Run(t.Context(), opts); fault.ReasonOf(err) != bench.ReasonOtherData {
		t.Errorf("other people in the same folder: %v", err)
	}
}

func TestEveryAnswerIsRightAfterAShuffledLoad(t *testing.T) {
	opts := options(t, 5000)
	opts.Layout = bench.LayoutShuffled
	r, err := bench.Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	whole(t, r)
	if r.Load.Moves < 300 {
		t.Errorf("%d moves", r.Load.Moves)
	}
}

func TestEveryAnswerIsRightOnServers(t *testing.T) {
	opts := options(t, 3000)
	opts.Store, opts.Only = bench.StoreServers, []string{"Q1", "Q4", "Q6", "change", "restart", "crash"}
	opts.Database, opts.Redis = config.NewSecret(testkit.Postgres(t)), config.NewSecret("redis://"+testkit.Redis(t))
	r, err := bench.Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Figures {
		if f.Checked && f.Rounds == 0 || f.Checked && !f.OK {
			t.Errorf("%s %s: taken %d times, answered %d, right %v", f.Name, f.Path, f.Rounds, f.Cardinality, f.OK)
		}
	}
	if len(r.Figures) < 12 || !slices.ContainsFunc(r.Sizes, func(s bench.Size) bool { return s.Part == "redis" && s.Bytes > 0 }) {
		t.Errorf("%d figures, sizes %+v", len(r.Figures), r.Sizes)
	}
}

func TestOptionsThatMakeNoSenseAreRefusedWhole(t *testing.T) {
	_, err := bench.Run(t.Context(), bench.Options{People: 5, Layout: "x", Store: "y", Only: []string{"Q99"}, Rounds: -1})
	f := fault.As(err)
	if f == nil || f.Kind != fault.Invalid || len(f.Violations) < 5 {
		t.Errorf("refused with %v", err)
	}
}
