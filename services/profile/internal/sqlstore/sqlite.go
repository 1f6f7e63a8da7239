package sqlstore

import (
	"database/sql"
	"strings"
)

// sqlite prepares lists of few lengths. Placeholders of lists have no numbers: the engine would look each one up by its name, among
// hundreds.
type sqlite struct{}

func (sqlite) sizes() []int { return []int{1, 16, 256} }

func (sqlite) text(query string, _, size int) string {
	in := "in (" + marks(max(size, 1)) + ")"
	return strings.NewReplacer("{uid}", "uid", "{origin}", "origin", "{survivor}", "survivor", "{target}", "target", "{in uid}", in, "{in hash}", in, "{for update}", "").Replace(query)
}

// marks returns n placeholders.
func marks(n int) string { return strings.Repeat("?,", n-1) + "?" }

// tuples returns n lists of placeholders of a width.
func tuples(n, width int) string {
	one := "(" + marks(width) + ")"
	return strings.Repeat(one+",", n-1) + one
}

// writes prepares what writes rows. Updates are inserts that meet their row: so many rows fit into a statement, and a transaction
// that has the file alone knows that the row is there.
func (sqlite) writes(p *preparer, st *statements) {
	insert := func(into string, width int, conflict string) *bulk {
		b := &bulk{}
		for n, at := range map[int]**sql.Stmt{1: &b.one, perStatement: &b.many} {
			*at = p.stmt(p.db.Write, "insert into "+into+" values "+tuples(n, width)+conflict)
		}
		return b
	}
	all := " on conflict (uid) do update set revision = excluded.revision, update_time = excluded.update_time, body = excluded.body, provenance = excluded.provenance"
	st.insertProfiles = insert("profiles (uid, revision, create_time, update_time, body, provenance, contact, contact_key)", 8, "")
	st.updateBodies = insert("profiles (uid, revision, create_time, update_time, body, provenance)", 6, all)
	st.updateContacts = insert("profiles (uid, revision, create_time, update_time, body, provenance, contact, contact_key)", 8,
		all+", contact = excluded.contact, contact_key = excluded.contact_key")
	st.insertTombstones = insert("tombstones (uid, revision)", 2, " on conflict (uid) do update set revision = excluded.revision")
	st.insertHashes = insert("identifiers (key_id, hash, uid, kind)", 4, " on conflict (key_id, hash, uid) do nothing")
	one := func(query string) *bulk { return &bulk{one: p.stmt(p.db.Write, query)} }
	st.rekeyContacts = one("update profiles set contact = $3, contact_key = $4 where uid = $1 and revision = $2")
	st.deleteProfiles = one("delete from profiles where uid = $1")
	st.insertEvents = insert("events (id, uid, time, create_time, origin, event_id, body)", 7, "")
	st.moveEvents = one("update events set uid = $3, origin = $4 where id = $1 and uid = $2")
	st.deleteEvents = one("delete from events where id = $1 and uid = $2")
	st.deleteStories = one("delete from events where uid = $1")
	st.putDue = insert("due (uid, day, version)", 3, " on conflict (uid) do update set day = excluded.day, version = excluded.version where due.version = excluded.version - 1")
	st.deleteDue = one("delete from due where uid = $1")
	st.deleteHashes = one("delete from identifiers where key_id = $1 and hash = $2 and uid = $3")
}
