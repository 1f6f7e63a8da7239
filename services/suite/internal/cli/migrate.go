package cli

import (
	"errors"
	"strconv"

	"github.com/narrowcast/narrowcast/services/suite"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
)

// migrateCommand takes the flags of up, so that the same settings, and the same environment, name the same databases.
type migrateCommand struct {
	suite.Config
}

// migratedJSON is what programs read of one target.
type migratedJSON struct {
	Service string `json:"service"`
	Before  int64  `json:"before"`
	After   int64  `json:"after"`
	AtStart bool   `json:"at_start,omitempty"`
}

func (c *migrateCommand) run(s *session) error {
	done, err := suite.Migrate(s.ctx, c.Config, c.NewLogger(s.env.Stderr))
	if err != nil && len(done) == 0 {
		return err
	}
	// What was done before a failure is done, and worth telling.
	return errors.Join(err, s.migrated(done))
}

func (s *session) migrated(done []suite.Migrated) error {
	if s.json() {
		list := make([]migratedJSON, len(done))
		for i, m := range done {
			list[i] = migratedJSON{Service: m.Target, Before: m.Before, After: m.After, AtStart: m.AtStart}
		}
		return s.printJSON(list)
	}
	t := table.New("SERVICE", ">BEFORE", ">AFTER", "")
	for _, m := range done {
		note := ""
		before, after := strconv.FormatInt(m.Before, 10), strconv.FormatInt(m.After, 10)
		switch {
		case m.AtStart:
			before, after, note = "", "", "migrates when it starts"
		case m.Before == m.After:
			note = "was up to date"
		}
		t.Row(m.Target, before, after, note)
	}
	return t.Write(s.env.Stdout)
}
