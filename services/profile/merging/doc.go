// Package merging decides what becomes of two profiles that turn out to be one person, and how that is taken back. It also keeps
// the knowledge on which the decision rests: of each part of a profile, when it was last changed and from which source.
//
// It promises, of [Merge]:
//   - A value that is known never gives way to one that is unknown. Where both are known and differ, the policy decides: the
//     most recent, or the one from the most trusted source; where that does not tell them apart, the survivor's stays.
//   - A birth date that lies within the other one is finer, says the same more exactly, and wins whatever the policy.
//   - Names of employers that differ are two employers, and regions of which neither holds the other are two homes. What is
//     known of an employer (name, industry, size) or of a home (region, postal code) is then taken from one profile as a whole.
//   - Lists are united, as are identifiers and custom attributes. No identifier is lost, so a merged profile may hold more of
//     them than a request may carry.
//   - Of consents, for each purpose and each channel about which either has a decision, the more protective of what the two
//     profiles as a whole say is kept, where a profile without a decision for the channel says what its general decision for
//     the purpose says: a refusal before a grant, of two grants the one that ends first. What either refused is therefore
//     refused, and what neither granted is not granted.
//
// [Undo] gives back the survivor as it was before, except for what was changed since, and the merged profile, except for what was
// refused since. Merge and Undo without a change between them give the same two profiles.
//
// Of the lifecycle only what a writer declared is looked at. Results have no traits: whoever stores them computes traits and lifecycle
// anew, from the events that go with them, and stamps revision and times. Nothing here does I/O or reads a clock. The store of the profile service calls it.
//
// Hot path: [Track], once for each write; BenchmarkTrack guards it.
package merging
