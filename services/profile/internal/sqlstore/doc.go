// Package sqlstore keeps profiles in a SQLite file: it implements profile.Store and passes its conformance suite.
//
// It promises what that contract says, on power loss too. One file belongs to one process that writes; others may read.
//
// Every write is applied to a stage in memory, which reads what it needs from the transaction; when all requests of a group
// have been applied, the stage is written in the order of uids, and the counter is advanced in the last statement. So a request
// that fails leaves nothing behind, rows are written once and in the order of their key, and each profile's revision is known
// when its row is written.
//
// Events are read where they are to be counted: a commit reads all events of everybody whose events it changes or whose day has come, in
// one statement after everything else was staged, and stages the traits that follow as each profile's last change. What each person's
// commits add up to is guarded by a version of its own, since an event of a coming day makes no revision.
//
// Only the profile service's door opens it.
package sqlstore
