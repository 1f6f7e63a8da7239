// Package sqlstore keeps audiences and campaigns in a SQLite file or a PostgreSQL schema.
//
// It promises what campaign.Store promises, on both engines and where several processes have the same database open, and that a
// store written by a newer program is refused (SCHEMA_NEWER). Writes are rare, so each is a transaction of its own, which locks
// the rows that it looks at before it changes anything. It checks no meaning: specs and campaigns are checked before they come here.
//
// The door of the campaign service opens it.
package sqlstore
