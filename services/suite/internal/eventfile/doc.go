// Package eventfile turns the rows of a file into events: separated values with a column for each field (CSV), or one Event in JSON on each
// line (JSON lines).
//
// It promises strictness: a column that stands for nothing is refused unless it was said to be left out, a value that cannot be understood is
// a problem of its row and never a guess, and no message of a problem repeats a value of the row. The same file gives the same events in the
// same order again, which is what lets an import resume by row number. Memory does not grow with the file.
//
// It talks to no service and looks at no clock. What an event may hold beyond its own form the profile service checks. The command
// `event import` calls it.
package eventfile
