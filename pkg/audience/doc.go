// Package audience is the engine: it says who a question about people means, exactly, from bitmaps and columns.
//
// A Schema names the attributes. Derive turns one person's Facts into rows and columns. A question is a Pred: a rule (package
// rule) or the steps of a Spec. Compile turns it into an Expr, which is evaluated over one Block of 65,536 people at a time;
// Narrow, Histogram and Households make the attrition table, breakdowns, and one of each household.
//
// What it promises:
//
//   - The members of an Expr are exactly the live people of whom the predicate is true in Kleene's three-valued logic, a
//     missing value being unknown. Membership in a segment is two-valued. See Kind and the predicates for what each means.
//   - A row or column that a block does not know ends an evaluation with ErrUnknown, unless the answer is the same whatever it
//     holds. Unknown is never read as empty.
//   - The same predicate, schema and day give the same expression and Fingerprint.
//   - No input makes it panic or take more than bounded time: trees too deep or too large are refused.
//   - An Expr, a Schema, and the values given to them may be used concurrently; nothing here starts a goroutine.
//
// What it does not: read bytes, clocks, networks or protobuf, decide who may ask, or know where a block comes from. Texts must
// be in Unicode form NFC (NormalizeText) before they come here as facts; rules and specs normalise their literals.
//
// The segment service calls it to keep segments, the campaign service to resolve audiences, both through package blocks or a
// Block of their own.
//
// # How an evaluation goes
//
// A Row is kept in the form that intersects fastest: nothing, a few runs, a short sorted list, or a bitmap; a Column's Ranks are
// packed so that a range is compared with a word of them at a time. What an evaluation narrows begins as everybody, borrows the memory
// of the first row that it meets, and is a bitmap while many are left and a list once they are few: then a row costs a test of a bit
// for each and a column a look at each rank. The operands of an AND are taken by the cardinalities of the directory, those that read
// columns last; both ends of a range of one column take one pass. Facts, presence and columns hold living ordinals only (Block says
// so, and the segment service's tests hold its writer to it), so that who lives is read only where nothing else bounds the answer.
//
// Below the limit of lists a bitmap takes less time than merging two lists, which makes the processor guess at every step: two lists
// meet through a bitmap. Where the limits are was measured; BenchmarkIntersect and BenchmarkRange print the times beside that of ANDing
// two bitmaps.
//
// Guess and NarrowUnread say from cardinalities alone that a block holds nobody, or all that the narrowing table wants of it.
//
// Hot paths, and the benchmark that guards each: Expr.Eval over whole blocks and over single words (BenchmarkEval), rows and columns
// in each form (BenchmarkIntersect, BenchmarkRange), the narrowing table (BenchmarkNarrow), facts to rows for each changed profile
// (BenchmarkDerive), and reading a rule (BenchmarkCompile in package rule). None but the last allocates once warm, but for texts of
// open lists and money.
package audience
