package index_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/memblocks"
	"github.com/narrowcast/narrowcast/pkg/audience/rule"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/segment"
	"github.com/narrowcast/narrowcast/services/segment/internal/checkpoint"
	"github.com/narrowcast/narrowcast/services/segment/internal/index"
	"github.com/narrowcast/narrowcast/services/segment/internal/sqlstore"
)

// spread numbers profiles in three blocks in turn, so that few of them fill several.
type spread struct{ n int }

func (s *spread) Block(_ audience.UID, _ audience.Facts, fill []int) int {
	if len(fill) < 3 {
		return len(fill)
	}
	s.n++
	return s.n % 3
}

// bytes is a block store that can be made to fail.
type bytes struct {
	*memblocks.Store
	mu     sync.Mutex
	broken error
	writes int
	wholes int
}

func (b *bytes) Write(ctx context.Context, w blocks.BlockWrite) error {
	b.mu.Lock()
	broken := b.broken
	b.writes++
	if w.Whole {
		b.wholes++
	}
	b.mu.Unlock()
	if broken != nil {
		return broken
	}
	return b.Store.Write(ctx, w)
}

func (b *bytes) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = err
}

func (b *bytes) counts() (writes, wholes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.writes, b.wholes
}

// world is an index with all that it works with, and the truth that it has to show.
type world struct {
	t      testing.TB
	r      *rand.Rand
	store  *sqlstore.Store
	path   string
	bytes  *bytes
	now    time.Time
	lease  segment.Epoch
	x      *index.Index
	id     index.Identity
	schema *audience.Schema

	people   map[audience.UID]audience.Facts
	declared []audience.Attribute
	revision uint64
	rules    map[string]string                    // by segment uid
	lists    map[string]map[audience.UID]struct{} // by segment uid
	uids     map[string]string                    // by name
	next     uint64
	assigner index.Assigner

	dir  *checkpoint.Dir         // nil: no checkpoints
	last map[audience.UID]uint64 // revision of the last change of each profile, deleted ones too
}

func newWorld(t testing.TB, seed uint64) *world { return newWorldOf(t, seed, new(spread)) }

func newWorldOf(t testing.TB, seed uint64, assigner index.Assigner) *world {
	w := &world{
		t: t, assigner: assigner, r: rand.New(rand.NewPCG(seed, 1)), bytes: &bytes{Store: memblocks.New()}, path: filepath.Join(t.TempDir(), "segment.db"),
		now:    time.Unix(audiencetest.Day*24*3600+3600, 0),
		id:     index.Identity{Store: "st", Incarnation: "life1", Currency: "EUR", Zone: "Europe/Paris"},
		people: make(map[audience.UID]audience.Facts), rules: make(map[string]string),
		lists: make(map[string]map[audience.UID]struct{}), uids: make(map[string]string), last: make(map[audience.UID]uint64),
	}
	var err error
	if w.store, err = sqlstore.Open(t.Context(), sqlstore.Config{DB: sqldb.Config{Path: w.path}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.x.Abandon()
		w.store.Close()
	})
	w.schema = audiencetest.Schema(w.r)
	w.restart(index.Config{})
	return w
}

// restart makes a new index under a new lease on the same stores.
func (w *world) restart(cfg index.Config) {
	w.t.Helper()
	var err error
	if w.lease, err = w.store.AcquireLease(w.t.Context(), "test", time.Hour); err != nil {
		w.t.Fatal(err)
	}
	if w.x != nil {
		w.x.Abandon()
	}
	w.x, err = index.New(cfg, index.Deps{
		Store: w.store, Blocks: w.bytes, Lease: w.lease, Assigner: w.assigner, Now: func() time.Time { return w.now }, Checkpoint: w.dir,
		Logger: slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.x.Begin(w.id)
}

// declare returns the declarations of all custom attributes as changes.
func (w *world) declare() (changes []index.Change) {
	w.declared = nil
	for _, name := range w.schema.Names() {
		if strings.HasPrefix(name, audience.AttrCustomPrefix) {
			a, _ := w.schema.Attribute(name)
			d := *a
			if d.Revision == 0 {
				w.revision++
				d.Revision = w.revision
			}
			w.declared = append(w.declared, d)
			changes = append(changes, index.Change{Attribute: &d})
		}
	}
	var err error
	if w.schema, err = audience.NewSchema("EUR", w.declared); err != nil {
		w.t.Fatal(err)
	}
	return changes
}

// cursor is what changes after the newest one are watched after.
func (w *world) cursor() string { return fmt.Sprint(w.revision) }

func (w *world) point() blocks.Point {
	return blocks.Point{Incarnation: w.id.Incarnation, Revision: w.revision, Mark: fmt.Sprint("m", w.revision)}
}

func (w *world) offer(changes ...index.Change) {
	w.t.Helper()
	if err := w.x.Offer(w.t.Context(), index.Batch{Changes: changes, Through: w.point(), Cursor: w.cursor()}); err != nil {
		w.t.Fatal(err)
	}
}

// replay offers everything as a new stream does: the schema, then the people in two batches that are compacted, then the end.
func (w *world) replay() {
	w.t.Helper()
	send := func(b index.Batch) {
		if err := w.x.Offer(w.t.Context(), b); err != nil {
			w.t.Fatal(err)
		}
	}
	send(index.Batch{Changes: w.declare(), Replaying: true})
	var all []index.Change
	for _, uid := range slices.SortedFunc(maps.Keys(w.people), compareUIDs) {
		all = append(all, index.Change{UID: uid, Facts: maps.Clone(w.people[uid])})
	}
	half := len(all) / 2
	send(index.Batch{Changes: all[:half], Replaying: true})
	send(index.Batch{Changes: all[half:], Through: w.point(), Cursor: w.cursor()})
}

func compareUIDs(a, b audience.UID) int { return slices.Compare(a[:], b[:]) }

func (w *world) newUID() audience.UID {
	w.next++
	return audience.UID{0: 1, 6: 0x70, 12: byte(w.next >> 24), 13: byte(w.next >> 16), 14: byte(w.next >> 8), 15: byte(w.next)}
}

func (w *world) add(n int) (changes []index.Change) {
	for range n {
		uid := w.newUID()
		w.people[uid] = audiencetest.Facts(w.r, w.schema)
		changes = append(changes, index.Change{UID: uid, Facts: maps.Clone(w.people[uid])})
		w.revision++
		w.last[uid] = w.revision
	}
	return changes
}

// alter changes and deletes some of the people.
func (w *world) alter(changed, deleted int) (changes []index.Change) {
	all := slices.SortedFunc(maps.Keys(w.people), compareUIDs)
	w.r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for i, uid := range all[:min(len(all), changed+deleted)] {
		w.revision++
		w.last[uid] = w.revision
		if i < deleted {
			delete(w.people, uid)
			changes = append(changes, index.Change{UID: uid})
			continue
		}
		w.people[uid] = audiencetest.Facts(w.r, w.schema)
		changes = append(changes, index.Change{UID: uid, Facts: maps.Clone(w.people[uid])})
	}
	return changes
}

// tick ticks until nothing is left to do.
func (w *world) tick() {
	w.t.Helper()
	for range 100 {
		more, err := w.x.Tick(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if !more {
			return
		}
	}
	w.t.Fatal("the index does not come to rest")
}

// segment creates a segment with a rule, or changes its rule.
func (w *world) segment(id, text string) {
	w.t.Helper()
	var refs []segment.Reference
	_, err := rule.Compile(text, w.schema, func(name string) (string, error) {
		uid := w.uids[name]
		if uid == "" {
			return "", errors.New("unknown " + name)
		}
		refs = append(refs, segment.Reference{UID: uid})
		return uid, nil
	})
	if err != nil {
		w.t.Fatalf("%s: %v", text, err)
	}
	refs = segment.SortReferences(refs)
	if uid, ok := w.uids["segments/"+id]; ok {
		if _, _, err := w.store.Update(w.t.Context(), segment.Change{ID: id, Rule: &text, References: refs}); err != nil {
			w.t.Fatal(err)
		}
		w.rules[uid] = text
	} else {
		uid := "uid-" + id
		if _, _, err := w.store.Create(w.t.Context(), segment.Segment{ID: id, UID: uid, Rule: text, References: refs}, false); err != nil {
			w.t.Fatal(err)
		}
		w.uids["segments/"+id], w.rules[uid] = uid, text
	}
	w.x.DefinitionsChanged()
}

// list creates a static list, or adds to it.
func (w *world) list(id string, add ...audience.UID) {
	w.t.Helper()
	uid := "uid-" + id
	if w.lists[uid] == nil {
		if _, _, err := w.store.Create(w.t.Context(), segment.Segment{ID: id, UID: uid, Static: true}, false); err != nil {
			w.t.Fatal(err)
		}
		w.uids["segments/"+id], w.lists[uid] = uid, make(map[audience.UID]struct{})
	}
	if len(add) > 0 {
		if _, _, err := w.store.ChangeMembers(w.t.Context(), id, "", add, nil); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, u := range add {
		w.lists[uid][u] = struct{}{}
	}
	w.x.DefinitionsChanged()
}

// member is the naive twin of a segment.
func (w *world) member(uid string, person audience.UID, day int64) bool {
	if list := w.lists[uid]; list != nil {
		_, ok := list[person]
		return ok
	}
	parsed, err := rule.Compile(w.rules[uid], w.schema, func(name string) (string, error) { return w.uids[name], nil })
	if err != nil {
		w.t.Fatal(err)
	}
	return audiencetest.Eval(parsed.Pred, w.people[person], day, w.schema, func(uid string) bool { return w.member(uid, person, day) }) == audience.True
}

// frame returns the whole manifest as a reader would get it now.
func (w *world) frame() blocks.Frame {
	w.t.Helper()
	sub, err := w.x.Subscribe()
	if err != nil {
		w.t.Fatal(err)
	}
	defer sub.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	f, err := sub.Next(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

// randomRule writes a rule over everything that rules can ask, with NOT in it.
func (w *world) randomRule(depth int, segments ...string) string {
	pick := func(list ...string) string { return list[w.r.IntN(len(list))] }
	if depth > 0 && w.r.IntN(4) > 0 {
		a, b := w.randomRule(depth-1, segments...), w.randomRule(depth-1, segments...)
		return pick("("+a+") && ("+b+")", "("+a+") || ("+b+")", "!("+a+")", "!(("+a+") && ("+b+"))")
	}
	op := pick("==", "!=", "<", "<=", ">", ">=")
	leaves := []string{
		`gender == "female"`, `job_level ` + op + ` "director"`, `region.within("FR-NAQ")`, `!region.within("FR")`,
		`postal_code.startsWith("a")`, `"cycling" in interests`, `interests.all(["tea", "films"])`, `age() ` + pick("<", ">=", "==") + ` ` + fmt.Sprint(w.r.IntN(7)),
		`custom.signup ` + op + ` date("2026-01-01")`, `days(custom.last_order, today()) ` + pick("<=", ">") + ` ` + fmt.Sprint(w.r.IntN(60)-30),
		`income > 0`, `custom.balance ` + op + ` decimal("0.5")`, `custom.vip`, `consent("marketing", "email")`, `consent("profiling")`,
		`has(income)`, `has(interests)`, `custom.colour in ["red", "blue"]`, `custom.colour != "red"`, `custom.tags.any(["cycling"])`,
	}
	for _, s := range segments {
		leaves = append(leaves, `segment("segments/`+s+`")`, `!segment("segments/`+s+`")`)
	}
	return leaves[w.r.IntN(len(leaves))]
}
