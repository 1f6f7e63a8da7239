// Package storetest is the conformance suite of persona.Store: every driver runs it, and whatever passes it may stand behind the
// persona service.
//
// It promises to test each obligation that the interface states, on a fresh store for each case. It does not test how fast a
// driver is, nor what happens when its process is killed.
//
// The tests of the drivers call it.
package storetest
