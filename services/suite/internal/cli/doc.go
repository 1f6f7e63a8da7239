// Package cli is the command line narrowcast: one verb after another over the services' contracts, `up`, which runs them, and
// `demo`, the first run.
//
// It promises tables for people and, with -o json, the messages of the contract for programs; that what goes wrong is said
// on standard error with a stable reason, the path of the field and what to do next; and that the exit code is 0 if the
// command did what it was asked, 1 if it could not, 2 if it was not understood. A write waits until questions include it,
// unless --no-wait is given. Nothing is global: everything comes in with [Env].
//
// It decides nothing about people: services do. cmd/narrowcast calls Main, and tests do.
package cli
