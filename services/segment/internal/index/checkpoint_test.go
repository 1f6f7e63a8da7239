package index_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/segment/internal/checkpoint"
	"github.com/narrowcast/narrowcast/services/segment/internal/index"
	"github.com/narrowcast/narrowcast/services/segment/internal/sqlstore"
)

// keep makes the world's index one with checkpoints, from the beginning.
func (w *world) keep(path string) {
	w.t.Helper()
	var err error
	if w.dir, err = checkpoint.Open(path); err != nil {
		w.t.Fatal(err)
	}
	w.restart(index.Config{CheckpointEvery: time.Nanosecond})
}

// saved ticks until the checkpoint is of the newest revision and not under way.
func (w *world) saved() {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		w.now = w.now.Add(time.Millisecond)
		if _, err := w.x.Tick(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		if m, err := w.dir.Load(); err == nil && m.Revision == w.revision && !w.x.Saving() {
			return
		}
	}
	w.t.Fatal("no checkpoint was written")
}

// resume restarts the index from its checkpoint and offers what the profile store would: the changes after the cursor, compacted.
func (w *world) resume() bool {
	w.t.Helper()
	w.restart(index.Config{CheckpointEvery: time.Hour})
	from, ok := w.x.Resume(w.t.Context(), w.id)
	if !ok {
		return false
	}
	after, err := strconv.ParseUint(from.Cursor, 10, 64)
	if err != nil {
		w.t.Fatal(err)
	}
	var changes []index.Change
	for _, a := range w.declared {
		if a.Revision > after {
			changes = append(changes, index.Change{Attribute: &a})
		}
	}
	for _, uid := range slices.SortedFunc(maps.Keys(w.last), compareUIDs) {
		if w.last[uid] > after {
			changes = append(changes, index.Change{UID: uid, Facts: maps.Clone(w.people[uid])})
		}
	}
	half := len(changes) / 2
	if err := w.x.Offer(w.t.Context(), index.Batch{Changes: changes[:half], Through: w.point(), Replaying: true}); err != nil {
		w.t.Fatal(err)
	}
	w.offer(changes[half:]...)
	w.tick()
	return true
}

// TestAnIndexFromACheckpointIsThatOfTheWholeReplay writes checkpoints among random changes of people, rules, lists and days, restarts from
// them with more changes since, and compares all that a reader finds with the truth.
func TestAnIndexFromACheckpointIsThatOfTheWholeReplay(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			w := newWorldOf(t, 100+seed, []index.Assigner{new(spread), new(index.Lanes)}[seed%2])
			w.keep(filepath.Join(t.TempDir(), "checkpoint"))
			w.add(150)
			w.replay()
			w.segment("a", w.randomRule(2))
			w.list("l", w.newest(20)...)
			w.segment("b", `segment("segments/l") && !(age() < 3) || segment("segments/a")`)
			w.segment("c", w.randomRule(3, "a", "b"))
			w.tick()
			w.check()
			for range 3 {
				w.something()
				w.saved()
				for range w.r.IntN(3) {
					w.something()
				}
				if !w.resume() {
					t.Fatal("the checkpoint was not used")
				}
				w.check()
				w.offer(append(w.alter(10, 2), w.add(5)...)...)
				w.tick()
				w.check()
				w.restart(index.Config{CheckpointEvery: time.Nanosecond})
				if !w.resumeAgain() {
					t.Fatal("the checkpoint was not used a second time")
				}
				w.check()
			}
		})
	}
}

// resumeAgain is resume with checkpoints going on.
func (w *world) resumeAgain() bool {
	ok := w.resume()
	w.restart(index.Config{CheckpointEvery: time.Nanosecond})
	if !ok {
		return false
	}
	w.x.Begin(w.id)
	w.replay()
	w.tick()
	return true
}

// newest are uids of people who live.
func (w *world) newest(n int) []audience.UID {
	all := slices.SortedFunc(maps.Keys(w.people), compareUIDs)
	return all[max(0, len(all)-n):]
}

// something changes something.
func (w *world) something() {
	w.t.Helper()
	switch w.r.IntN(7) {
	case 0:
		w.segment("a", w.randomRule(2))
	case 1:
		w.list("l", w.newest(3)...)
	case 2:
		w.segment("d"+strconv.Itoa(len(w.uids)), w.randomRule(2, "a", "l"))
	case 3:
		w.now = w.now.Add(24 * time.Hour)
		w.offer()
	default:
		w.offer(append(w.alter(30, 5), w.add(w.r.IntN(40))...)...)
	}
	w.tick()
	w.offer(w.alter(1, 0)...) // a revision, so that there is something to save
	w.tick()
}

// TestACheckpointThatIsNotRightIsNotUsed damages the checkpoint, or what it has to agree with, in every way, and builds from the beginning.
func TestACheckpointThatIsNotRightIsNotUsed(t *testing.T) {
	t.Parallel()
	begun := func(t *testing.T) (*world, string) {
		w := newWorld(t, 200)
		path := filepath.Join(t.TempDir(), "checkpoint")
		w.keep(path)
		w.add(60)
		w.replay()
		w.segment("a", w.randomRule(2))
		w.tick()
		w.saved()
		return w, path
	}
	file := func(t *testing.T, path, pattern string) string {
		list, err := filepath.Glob(filepath.Join(path, pattern))
		if err != nil || len(list) == 0 {
			t.Fatal(list, err)
		}
		return list[0]
	}
	for name, damage := range map[string]func(t *testing.T, w *world, path string){
		"a block's byte": func(t *testing.T, _ *world, path string) {
			at := file(t, path, "block-*")
			data, err := os.ReadFile(at)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)/2] ^= 4
			if err := os.WriteFile(at, data, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"a block is gone": func(t *testing.T, _ *world, path string) {
			if err := os.Remove(file(t, path, "block-*")); err != nil {
				t.Fatal(err)
			}
		},
		"the manifest is cut": func(t *testing.T, _ *world, path string) {
			if err := os.Truncate(file(t, path, "manifest*"), 40); err != nil {
				t.Fatal(err)
			}
		},
		"another life of the profile store": func(_ *testing.T, w *world, _ string) { w.id.Incarnation = "life2" },
		"another zone":                      func(_ *testing.T, w *world, _ string) { w.id.Zone = "UTC" },
		"ordinals were lost": func(t *testing.T, w *world, _ string) {
			w.restoreOrdinals(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, path := begun(t)
			damage(t, w, path)
			if w.resume() {
				t.Fatal("it was used")
			}
			w.x.Begin(w.id)
			w.replay()
			w.tick()
			w.check()
		})
	}
}

// restoreOrdinals makes the record of ordinals that of a store that was lost: a new one.
func (w *world) restoreOrdinals(t *testing.T) {
	t.Helper()
	fresh := newWorld(t, 201)
	w.store, w.bytes = fresh.store, fresh.bytes
	w.rules, w.uids = make(map[string]string), make(map[string]string)
}

// TestRowsOfLostDefinitionsAreNotKept sets the segment store back to before a rule was edited, and edits it otherwise: its revision, and so
// the name of its row, is the same again.
func TestRowsOfLostDefinitionsAreNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 203)
	w.add(80)
	w.replay()
	w.segment("s", `gender == "female"`)
	w.tick()
	var before []byte
	w.reopen(func() (err error) {
		before, err = os.ReadFile(w.path)
		return err
	})
	w.keep(filepath.Join(t.TempDir(), "checkpoint"))
	w.replay()
	w.segment("s", `has(income)`)
	w.tick()
	w.saved()
	w.reopen(func() error { return os.WriteFile(w.path, before, 0o600) })
	w.segment("s", `!has(income)`)
	if !w.resume() {
		t.Fatal("the checkpoint was not used")
	}
	w.check()
}

// reopen closes the segment store, does something to its file, and opens it again.
func (w *world) reopen(meanwhile func() error) {
	w.t.Helper()
	w.x.Abandon()
	err := errors.Join(w.store.Close(), meanwhile())
	if err == nil {
		w.store, err = sqlstore.Open(w.t.Context(), sqlstore.Config{DB: sqldb.Config{Path: w.path}})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestWhoWasDeletedIsNotInTheNextCheckpoint looks for the uids of deleted people in all files.
func TestWhoWasDeletedIsNotInTheNextCheckpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 202)
	path := filepath.Join(t.TempDir(), "checkpoint")
	w.keep(path)
	w.add(80)
	w.replay()
	w.tick()
	w.saved()
	before := maps.Clone(w.people)
	w.offer(w.alter(0, 10)...)
	w.tick()
	w.saved()
	list, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	held := make(map[audience.UID]bool)
	for _, e := range list {
		data, err := os.ReadFile(filepath.Join(path, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+16 <= len(data); i++ {
			if _, ok := before[audience.UID(data[i:])]; ok {
				held[audience.UID(data[i:])] = true
			}
		}
	}
	if len(held) != len(w.people) {
		t.Errorf("%d of the people are in the files, %d live", len(held), len(w.people))
	}
	for uid := range held {
		if w.people[uid] == nil {
			t.Error("a deleted profile is in a file")
		}
	}
	if !w.resume() {
		t.Fatal("the checkpoint was not used")
	}
	w.check()
}

// TestNothingIsSavedWhileCompactedChangesCome holds that no file has what the cursor of its checkpoint does not reach: a stream that was cut
// goes on with compacted changes, whose position is known only at their end.
func TestNothingIsSavedWhileCompactedChangesCome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 204)
	w.keep(filepath.Join(t.TempDir(), "checkpoint"))
	w.add(60)
	w.replay()
	w.tick()
	w.saved()
	w.offer(w.alter(3, 0)...) // so that there is something to save
	before := w.revision
	if err := w.x.Offer(t.Context(), index.Batch{Changes: w.alter(20, 3), Through: w.point(), Replaying: true}); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		w.now = w.now.Add(time.Millisecond)
		if _, err := w.x.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := w.dir.Load(); err != nil || m.Revision >= before {
		t.Errorf("a checkpoint of revision %d was written among changes that its cursor does not know, %v", m.Revision, err)
	}
	w.offer()
	w.tick()
	w.saved()
	if !w.resume() {
		t.Fatal("the checkpoint was not used")
	}
	w.check()
}
