//go:build race

package testkit

// Race says that the race detector is on. What is merely long may then be shorter: it is whole without.
const Race = true
