// Package page makes the tokens of paginated lists (AIP-158).
//
// It promises that a token is opaque, holds the key after which the next page begins rather than a count (so that pages stay
// stable while rows are inserted and deleted), and is refused with a request whose other fields differ from the one that made
// it. It does not promise secrecy or authority: a token says where to go on, never what its bearer may see.
//
// The services' List methods call it:
//
//	size, err := page.Size(req.GetPageSize())
//	after, err := page.Decode(req.GetPageToken(), page.Checksum("segments"))
//	... read size+1 rows after that key; if there is one more ...
//	next := page.Encode(lastKey, page.Checksum("segments"))
package page
