// Package sqlstore keeps the segment service's data in a SQLite file or a PostgreSQL schema: segments and the graph of their
// references, members of static lists, ordinals of the index, its lease, and the definition revisions.
//
// It promises what [segment.Store] says, checked by package storetest on both engines: dense definition revisions in the order of
// commits, the graph of references checked inside the transaction that changes it, and ordinals that come back as they were given;
// all that also where several processes have the same database open. Errors carry the reasons of the segment service's contract;
// nothing of the engine leaves.
//
// Who changes segments locks the one row of table head first and keeps it until the commit, and who works under the lease locks
// its row. Segments are few and change seldom, so that queue costs nothing, and it makes all of this simple: revisions in the
// order of commits, no circle that two processes make together, no deadlock. On SQLite the one writer is that queue already.
//
// It does not compile rules, and knows profiles only as 16-byte uids. Package server opens it.
package sqlstore
