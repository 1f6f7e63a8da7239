// Package suite runs services in this process: all of them, or those that are named.
//
// It holds one table (table.go): for each target its door, which neighbours it needs, and whether it uses blocks. A neighbour
// in the same set is reached through the in-process channel, any other one is dialled; that choice is the only difference
// between one process and many. It promises that a process that cannot be right does not start: blocks in memory that its
// neighbours could not see, a SQLite store whose replicas it could not see, a neighbour without an address, a method that
// does not say what its answer reveals. It starts parts in the order in which they need each other and stops them in reverse:
// not ready, a delay for load balancers, endless streams told to end, calls under way waited for, background work, stores,
// telemetry.
//
// It does not know what the services do. cmd/narrowcast and the services' own mains call it, and tests of the whole.
package suite
