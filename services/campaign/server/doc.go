// Package server is the door of the campaign service: the one importable way to run it.
//
// It promises that New opens the store, brings its schema to this program's version and calls no neighbour; that the manifest is
// followed from the start of Run, in the background, so that a warm answer calls no other service; that Ready asks the database now
// and says no until a manifest has arrived. It listens on nothing itself: Register adds its RPCs to a server of the caller's. The
// store of blocks is the caller's to close.
//
// The suite calls it.
package server
