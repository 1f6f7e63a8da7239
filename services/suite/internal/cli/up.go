package cli

import (
	"github.com/narrowcast/narrowcast/services/suite"
)

type upCommand struct {
	suite.Config
}

func (c *upCommand) run(s *session) error {
	running, err := s.suite(c.Config)
	if err != nil {
		return err
	}
	if s.env.Started != nil {
		go func() { // ends with the suite: Ready is closed, or Run has returned and the context is over
			select {
			case <-running.Ready():
				s.env.Started(running)
			case <-s.ctx.Done():
			}
		}()
	}
	return running.Run(s.ctx)
}

// suite makes a suite with what the program's own flags say.
func (s *session) suite(cfg suite.Config) (*suite.Suite, error) {
	cfg.Neighbours, cfg.OTLP, cfg.Version = s.opts.Neighbours, s.opts.OTLP, s.env.Version
	running, err := suite.New(cfg, suite.Deps{Telemetry: s.env.Telemetry, Now: s.env.Now, Logger: cfg.NewLogger(s.env.Stderr)})
	if err != nil {
		return nil, usage("%v", err)
	}
	return running, nil
}
