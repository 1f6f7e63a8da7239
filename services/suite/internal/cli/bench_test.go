package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/services/suite/internal/cli"
)

func TestBenchPrintsAndWritesItsReport(t *testing.T) {
	dir := t.TempDir()
	kept, page := filepath.Join(dir, "report.json"), filepath.Join(dir, "report.md")
	got := say(t, nil, "", "bench", "--people", "2000", "--rounds", "1", "--turn", "1ms", "--only", "Q1,Q8", "--json", kept, "--markdown", page).must(t)
	for _, want := range []string{"empty call", "count: FR-40, age 25-34, directors", "which of 200 segments hold one profile", "blocks: segments"} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q:\n%s", want, got)
		}
	}
	var report struct {
		People  int
		Figures []struct {
			Name string
			OK   bool
		}
	}
	text, err := os.ReadFile(kept)
	if err == nil {
		err = json.Unmarshal(text, &report)
	}
	if err != nil || report.People != 2000 || len(report.Figures) < 7 {
		t.Errorf("the JSON file: %v, %+v", err, report)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "| Q1 | grpc |") {
		t.Errorf("the page: %v\n%s", err, text)
	}

	got = say(t, nil, "", "bench", "-o", "json", "--people", "1000", "--rounds", "1", "--turn", "1ms", "--only", "Q2").must(t)
	if !json.Valid([]byte(got)) {
		t.Errorf("not JSON: %.200s", got)
	}
	if wrong := say(t, nil, "", "bench", "--people", "3", "--only", "Q0"); wrong.code != cli.ExitError || !strings.Contains(wrong.err, "only[0]") {
		t.Errorf("code %d: %s", wrong.code, wrong.err)
	}
}
