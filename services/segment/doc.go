// Package segment divides the market: named segments with a rule or a static list, the versions of their definitions, and what the
// index of their members needs to be the same on every machine and after every restart.
//
// What holds:
//
//   - Every change of a segment takes one revision of the segment store, the definition revision: dense from 1, in the order of
//     commits, so that who has read up to n has missed nothing at or below n. A group of concurrent writes is one transaction,
//     whose last step takes the revisions from a counter and stores a random mark beside the last of them. A [Position] carries
//     the store's incarnation and that mark, so that a store that was restored from a copy does not pass for its former self.
//   - A segment's own definition (rule text, static list) has a version, which counts its changes from 1, and the revision at
//     which it last changed. Names and descriptions for people take a revision too, but leave version and definition revision as
//     they are: no row of any block has to be built again for them.
//   - The segments that a rule names, directly or not, never lead back to it. This is checked over all segments inside the
//     transaction of the write, so two writes that would each be right alone cannot make a circle together. What a rule names
//     exists, and cannot be deleted while it is named. Segments are never renamed, so a rule's text stays true.
//   - A segment that has an owner is changed and deleted only on the owner's word.
//   - Within a layout an ordinal is given to one profile and never to another. Ordinals are dense within a block, are appended by
//     the holder of the lease alone, and are read back exactly as they were appended, except that a deleted profile's uid is blank.
//   - Lease numbers only grow, one with each acquisition; whoever writes under an older lease is refused.
//
// What does not: the package knows no memberships (the index computes them from the profiles), keeps no cursor of the profile
// service's Watch (the index replays it from the beginning), and does not check what a rule means: package rule does, before
// the rule is handed to the store.
//
// The nouns here are pure. Drivers implement [Store] (internal/sqlstore), package storetest holds what they must keep,
// internal/rpc answers callers, internal/index follows the profiles, and package server is the door.
package segment
