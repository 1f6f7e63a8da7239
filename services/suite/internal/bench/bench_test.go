package bench_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/suite/internal/bench"
)

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
	return bench.Options{
		People: people, Seed: 5, Rounds: 2, Turn: time.Millisecond, Load: 300 * time.Millisecond, Rate: 200, Version: "test",
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
	opts.Store, opts.Only = bench.StoreServers, []string{"Q1", "Q4", "Q6", "change", "restart"}
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
	if len(r.Figures) < 11 || !slices.ContainsFunc(r.Sizes, func(s bench.Size) bool { return s.Part == "redis" && s.Bytes > 0 }) {
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
