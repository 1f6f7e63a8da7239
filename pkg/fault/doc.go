// Package fault is the one error type of Narrowcast: a kind that a program can branch on, a reason that never changes, and a
// message that tells a person what to do next.
//
// A fault is built where the knowledge is (a domain rule, a driver that has seen its library's error code) and travels up
// wrapped with %w and a short lower-case phrase naming the operation. The edge turns it into a wire status once, and the client
// turns that status back into a fault, so callers compare [KindOf] and [ReasonOf] and never see the transport.
//
// What it promises: a fault survives any number of wraps; its reason is safe to show to anyone; an error that is not a fault
// has kind [Internal] (context errors keep their own kinds) and its text is never shown outside the process.
//
// What it does not: it holds no stack trace, logs nothing and translates nothing. Messages and metadata must carry resource
// names and counts only, never a value taken from a person's profile; the package cannot check that.
//
// Everything imports it and it imports the standard library alone.
package fault
