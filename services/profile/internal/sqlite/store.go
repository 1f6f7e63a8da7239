package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
)

//go:embed migrations/sqlite/*.sql
var migrations embed.FS

// Config says how to open a store; Path, Logger and Now are needed.
type Config struct {
	// Path of the file, made if it is not there; its folder must be.
	Path           string
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	Now            func() time.Time
	// GroupDelay and GroupChanges bound a group commit; 0: 5 ms, 1,000 changes.
	GroupDelay   time.Duration
	GroupChanges int
	// MarksKept is how many commits' marks are kept at least; 0: 1,000,000.
	MarksKept int64
	// RequestsKept is how long answers are kept by request id; 0: 1 hour.
	RequestsKept time.Duration
}

// Store implements profile.Store.
type Store struct {
	db    *sqldb.DB
	group *sqldb.Group[*write, struct{}]
	cfg   Config
	uids  *profile.UIDs
	stmt  statements

	// batch is what the current group has staged. Only the group's committer touches it.
	batch *batch

	mu      sync.Mutex
	changed chan struct{} // closed and replaced by every commit that made a revision
}

var _ profile.Store = (*Store)(nil)

// Open opens or makes the store and brings its schema to this program's version. A store of a newer program is refused
// (SCHEMA_NEWER).
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.MarksKept <= 0 {
		cfg.MarksKept = 1_000_000
	}
	if cfg.RequestsKept <= 0 {
		cfg.RequestsKept = time.Hour
	}
	db, err := sqldb.OpenSQLite(ctx, sqldb.Config{Path: cfg.Path, TracerProvider: cfg.TracerProvider, MeterProvider: cfg.MeterProvider})
	if err != nil {
		return nil, fmt.Errorf("open profile store: %w", err)
	}
	s := &Store{db: db, cfg: cfg, uids: profile.NewUIDs(cfg.Now, rand.Reader), changed: make(chan struct{})}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open profile store: %w", s.translate(err)), db.Close())
	}
	return s, nil
}

func (s *Store) prepare(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	if err := s.db.Migrate(ctx, files, s.cfg.Logger); err != nil {
		return err
	}
	if err := s.db.Tx(ctx, s.found); err != nil {
		return fmt.Errorf("found store: %w", err)
	}
	if err := s.stmt.prepare(ctx, s.db); err != nil {
		return err
	}
	s.group, err = sqldb.NewGroup(s.db, sqldb.GroupConfig[*write, struct{}]{
		Apply: s.apply, Stamp: s.stamp, Committed: s.committed,
		Changes:  func(w *write) int { return w.changes },
		MaxDelay: s.cfg.GroupDelay, MaxChanges: s.cfg.GroupChanges,
	})
	return err
}

// found gives a new store its id, its first incarnation and the mark of revision 0.
func (s *Store) found(tx *sql.Tx) error {
	var n int
	if err := tx.QueryRow("select count(*) from store").Scan(&n); err != nil || n > 0 {
		return err
	}
	mark := newMark()
	if _, err := tx.Exec("insert into store (id, store, incarnation, revision, mark) values (1, $1, $2, 0, $3)", newID(), newID(), mark); err != nil {
		return err
	}
	_, err := tx.Exec("insert into marks (revision, mark) values (0, $1)", mark)
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
	return errors.Join(s.group.Close(ctx), s.db.Close())
}

// Get returns one profile.
func (s *Store) Get(ctx context.Context, uid audience.UID) (*profile.Profile, error) {
	found, err := s.BatchGet(ctx, []audience.UID{uid})
	if err != nil {
		return nil, err
	}
	if found[0] == nil {
		return nil, profile.NotFound(nameOf(uid))
	}
	return found[0], nil
}

// BatchGet returns the profiles in the order of uids, nil where there is none.
func (s *Store) BatchGet(ctx context.Context, uids []audience.UID) ([]*profile.Profile, error) {
	byUID := make(map[audience.UID]*profile.Profile, len(uids))
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		return inChunks(uids, func(chunk []any, size int) error {
			rows, err := within(ctx, tx, s.stmt.readProfiles[size]).QueryContext(ctx, chunk...)
			return eachProfile(rows, err, func(p *profile.Profile) { byUID[p.UID] = p })
		})
	})
	if err != nil {
		return nil, s.translate(fmt.Errorf("read profiles: %w", err))
	}
	out := make([]*profile.Profile, len(uids))
	for i, uid := range uids {
		if p := byUID[uid]; p != nil {
			out[i] = p
			byUID[uid] = p.Clone() // asked for twice: two profiles that share nothing
		}
	}
	return out, nil
}

// List returns profiles by uid.
func (s *Store) List(ctx context.Context, after audience.UID, limit int) ([]*profile.Profile, error) {
	out := make([]*profile.Profile, 0, min(limit, 1000))
	rows, err := s.stmt.list.QueryContext(ctx, after[:], limit)
	if err := eachProfile(rows, err, func(p *profile.Profile) { out = append(out, p) }); err != nil {
		return nil, s.translate(fmt.Errorf("list profiles: %w", err))
	}
	return out, nil
}

// eachProfile reads rows of uid, revision, create_time, update_time, body.
func eachProfile(rows *sql.Rows, err error, fn func(*profile.Profile)) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var uid, body sql.RawBytes
		var revision, created, updated int64
		if err := rows.Scan(&uid, &revision, &created, &updated, &body); err != nil {
			return err
		}
		p, err := decode(uid, revision, created, updated, body)
		if err != nil {
			return err
		}
		fn(p)
	}
	return rows.Err()
}

func decode(uid []byte, revision, created, updated int64, body []byte) (*profile.Profile, error) {
	p := &profile.Profile{Revision: revision, CreateTime: time.UnixMicro(created).UTC(), UpdateTime: time.UnixMicro(updated).UTC()}
	copy(p.UID[:], uid)
	if err := record.Decode(body, p); err != nil {
		return nil, fmt.Errorf("decode %s: %w", nameOf(p.UID), err)
	}
	return p, nil
}

// Head returns the newest committed position.
func (s *Store) Head(ctx context.Context) (profile.Head, error) {
	h, err := scanHead(s.stmt.head.QueryRowContext(ctx))
	if err != nil {
		return profile.Head{}, s.translate(fmt.Errorf("read head: %w", err))
	}
	return h, nil
}

const headQuery = "select store, incarnation, revision, mark from store where id = 1"

func scanHead(row *sql.Row) (h profile.Head, err error) {
	err = row.Scan(&h.Store, &h.Incarnation, &h.Revision, &h.Mark)
	return h, err
}

// Changed returns a channel that the next commit closes.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func nameOf(uid audience.UID) string { return profile.Name(uid) }
