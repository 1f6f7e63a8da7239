// Package telemetrytest records what a process measures, so that a test can ask which spans there were and how they hang
// together. It promises that a span is visible as soon as it has ended, in the order in which spans ended, and that a metric
// read is the value at that moment. Only tests import it.
package telemetrytest
