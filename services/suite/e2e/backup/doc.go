// Package backup holds the test of a backup's whole life: a suite is filled and backed up while it is written to, the backup is restored
// on the same engine and on the other, and a suite started on what was restored gives the right counts and refuses what the life
// before gave out. The package has no code outside tests.
package backup
