// Package record is the stored form of a profile's attributes: two compact texts of bytes, of which the driver keeps uid, revision
// and times in columns beside them. The contact holds names and identifiers, which the driver seals; the body holds all else.
//
// It promises that equal canonical profiles have equal bytes, so a driver knows an unchanged profile by comparing them; that
// Decode gives back what Body and Contact were given, and reads the single text of both that earlier programs stored; that fields
// of a newer program are skipped; and that no bytes make Decode panic.
//
// Form: a version byte, then for each known field in ascending order its number, the length of its value and the value; numbers
// and lengths are unsigned varints. Numbers of fields are never used again for something else.
//
// The driver of the profile store calls it.
package record
