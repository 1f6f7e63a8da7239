// Package uidtable finds where a uid is, among millions, in 8 bytes a place and without keeping the uids: its owner has them anyway.
//
// It promises that what was added under a uid, and not removed, is shown to whoever looks for that uid. It does not promise that only
// that is shown: a few others may be, since the table keeps 32 bits of a hash, so the one who looks compares. The hash is seeded anew in
// each process: nobody outside can choose uids that lie in each other's way.
//
// It does not lock: calls that change a table must not run beside others.
package uidtable
