// Package sqlite keeps personas in a SQLite file.
//
// It promises what persona.Store promises, and that a file written by a newer program is refused (SCHEMA_NEWER). Writes are rare, so
// each is a transaction of its own. It checks no meaning.
//
// The door of the persona service opens it.
package sqlite
