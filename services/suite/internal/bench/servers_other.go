//go:build !unix

package bench

import (
	"context"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// servers are PostgreSQL and Redis of this run's own; here there are none.
type servers struct{ database, redis, postgresData string }

func startServers(context.Context, string, bool, bool) (*servers, error) {
	return nil, fault.New(fault.Precondition, ReasonNoServer, "servers cannot be started on this system; give --database and --redis")
}

func (s *servers) close() error { return nil }
