// Package server is the door of the segment service: the one importable way to run it.
//
// It promises that New opens the store, brings its schema to this program's version and calls no neighbour; that definitions can
// be read from then on; and that Run, in the background, takes the lease, follows the profiles and keeps the blocks current for as
// long as it holds it, and begins anew when it lost it. While no index runs, what needs one is UNAVAILABLE with a reason. It
// listens on nothing itself: Register adds its RPCs to a server of the caller's. The store of blocks is the caller's to close.
//
// Thin today: a replica that does not hold the lease waits for it and answers nothing from an index.
//
// The suite calls it.
package server
