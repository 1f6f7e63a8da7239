// Package worldtest runs suites for tests that disturb them: processes (suites in this one) that stop and start again on the
// same data, ways between them that can be cut, and profiles spread over several blocks however few they are.
//
// It promises that what it starts has ended when the test ends, that nothing waits without a bound, and that a stopped process is
// gone as a whole: its connections, streams and files. It asks no questions and knows no answers; the tests of truth and of
// faults, which call it, do.
package worldtest
