// Package e2e holds the end-to-end tests: the whole suite, asked from outside as its callers ask it.
//
// A scenario is a file in testdata: profiles, segments, personas and audiences that are given, then steps that change and ask.
// Each runs in four shapes:
//
//   - one process: every service in one suite, in-process connections, blocks in memory;
//   - four suites: one service each, connected over gRPC, sharing a block store;
//   - four processes: the built programs, each on a SQLite file of its own, and a real Redis;
//   - the same on a real PostgreSQL.
//
// It promises that a difference between shapes fails, word for word in errors and tables; that nothing listens on a fixed port,
// sleeps or waits without a bound; and that what it starts has ended when a test ends. What one service does in detail is
// tested in that service; what is here is what only the whole can show: freshness across services, traces, crashes, bad
// bytes on the wire, and the answers of real data.
//
// Without a Redis or a PostgreSQL (see pkg/testkit) the shapes that need one are skipped, loudly, and fail where CI=true. The package has no
// code outside tests.
package e2e
