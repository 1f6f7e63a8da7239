// Package index keeps who is in which row: it follows the profiles, numbers them, keeps the rows and columns of every block in
// memory, evaluates all segments, writes what changed to the block store and announces it.
//
// What it promises:
//
//   - Every row that is published is what a loop over all profiles would say. A tick takes changes, evaluates all segments on just
//     the 64-ordinal words that hold a changed profile, writes the rows and columns whose bits changed, and then, once the store
//     has acknowledged all of it, announces the position reached. Where a write fails nothing is lost and nothing is announced.
//   - The position never claims more than the blocks hold: while changes are replayed in compacted form it stands still.
//   - A profile keeps its ordinal for as long as the layout lasts, also over restarts: ordinals are stored before a block that uses
//     them is written, and none is given twice.
//   - New profiles of one region are numbered in blocks of that region ([Lanes]), those that arrive together by region and birth, so that
//     a narrow question touches few blocks. No answer depends on it; who moves keeps the ordinal.
//   - A new or changed rule is built over whole blocks in slices between which changes go on; until every block has its rows,
//     and the rows of all days that are kept, the state before answers. Rules of one segment switch in one frame.
//   - A block is written again, whole, when a reader asks, once however many ask; a new holder of the lease writes every block
//     again before it announces any.
//
// What it does not: it keeps no copy of the profiles and no position on disk (it replays them at start), takes no lease (the
// door does, and ends the index when the lease is lost), and knows no wire: package watch feeds it.
//
// One goroutine, that of [Index.Run] or of the caller of [Index.Tick], changes the content; answers read it under a lock.
package index
