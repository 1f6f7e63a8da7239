// Package resolve turns audience specs into answers: a count with its narrowing, the members, or why one profile is in or out.
//
// What it promises:
//
//   - A spec is compiled under the definitions of the view that the answer is made under: a segment's name becomes the row of the rule
//     state that answers, a persona's the row of the segment that it owns. A segment that has no rows yet is UNAVAILABLE with its
//     progress (SEGMENT_BUILDING), never empty.
//   - The day is today in the store's zone. With as_of, ages and date-relative predicates are looked at on that day, and segments
//     whose rule looks at the date are evaluated again by their rules; consents always hold today.
//   - What is compiled is kept, for the same spec under the same definitions on the same day, within bounds. What failed is not kept.
//   - Members are evaluated over all blocks first, at most 8 KiB a block. Just before a batch is handed out, the consents that the
//     spec asks for are applied again under the newest view, and whoever has lost one, or no longer exists, is held back and counted.
//   - An answer that can be made from what is in memory calls no other service. One that finds an unknown name, or was asked to be
//     fully consistent, does.
//
// The narrowing comes out of one pass over the blocks (BenchmarkResolve): most of a narrow audience's blocks are counted by the
// cardinalities in their directories, without a row being read. Total leaves the narrowing out, so that the most selective predicates
// come first.
//
// What it does not: save anything, know the wire, or decide who may ask.
//
// The rpc package of the campaign service calls it.
package resolve
