// Package faults holds the fault matrix of the whole suite: what happens to answers when the store of blocks is flushed, damaged
// or away, when the segment service stops or loses sight of the profiles, and when readers lose sight of the manifest.
//
// Each fault meets a warm reader (a campaign service that has answered the same question before) and a cold one (started when the
// fault is there already), and each is asked who lives in a region, the same without a segment, and the same with consent to
// a channel. What is promised, and checked with every answer:
//
//   - An answer that is given is the right one: not short, not wrong, and not of a state older than the staleness bound unless the
//     caller allowed that.
//   - What cannot be answered is UNAVAILABLE with one of the reasons of the contract.
//   - When the fault is gone, or a refill has repaired it, the right answer comes within a bounded time.
//
// A case in which the fault was not noticed (no block refilled, nothing refused) fails: it would have tested nothing. The package
// has no code outside tests.
package faults
