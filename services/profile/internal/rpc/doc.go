// Package rpc answers ProfileService, AttributeService, IdentityService and EventService of narrowcast.profile.v1 from a profile.Store: each method parses,
// acts and converts.
//
// It promises that what is wrong with a request is told by field path and reason before anything is written; that an answer to
// a write carries a token of a state which includes it; that an import acknowledges nothing that is not durable and applies no
// row twice; and that a watcher gets every change in order, with positions that are never ahead of what was sent.
//
// It relies on the server's interceptors for the rules stated in the contract, except where these look only at the first
// message of a stream: the chunks and rows of an import are checked here. It knows no SQL.
//
// The service's door makes it.
package rpc
