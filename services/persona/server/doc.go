// Package server is the door of the persona service: the one importable way to run it.
//
// It promises that New returns a service that is ready to serve, with its store open and of this program's schema, and that Close
// leaves nothing behind. It calls no neighbour before a request needs it, and listens on nothing itself: Register adds its RPCs to a
// server of the caller's.
//
// The suite calls it.
package server
