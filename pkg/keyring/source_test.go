package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// record is a log that is looked at.
type record struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String()
}

func open(t *testing.T, path string) (*keyring.Source, *record) {
	t.Helper()
	log := &record{}
	s, err := keyring.Open(keyring.Config{Path: path, Poll: time.Second, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return s, log
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// promoted is the plain file with the other keys as primary ones.
func promoted(t *testing.T) string {
	t.Helper()
	k, err := parse(t, plain).Promote(keyring.Contact, 9)
	if err != nil {
		t.Fatal(err)
	}
	if k, err = k.Promote(keyring.Index, 3); err != nil {
		t.Fatal(err)
	}
	return marshal(t, k)
}

func TestReloadTakesAChangedFile(t *testing.T) {
	path := write(t, plain)
	s, log := open(t, path)
	before, woken := s.Ring(), s.Changed()
	if changed, err := s.Reload(t.Context()); changed || err != nil || s.Ring() != before || closed(woken) {
		t.Errorf("an unchanged file: %v, %v", changed, err)
	}
	put(t, path, promoted(t))
	if changed, err := s.Reload(t.Context()); !changed || err != nil {
		t.Fatalf("a changed file: %v, %v", changed, err)
	}
	if !closed(woken) || closed(s.Changed()) {
		t.Error("the channel that was taken is open, or the next one closed")
	}
	if r := s.Ring(); r.PrimaryContact() != 9 || r.PrimaryIndex() != 3 || before.PrimaryContact() != 7 {
		t.Errorf("the ring is %v, was %v", r, before)
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "contact key 9") || leaks(log.String()) {
		t.Errorf("the log does not tell the change, or shows keys: %s", log)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if changed, err := s.Reload(ctx); changed || !errors.Is(err, context.Canceled) {
		t.Errorf("after its context: %v, %v", changed, err)
	}
}

func TestAFileThatCannotBeUsedChangesNothing(t *testing.T) {
	path := write(t, plain)
	s, log := open(t, path)
	before, woken := s.Ring(), s.Changed()
	otherMaterial := whole(set(keyring.Contact, 7, rawKey{id: 7, bytes: contact9.bytes}), set(keyring.Index, 5, index5))
	foreignIndex := whole(set(keyring.Contact, 7, contact7), set(keyring.Index, 6, rawKey{id: 6, bytes: index5.bytes}))
	for name, c := range map[string]struct {
		text   string
		kind   fault.Kind
		reason string
	}{
		"gone":               {"", fault.NotFound, keyring.ReasonMissing},
		"empty":              {" ", fault.Invalid, keyring.ReasonBroken},
		"cut":                {plain[:len(plain)-50], fault.Invalid, keyring.ReasonBroken},
		"of others":          {marshal(t, fresh(t)), fault.Precondition, keyring.ReasonForeign},
		"no index key kept":  {foreignIndex, fault.Precondition, keyring.ReasonForeign},
		"another key as old": {otherMaterial, fault.Precondition, keyring.ReasonForeign},
	} {
		if put(t, path, c.text); c.text == "" {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		lines := strings.Count(log.String(), "level=ERROR")
		for range 3 {
			changed, err := s.Reload(t.Context())
			refuse(t, err, c.kind, c.reason)
			if changed || s.Ring() != before || closed(woken) || !errors.Is(s.Err(), err) || leaks(err.Error()) {
				t.Errorf("%s: changed %v, %v; keeps %v", name, changed, err, s.Err())
			}
		}
		if got := strings.Count(log.String(), "level=ERROR") - lines; got != 1 {
			t.Errorf("%s: logged %d times, want once: %s", name, got, log)
		}
		put(t, path, plain)
		if changed, err := s.Reload(t.Context()); changed || err != nil || s.Err() != nil {
			t.Errorf("%s: after it was restored: %v, %v, %v", name, changed, err, s.Err())
		}
	}
	if leaks(log.String()) {
		t.Errorf("the log shows keys: %s", log)
	}
}

// TestRunFollowsTheFile runs on the clock of the bubble, so that polls take no time.
func TestRunFollowsTheFile(t *testing.T) {
	path := write(t, plain)
	synctest.Test(t, func(t *testing.T) {
		s, log := open(t, path)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		start := time.Now()
		woken := s.Changed()
		put(t, path, promoted(t))
		<-woken
		if took := time.Since(start); took > time.Second || s.Ring().PrimaryContact() != 9 {
			t.Errorf("after %v the ring is %v", took, s.Ring())
		}
		put(t, path, "broken")
		woken = s.Changed()
		select {
		case <-woken:
			t.Error("a broken file was taken")
		case <-time.After(time.Hour):
		}
		if s.Ring().PrimaryContact() != 9 || fault.ReasonOf(s.Err()) != keyring.ReasonBroken || strings.Count(log.String(), "level=ERROR") != 1 {
			t.Errorf("after an hour with a broken file the ring is %v, the error %v, the log %s", s.Ring(), s.Err(), log)
		}
		put(t, path, plain)
		<-woken
		if s.Ring().PrimaryContact() != 7 || s.Err() != nil {
			t.Errorf("the ring is %v, the error %v", s.Ring(), s.Err())
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestMountedSecretsAreFollowedThroughTheirLinks(t *testing.T) {
	// As kubelet does it: the name leads through a link to a folder, and that link is replaced.
	dir := t.TempDir()
	for name, text := range map[string]string{"one": plain, "two": promoted(t)} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "keys.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "keys.json")
	for link, to := range map[string]string{"..data": "one", "keys.json": filepath.Join("..data", "keys.json"), "..next": "two"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	s, log := open(t, path)
	if !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("nothing warns of mode 0644: %s", log)
	}
	if err := os.Rename(filepath.Join(dir, "..next"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.Reload(t.Context()); !changed || err != nil || s.Ring().PrimaryContact() != 9 {
		t.Errorf("changed %v, %v, ring %v", changed, err, s.Ring())
	}
}

func TestReloadsAndReadersMeet(t *testing.T) {
	path := write(t, plain)
	s, _ := open(t, path)
	texts := []string{plain, promoted(t)}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for range 200 {
				if _, err := s.Reload(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 3 {
		all.Go(func() {
			for range 500 {
				changed := s.Changed()
				r := s.Ring()
				sealed, err := r.Seal([]byte("x"), nil)
				if err != nil {
					t.Error(err)
				}
				if _, err := s.Ring().Open(sealed, nil); err != nil {
					t.Error(err)
				}
				if len(s.Ring().Hashes(sealed)) != 2 || s.Err() != nil {
					t.Error(s.Err())
				}
				_ = closed(changed)
			}
		})
	}
	all.Go(func() {
		for n := range 100 {
			put(t, path, texts[n%2])
		}
	})
	all.Wait()
	put(t, path, texts[0])
	if _, err := s.Reload(t.Context()); err != nil || s.Ring().PrimaryContact() != 7 {
		t.Errorf("at last %v, %v", s.Ring(), err)
	}
}

func TestOpenOrCreateMakesTheFileOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	cfg := keyring.Default()
	cfg.Path, cfg.Logger = path, testkit.Logger(t)
	_, err := keyring.Open(cfg)
	refuse(t, err, fault.NotFound, keyring.ReasonMissing)
	var all sync.WaitGroup
	sums := make(chan keyring.Hash, 8)
	for range cap(sums) {
		all.Go(func() {
			s, err := keyring.OpenOrCreate(cfg)
			if err != nil {
				t.Error(err)
				return
			}
			sums <- s.Ring().Hash([]byte("x"))
		})
	}
	all.Wait()
	close(sums)
	want, ok := <-sums
	for got := range sums {
		if got != want {
			t.Errorf("two openings have different keys: %v, %v", got.Key, want.Key)
		}
	}
	if !ok || mode(t, path) != 0o600 {
		t.Errorf("opened %v, mode %o", ok, mode(t, path))
	}
	put(t, path, "broken")
	_, err = keyring.OpenOrCreate(cfg)
	refuse(t, err, fault.Invalid, keyring.ReasonBroken)
	if content(t, path) != "broken" {
		t.Error("a broken file was replaced")
	}
	cfg.Path = filepath.Join(t.TempDir(), "no", "keys.json")
	_, err = keyring.OpenOrCreate(cfg)
	refuse(t, err, fault.Precondition, keyring.ReasonUnwritable)
	cfg.Path, cfg.Poll = "", -1
	_, err = keyring.OpenOrCreate(cfg)
	refuse(t, err, fault.Invalid, fault.ReasonInvalid)
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "keys-poll") || !strings.Contains(err.Error(), "which key file") {
		t.Errorf("wrong settings: %v", err)
	}
}

func TestAFixedSourceStays(t *testing.T) {
	r := ring(t, fresh(t))
	s := keyring.Fixed(r)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	if changed, err := s.Reload(t.Context()); changed || err != nil || s.Err() != nil || s.Ring() != r || closed(s.Changed()) {
		t.Errorf("changed %v, %v", changed, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
