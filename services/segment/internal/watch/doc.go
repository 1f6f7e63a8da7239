// Package watch follows the profile service for the index: it turns what WatchProfiles streams into batches of facts, and asks
// for the head again and again, which is what the index's age is measured from.
//
// It promises that the sink gets every change in order and none twice within a replay; that a stream that ends goes on after its
// cursor, with growing pauses; and that a cursor that the profile service refuses, or another life of its store, begins a
// new replay from the beginning. A profile with a fact that does not fit its declaration is passed on without that fact, and
// the count is logged: unknown is the safe reading.
//
// It keeps nothing on disk and derives no rows. The door of the segment service runs it beside the index.
package watch
