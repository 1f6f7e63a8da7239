package sqlstore

import "testing"

// MakeNewer closes a store as a program of a later version would leave it.
func MakeNewer(t testing.TB, s *Store) {
	t.Helper()
	if _, err := s.db.Write.ExecContext(t.Context(), "insert into goose_db_version (version_id, is_applied) values (99999, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
