package index_test

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/rule"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/segment"
	"github.com/narrowcast/narrowcast/services/segment/internal/index"
)

func TestRowsAreTheNaiveTwinsAfterEveryBatch(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		lanes := seed >= 4
		w := newWorld(t, seed)
		if lanes {
			w = newWorldOf(t, seed, index.SmallLanes(12, 20))
		}
		w.people[w.newUID()] = audiencetest.Facts(w.r, w.schema)
		w.add(150)
		known := slices.SortedFunc(maps.Keys(w.people), compareUIDs)
		w.list("listed", append(known[:20:20], w.newUID())...)
		w.replay()
		w.segment("base", w.randomRule(2))
		w.tick()
		if got := len(w.check().frame.Blocks); got != 3 && !lanes || got < 3 {
			t.Fatalf("%d blocks", got)
		}
		w.segment("above", w.randomRule(2, "base", "listed"))
		for range 8 {
			w.offer(w.alter(w.r.IntN(20), w.r.IntN(4))...)
			w.offer(w.add(w.r.IntN(10))...)
			switch w.r.IntN(4) {
			case 0:
				w.segment("base", w.randomRule(3, "listed"))
			case 1:
				w.list("listed", slices.SortedFunc(maps.Keys(w.people), compareUIDs)[0], w.newUID())
			case 2:
				w.segment("above", w.randomRule(3, "base", "listed"))
			}
			w.tick()
			w.check()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}

func TestAMemberThatBecomesKnownLaterIsOnItsList(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 7)
	w.replay()
	w.tick()
	w.add(5)
	late := slices.SortedFunc(maps.Keys(w.people), compareUIDs)[4]
	facts := w.people[late]
	delete(w.people, late)
	w.list("listed", late)
	w.segment("others", `!segment("segments/listed")`)
	for uid, f := range w.people {
		w.offer(index.Change{UID: uid, Facts: maps.Clone(f)})
	}
	w.tick()
	w.check()
	w.people[late] = facts
	w.offer(index.Change{UID: late, Facts: maps.Clone(facts)})
	w.tick()
	w.check()
	count, err := w.x.Preview(t.Context(), audience.Member{Segment: "uid-listed"})
	if err != nil || count.Members != 1 || count.Base != 5 {
		t.Errorf("preview = %d of %d, %v; want 1 of 5", count.Members, count.Base, err)
	}
}

func TestOrdinalsOutliveARestart(t *testing.T) {
	t.Parallel()
	for _, assigner := range []index.Assigner{new(spread), index.SmallLanes(6, 8)} {
		ordinalsOutliveARestart(t, newWorldOf(t, 8, assigner))
	}
}

func ordinalsOutliveARestart(t *testing.T, w *world) {
	t.Helper()
	w.add(60)
	w.replay()
	w.segment("s", w.randomRule(2))
	w.tick()
	before := w.check()
	w.offer(w.alter(0, 10)...)
	w.tick()
	w.alter(5, 5) // while the index is down
	w.add(10)
	w.restart(index.Config{})
	w.replay()
	w.tick()
	after := w.check()
	if after.frame.Layout != before.frame.Layout {
		t.Errorf("layout %d became %d", before.frame.Layout, after.frame.Layout)
	}
	taken := make(map[place]audience.UID)
	for uid, p := range before.ordinals {
		taken[p] = uid
	}
	for uid, p := range after.ordinals {
		if was, ok := before.ordinals[uid]; ok && was != p {
			t.Errorf("a profile moved from %v to %v", was, p)
		}
		if was, ok := taken[p]; ok && was != uid {
			t.Errorf("ordinal %v was given again", p)
		}
	}
}

func TestAnotherLifeOfTheProfileStoreBeginsANewLayout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 9)
	w.add(30)
	w.replay()
	w.segment("s", w.randomRule(2))
	w.tick()
	before := w.check()
	sub, err := w.x.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if _, err := sub.Next(t.Context()); err != nil {
		t.Fatal(err)
	}

	w.id.Incarnation = "life2"
	w.people = make(map[audience.UID]audience.Facts)
	w.revision = 0
	w.declared = nil
	w.add(12)
	w.x.Begin(w.id)
	w.replay()
	w.tick()
	after := w.check()
	if after.frame.Layout <= before.frame.Layout {
		t.Errorf("layout %d follows %d", after.frame.Layout, before.frame.Layout)
	}
	if _, err := sub.Next(t.Context()); !errors.Is(err, blocks.ErrPublisherClosed) {
		t.Errorf("a reader of the former layout got %v, want %v", err, blocks.ErrPublisherClosed)
	}
}

func TestAReplayFromTheBeginningOfTheSameLifeKeepsTheLayout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10)
	w.add(30)
	w.replay()
	w.segment("s", w.randomRule(2))
	w.tick()
	before := w.check()
	w.alter(10, 5)
	w.x.Begin(w.id)
	w.replay()
	w.tick()
	after := w.check()
	if after.frame.Layout != before.frame.Layout {
		t.Errorf("layout %d became %d", before.frame.Layout, after.frame.Layout)
	}
}

func TestThePositionStandsWhileCompactedChangesCome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 11)
	w.add(10)
	w.replay()
	w.tick()
	at := w.point()
	changes := w.alter(5, 0)
	if err := w.x.Offer(t.Context(), index.Batch{Changes: changes, Through: w.point(), Replaying: true}); err != nil {
		t.Fatal(err)
	}
	w.tick()
	if through, _ := w.x.Through(); through.Profiles != at {
		t.Errorf("in the middle of a replay the position is %v, want %v", through.Profiles, at)
	}
	w.offer()
	w.tick()
	w.check()
}

func TestTheFormerRuleAnswersUntilEveryBlockHasTheNewOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12)
	w.restart(index.Config{BuildSlice: -1})
	w.add(90)
	w.replay()
	w.segment("s", `has(income)`)
	w.tick()
	w.check()
	former := w.frame()
	old := former.Definitions.Segments[0]

	w.segment("s", `!has(income)`)
	for built := 1; built < 3; built++ {
		// A slice without time is one block.
		if more, err := w.x.Tick(t.Context()); err != nil || !more {
			t.Fatalf("after %d blocks: more %v, %v", built, more, err)
		}
		f := w.frame()
		d := f.Definitions.Segments[0]
		if d.State() != blocks.SegmentRebuilding || d.RuleState != old.RuleState || d.Rule != old.Rule || d.Progress != 100*built/3 {
			t.Errorf("after %d blocks: state %d, rule state %d, %d %%; want rebuilding, %d", built, d.State(), d.RuleState, d.Progress, old.RuleState)
		}
		if f.Through.Definitions != former.Through.Definitions {
			t.Errorf("after %d blocks the manifest claims definitions up to %v", built, f.Through.Definitions)
		}
		if state, ok := w.x.SegmentState("uid-s"); !ok || state.State != blocks.SegmentRebuilding || state.Version != 1 {
			t.Errorf("segment state is %+v", state)
		}
		// The former row goes on to be kept current.
		w.offer(w.alter(3, 0)...)
	}
	w.tick()
	w.check()
	if d := w.frame().Definitions.Segments[0]; d.RuleState <= old.RuleState || d.Version != 2 {
		t.Errorf("rule state %d, version %d after the switch", d.RuleState, d.Version)
	}
}

func TestANewSegmentIsBuildingUntilEveryBlockHasIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 13)
	w.restart(index.Config{BuildSlice: -1})
	w.add(30)
	w.replay()
	w.tick()
	w.segment("s", `true`)
	if _, err := w.x.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := w.frame().Definitions.Segments[0]; d.State() != blocks.SegmentBuilding {
		t.Errorf("state is %d", d.State())
	}
	if _, err := w.x.Preview(t.Context(), audience.Member{Segment: "uid-s"}); fault.ReasonOf(err) != "SEGMENT_BUILDING" {
		t.Errorf("preview of a building segment: %v", err)
	}
	w.tick()
	w.check()
}

func TestRowsOfTheNextDayAreThereBeforeTheDayTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 14)
	w.add(60)
	w.replay()
	w.segment("grown", `age() >= 2`)
	w.segment("below", `!segment("segments/grown") && has(gender)`)
	w.tick()
	w.check()
	day := func() []int64 { return w.frame().Definitions.Days }
	if got, want := day(), []int64{audiencetest.Day, audiencetest.Day + 1}; !slices.Equal(got, want) {
		t.Errorf("days %v, want %v", got, want)
	}
	// 23:00 UTC is midnight in Paris.
	w.now = time.Unix(audiencetest.Day*24*3600+23*3600-1, 0)
	w.tick()
	if day()[0] != audiencetest.Day {
		t.Errorf("the day turned too early")
	}
	w.now = w.now.Add(time.Second)
	w.offer(w.alter(10, 0)...)
	w.tick()
	if got, want := day(), []int64{audiencetest.Day + 1, audiencetest.Day + 2}; !slices.Equal(got, want) {
		t.Errorf("days %v, want %v", got, want)
	}
	w.check() // also that no row of a day gone is left
	w.now = w.now.Add(40 * 24 * time.Hour)
	w.tick()
	w.check()
}

func TestAnAttributeDeclaredLaterIsKnownInEveryBlock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 15)
	w.add(30)
	w.replay()
	w.segment("s", `has(gender)`)
	w.tick()
	// The rule names the attribute before the index has heard of it.
	tier := audience.Attribute{Name: "custom.late", Kind: audience.KindText, Values: []string{"x"}, Revision: w.revision + 1}
	w.revision++
	var err error
	if w.schema, err = audience.NewSchema("EUR", append(slices.Clone(w.declared), tier)); err != nil {
		t.Fatal(err)
	}
	w.segment("late", `custom.late == "x" || has(gender)`)
	w.tick()
	if d := w.frame().Definitions.Segments; d[0].State() != blocks.SegmentBuilding {
		t.Errorf("%s is in state %d", d[0].Name, d[0].State())
	}
	w.declared = append(w.declared, tier)
	w.offer(index.Change{Attribute: &tier})
	w.tick()
	w.check()
	uid := w.newUID()
	w.people[uid] = audience.Facts{"custom.late": {Text: "x"}}
	w.revision++
	w.offer(index.Change{UID: uid, Facts: maps.Clone(w.people[uid])})
	w.tick()
	w.check()
}

func TestNothingIsLostWhileTheBlockStoreFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 16)
	w.add(60)
	w.replay()
	w.segment("s", w.randomRule(2))
	w.tick()
	w.check()
	at := w.point()
	w.bytes.fail(blocks.ErrStoreUnreachable)
	for range 5 {
		w.offer(w.alter(5, 2)...)
		w.offer(w.add(5)...)
		w.tick()
		w.now = w.now.Add(5 * time.Second)
	}
	w.segment("s", w.randomRule(3))
	w.tick()
	if through, _ := w.x.Through(); through.Profiles != at {
		t.Errorf("while nothing is written the position is %v, want %v", through.Profiles, at)
	}
	if _, _, err := w.refill(1); fault.ReasonOf(err) != "STORE_UNAVAILABLE" {
		t.Errorf("refill while the store fails: %v", err)
	}
	w.bytes.fail(nil)
	w.now = w.now.Add(5 * time.Second)
	w.tick()
	w.check()
}

// refill asks for a block and ticks until there is an answer.
func (w *world) refill(block uint32) (blocks.Epoch, uint64, error) {
	w.t.Helper()
	type answer struct {
		epoch   blocks.Epoch
		version uint64
		err     error
	}
	layout := w.frame().Layout
	answers := make(chan answer, 1)
	go func() {
		e, v, err := w.x.Refill(w.t.Context(), layout, block)
		answers <- answer{e, v, err}
	}()
	for {
		select {
		case a := <-answers:
			return a.epoch, a.version, a.err
		default:
			w.tick()
		}
	}
}

func TestAFlushedBlockIsWrittenAgainWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 17)
	w.add(60)
	w.replay()
	w.segment("s", w.randomRule(2))
	w.tick()
	layout := w.check().frame.Layout
	key := blocks.Key{Store: "st", Layout: layout, Block: 1}
	if err := w.bytes.Drop(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	w.offer(w.alter(10, 2)...) // a difference alone would not make the block whole
	epoch, version, err := w.refill(1)
	if err != nil {
		t.Fatal(err)
	}
	w.check()
	if s := w.frame().Blocks[1]; s.Epoch != epoch || s.Version != version {
		t.Errorf("the manifest says %v %d, the refill %v %d", s.Epoch, s.Version, epoch, version)
	}
	if _, _, err := w.x.Refill(t.Context(), layout, 3); fault.ReasonOf(err) != segment.ReasonBlockNotFound {
		t.Errorf("refill of a block that does not exist: %v", err)
	}
	if _, _, err := w.x.Refill(t.Context(), layout+1, 0); fault.ReasonOf(err) != segment.ReasonBlockNotFound {
		t.Errorf("refill of a layout that does not exist: %v", err)
	}
}

func TestManyRefillsOfOneBlockAreOneWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 18)
	w.add(9)
	w.replay()
	w.tick()
	layout := w.frame().Layout
	_, before := w.bytes.counts()
	const callers = 8
	answers := make(chan error, callers)
	for range callers {
		go func() {
			_, _, err := w.x.Refill(t.Context(), layout, 2)
			answers <- err
		}()
	}
	got := 0
	for w.x.Waiting() < callers {
		runtime.Gosched() // they are on their way
	}
	w.tick()
	for got < callers {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
		got++
	}
	if _, after := w.bytes.counts(); after-before != 1 {
		t.Errorf("%d whole writes for %d callers, want 1", after-before, callers)
	}
}

func TestASupersededHolderStepsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 19)
	w.add(9)
	w.replay()
	w.tick()
	former := w.x
	w.restart(index.Config{})
	w.replay()
	w.tick()
	w.check()
	changes := w.add(3)
	if err := former.Offer(t.Context(), index.Batch{Changes: changes, Through: w.point()}); err != nil {
		t.Fatal(err)
	}
	if _, err := former.Tick(t.Context()); fault.ReasonOf(err) != segment.ReasonNotLeaseHolder {
		t.Errorf("a former holder gave ordinals: %v", err)
	}
	// Without new ordinals it is the block store that refuses.
	w2 := newWorld(t, 20)
	w2.add(9)
	w2.replay()
	w2.tick()
	former = w2.x
	w2.restart(index.Config{})
	w2.replay()
	w2.tick()
	if err := former.Offer(t.Context(), index.Batch{Changes: w2.alter(5, 0), Through: w2.point()}); err != nil {
		t.Fatal(err)
	}
	if _, err := former.Tick(t.Context()); !errors.Is(err, blocks.ErrSuperseded) {
		t.Errorf("a former holder wrote blocks: %v", err)
	}
}

func TestAgeIsMeasuredFromAHeadThatWasReached(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 21)
	w.add(5)
	w.replay()
	asked := w.now
	w.x.HeadAsked(asked, w.point())
	w.tick()
	w.now = w.now.Add(time.Second)
	if through, ok := w.x.Through(); !ok || through.Age != time.Second {
		t.Errorf("age %v, %v; want 1 s", through.Age, ok)
	}
	changes := w.alter(3, 0)
	w.x.HeadAsked(w.now, w.point()) // not reached yet
	w.tick()
	w.now = w.now.Add(time.Second)
	if through, _ := w.x.Through(); through.Age != 2*time.Second {
		t.Errorf("age %v before the head is reached, want 2 s", through.Age)
	}
	w.offer(changes...)
	w.tick()
	if through, _ := w.x.Through(); through.Age != time.Second {
		t.Errorf("age %v once the head is reached, want 1 s", through.Age)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := w.x.WaitPosition(ctx, blocks.Position{Revision: w.revision}); err != nil {
		t.Errorf("wait for a position that is reached: %v", err)
	}
	cancel()
	if err := w.x.WaitPosition(ctx, blocks.Position{Revision: w.revision + 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("wait for a position that is not reached: %v", err)
	}
}

func TestInsightCountsAsTheNaiveTwin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 22)
	w.add(200)
	w.replay()
	w.segment("s", w.randomRule(2))
	w.tick()
	if _, err := w.x.Breakdown(t.Context(), nil, []audience.Breakdown{{Attr: "no_such"}}); fault.ReasonOf(err) != audience.ReasonUnknownAttribute {
		t.Errorf("breakdown by an unknown attribute: %v", err)
	}
	for range 20 {
		text := w.randomRule(3, "s")
		parsed, err := rule.Compile(text, w.schema, func(name string) (string, error) { return w.uids[name], nil })
		if err != nil {
			t.Fatal(err)
		}
		want := uint64(0)
		interests := make(map[string]uint64)
		for uid, f := range w.people {
			if audiencetest.Eval(parsed.Pred, f, audiencetest.Day, w.schema, func(s string) bool { return w.member(s, uid, audiencetest.Day) }) == audience.True {
				want++
				for _, v := range slices.Compact(slices.Sorted(slices.Values(f["interests"].List))) {
					interests[v]++
				}
			}
		}
		got, err := w.x.Preview(t.Context(), parsed.Pred)
		if err != nil || got.Members != want || got.Base != 200 {
			t.Errorf("%s: %d of %d, %v; want %d of 200", text, got.Members, got.Base, err, want)
		}
		div, err := w.x.Breakdown(t.Context(), parsed.Pred, []audience.Breakdown{{Attr: "interests"}})
		if err != nil || div.Members != want {
			t.Fatalf("%s: breakdown of %d, %v; want %d", text, div.Members, err, want)
		}
		if !maps.Equal(div.Subject[0].Counts, interests) && want > 0 {
			t.Errorf("%s: interests %v, want %v", text, div.Subject[0].Counts, interests)
		}
	}
}

func TestTheRunningIndexComesToEveryPosition(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 23)
	w.add(30)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.x.Run(ctx) }()
	w.replay()
	for range 10 {
		w.offer(w.alter(3, 1)...)
		if err := w.x.WaitPosition(t.Context(), blocks.Position{Revision: w.revision}); err != nil {
			t.Fatal(err)
		}
		w.check()
	}
	w.segment("s", w.randomRule(2))
	head, err := w.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.x.WaitPosition(t.Context(), blocks.Position{Revision: w.revision, Definition: head.Revision}); err != nil {
		t.Fatal(err)
	}
	w.check()
	sub, err := w.x.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
	for err == nil {
		_, err = sub.Next(t.Context())
	}
	if !errors.Is(err, blocks.ErrPublisherClosed) {
		t.Errorf("a subscription of an index that ended: %v", err)
	}
}

func TestTheAuditFindsAndRepairsADifference(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 24)
	w.restart(index.Config{Audit: time.Second})
	w.add(30)
	w.replay()
	w.segment("s", `has(gender)`)
	w.tick()
	w.check()
	w.x.Corrupt(1, audience.SegmentField("uid-s", 1))
	for range 3 { // one block at a time
		w.now = w.now.Add(time.Second)
		w.tick()
	}
	w.check()
}
