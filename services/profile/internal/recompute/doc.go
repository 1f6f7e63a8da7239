// Package recompute computes the traits of profiles anew on the days on which they change by themselves, while the service serves, and
// gives up events that are no longer kept.
//
// It promises that what is due is done in small writes with waits between them, so that others can write; that it goes on by itself when
// the store comes back; and that several processes may do it at once. What differs afterwards is a change like any other, with a revision.
//
// It does not know which day it is: the store's clock says so. Between the beginning of a day and the end of the work the traits of some
// profiles are those of the day before.
//
// The server of the profile service runs it.
package recompute
