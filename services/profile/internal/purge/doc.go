// Package purge is the job that removes what the profile store keeps for a time only: how far imports have come.
//
// It promises to work in small writes with a pause after each at least as long as the write, to count what it removed, and to go on
// after a failure. Request ids and marks are not its work: the store drops them as it commits. Tombstones stay for ever: see the
// operations guide.
//
// The door of the profile service runs it.
package purge
