// Package rpc is the transport of the campaign service: each RPC parses its request, has the store or the resolver act, and converts
// the answer.
//
// It promises that all that is wrong with a request is told at once, with field paths of the request, and that an update which names
// no etag is made on what is current. It knows no SQL and no blocks.
//
// The door registers it.
package rpc
