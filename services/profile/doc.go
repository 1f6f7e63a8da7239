// Package profile holds the nouns of the profile service and the contract of its store: who a person is, what they consented to,
// how they are recognised elsewhere, and which custom attributes are declared.
//
// It promises that a profile which passed [Profile.Canonicalize] means something under the schema (real regions and dates,
// declared attributes with values of their type, consents and identifiers at most once) and is written in one way only: texts
// in NFC, lists sorted and without repetition, decimals with all digits of their scale. Two profiles that say the same are
// therefore equal, which is how a store knows that a write changed nothing. Unknown is kept apart from empty: a nil list is
// unknown, an empty one is known to be empty.
//
// [Plausibility] says what is allowed in a profile and yet looks wrong. It warns, in constant texts without a value, and changes nothing.
//
// It does no I/O and knows neither the wire nor SQL. What a store must do stands on the methods of [Store], and is tested by
// package storetest; the rpc package of this service turns messages into these nouns and calls the store.
//
// Hot path: [Profile.Canonicalize], once for each imported row; BenchmarkImport of the store's driver guards it together with
// the driver.
package profile
