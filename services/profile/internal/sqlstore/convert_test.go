package sqlstore_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
)

// oldRecord is the one text of all fields, by ascending number, that programs before version 2 of the schema stored.
func oldRecord(p *profile.Profile) []byte {
	type field struct {
		number uint64
		raw    []byte
	}
	var fields []field
	for _, part := range [][]byte{record.Contact(nil, p), record.Body(nil, p)} {
		for rest := part[min(1, len(part)):]; len(rest) > 0; {
			number, n := binary.Uvarint(rest)
			size, m := binary.Uvarint(rest[n:])
			end := n + m + int(size)
			fields = append(fields, field{number, rest[:end]})
			rest = rest[end:]
		}
	}
	slices.SortStableFunc(fields, func(a, b field) int { return cmp.Compare(a.number, b.number) })
	out := []byte{1}
	for _, f := range fields {
		out = append(out, f.raw...)
	}
	return out
}

// marker is in every name and address of these tests, and in no file that keeps them.
const marker = "zyxmarker"

func marked(n int) *profile.Profile {
	given := fmt.Sprint("Given-"+marker, n)
	return &profile.Profile{
		GivenName: &given, Occupation: fmt.Sprint("occupation ", n),
		Identifiers: []profile.Identifier{
			{Kind: profile.KindExternalID, Source: "crm", Value: fmt.Sprint("C-"+marker, n)}, {Kind: "email", Value: fmt.Sprintf("%s%d@example.com", marker, n)},
		},
	}
}

// oldStore makes a file as a program with version 1 of the schema left it: addresses as they were given, and no keys.
func oldStore(t *testing.T, path string, people int) []*profile.Profile {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile("migrations/sqlite/00001_profiles.sql")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context(), fstest.MapFS{"00001_profiles.sql": {Data: first}}, testkit.Logger(t)); err != nil {
		t.Fatal(err)
	}
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := db.Write.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec("begin")
	exec("insert into store (id, store, incarnation, revision, mark) values (1, 'old', 'life', $1, x'0102')", people)
	exec("insert into marks (revision, mark) values ($1, x'0102')", people)
	var want []*profile.Profile
	for n := range people {
		p := marked(n)
		p.UID, p.Revision = audience.UID{1, byte(n >> 8), byte(n), 15: 1}, int64(n+1)
		p.CreateTime, p.UpdateTime = time.UnixMicro(int64(1000+n)).UTC(), time.UnixMicro(int64(2000+n)).UTC()
		if n == 3 { // nobody knows who
			p.GivenName, p.Identifiers = nil, nil
		}
		typed := p.Clone()
		if n%2 == 1 && n != 3 {
			typed.Identifiers[1].Value = fmt.Sprintf(" %s%d@EXAMPLE.com", "ZyxMarker", n)
		}
		exec("insert into profiles (uid, revision, create_time, update_time, body) values ($1, $2, $3, $4, $5)",
			p.UID[:], p.Revision, p.CreateTime.UnixMicro(), p.UpdateTime.UnixMicro(), oldRecord(typed))
		for _, id := range typed.ExternalIDs() {
			exec("insert into external_ids (source, value, uid) values ($1, $2, $3)", id.Source, id.Value, p.UID[:])
		}
		want = append(want, p)
	}
	exec("insert into requests (request_id, uid, revision, create_time, body) values ('r', $1, 1, $2, $3)", want[0].UID[:], time.Now().UnixMicro(), oldRecord(want[0]))
	exec("commit")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return want
}

// interrupted are keys during whose use something else happens.
type interrupted struct {
	sqlstore.Keys
	left int
	then func()
}

func (k *interrupted) Ring() *keyring.Ring {
	if k.left--; k.left == 0 {
		k.then()
	}
	return k.Keys.Ring()
}

// inClear reports whether a file of the store, or one beside it, holds the marker.
func inClear(t *testing.T, path string) bool {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("the files of the store: %v (%v)", files, err)
	}
	found := false
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found = found || bytes.Contains(bytes.ToLower(b), []byte(marker))
	}
	return found
}

func TestAStoreOfTheVersionBeforeIsSealed(t *testing.T) {
	path, keys := filepath.Join(t.TempDir(), "profile.db"), newKeys(t)
	const people = 2300 // in three steps
	want := oldStore(t, path, people)
	if !inClear(t, path) {
		t.Fatal("the old store has nothing in clear: the test would see nothing")
	}
	// The first start ends in the middle of the second step.
	ctx, cancel := context.WithCancel(t.Context())
	_, err := sqlstore.Open(ctx, config(t, sqlstore.Config{SQL: sqldb.Config{Path: path}, Keys: &interrupted{Keys: keys, left: 3000, then: cancel}}))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("an interrupted start: %v", err)
	}
	db, err := sqldb.Open(t.Context(), sqldb.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	var done int
	if err := db.Read.QueryRowContext(t.Context(), "select count(*) from profiles where contact is not null").Scan(&done); err != nil || done == 0 || done > people/2 {
		t.Fatalf("%d profiles are sealed after the interrupted start (%v): the test needs some and not all", done, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, sqlstore.Config{SQL: sqldb.Config{Path: path}, Keys: keys})
	if inClear(t, path) {
		t.Error("contact data is left in clear in the file")
	}
	got, err := s.List(t.Context(), audience.UID{}, people+1)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%d profiles came over, not as they were (%v)", len(got), err)
	}
	for _, n := range []int{0, 1, 999, 1000, people - 1} {
		found, err := s.Resolve(t.Context(), want[n].Identifiers)
		if err != nil || !slices.Equal(found[0], []audience.UID{want[n].UID}) || !slices.Equal(found[1], found[0]) {
			t.Errorf("person %d is found as %x (%v)", n, found, err)
		}
	}
	head, err := s.Head(t.Context())
	if err != nil || head.Store != "old" || head.Incarnation != "life" || head.Revision != people {
		t.Errorf("the head is %+v (%v)", head, err)
	}
	if err := s.Check(t.Context(), "old", "life", head.Position); err != nil {
		t.Errorf("a position from before is refused: %v", err)
	}
	again, _, err := s.Create(t.Context(), marked(0), "r")
	if err != nil || again.UID != want[0].UID || !slices.Equal(again.Identifiers, want[0].Identifiers) {
		t.Errorf("a request from before is answered with %+v (%v)", again, err)
	}
	results, _, err := s.Upsert(t.Context(), []profile.Row{{Profile: marked(5)}})
	if err != nil || results[0] != (profile.Upserted{UID: want[5].UID, Outcome: profile.Unchanged}) {
		t.Errorf("a person from before, the same: %+v (%v)", results, err)
	}
}

// TestContactDataIsNeverInTheFileInClear looks for what was planted in all that the store writes, its log included, while it is open and
// after.
func TestContactDataIsNeverInTheFileInClear(t *testing.T) {
	path := filepath.Join(t.TempDir(), "profile.db")
	s := open(t, sqlstore.Config{SQL: sqldb.Config{Path: path}})
	first, _, err := s.Create(t.Context(), marked(1), "request")
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]profile.Row, 500)
	for n := range rows {
		rows[n].Profile = marked(n)
	}
	if _, _, _, err := s.Import(t.Context(), "import", 0, rows); err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Update(t.Context(), first.UID, "", func(p *profile.Profile) error {
		family := "Family-" + marker
		p.FamilyName = &family
		p.Identifiers = append(p.Identifiers, profile.Identifier{Kind: "cookie", Source: "shop", Value: marker})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if inClear(t, path) {
		t.Error("contact data is in clear while the store is open")
	}
	if _, err := s.Delete(t.Context(), first.UID, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if inClear(t, path) {
		t.Error("contact data is in clear in the closed file")
	}
	raw, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(raw, []byte("occupation 7")) {
		t.Errorf("the file does not hold what is not sealed (%v): the test would see nothing", err)
	}
}
