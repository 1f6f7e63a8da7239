package keyring

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tink-crypto/tink-go/v2/key"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// DefaultPoll is how often a key file is looked at if nothing else is said.
const DefaultPoll = 10 * time.Second

// Config says which file a [Source] follows.
type Config struct {
	// Path is the key file. Links are followed anew each time, as mounted secrets need it.
	Path string
	// Poll is how often it is read; zero: DefaultPoll.
	Poll time.Duration
	// Logger hears of changes, warnings and broken files; nil: nobody does.
	Logger *slog.Logger
}

// Default returns the settings that hold if nothing else is said. There is no default path.
func Default() Config { return Config{Poll: DefaultPoll} }

// Validate reports every wrong setting.
func (c Config) Validate() error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, errors.New("keys: say which key file"))
	}
	if c.Poll < 0 {
		errs = append(errs, errors.New("keys-poll: must not be negative"))
	}
	return errors.Join(errs...)
}

// Source holds the ring that is current and replaces it when its file changes. It may be used by many goroutines at once.
type Source struct {
	cfg  Config
	ring atomic.Pointer[Ring]

	// reloading lets one reload at a time read the file; it guards keys and seen.
	reloading sync.Mutex
	keys      Keys
	seen      [sha256.Size]byte // of the file that gave keys

	mu      sync.Mutex // guards changed and failure
	changed chan struct{}
	failure error
}

// Open reads the key file and returns a source of it, which follows the file while [Source.Run] runs. Faults as in [Read].
func Open(cfg Config) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fault.New(fault.Invalid, fault.ReasonInvalid, err.Error())
	}
	if cfg.Poll == 0 {
		cfg.Poll = DefaultPoll
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Source{cfg: cfg, changed: make(chan struct{})}
	raw, mode, err := load(cfg.Path)
	if err != nil {
		return nil, err
	}
	keys, ring, err := s.parse(raw)
	if err != nil {
		return nil, err
	}
	if warning := exposed(cfg.Path, mode); warning != "" {
		s.cfg.Logger.Warn(warning)
	}
	s.keys, s.seen = keys, sha256.Sum256(raw)
	s.ring.Store(ring)
	return s, nil
}

// OpenOrCreate is [Open], and makes a file with fresh keys if there is none: for a program that keeps data and keys by itself.
// Where data is there and its keys are not, fresh keys do not help: look for the ids of the keys that the data names, and refuse
// to start.
func OpenOrCreate(cfg Config) (*Source, error) {
	s, err := Open(cfg)
	if fault.ReasonOf(err) != ReasonMissing {
		return s, err
	}
	keys, err := New()
	if err != nil {
		return nil, err
	}
	// Another process may have been quicker; then its file is the one.
	if err := Create(cfg.Path, keys); err != nil && fault.ReasonOf(err) != ReasonExist {
		return nil, err
	}
	if s, err = Open(cfg); err == nil {
		s.cfg.Logger.Info("made a key file; keep a copy of it apart from those of the data", "file", cfg.Path)
	}
	return s, err
}

// Fixed is a source whose ring never changes.
func Fixed(r *Ring) *Source {
	s := &Source{changed: make(chan struct{})}
	s.ring.Store(r)
	return s
}

// Ring returns the current ring. Take it anew for each piece of work, and use one ring throughout it.
func (s *Source) Ring() *Ring { return s.ring.Load() }

// Changed returns a channel that is closed when the current ring is replaced. Take the channel before the ring, so that no
// change falls between.
func (s *Source) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Err is why the file, as it was when it was last read, is not in use; nil if it is.
func (s *Source) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// Run reads the file again and again until the context ends, which is no error. What a reload says is logged and kept for
// [Source.Err].
func (s *Source) Run(ctx context.Context) error {
	if s.cfg.Path == "" {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(s.cfg.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			_, _ = s.Reload(ctx) // logged there
		}
	}
}

// Reload reads the file now and reports whether the ring was replaced. A file that is gone, broken, or cannot be a later state
// of the one in use changes nothing: the ring stays, and the fault is returned, kept for [Source.Err], and logged if it is
// another than before. Faults as in [Read], and Precondition (KEYS_FOREIGN) for a file that shares no contact key or no index
// key with the one in use, or has another key under the same id: it belongs to another installation, and a restart takes it if
// that is what is meant.
func (s *Source) Reload(ctx context.Context) (changed bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if s.cfg.Path == "" {
		return false, nil
	}
	s.reloading.Lock()
	defer s.reloading.Unlock()
	raw, mode, err := load(s.cfg.Path)
	if err != nil {
		return false, s.failed(err)
	}
	seen := sha256.Sum256(raw)
	if seen == s.seen {
		s.well(nil)
		return false, nil
	}
	keys, ring, err := s.parse(raw)
	if err == nil {
		err = s.succeeds(keys)
	}
	if err != nil {
		return false, s.failed(err)
	}
	if warning := exposed(s.cfg.Path, mode); warning != "" {
		s.cfg.Logger.Warn(warning)
	}
	s.keys, s.seen = keys, seen
	s.well(ring)
	return true, nil
}

func (s *Source) parse(raw []byte) (Keys, *Ring, error) {
	keys, err := parseFile(s.cfg.Path, raw)
	if err != nil {
		return Keys{}, nil, err
	}
	ring, err := keys.Ring()
	return keys, ring, err
}

// succeeds tells whether keys can be a later state of those in use.
func (s *Source) succeeds(keys Keys) error {
	foreign := fault.Newf(fault.Precondition, ReasonForeign,
		"key file %s has no key in common with the one in use, or another one under the same id; restore it, or restart to use it", s.cfg.Path).With("file", s.cfg.Path)
	for _, kind := range Kinds() {
		old := map[uint32]key.Key{}
		for e := range entries(s.keys.of(kind)) {
			old[e.KeyID()] = e.Key()
		}
		shared := 0
		for e := range entries(keys.of(kind)) {
			was, known := old[e.KeyID()]
			switch {
			case !known:
			case !was.Equal(e.Key()):
				return of(foreign, kind, e.KeyID())
			default:
				shared++
			}
		}
		if shared == 0 {
			return foreign.With("kind", kind)
		}
	}
	return nil
}

// failed keeps and returns why the file is not in use, and logs it once.
func (s *Source) failed(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil || s.failure.Error() != err.Error() {
		s.cfg.Logger.Error("the key file cannot be used; going on with the keys as they were", "error", err)
	}
	s.failure = err
	return err
}

// well takes note that the file is in use, as a new ring if there is one.
func (s *Source) well(ring *Ring) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		s.cfg.Logger.Info("the key file can be used again", "file", s.cfg.Path)
	}
	s.failure = nil
	if ring == nil {
		return
	}
	s.ring.Store(ring)
	s.cfg.Logger.Info("the key file has changed", "file", s.cfg.Path, "keys", fmt.Sprint(ring))
	close(s.changed)
	s.changed = make(chan struct{})
}
