package index_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/memblocks"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/internal/profilefacts"
	"github.com/narrowcast/narrowcast/services/segment"
	"github.com/narrowcast/narrowcast/services/segment/internal/index"
	"github.com/narrowcast/narrowcast/services/segment/internal/sqlstore"
)

// manyRules are n rules of different widths over the attributes that change.
func manyRules(n int) []string {
	rules := make([]string, n)
	for i := range rules {
		switch i % 5 {
		case 0:
			rules[i] = fmt.Sprintf(`job_level >= "director" && income >= %d`, 1000*i)
		case 1:
			rules[i] = fmt.Sprintf(`age() >= %d && age() < %d && region.within("FR")`, 18+i%40, 30+i%40)
		case 2:
			rules[i] = fmt.Sprintf(`"cycling" in interests && consent("marketing", "email") && postal_code.startsWith("%d")`, i%9+1)
		case 3:
			rules[i] = fmt.Sprintf(`occupation == "job %d" || employer.industry == "industry %d"`, i, i%20)
		default:
			rules[i] = fmt.Sprintf(`income < %d && !(gender == "male") && consent("marketing")`, 2000*i)
		}
	}
	return rules
}

// BenchmarkChanges keeps 200 segments current over full blocks while single facts of random profiles change, ten a tick: from the change to
// the announced frame. µs/change is what an indexer spends on one.
func BenchmarkChanges(b *testing.B) {
	const people, perTick, segments = 3 * audience.BlockSize, 10, 200
	store, err := sqlstore.Open(b.Context(), sqlstore.Config{DB: sqldb.Config{Path: filepath.Join(b.TempDir(), "segment.db")}})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	for i, rule := range manyRules(segments) {
		if _, _, err := store.Create(b.Context(), segment.Segment{ID: fmt.Sprint("s", i), UID: fmt.Sprint("u", i), Rule: rule}, false); err != nil {
			b.Fatal(err)
		}
	}
	lease, err := store.AcquireLease(b.Context(), "bench", time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	x, err := index.New(index.Config{}, index.Deps{Store: store, Blocks: memblocks.New(), Lease: lease, Assigner: index.Dense{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	x.Begin(index.Identity{Store: "st", Incarnation: "l", Currency: "EUR"})
	revision := uint64(0)
	tick := func(changes []index.Change) {
		revision += uint64(len(changes))
		if err := x.Offer(b.Context(), index.Batch{Changes: changes, Through: blocks.Point{Incarnation: "l", Revision: revision}}); err != nil {
			b.Fatal(err)
		}
		for more := true; more; {
			if more, err = x.Tick(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	person := func(n int) (audience.UID, audience.Facts) {
		uid, facts, err := profilefacts.Of(someone(n), nil)
		if err != nil {
			b.Fatal(err)
		}
		return uid, facts
	}
	for n := 0; n < people; {
		changes := make([]index.Change, 8192)
		for i := range changes {
			uid, facts := person(n + 1)
			changes[i] = index.Change{UID: uid, Facts: facts}
			n++
		}
		tick(changes)
	}
	if err := x.WaitPosition(b.Context(), blocks.Position{Revision: revision, Definition: segments}); err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	changes := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		batch := make([]index.Change, perTick)
		for i := range batch {
			uid, facts := person(1 + r.IntN(people))
			switch r.IntN(3) {
			case 0:
				facts["income"] = audience.Value{Num: int64(100 * r.IntN(200_000)), Currency: "EUR"}
			case 1:
				facts["gender"] = audience.Value{Text: "other"}
			default:
				facts["occupation"] = audience.Value{Text: fmt.Sprint("job ", r.IntN(300))}
			}
			batch[i] = index.Change{UID: uid, Facts: facts}
		}
		changes += perTick
		b.StartTimer()
		tick(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(changes), "µs/change")
}
