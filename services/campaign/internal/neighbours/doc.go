// Package neighbours asks the segment and profile services what the manifest does not say: whether a name exists that is not in it yet,
// and what the newest position is.
//
// It promises the errors that the campaign service's contract has for them. It caches nothing; no warm answer calls it.
//
// The door makes one, and the resolver asks it.
package neighbours
