// Package telemetry makes the tracer and meter providers that every other part is handed, and owns the names of Narrowcast's
// attributes and metrics.
//
// It promises that nothing is global: a process makes one [Telemetry] and passes its fields on; that an empty configuration
// costs next to nothing and sends nothing; that spans cross processes in the W3C form (traceparent, baggage), whatever the
// process-wide default is; and that Shutdown flushes what is still held, bounded by its context.
//
// It does not decide what is measured. Names are constants here, and a literal elsewhere is a mistake. No attribute, metric
// label or event may hold a value from a person's profile: resource names and counts only.
//
// The programs make it; the kit and the services receive its fields. Package telemetrytest is its twin for tests.
package telemetry
