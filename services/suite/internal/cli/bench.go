package cli

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/services/suite"
	"github.com/narrowcast/narrowcast/services/suite/internal/bench"
)

type benchCommand struct {
	People   int           `help:"How many people." default:"200000"`
	Seed     uint64        `help:"Seed of the population: the same seed, the same people." default:"1"`
	Layout   string        `help:"Order of the import: sorted by region and birth year, or shuffled, after which every tenth moves to another region." enum:"sorted,shuffled" default:"sorted"`
	Store    string        `help:"embedded: SQLite and blocks in memory; servers: PostgreSQL and Redis." enum:"embedded,servers" default:"embedded"`
	Database config.Secret `help:"PostgreSQL database that holds nothing, or what an earlier run with the same --keep left there; empty: a private server is started." placeholder:"URL"`
	Redis    config.Secret `help:"Redis that holds nothing else; empty: a private server is started." placeholder:"URL"`
	Only     []string      `help:"Figures to take, such as Q1,Q4; none: all." placeholder:"NAME"`
	Rounds   int           `help:"Turns that each figure has." default:"20"`
	Turn     time.Duration `help:"How long cheap questions are repeated within a turn." default:"20ms"`
	Load     time.Duration `help:"How long changes are written steadily for the figure of changes under load; 0: as long as is usual." default:"5s"`
	Rate     int           `help:"Changes a second for that figure." default:"1000"`
	Memory   config.Bytes  `name:"reader-memory" help:"Most memory for the reader's decoded rows; 0B: 100 bytes for each of the people, and at least 256MiB." default:"0B"`
	Keep     string        `help:"Folder for the data, where a later run finds them loaded; none: a temporary one." placeholder:"DIR"`
	JSON     string        `name:"json" help:"File for the report as JSON." placeholder:"FILE"`
	Markdown string        `help:"File for the report as docs/bench keeps it." placeholder:"FILE"`
}

func (c *benchCommand) run(s *session) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	report, err := bench.Run(s.ctx, bench.Options{
		People: c.People, Seed: c.Seed, Layout: c.Layout, Store: c.Store, Database: c.Database, Redis: c.Redis, Only: c.Only, Rounds: c.Rounds,
		Turn: c.Turn, Load: c.Load, Rate: c.Rate, Keep: c.Keep, ReaderBytes: int64(c.Memory), Program: program, Version: s.env.Version, Progress: s.env.Stderr, Now: s.env.Now,
		Logger: suite.Config{LogLevel: slog.LevelError}.NewLogger(s.env.Stderr), // what is printed is the bench's own
	})
	if report == nil || len(report.Figures) == 0 {
		return err
	}
	return errors.Join(c.tell(s, report), err)
}

// tell prints the report and writes the files that are asked for. An answer that was wrong is in them too.
func (c *benchCommand) tell(s *session, report *bench.Report) error {
	text, err := report.JSON()
	if err != nil {
		return err
	}
	if c.JSON != "" {
		if err := os.WriteFile(c.JSON, text, 0o644); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	if c.Markdown != "" {
		var page bytes.Buffer
		if err := report.Markdown(&page); err != nil {
			return err
		}
		if err := os.WriteFile(c.Markdown, page.Bytes(), 0o644); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	if s.json() {
		return s.print("%s", text)
	}
	return report.Write(s.env.Stdout)
}
