// Package sqldbtest runs the tests of a store on every engine that it is for: SQLite files, and schemas of a real PostgreSQL.
//
// It promises a place of its own for each store that is asked for, which can be opened more than once, as replicas do, and which goes
// with the test. Where there is no PostgreSQL the tests on it are skipped, or fail if CI=true (see package testkit). Tests of drivers
// call it.
package sqldbtest
