// Package testkit gives tests what they cannot make themselves: a real Redis, a real PostgreSQL, a logger that writes to the test's
// own output, and the real-world sample data that is kept beside the repository.
//
// It promises that what it starts is stopped, even when the test binary is killed, because every server it starts is watched by
// a small parent that ends with the test binary; that it never uses a fixed port or another's server; and that what is missing
// is loud: a skip that says which thing is missing and how to get it, and a failure where CI=true.
//
// It does not clean a shared server. Tests share one and stay apart by key: make a [StoreID] for each test, and never FLUSHALL
// what [Redis] returns. A test that needs FLUSHALL, or a server that stops, takes a [RedisPrivate]; one that needs a cluster or TLS a
// [RedisCluster], a [RedisSentinel] or a [RedisTLS]. Of PostgreSQL each call of
// [Postgres] gets a database of its own, which is dropped when its test ends; a test that needs a server that stops takes a
// [PostgresPrivate]. Where the environment names a server, a test binary that is killed leaves its databases there, named
// narrowcast_test_ and more.
//
// Environment:
//
//	NARROWCAST_TEST_REDIS           host:port of a server to use; no test flushes it
//	NARROWCAST_TEST_REDIS_PROVIDER  env, binary or container: use this provider or fail
//	NARROWCAST_TEST_REDIS_IMAGE     image for the container provider, default redis:7
//	NARROWCAST_TEST_POSTGRES        URL of a superuser on a server to use (version 13 or newer); each test makes and drops a database
//	NARROWCAST_TEST_POSTGRES_PROVIDER  env or binary: use this provider or fail
//	NARROWCAST_SHARED_DATA          folder of the sample data, default ../shared/data beside the repository
//	CI                              "true" turns every skip of this package into a failure
//
// Only tests import it; the import law keeps it out of every binary.
package testkit
