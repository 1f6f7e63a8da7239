// Package redisblocks keeps blocks in Redis: one hash per block, under blocks.Key's name, whose hash tag places it in a cluster.
//
// It promises what blocks.Store says: a read is one HMGET, a write one Lua script on one key. Beside meta and the block's
// fields the hash has a field "w", the epoch and version of the last write with a checksum of its own, by which the script
// refuses a writer whose lease was overtaken. No command here needs anything newer than Redis 6, and none touches two keys.
//
// [Options] describe one server, a cluster or a master behind sentinels, with TLS and users; [Options.Client] connects to it. The rights
// that users need stand in docs/operating.md and are held by a test. Scripts are loaded where they are missing,
// on each node of a cluster.
//
// It does not promise durability (blocks can be written again at any time), bounds no value that another program has put into
// the server, and does not close the client: who opens it instruments it and closes it.
package redisblocks
