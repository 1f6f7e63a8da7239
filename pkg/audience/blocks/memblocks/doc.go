// Package memblocks keeps blocks in this process's memory, as the same bytes that a server would hold.
//
// It promises what blocks.Store says, including that a write is seen whole or not at all. It does not promise to outlive the
// process, nor to be visible to another one: a process that runs without its neighbours must not use it. The suite run as one
// process uses it, and tests.
package memblocks
