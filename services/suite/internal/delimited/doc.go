// Package delimited reads files of separated values as they are found in the wild: any separator, any quote or none, a byte
// order mark or another encoding, gzip, CRLF, no final newline, line breaks inside quotes.
//
// It promises constant memory, the number of the line on which each record begins, and that a broken record never hides the
// ones after it: a record whose quotes do not close is reported for its own line, and reading goes on with the next line.
// Records come one by one; a broken one is a [RowError], after which the caller reads on.
//
// It does not guess: separators and encodings are stated, except for byte order marks and gzip, which are recognised. It does
// not know what the columns mean; package mapping does. The import command calls it.
package delimited
