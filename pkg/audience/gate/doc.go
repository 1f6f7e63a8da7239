// Package gate decides which answers about people a caller may see.
//
// Every method that returns a count, a member or a membership passes one gate, applied by an interceptor (services/internal/gating)
// from an option that each method states in its contract. The gate is asked before the method runs, with the class of the caller
// and the kind of answer, and says yes or gives a Denied fault; it is told of every answer given, for the audit.
//
// Today there is one class, internal platforms, which see every answer; callers that do not say who they are belong to it. The
// shape is here so that classes, legal bases, floors and policies can decide without a change to any method. The package knows
// no wire and does no I/O.
package gate
