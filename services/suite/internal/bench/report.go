package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/narrowcast/narrowcast/services/suite/internal/table"
)

// Report is what a run found.
type Report struct {
	Begun   time.Time `json:"begun"`
	Seconds float64   `json:"seconds"`
	Program string    `json:"program"`
	Machine Machine   `json:"machine"`
	People  int       `json:"people"`
	Seed    uint64    `json:"seed"`
	Layout  string    `json:"layout"`
	Store   string    `json:"store"`
	Rounds  int       `json:"rounds"`
	// ReaderBytes is the budget of the reader's memory.
	ReaderBytes int64    `json:"reader_budget_bytes"`
	Load        *Loaded  `json:"load"`
	Figures     []Figure `json:"figures"`
	Sizes       []Size   `json:"sizes"`
	// GCShare is the share of collecting memory in the processor time of the process while the figures were taken in turns.
	GCShare float64 `json:"gc_share"`
}

// Machine is where it ran, as far as it is known.
type Machine struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	Memory    string `json:"memory"`
	System    string `json:"system"`
	// LoadAverage is the system's when the run began: what else ran then.
	LoadAverage string `json:"load_average"`
	Go          string `json:"go"`
	Postgres    string `json:"postgres,omitempty"`
	Redis       string `json:"redis,omitempty"`
}

func describe(ctx context.Context, opts Options, begun time.Time) *Report {
	r := &Report{
		Begun: begun.UTC().Truncate(time.Second), Program: opts.Version, People: opts.People, Seed: opts.Seed, Layout: opts.Layout, Store: opts.Store, Rounds: opts.Rounds,
		ReaderBytes: opts.readerBytes(),
		Machine: Machine{
			Processor: lineOf("/proc/cpuinfo", "model name"), Cores: runtime.GOMAXPROCS(0), Memory: memory(),
			System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		},
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		r.Machine.System += " " + strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		r.Machine.LoadAverage = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	if opts.Store == StoreServers {
		r.Machine.Postgres, r.Machine.Redis = programVersion(ctx, "postgres"), programVersion(ctx, "redis-server")
	}
	return r
}

// lineOf is the value of the first line of a file that begins with a word; "" where there is none.
func lineOf(path, word string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == word {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// memory is how much the machine has; "" where it is not known.
func memory() string {
	kib, err := strconv.ParseFloat(strings.TrimSuffix(lineOf("/proc/meminfo", "MemTotal"), " kB"), 64)
	if err != nil {
		return ""
	}
	return strconv.FormatFloat(kib/(1<<20), 'f', 0, 64) + " GiB of memory"
}

// programVersion is what a program on this machine says of its version; "" if it is not there.
func programVersion(ctx context.Context, name string) string {
	if name == "postgres" {
		if found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres"); err == nil && len(found) > 0 {
			name = found[len(found)-1]
		}
	}
	out, err := exec.CommandContext(ctx, name, "--version").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// order sorts figures by name as Names has them, yardsticks first, and by path.
func (r *Report) order() {
	names := append([]string{nameEmpty, nameBare, nameRaw, nameDense}, Names()...)
	at := func(f Figure) int {
		if i := slices.Index(names, f.Name); i >= 0 {
			return i
		}
		for i, n := range names {
			if strings.HasPrefix(f.Name, n) {
				return i
			}
		}
		return len(names)
	}
	paths := []string{PathGRPC, PathInside, PathLocal}
	slices.SortStableFunc(r.Figures, func(a, b Figure) int {
		return cmp.Or(cmp.Compare(at(a), at(b)), cmp.Compare(slices.Index(paths, a.Path), slices.Index(paths, b.Path)))
	})
}

// cells are the columns of a figure.
func (f *Figure) cells() []string {
	answer := table.Int(f.Cardinality)
	verdict := map[bool]string{true: "ok", false: "WRONG"}[f.OK]
	if !f.Checked {
		answer, verdict = "", ""
	}
	ratio, rate := "", ""
	if f.Ratio > 0 {
		ratio = strconv.FormatFloat(f.Ratio, 'f', 2, 64)
	}
	if f.PerSecond > 0 {
		rate = millions(f.PerSecond)
	}
	about := f.About
	if f.Note != "" {
		about += "; " + f.Note
	}
	return []string{f.Name, f.Path, span(f.P50), span(f.P99), span(f.Min), strconv.Itoa(f.Rounds), ratio, rate, answer, verdict, about}
}

func millions(n float64) string { return strconv.FormatFloat(n/1e6, 'f', 2, 64) + "M/s" }

// span writes nanoseconds in milliseconds.
func span(ns int64) string {
	ms := float64(ns) / 1e6
	digits := 3
	if ms >= 100 {
		digits = 1
	}
	return strconv.FormatFloat(ms, 'f', digits, 64) + " ms"
}

var titles = []string{"FIGURE", "PATH", ">P50", ">P99", ">MIN", ">TAKEN", ">X EMPTY", ">RATE", ">ANSWER", "", "WHAT"}

// facts are what a reader has to know beside the figures.
func (r *Report) facts() [][2]string {
	list := [][2]string{
		{"begun", r.Begun.Format(time.RFC3339) + ", " + strconv.FormatFloat(r.Seconds, 'f', 0, 64) + " s"},
		{"program", r.Program + ", " + r.Machine.Go},
		{"machine", fmt.Sprintf("%s, %d cores, %s, %s", r.Machine.Processor, r.Machine.Cores, r.Machine.Memory, r.Machine.System)},
		{"load average at the beginning", r.Machine.LoadAverage},
		{"reader's memory budget", strconv.FormatInt(r.ReaderBytes>>20, 10) + " MiB"},
		{"people", fmt.Sprintf("%s, seed %d, %s, %d segments, stores: %s", table.Int(r.People), r.Seed, r.Layout, segmentCount, r.Store)},
	}
	if r.Machine.Postgres != "" || r.Machine.Redis != "" {
		list = append(list, [2]string{"servers", r.Machine.Postgres + "; " + r.Machine.Redis})
	}
	if l := r.Load; l != nil {
		text := fmt.Sprintf("%s a second, %.1f s", table.Int(int64(l.Rate)), l.Seconds)
		if l.Moves > 0 {
			text += ", then " + table.Int(l.Moves) + " moves"
		}
		text += fmt.Sprintf("; the index had all %.1f s after; segments in %.1f s", l.Caught, l.Segments)
		if l.Earlier {
			text += " (by an earlier run)"
		}
		list = append(list, [2]string{"load", text})
		if l.ChangesPerSecond > 0 {
			list = append(list, [2]string{"changes under load", table.Int(int64(l.ChangesPerSecond)) + " a second"})
		}
	}
	return append(list, [2]string{"share of collecting memory in processor time", strconv.FormatFloat(100*r.GCShare, 'f', 1, 64) + " %"})
}

// Write prints the report for people.
func (r *Report) Write(w io.Writer) error {
	facts := table.New()
	for _, f := range r.facts() {
		facts.Row(f[0], f[1])
	}
	figures := table.New(slices.Clone(titles)...)
	for i := range r.Figures {
		figures.Row(r.Figures[i].cells()...)
	}
	sizes := table.New("PART", ">BYTES", ">PER PROFILE", "WHAT")
	for _, s := range r.Sizes {
		sizes.Row(s.Part, table.Int(s.Bytes), strconv.FormatFloat(s.PerProfile, 'f', 1, 64), s.Note)
	}
	for _, t := range []*table.Table{facts, figures, sizes} {
		if err := t.Write(w); err != nil {
			return err
		}
		if _, err := io.WriteString(w, "\n"); err != nil {
			return err
		}
	}
	return nil
}

// JSON is the report for programs.
func (r *Report) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the report: %w", err)
	}
	return append(text, '\n'), nil
}

// Markdown writes the report as docs/bench keeps it.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# What `make bench` found last\n\nWritten by `narrowcast bench`; README.md beside this says how to read it.\n\n")
	for _, f := range r.facts() {
		b.WriteString("- " + f[0] + ": " + f[1] + "\n")
	}
	rule := func(titles []string) {
		b.WriteString("\n| " + strings.ToLower(strings.ReplaceAll(strings.Join(titles, " | "), ">", "")) + " |\n|")
		for _, t := range titles {
			b.WriteString(map[bool]string{true: "---:|", false: "---|"}[strings.HasPrefix(t, ">")])
		}
		b.WriteString("\n")
	}
	rule(titles)
	for i := range r.Figures {
		b.WriteString("| " + strings.Join(r.Figures[i].cells(), " | ") + " |\n")
	}
	rule([]string{"part", ">bytes", ">per profile", "what"})
	for _, s := range r.Sizes {
		fmt.Fprintf(&b, "| %s | %s | %.1f | %s |\n", s.Part, table.Int(s.Bytes), s.PerProfile, s.Note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
