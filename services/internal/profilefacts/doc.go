// Package profilefacts makes facts of a profile on the wire: what the index knows of one person, and nothing else of them.
//
// It promises that a field which is not set gives no fact (unknown is neither empty nor false), that names and identifiers
// never become facts, and that the facts fit the schema that was given, or an Invalid fault names the field that does not,
// never its value.
//
// It does not derive rows and columns (audience.Derive does) and fills in no consent: a purpose's general record and that of a
// channel are facts of their own, and the question decides which one counts.
//
// The segment service calls it with what it watches; the campaign service where it explains one profile.
package profilefacts
