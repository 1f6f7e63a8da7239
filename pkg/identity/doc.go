// Package identity knows how a person's identifiers are written: the one form in which Narrowcast recognises each, and the form
// and hash in which each advertising destination wants it.
//
// [Normalize] gives the normal form of an identifier, under which an index finds it again however it was typed. [For] gives what
// a [Destination] takes: destinations disagree about dots, tags, plus signs and encodings, so a hash made for one is useless to
// another, and there is no such thing as the hashed address of a person. Which kinds, fields and consents a destination takes is
// data, asked for with its methods. A [Guard] names the rule by which a well-formed value is nobody's: noreply@, 555-0100, an
// advertising id of zeros. [Limits] bound how many identifiers of each kind one person may have.
//
// What it promises:
//
//   - Normalising a normal form changes nothing, and no input makes any function panic.
//   - A refusal says what is wrong and what to do, in words that are the same whatever the value was: none repeats it.
//   - Normal forms and hashes equal the vectors that Google, Meta and UID2 publish. The tests name each case in which the
//     published material contradicts itself or another standard.
//   - Normalising and guarding are apart: test@example.com has a normal form, and a guard blocks it.
//
// What it does not: it does not ask DNS or a carrier whether an address or number works, and it keeps no more of e-mail syntax
// than people use (no quoted local parts, comments, address literals or domains without a dot). A phone number must belong to a
// numbering plan as google/libphonenumber describes it, so numbers from ranges opened later are refused until the dependency is
// newer. It tells no person from another: two spellings of one mailbox, such as dots in a Gmail address, stay two normal forms,
// because only some providers treat them as one.
//
// For wants the value as its owner wrote it. Given the normal form instead it answers the same, except for e-mail addresses that
// hold characters beyond ASCII: the normal form has the domain in its ASCII form (xn--), and destinations hash what they get.
//
// A plain hash of an address is personal data under another name: it is as secret as the address.
//
// The profile service calls it to index and export identifiers and to refuse what is nobody's. [ForField] is here for the exports that
// match by name and address; none does yet. Hot paths, and the benchmark that guards each: an import normalises and hashes each identifier
// (BenchmarkNormalize, BenchmarkFor).
package identity
