package sqlstore

import (
	"fmt"
	"strings"
)

// postgres hands lists over as arrays. uid columns are of type uuid, which its driver would write out in letters: reads ask for the bytes.
type postgres struct{}

func (postgres) sizes() []int { return nil }

// sessions are the settings of every session. The planner plans a statement when the tables are small, keeps the plan, and would go on to read a
// whole table for each of a few rows when it has become large. All that this store asks for has an index.
func (postgres) sessions() map[string]string {
	return map[string]string{"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
}

// text turns a query with a list into one look-up for each key, which is what it is to be.
func (postgres) text(query string, lead, _ int) string {
	query = strings.NewReplacer("{uid}", "uuid_send(uid)", "{origin}", "uuid_send(origin)", "{survivor}", "uuid_send(survivor)",
		"{target}", "uuid_send(target)", "{for update}", " for update").Replace(query)
	for _, of := range []struct{ mark, column string }{{"{in uid}", "uuid"}, {"{in hash}", "bytea"}} {
		if one := strings.Replace(query, of.mark, "= k.key", 1); one != query {
			return fmt.Sprintf("select x.* from unnest($%d::%s[]) as k (key) cross join lateral (%s offset 0) as x", lead+1, of.column, one)
		}
	}
	return query
}

var columnTypes = [...]string{uidColumn: "uuid", bytesColumn: "bytea", intColumn: "bigint"}

// writes prepares what writes rows: one statement each, for as many as there are. A row that should be there and is not, or the other way
// round, is the work of another process and has the group applied again.
func (postgres) writes(p *preparer, st *statements) {
	rows := func(query string, columns ...column) *bulk {
		var lists, names []string
		for i, c := range columns {
			lists = append(lists, fmt.Sprintf("$%d::%s[]", i+1, columnTypes[c]))
			names = append(names, fmt.Sprintf("c%d", i+1))
		}
		from := fmt.Sprintf("unnest(%s) as r(%s)", strings.Join(lists, ", "), strings.Join(names, ", "))
		return &bulk{one: p.stmt(p.db.Write, strings.Replace(query, "{rows}", from, 1)), columns: columns}
	}
	const u, b, n = uidColumn, bytesColumn, intColumn
	st.insertProfiles = rows("insert into profiles (uid, revision, create_time, update_time, body, provenance, contact, contact_key) select * from {rows}", u, n, n, n, b, b, b, n)
	st.updateBodies = rows("update profiles p set revision = c2, update_time = c4, body = c5, provenance = c6 from {rows} where p.uid = c1", u, n, n, n, b, b)
	st.updateContacts = rows("update profiles p set revision = c2, update_time = c4, body = c5, provenance = c6, contact = c7, contact_key = c8 from {rows} where p.uid = c1", u, n, n, n, b, b, b, n)
	st.rekeyContacts = rows("update profiles p set contact = c3, contact_key = c4 from {rows} where p.uid = c1 and p.revision = c2", u, n, b, n)
	st.deleteProfiles = rows("delete from profiles p using {rows} where p.uid = c1", u)
	st.insertTombstones = rows("insert into tombstones (uid, revision) select * from {rows} on conflict (uid) do update set revision = excluded.revision", u, n)
	st.insertHashes = rows("insert into identifiers (key_id, hash, uid, kind) select * from {rows} on conflict (key_id, hash, uid) do nothing", n, b, u, n)
	st.insertEvents = rows("insert into events (id, uid, time, create_time, origin, event_id, body) select * from {rows}", b, u, n, n, u, b, b)
	st.moveEvents = rows("update events e set uid = c3, origin = c4 from {rows} where e.id = c1 and e.uid = c2", b, u, u, u)
	st.deleteEvents = rows("delete from events e using {rows} where e.id = c1 and e.uid = c2", b, u)
	st.deleteStories = rows("delete from events e using {rows} where e.uid = c1", u)
	st.putDue = rows("insert into due (uid, day, version) select * from {rows} on conflict (uid) do update set day = excluded.day, version = excluded.version where due.version = excluded.version - 1", u, n, n)
	st.deleteDue = rows("delete from due d using {rows} where d.uid = c1", u)
	st.deleteHashes = rows("delete from identifiers i using {rows} where i.key_id = c1 and i.hash = c2 and i.uid = c3", n, b, u)
}
