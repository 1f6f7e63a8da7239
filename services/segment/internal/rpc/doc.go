// Package rpc answers the calls of narrowcast.segment.v1: one file for each RPC or small group of them, which parses, acts and
// converts.
//
// It promises that what a caller is told of a write is in the store; that every rule that is stored was understood against the
// attributes that existed then; that an answer about people is at least as fresh as was asked for, or an error that says why
// not; and that a stream of the manifest ends with a reason that tells the reader what to do.
//
// It does not know SQL, evaluate rules or keep state beside what is asked of the store and the [Index].
//
// Package server builds it and registers it.
package rpc
