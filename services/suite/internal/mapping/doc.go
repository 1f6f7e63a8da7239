// Package mapping turns rows of a file into profiles, as a mapping file in YAML says.
//
// It promises strictness: an unknown key, a column that the file does not have or a value that cannot be understood is an
// error that names its line, never a guess. The one exception is asked for by name: a job level that is read from a job title
// (from: job_title) has a confidence, and below the one of the mapping it is left unknown and counted. A row with any problem
// is rejected whole, with every problem of it, and no message of a problem repeats a value of the row. Mapping is a pure
// function of the mapping file, the attributes declared and the row: the same file gives the same profiles again, which is what
// lets an import resume by row number.
//
// It does not read files (package delimited does), talks to no service and looks at no clock. What a profile may hold
// beyond its own form (lengths, unique external ids) the profile service checks.
//
// The import command calls Parse, then Bind with the header of the file, then Map for every row. The language is described
// in docs/importing.md; docs/examples/mappings has files that use it.
package mapping
