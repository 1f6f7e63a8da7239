//go:build !unix

package bench

import (
	"context"
	"io"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// servers are PostgreSQL and Redis of this run's own; here there are none.
type servers struct{ database, redis, postgresData string }

func startServers(context.Context, string, bool, bool) (*servers, error) {
	return nil, fault.New(fault.Precondition, ReasonNoServer, "servers cannot be started on this system; give --database and --redis")
}

func (s *servers) close() error { return nil }

func startProgram(string, string, []string, ...string) (io.Closer, error) {
	return nil, fault.New(fault.Precondition, ReasonNoServer, "a process cannot be killed with its parent on this system; leave the figure of a crash out")
}
