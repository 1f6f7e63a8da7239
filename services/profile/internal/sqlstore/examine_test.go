package sqlstore_test

import (
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
)

func TestEachKindOfDamageIsNamed(t *testing.T) {
	for engine, where := range engines {
		t.Run(engine, func(t *testing.T) {
			cfg := config(t, sqlstore.Config{SQL: where(t)})
			s := open(t, cfg)
			var at [4]profile.Profile
			for i := range at {
				p := person(i)
				p.GivenName = new("Ada")
				p.Identifiers = append(p.Identifiers, profile.Identifier{Kind: "email", Value: "ada@example.com"})
				made, _, err := s.Create(t.Context(), p, "")
				if err != nil {
					t.Fatal(err)
				}
				at[i] = *made
			}
			if _, _, _, err := s.Merge(t.Context(), at[1].UID, at[3].UID, profile.MergeOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Delete(t.Context(), at[2].UID, ""); err != nil {
				t.Fatal(err)
			}
			visit := &profile.Event{ID: "e", UID: at[0].UID, Kind: profile.EventVisit, Time: time.Now().AddDate(0, 0, -3)}
			if _, _, err := s.Record(t.Context(), []profile.EventRow{{Event: visit}}); err != nil {
				t.Fatal(err)
			}
			examine := func() map[string][]profile.Problem {
				t.Helper()
				found := make(map[string][]profile.Problem)
				n, err := sqlstore.Examine(t.Context(), cfg, func(p profile.Problem) { found[p.Check] = append(found[p.Check], p) })
				if err != nil {
					t.Fatal(err)
				}
				if n != (profile.Examined{Profiles: 2, Identifiers: n.Identifiers, Tombstones: 2, Events: 1, Merges: 1}) || n.Identifiers < 3 {
					t.Errorf("examined %+v", n)
				}
				return found
			}
			if found := examine(); len(found) != 0 {
				t.Fatalf("a sound store has %+v", found)
			}
			text := backup(t, cfg)
			tables := []string{"profiles", "tombstones", "identifiers", "events", "due", "redirects", "merges", "settings"}
			for _, name := range append(tables, "marks") {
				sqlstore.Damage(t, s, "create table kept_"+name+" as select * from "+name)
			}
			uid, other, gone, merged := at[0].UID[:], at[1].UID[:], at[2].UID[:], at[3].UID[:]
			for _, c := range []struct {
				damage, check, name string
				args                []any
			}{
				{"update profiles set revision = 1000000 where uid = $1", profile.CheckHead, profile.Name(at[0].UID), []any{uid}},
				{"update marks set mark = $1", profile.CheckHead, "", []any{[]byte("another!")}},
				{"update profiles set revision = (select max(revision) from tombstones) where uid = $1", profile.CheckRevisions, profile.Name(at[2].UID), []any{uid}},
				{"update profiles set body = $1 where uid = $2", profile.CheckRecords, profile.Name(at[0].UID), []any{[]byte{0xff}, uid}},
				{"update profiles set contact = (select contact from profiles where uid = $1) where uid = $2", profile.CheckContacts, profile.Name(at[1].UID), []any{uid, other}},
				{"update profiles set contact_key = 7 where uid = $1", profile.CheckContacts, profile.Name(at[0].UID), []any{uid}},
				{"delete from identifiers where uid = $1 and kind = 1", profile.CheckIdentifiers, profile.Name(at[0].UID), []any{uid}},
				{"update identifiers set hash = $1 where uid = $2 and kind <> 1", profile.CheckIndex, profile.Name(at[1].UID), []any{[]byte("0123456789abcdef"), other}},
				{"update identifiers set uid = $1 where uid = $2 and kind = 1", profile.CheckIndex, profile.Name(at[2].UID), []any{gone, uid}},
				{"insert into tombstones (uid, revision) values ($1, 1000001)", profile.CheckTombstones, profile.Name(at[0].UID), []any{uid}},
				{"update events set body = $1 where uid = $2", profile.CheckEvents, profile.Name(at[0].UID), []any{[]byte{0xff}, uid}},
				{"update events set uid = $1 where uid = $2", profile.CheckEvents, profile.Name(at[2].UID), []any{gone, uid}},
				{"delete from events where uid = $1", profile.CheckDue, profile.Name(at[0].UID), []any{uid}},
				{"update due set day = 4000000 where uid = $1", profile.CheckDue, profile.Name(at[0].UID), []any{uid}},
				{"delete from due where uid = $1", profile.CheckDue, profile.Name(at[0].UID), []any{uid}},
				{"insert into due (uid, day, version) values ($1, 1, 1)", profile.CheckDue, profile.Name(at[2].UID), []any{gone}},
				{"update settings set behaviour = 'others'", profile.CheckDue, "", nil},
				{"delete from tombstones where uid = $1", profile.CheckRedirects, profile.Name(at[3].UID), []any{merged}},
				{"update redirects set target = $1 where uid = $2", profile.CheckRedirects, profile.Name(at[3].UID), []any{uid, merged}},
				{"update redirects set uid = $1 where uid = $2", profile.CheckRedirects, profile.Name(at[0].UID), []any{uid, merged}},
				{"insert into redirects (uid, survivor, target, seq) select $1, survivor, target, seq from redirects", profile.CheckRedirects, profile.Name(at[2].UID), []any{gone}},
				{"insert into redirects (uid, survivor, target, seq) select target, uid, uid, 1 from redirects where uid = $1", profile.CheckRedirects, profile.Name(at[3].UID), []any{merged}},
				{"delete from redirects where uid = $1", profile.CheckMerges, profile.Name(at[3].UID), []any{merged}},
				{"update merges set record = $1", profile.CheckMerges, profile.Name(at[3].UID), []any{[]byte("not sealed")}},
				{"update merges set record_key = 7", profile.CheckMerges, profile.Name(at[3].UID), nil},
			} {
				sqlstore.Damage(t, s, c.damage, c.args...)
				found := examineAny(t, cfg)
				ok := false
				for _, p := range found[c.check] {
					ok = ok || p.Name == c.name
				}
				if !ok {
					t.Errorf("%s: found %+v, want %s of %q", c.damage, found, c.check, c.name)
				}
				// And all is well again.
				sqlstore.Damage(t, s, "update marks set mark = (select k.mark from kept_marks k where k.n = marks.n)")
				for _, name := range tables {
					sqlstore.Damage(t, s, "delete from "+name)
					sqlstore.Damage(t, s, "insert into "+name+" select * from kept_"+name)
				}
				if found := examineAny(t, cfg); len(found) != 0 {
					t.Fatalf("after the damage was mended the store has %+v", found)
				}
			}
			cfg.SQL = where(t)
			restore(t, cfg, text)
			open(t, cfg)
			if found := examine(); len(found) != 0 {
				t.Errorf("a restored store has %+v", found)
			}
		})
	}
}

func examineAny(t *testing.T, cfg sqlstore.Config) map[string][]profile.Problem {
	t.Helper()
	found := make(map[string][]profile.Problem)
	if _, err := sqlstore.Examine(t.Context(), cfg, func(p profile.Problem) { found[p.Check] = append(found[p.Check], p) }); err != nil {
		t.Fatal(err)
	}
	return found
}
