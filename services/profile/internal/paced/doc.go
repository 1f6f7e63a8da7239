// Package paced is how the profile service does work that is nobody's request: passes over the store, again and again, each in small
// writes with waits between them.
//
// It promises that a write is followed by a wait at least as long as it, so that work leaves at least half of the store's time to others;
// that a failure ends a pass and not the work; and that both functions return soon after their context has ended.
//
// It knows nothing of what is done, and neither logs nor measures: its callers do.
//
// The jobs of the profile service call it.
package paced
