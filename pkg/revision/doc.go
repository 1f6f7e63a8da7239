// Package revision makes consistency tokens: a write's answer carries one, and a reader who passes it on gets an answer that
// includes the write.
//
// It promises that a token is opaque and versioned, says which installation and which life of each store it belongs to, so that
// a token of another store or of a store's life before a restore is refused and never misread; and that tokens merge by the
// maximum of each part, so that one token stands for many writes. It does not know how to wait for a token: readers do.
//
// Every service calls it, and pkg/client merges what it sees.
package revision
