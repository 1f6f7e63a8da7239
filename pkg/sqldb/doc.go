// Package sqldb opens a service's SQL store and is the one place that knows dialects, driver error codes, migrations and group
// commit. Today the dialect is SQLite; [DB] is the seam behind which another one can stand.
//
// It promises:
//
//   - an opened SQLite file is durable on power loss (WAL, synchronous=FULL), checks foreign keys, has one writing connection
//     whose transactions take the write lock when they begin, and a pool of connections that cannot write;
//   - [DB.Migrate] only goes forward, and refuses a schema newer than the program (SCHEMA_NEWER);
//   - every error that leaves [DB.Tx], [DB.ReadTx], [Group] or [DB.Classify] is a context error, a fault with a stable reason, or what
//     the caller's own function returned; drivers are asked for codes, never for text;
//   - [DB.Dump] writes a whole store as of one moment, and [DB.Load] fills an empty one with it, on the same engine or the other: all
//     of it or nothing;
//   - a [Group] turns many concurrent writers into few transactions, in one order, while each request fails alone.
//
// It does not build SQL, map rows to structs, or retry: a fault of kind Unavailable may be tried again by who knows whether
// that is safe. Statements appear in spans as they are written, without their arguments, so a statement must not hold a
// person's data as text: use placeholders ($1 works in every dialect).
//
// The stores of the services import it (services/X/internal/sqlite).
package sqldb
