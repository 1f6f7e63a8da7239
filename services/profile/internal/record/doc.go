// Package record is the stored form of a profile's attributes and traits, and of an event: compact texts of bytes, of which the driver
// keeps uid, revision and times in columns beside them. Of a profile, the contact holds names and identifiers, which the driver seals;
// the body holds all else, traits among it.
//
// It promises that equal canonical profiles and events have equal bytes, so a driver knows what is unchanged by comparing them; that
// Decode gives back what Body and Contact were given, and reads the single text of both that earlier programs stored, and that
// DecodeEvent gives back what EncodeEvent was given; that fields of a newer program are skipped; and that no bytes make Decode or
// DecodeEvent panic.
//
// Form: a version byte, then for each known field in ascending order its number, the length of its value and the value; numbers
// and lengths are unsigned varints. Numbers of fields are never used again for something else.
//
// The driver of the profile store calls it.
package record
