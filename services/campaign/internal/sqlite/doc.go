// Package sqlite keeps audiences and campaigns in a SQLite file.
//
// It promises what campaign.Store promises, and that a file written by a newer program is refused (SCHEMA_NEWER). Writes are rare, so
// each is a transaction of its own. It checks no meaning: specs and campaigns are checked before they come here.
//
// The door of the campaign service opens it.
package sqlite
