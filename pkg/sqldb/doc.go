// Package sqldb opens a service's SQL store, an embedded SQLite file or a schema of a PostgreSQL database, and is the one place that
// knows dialects, driver error codes, migrations and group commit.
//
// It promises:
//
//   - an opened SQLite file is durable on power loss (WAL, synchronous=FULL), checks foreign keys, has one writing connection
//     whose transactions take the write lock when they begin, and a pool of connections that cannot write;
//   - an opened PostgreSQL store has a bounded pool of connections to a server that accepts writes, and one of read-only
//     sessions to the primary; every session has time-outs, so that nothing waits for ever on a statement, a lock or a program
//     that has gone;
//   - [DB.Migrate] only goes forward, and refuses a schema newer than the program (SCHEMA_NEWER), or an older one where it may not
//     migrate (SCHEMA_OLDER); on PostgreSQL any number of processes may start at once;
//   - every error that leaves [DB.Tx], [DB.ReadTx], [Group] or [DB.Classify] is a context error, a fault with a stable reason, or what
//     the caller's own function returned; drivers are asked for codes, never for text;
//   - no word of PostgreSQL that may quote a value (the detail of an error, the message of a data exception) is in an error, so
//     none reaches a log or a span;
//   - [DB.Dump] writes a whole store as of one moment, and [DB.Load] fills an empty one with it, on the same engine or the other: all
//     of it or nothing;
//   - a [Group] turns many concurrent writers into few transactions, in one order, while each request fails alone, and runs a
//     group again that another process got in the way of.
//
// It does not build SQL, map rows to structs, or retry anything but a group and what was never sent: a fault of kind Unavailable may
// be tried again by who knows whether that is safe, and after [ConditionCommitUnknown] only by who has looked. Statements appear
// in spans as they are written, without their arguments, so a statement must not hold a person's data as text: use
// placeholders ($1 works in every dialect). A Scan of database/sql that does not fit quotes the value; scan into what the column is.
//
// # Both dialects with one text
//
// A PostgreSQL array is written as a Go slice: insert ... select * from unnest($1::uuid[], $2::bytea[]) takes []uuid.UUID or
// [][]byte, and [][]byte. A uuid is written as its 16 bytes, which suit a blob of SQLite as well, and read into a *uuid.UUID, which
// takes what either engine gives. The type of an argument must fit its column, so where the statement does not say it, cast it:
// $1::bigint. Inside a transaction of PostgreSQL the rows of one statement must be closed before the next is run, and a
// statement that fails ends the transaction. Text is compared as the database sorts unless the column says collate "C".
//
// # Failover
//
// With several hosts in the URL each new connection goes to the first that accepts writes, and readers go there too, since a
// standby is behind and who has just written would not find it. When a server goes, its connections break and are replaced; a
// transaction that was under way fails with [ConditionConnection] and was not committed, and only a commit that was under way is
// unknown. While no server accepts writes, which a standby says that is about to take over, writes fail with STORE_READ_ONLY and
// may be tried again. A connection whose server turns read only without closing it is dropped as soon as the server tells, which
// it does since version 14. Connections are also replaced after [Config.ConnLifetime].
//
// pgx prepares each text once for each connection and keeps it, and the settings and the migration's lock belong to a session, so
// a pooler such as pgbouncer must keep one session for each of our connections and pass the settings on; one that does not pass
// search_path on is refused. Through a pooler that cannot keep prepared statements add default_query_exec_mode=exec to the URL.
// Since statements are kept, name the columns in a query: "select *" fails once after a migration adds one.
//
// The stores of the services import it (services/X/internal/sqlstore); package sqldbtest runs their tests on both dialects.
package sqldb
