// Package indextest is a segment service in small, for the tests of the campaign service: it holds people by their facts, writes their
// blocks and streams the manifest, and answers what the campaign service asks of its neighbours.
//
// It promises that what it publishes is made by the engine's plain parts from the facts that it shows to the test, so that a test can
// expect answers from those facts alone. It has no index, no rules of its own and no database.
//
// Only tests import it.
package indextest
