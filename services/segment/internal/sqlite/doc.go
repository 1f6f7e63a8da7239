// Package sqlite keeps the segment service's data in one SQLite file: segments and the graph of their references, members of
// static lists, ordinals of the index, its lease, and the definition revisions.
//
// It promises what [segment.Store] says, checked by package storetest: dense definition revisions in the order of commits (the
// counter is advanced, and the marks stored, in the last step of a group's transaction), the graph of references checked inside
// that transaction, and ordinals that come back as they were given. Errors carry the reasons of the segment service's contract;
// nothing of SQLite leaves.
//
// It does not compile rules, and knows profiles only as 16-byte uids. Package server opens it.
package sqlite
