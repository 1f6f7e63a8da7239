// Package blocks keeps an index of profiles, made by one writer, where many readers can use it: the format of blocks, the stores
// that hold them as bytes, the manifest that says which are current, and the reader that answers from them.
//
// A block is 65,536 consecutive ordinals. It is one hash in a [Store], with fields for rows (portable roaring bitmaps), columns,
// and parts of the uid dictionary, and a meta field: its [Directory], which lists every field with cardinality and checksum. The
// segment service writes blocks with a [Writer] and announces them with a [Publisher], as [Frame] values that some wire
// carries; the campaign service follows with a [Follower] and answers with a [Reader].
//
// # What it promises
//
//   - Bytes from a store are untrusted. A block that was flushed, lost a field, was corrupted or replaced by an old copy is
//     unknown; an unknown block is asked to be written again, and until it is there the answer is UNAVAILABLE. What is unknown is
//     never read as empty.
//   - All rows of one block that are combined come from one version of it, so every profile is judged at one revision. It is
//     not older than the Through of the view that the answer began with, and not newer than the end of the answer. Profiles of
//     different blocks may be judged at different revisions.
//   - The manifest is the authority on freshness: a block is used only under the epoch, and at or after the version, of the
//     newest manifest. An answer's age is an upper bound that compares no clocks of two machines; beyond the staleness bound
//     the answer is UNAVAILABLE unless the caller allowed stale ones.
//   - A segment's row that is not listed is unknown. A facet or column that is not listed is empty only if its attribute was
//     declared at or before the directory's position and nothing of it is pending.
//
// # What it does not
//
// It does not protect against who can both write the store and forge checksums. It assigns no ordinals and keeps no lease
// (the segment service does), compiles nothing (package audience does), and has no wire format for frames: a service adapts
// its RPC to [Source] and [Refiller].
//
// # Writing
//
//	w, err := blocks.NewWriter(store, blocks.WriterConfig{Store: id, Layout: 1, Epoch: epoch, Meter: meter})
//	p, err := blocks.NewPublisher(blocks.PublisherConfig{Store: id, Layout: 1, Meter: meter})
//	state, err := w.Rewrite(ctx, blocks.Change{Block: 3, Rows: rows, Columns: columns, UIDs: parts, Defs: defs}) // once in an epoch
//	state, changed, err := w.Apply(ctx, blocks.Change{Block: 3, Rows: changedRows, Defs: defs})                  // and then what differs
//	err = p.Publish(blocks.Update{Definitions: defs, Blocks: []blocks.BlockState{state}, Through: through, Asked: asked})
//
// A frame must tell of every write that the store has acknowledged since the last one, and Through must not be ahead of them.
// While a segment's rule is replaced, its former row is kept current until the frame that switches the definitions is out.
//
// # Reading
//
//	f, err := blocks.NewFollower(blocks.FollowerConfig{Source: source, Logger: logger, Meter: meter})
//	go f.Run(ctx)
//	r, err := blocks.NewReader(blocks.ReaderConfig{Store: store, Follower: f, Refiller: refiller, Logger: logger, Meter: meter})
//	err = r.Answer(ctx, blocks.MinimizeLatency(), func(s *blocks.Session) error {
//		// compile under s.View().Definitions
//		return s.ForEachBlock(ctx, blocks.Query{Fields: expr.Fields()}, func(block uint32, b audience.Block) error { ... })
//	})
//
// Where the same is asked again and again, [Session.Scan] is the faster way: fields are made ready once, every block's directory is
// asked whether the block matters, and only those that do are evaluated, in memory first.
//
// # Memory
//
// A directory that a reader holds has a table from fields to entries, shared by the versions of a block that list the same fields, and
// beside each entry the cell of its content, shared by the versions that list the field with the same checksum. So what is in memory is
// found by one look-up and a pointer, without a lock; nothing is invalidated; and a directory leads to no content but its own. What is
// kept is bounded in bytes, rows and columns apart from uids, and dropped by a clock. Scan takes from memory only what an evaluation
// reaches. A block of which something is missing is read then, all that is missing in one command, and evaluated again from the
// beginning: what comes from memory and from the store is never combined but under one directory.
//
// Goroutines are started only for many blocks: a question that its directories narrow to three is answered by its caller's.
//
// [Reader.Answer] runs the function again, with a new session, when a definition was replaced in the middle of it; the function
// must begin its result anew each time.
package blocks
