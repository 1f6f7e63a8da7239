// Package record is the stored form of a profile's attributes and traits, and of an event: one compact text of bytes, of which the
// drivers keep uid, revision and times in columns beside it.
//
// It promises that equal canonical profiles and events have equal bytes, so a driver knows what is unchanged by comparing them; that
// Decode and DecodeEvent give back what Encode and EncodeEvent were given; that fields of a newer program are skipped; and that no bytes make Decode panic.
//
// Form: a version byte, then for each known field in ascending order its number, the length of its value and the value; numbers
// and lengths are unsigned varints. Numbers of fields are never used again for something else.
//
// The drivers of the profile store call it.
package record
