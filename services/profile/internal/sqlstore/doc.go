// Package sqlstore keeps profiles in a SQLite file or in a schema of a PostgreSQL database: it implements profile.Store and passes its
// conformance suite on both.
//
// It promises what that contract says, on power loss too. A file belongs to one process that writes; any number of processes may
// write to a PostgreSQL database. Names and identifiers are sealed, also in the answers kept for request ids and in what an earlier
// program left behind, and are found through keyed hashes alone: who reads the database without the keys learns of nobody's name,
// address or number. Keys can be changed while it serves.
//
// Every write is applied to a stage in memory, which reads what it needs from the transaction and changes nothing; when all
// requests of a group have been applied, the stage is written, table by table in one order, the profiles in the order of uids, and
// the counter is advanced in the last statement. So a request that fails leaves nothing behind, rows are written once and in the
// order of their key, and each profile's revision is known when its row is written.
//
// Events are read where they are to be counted: a commit reads all events of everybody whose events it changes or whose day has come, in
// one statement after everything else was staged, and stages the traits that follow as each profile's last change. What each person's
// commits add up to is guarded by a version of its own, since an event of a coming day makes no revision.
//
// Reads take no locks. The counter is locked when all that has no revision is written (but identifiers wait for it while they are under
// several keys, since putting them under another one makes no revision), and nobody changes a profile without it: a
// group that then finds the counter where it began knows that what it read still holds, and any other one looks again, and is
// applied anew if it does not (see batch.verify). A foreign transaction that stays open therefore stalls nobody, and no reader
// of changes ever misses one that was committed late.
//
// It does not know what an identifier's normal form is, which kinds there may be how often, or who is nobody: package profile does.
//
// Only the profile service's door opens it. Hot paths: Import and Changes; BenchmarkImport compares with the bare inserts of the same
// rows, BenchmarkResolve guards look-ups.
package sqlstore
