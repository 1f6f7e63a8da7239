package server_test

import (
	"testing"

	"github.com/narrowcast/narrowcast/services/campaign/server"
)

func TestAConfigurationIsCheckedWhole(t *testing.T) {
	if err := server.Default().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	for name, change := range map[string]func(*server.Config){
		"no file":        func(c *server.Config) { c.Path = "" },
		"no memory":      func(c *server.Config) { c.Memory = 1 },
		"no staleness":   func(c *server.Config) { c.Staleness = 0 },
		"no wait":        func(c *server.Config) { c.MaxWait = -1 },
		"no parallelism": func(c *server.Config) { c.Parallelism = -1 },
	} {
		cfg := server.Default()
		change(&cfg)
		if err := cfg.Validate(); err == nil {
			t.Errorf("%s passed", name)
		}
	}
	if _, err := server.New(t.Context(), server.Default(), server.Deps{}); err == nil {
		t.Error("a door without its neighbours opened")
	}
}
