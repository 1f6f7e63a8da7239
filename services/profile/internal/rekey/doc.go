// Package rekey puts a profile store under its primary keys while it serves, so that a former key can be removed.
//
// It promises that the work is split into small writes with pauses between them, that it begins whenever the keys change and looks again
// now and then, since another process may have written under a former key meanwhile, and that it says what is left, in the log and as a
// metric. A failure is logged and tried again; it ends nothing.
//
// It decides nothing about keys, and removes none.
//
// The profile service's door runs it.
package rekey
