// Package truth holds the property test of the whole suite: whatever is stored and asked, an answer is what a loop over all
// profiles would say.
//
// Random attributes, profiles with missing values, segments, personas and specs go into a suite whose profiles are spread over
// several blocks, through the same calls that everybody makes. The loop (audiencetest.Eval, with the parts of a spec spelled out
// here once more) runs over what the profile service gives back.
//
//   - With writers paused and the last token awaited: counts of every narrowing step, streamed members and explained verdicts
//     equal the loop's.
//   - While writers write, and merge profiles and part them again: each profile's membership in an answer is the loop's at some
//     revision between the answer's and the head at its end, and nobody whose consent was withdrawn at or below the answer's
//     revision is in it. Where segments are edited meanwhile, that holds under one version of them, the reported one.
//
// It promises that a run is repeated by its seed, which every failure prints, as far as the order of concurrent writers allows,
// and that a run in which nothing was tested fails. It knows blocks, ordinals and rows only as far as spreading profiles needs.
//
//	NARROWCAST_TRUTH_SEED      seed, instead of one drawn from the clock
//	NARROWCAST_TRUTH_SECONDS   how long each part goes on at least; default: a few rounds
//
// The package has no code outside tests.
package truth
