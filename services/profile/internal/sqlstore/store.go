package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/behaviour"
)

//go:embed migrations/*/*.sql
var migrations embed.FS

// Keys gives the ring that is current. Each piece of work takes it once; it may be another one the next time.
type Keys interface{ Ring() *keyring.Ring }

// Config says how to open a store; SQL, Keys, Logger and Now are needed.
type Config struct {
	// SQL says where the database is: a PostgreSQL URL, or a SQLite file, which is made if it is not there; its folder must be.
	// Telemetry is that of the store.
	SQL sqldb.Config
	// Keys seal names and identifiers, and hash the identifiers for look-ups.
	Keys   Keys
	Logger *slog.Logger
	Now    func() time.Time
	// Behaviour says how traits are computed. Where it, or the retention, is not what it was, all are computed anew: see Recompute.
	Behaviour behaviour.Settings
	// Retention says how long events are kept; its zero value: for ever.
	Retention profile.Retention
	// GroupDelay and GroupChanges bound a group commit; 0: 5 ms, 1,000 changes.
	GroupDelay   time.Duration
	GroupChanges int
	// MarksKept is how many commits' marks are kept at least; 0: 1,000,000.
	MarksKept int64
	// Poll is how often another process's commits are looked for while anybody waits for one, on PostgreSQL; 0: 20 ms.
	Poll time.Duration
	// RequestsKept is how long answers are kept by request id; 0: 1 hour.
	RequestsKept time.Duration
	// UndoPeriod is how long a merge can be taken back; 0: 30 days.
	UndoPeriod time.Duration
}

// requestsKept is how long answers are kept by request id unless the configuration says otherwise.
const requestsKept = time.Hour

// writerCache is the page cache of SQLite's writing connection.
const writerCache = 64 << 20

// Store implements profile.Store.
type Store struct {
	db    *sqldb.DB
	group *sqldb.Group[*write, struct{}]
	cfg   Config
	uids  *profile.UIDs
	stmt  statements

	// batch is what the current group has staged. Only the group's committer touches it.
	batch *batch
	// disturbed says that the last group could not be stamped. Only the group's committer touches it.
	disturbed bool

	changes
}

var _ profile.Store = (*Store)(nil)

// Open opens or makes the store and brings its schema to this program's version. A store of a newer program is refused
// (SCHEMA_NEWER).
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.MarksKept <= 0 {
		cfg.MarksKept = 1_000_000
	}
	if cfg.RequestsKept <= 0 {
		cfg.RequestsKept = requestsKept
	}
	if cfg.UndoPeriod <= 0 {
		cfg.UndoPeriod = 30 * 24 * time.Hour
	}
	cfg.SQL.Settings = postgres{}.sessions()
	db, err := sqldb.OpenMigrated(ctx, cfg.SQL, migrations, cfg.Logger)
	if err != nil {
		return nil, fmt.Errorf("open profile store: %w", err)
	}
	if cfg.Poll <= 0 {
		cfg.Poll = 20 * time.Millisecond
	}
	s := &Store{db: db, cfg: cfg, uids: profile.NewUIDs(cfg.Now, rand.Reader), changes: newChanges()}
	if err := s.prepare(ctx); err != nil {
		s.stopWatching()
		return nil, errors.Join(fmt.Errorf("open profile store: %w", s.db.Classify(err)), db.Close())
	}
	return s, nil
}

// Migrate brings the store's schema to this program's version, converts what earlier programs stored, and closes it again.
func Migrate(ctx context.Context, cfg Config) (sqldb.Versions, error) {
	v, err := sqldb.MigrateOnly(ctx, cfg.SQL, migrations, cfg.Logger)
	if err != nil {
		return v, fmt.Errorf("migrate profile store: %w", err)
	}
	s, err := Open(ctx, cfg)
	if err != nil {
		return v, err
	}
	return v, s.Close()
}

func (s *Store) prepare(ctx context.Context) error {
	if err := s.db.Tx(ctx, s.found); err != nil {
		return fmt.Errorf("found store: %w", err)
	}
	if err := s.convert(ctx); err != nil {
		return fmt.Errorf("convert store: %w", err)
	}
	if err := s.checkKeys(ctx, s.db.Write); err != nil {
		return err
	}
	if s.db.Dialect == sqldb.SQLite {
		// Identifiers are inserted all over their index: the writer keeps more of it at hand than the engine would (in KiB).
		if _, err := s.db.Write.ExecContext(ctx, fmt.Sprintf("pragma cache_size = -%d", writerCache>>10)); err != nil {
			return fmt.Errorf("set page cache: %w", err)
		}
	}
	if err := s.stmt.prepare(ctx, s.db); err != nil {
		return err
	}
	if err := s.resettle(ctx); err != nil {
		return fmt.Errorf("settle traits: %w", err)
	}
	head, err := s.Head(ctx)
	if err != nil {
		return err
	}
	s.watch(head.Revision)
	s.group, err = sqldb.NewGroup(s.db, sqldb.GroupConfig[*write, struct{}]{
		Apply: s.apply, ApplyReads: true, Stamp: s.stamp, Committed: s.committed,
		Changes:  func(w *write) int { return w.changes },
		MaxDelay: s.cfg.GroupDelay, MaxChanges: s.cfg.GroupChanges,
	})
	return err
}

// found gives a new store its id, its first incarnation and the mark of revision 0, unless another process does just that.
func (s *Store) found(tx *sql.Tx) error {
	mark := newMark()
	made, err := tx.Exec("insert into store (id, store, incarnation, revision, mark) values (1, $1, $2, 0, $3) on conflict (id) do nothing", newID(), newID(), mark)
	if err != nil {
		return err
	}
	if n, err := made.RowsAffected(); err != nil || n == 0 {
		return err
	}
	_, err = tx.Exec("insert into marks (revision, mark) values (0, $1)", mark)
	return err
}

// BeginIncarnation begins a new life of the store: positions and tokens that were given out before are not recognised any more. It is for
// a store that was restored from a copy, before anybody serves it: who has it open goes on with the life that it found.
func (s *Store) BeginIncarnation(ctx context.Context) (profile.Head, error) {
	var head profile.Head
	err := s.db.Tx(ctx, func(tx *sql.Tx) (err error) {
		if err := beginIncarnation(ctx, tx); err != nil {
			return err
		}
		head, err = readHead(ctx, tx, s.stmt.writeHead)
		return err
	})
	if err != nil {
		return profile.Head{}, s.translate(fmt.Errorf("begin incarnation: %w", err))
	}
	return head, nil
}

func beginIncarnation(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "update store set incarnation = $1 where id = 1", newID())
	return err
}

// newID returns 16 random letters and digits, lower-case: 80 bits.
func newID() string { return strings.ToLower(rand.Text()[:16]) }

func newMark() []byte {
	mark := make([]byte, 8)
	rand.Read(mark) // never fails: the program ends where there is no randomness
	return mark
}

// Ping asks the database now.
func (s *Store) Ping(ctx context.Context) error { return s.translate(s.db.Ping(ctx)) }

// Close commits what waits and closes the file.
func (s *Store) Close() error {
	// A transaction is bounded by the group's own time-out, and so is this wait.
	ctx, cancel := context.WithTimeout(context.Background(), 2*sqldb.DefaultTxTimeout)
	defer cancel()
	s.stopWatching()
	return errors.Join(s.group.Close(ctx), s.db.Close())
}
