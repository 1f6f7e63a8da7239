package sqlstore_test

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
	"github.com/narrowcast/narrowcast/services/profile/storetest"
)

// TestTwoProcessesMergeTheSamePeople lets two stores merge, unmerge and change the same few people at once.
func TestTwoProcessesMergeTheSamePeople(t *testing.T) {
	a, b, _ := two(t)
	storetest.ConcurrentMerges(t, a, b)
}

// mergedPair is a store with a pair of which one was merged into the other.
func mergedPair(t *testing.T, cfg sqlstore.Config) (s *sqlstore.Store, a, b *profile.Profile) {
	t.Helper()
	s = open(t, cfg)
	var err error
	if a, _, err = s.Create(t.Context(), marked(1), ""); err != nil {
		t.Fatal(err)
	}
	if b, _, err = s.Create(t.Context(), marked(2), ""); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err = s.Merge(t.Context(), a.UID, b.UID, profile.MergeOptions{}); err != nil {
		t.Fatal(err)
	}
	return s, a, b
}

// back takes the pair's merge back and holds what comes of it against what was.
func back(t *testing.T, s *sqlstore.Store, a, b *profile.Profile) {
	t.Helper()
	restored, remaining, _, err := s.Unmerge(t.Context(), b.UID)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range [][2]*profile.Profile{{restored, b}, {remaining, a}} {
		p[1].Revision, p[1].UpdateTime = p[0].Revision, p[0].UpdateTime
		if !reflect.DeepEqual(p[0], p[1]) {
			t.Errorf("came back as %+v, want %+v", p[0], p[1])
		}
	}
}

func TestWhatIsKeptOfAMergeIsSealed(t *testing.T) {
	path, keys := filepath.Join(t.TempDir(), "profile.db"), newKeys(t)
	cfg := sqlstore.Config{SQL: sqldb.Config{Path: path}, Keys: keys}
	s, a, b := mergedPair(t, cfg)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if inClear(t, path) {
		t.Error("the file holds contact data in clear")
	}
	back(t, open(t, cfg), a, b)
}

// TestAMergeIsTakenBackAfterARotation changes all keys while a merge can be taken back.
func TestAMergeIsTakenBackAfterARotation(t *testing.T) {
	for name, where := range engines {
		t.Run(name, func(t *testing.T) {
			keys := newKeys(t)
			s, a, b := mergedPair(t, sqlstore.Config{SQL: where(t), Keys: keys})
			former := keys.begin(t, keyring.Contact)
			use, err := s.KeyUse(t.Context())
			if err != nil || use.Contact[former] != 2 { // the survivor, and what is kept of the merge
				t.Fatalf("in use are %+v (%v)", use, err)
			}
			if n := keys.finish(t, s, keyring.Contact, former); n == 0 {
				t.Error("nothing was put under the new key")
			}
			keys.finish(t, s, keyring.Index, keys.begin(t, keyring.Index))
			back(t, s, a, b)
		})
	}
}

// TestOneMissingKeyHidesNoOtherFromARotation has more merges under a key that nobody has any more than a step of a rotation takes.
func TestOneMissingKeyHidesNoOtherFromARotation(t *testing.T) {
	for name, where := range engines {
		t.Run(name, func(t *testing.T) {
			keys, lost := newKeys(t), newKeys(t)
			s, a, b := mergedPair(t, sqlstore.Config{SQL: where(t), Keys: keys})
			for n := byte(1); n <= 3; n++ {
				uid := audience.UID{n} // before those of anybody
				sealed, err := lost.Ring().Seal([]byte("lost"), append(uid[:], "merge"...))
				if err != nil {
					t.Fatal(err)
				}
				sqlstore.Damage(t, s, "insert into merges (uid, expire_time, record, record_key) select $1, max(expire_time), $2, $3 from merges", uid[:], sealed, int64(lost.primary(keyring.Contact)))
			}
			former := keys.begin(t, keyring.Contact)
			for {
				n, err := s.Rekey(t.Context(), 2)
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					break
				}
			}
			use, err := s.KeyUse(t.Context())
			if err != nil || use.Contact[former] != 0 || use.Contact[lost.primary(keyring.Contact)] != 3 {
				t.Errorf("after the rotation in use are %+v (%v), want none under %d", use, err, former)
			}
			back(t, s, a, b)
		})
	}
}

// TestThePeriodOfAMergeIsConfigured also keeps the period that a merge was made with.
func TestThePeriodOfAMergeIsConfigured(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	cfg := sqlstore.Config{SQL: sqldb.Config{Path: filepath.Join(t.TempDir(), "profile.db")}, Keys: newKeys(t), UndoPeriod: time.Hour, Now: func() time.Time { return now }}
	s, a, b := mergedPair(t, cfg)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.UndoPeriod = 0
	s = open(t, cfg)
	now = now.Add(time.Hour)
	_, _, _, err := s.Unmerge(t.Context(), b.UID)
	if fault.ReasonOf(err) != profile.ReasonMergeExpired {
		t.Errorf("after the period: %v", err)
	}
	now = now.Add(-time.Microsecond)
	back(t, s, a, b)
}
