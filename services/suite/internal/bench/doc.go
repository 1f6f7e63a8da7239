// Package bench measures a whole suite on a population whose every answer is known beforehand.
//
// It promises that the people are a pure function of (seed, number), so that every cardinality is counted by plain arithmetic over
// them, apart from the engine, and a wrong one makes the run fail; that all figures of one run are taken in turns, so that their
// ratios mean something where the machine is noisy; and that profiles, attributes and segments come in through the services' own RPCs.
//
// It does not say that a figure is good: docs/bench/README.md has the goals. It is no test of correctness under change or faults.
//
// `narrowcast bench` calls it.
package bench
