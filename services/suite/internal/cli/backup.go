package cli

import (
	"strconv"

	"github.com/narrowcast/narrowcast/services/suite"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
)

// backupCommand takes the flags of up, so that the same settings, and the same environment, name the same stores.
type backupCommand struct {
	Folder string `arg:"" help:"Folder of the backup; it must be empty or not there."`
	suite.Config
}

func (c *backupCommand) run(s *session) error {
	c.Version = s.env.Version
	m, err := suite.Backup(s.ctx, c.Config, c.Folder, c.NewLogger(s.env.Stderr), s.env.Now)
	if err != nil {
		return err
	}
	if err := s.backup(m); err != nil {
		return err
	}
	s.note("no key is in this backup: keep the key file of the profile service apart from it; without that file names and identifiers are lost\n")
	return nil
}

// restoreCommand takes the flags of up.
type restoreCommand struct {
	Folder string `arg:"" help:"Folder of the backup."`
	suite.Config
}

func (c *restoreCommand) run(s *session) error {
	m, err := suite.Restore(s.ctx, c.Config, c.Folder, c.NewLogger(s.env.Stderr))
	if err != nil {
		return err
	}
	if err := s.backup(m); err != nil {
		return err
	}
	s.note("cursors and consistency tokens from before are refused from now on; the index is built anew when the services start\n")
	return nil
}

func (s *session) backup(m suite.Manifest) error {
	if s.json() {
		return s.printJSON(m)
	}
	t := table.New("SERVICE", "FILE", ">SCHEMA", ">TABLES", ">ROWS", ">BYTES")
	for _, f := range m.Files {
		t.Row(f.Service, f.File, strconv.FormatInt(f.Schema, 10), strconv.Itoa(f.Tables), strconv.FormatInt(f.Rows, 10), strconv.FormatInt(f.Bytes, 10))
	}
	return s.table(t)
}
