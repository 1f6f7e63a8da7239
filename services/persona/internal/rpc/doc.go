// Package rpc is the transport of the persona service: each RPC parses its request, has the store and the segment service act, and
// converts the answer.
//
// It promises that a persona and its segment are made, changed and deleted together: the segment comes first and goes first, a failure
// half way is undone, and what a crash leaves behind is adopted or removed by the same request, repeated. Changes of one persona
// follow one after the other.
//
// The door registers it.
package rpc
