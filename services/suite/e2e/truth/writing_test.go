package truth_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
	"github.com/narrowcast/narrowcast/pkg/fault"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

const (
	// edited is a segment whose rule is edited while it is asked about, above one that is made from it.
	edited = "segments/edited"
	above  = "segments/above"

	writers, readers = 3, 2
	// writing is how long writers write, unless the environment says longer; on a slow machine until there is enough to compare,
	// but not longer than patient.
	writing = 3 * time.Second
	patient = 60 * time.Second
)

// live is a world that is written to and asked at the same time.
type live struct {
	*world
	history history
	edits   edits

	questions []question
	parts     [][]part // of the questions
	mu        sync.Mutex
	answers   []*answer
	refused   map[string]int // reasons of UNAVAILABLE
	saw       []sighting

	merges, unmerges atomic.Int64
}

// sighting is a change that the profile service streamed.
type sighting struct {
	uid audience.UID
	at  int64
}

func TestWhileWritersWriteAnswersAreTheLoopsAtSomeRevision(t *testing.T) {
	t.Parallel()
	inEveryStore(t, func(t *testing.T, w *world) { whileWriting(t, w, false) })
}

func TestWhileSegmentsAreEditedAnswersAreTheLoopsUnderOneVersion(t *testing.T) {
	t.Parallel()
	inEveryStore(t, func(t *testing.T, w *world) { whileWriting(t, w, true) })
}

func whileWriting(t *testing.T, w *world, editing bool) {
	w.begin(300)
	w.declare(w.late...) // the schema stands still here
	l := &live{world: w, history: history{states: make(map[audience.UID][]*state)}, refused: make(map[string]int)}
	head := w.head()
	for i := range w.people {
		w.ok(l.history.wrote(w.people[i].uid, &w.people[i], false, head.GetConsistencyToken()), "note")
	}
	l.edits.add(edit{rule: l.create("edited", audience.Const(true)), version: 1})
	l.create("above", audience.And{audience.Member{Segment: edited}, audience.Not{X: audience.Compare{Attr: "gender", Op: audience.OpEQ, Value: audience.Value{Text: "female"}}}})
	l.prepare(editing)

	// The writers stop first, so that the last answers are about what stands.
	ctx, stop := context.WithCancel(t.Context())
	var watching, asking, changing sync.WaitGroup
	watching.Go(func() { l.watch(ctx) })
	writeCtx, stopWriting := context.WithCancel(ctx)
	for i := range writers {
		seed := w.r.Uint64()
		var mine []audience.UID
		for k := i; k < len(w.people); k += writers {
			mine = append(mine, w.people[k].uid)
		}
		changing.Go(func() { l.write(writeCtx, rand.New(rand.NewPCG(seed, uint64(i))), mine) })
	}
	if editing {
		seed := w.r.Uint64()
		changing.Go(func() { l.edit(writeCtx, rand.New(rand.NewPCG(seed, 99))) })
	}
	askCtx, stopAsking := context.WithCancel(ctx)
	for range readers {
		seed := w.r.Uint64()
		asking.Go(func() { l.ask(askCtx, rand.New(rand.NewPCG(seed, 7))) })
	}
	began := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for round := 0; !t.Failed(); round++ {
		<-tick.C
		if enough(t, began, round, int(writing/(100*time.Millisecond))) && (l.plenty(editing) || time.Since(began) > patient) {
			break
		}
	}
	stopWriting()
	changing.Wait()
	stopAsking()
	asking.Wait()
	stop()
	watching.Wait()
	l.check(editing)
	if l.merges.Load() == 0 || l.unmerges.Load() == 0 {
		t.Errorf("%d merges and %d of them taken back: nothing was tested", l.merges.Load(), l.unmerges.Load())
	}
}

// plenty reports whether there is enough to compare.
func (l *live) plenty(editing bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.edits.mu.Lock()
	defer l.edits.mu.Unlock()
	versions := make(map[int64]bool) // of the edited segment, in answers
	for _, a := range l.answers {
		for _, v := range a.info.GetRules() {
			if v.GetSegment() == edited {
				versions[v.GetVersion()] = true
			}
		}
	}
	return len(l.answers) > 80 && l.merges.Load() > 5 && l.unmerges.Load() > 5 && (!editing || len(l.edits.list) > 12 && len(versions) > 3)
}

// create creates a rule segment that random ones do not name, and waits until it answers.
func (l *live) create(id string, p audience.Pred) audience.Pred {
	l.t.Helper()
	l.createSegment(id, p)
	l.segments = l.segments[:len(l.segments)-1]
	return p
}

// prepare draws the questions. Those about segments that are edited are asked only where they are.
func (l *live) prepare(editing bool) {
	w := l.world
	draw := func(change func(*audience.Spec)) {
		q := ask(w.r, w.twin, w.segments, w.personas)
		q.spec.OnePerHousehold = false // who stays depends on others, each at a revision of their own
		change(q.spec)
		l.questions = append(l.questions, question{q.spec, wireOf(q.spec, w.twin.schema)})
		l.parts = append(l.parts, w.twin.parts(q.spec))
	}
	for len(l.questions) < 6 {
		draw(func(*audience.Spec) {})
		if last := len(l.questions) - 1; !l.divides(last) {
			l.questions, l.parts = l.questions[:last], l.parts[:last]
		}
	}
	// Questions with a channel that many answer to.
	for _, channel := range []string{"email", "sms"} {
		draw(func(sp *audience.Spec) {
			*sp = audience.Spec{Channel: channel, Filter: audience.Not{X: audience.Compare{Attr: "gender", Op: audience.OpEQ, Value: audience.Value{Text: "male"}}}}
		})
	}
	draw(func(sp *audience.Spec) {
		*sp = audience.Spec{Channel: "email", Purposes: []string{"marketing", "profiling"}, ExcludedSegments: []string{w.segments[0]}}
	})
	draw(func(sp *audience.Spec) { *sp = audience.Spec{ExcludedSegments: []string{"segments/outside"}} })
	if !editing {
		return
	}
	for _, sp := range []audience.Spec{
		{AllSegments: []string{edited}}, {ExcludedSegments: []string{edited}, Channel: "email"}, {AnySegments: []string{edited, w.segments[1]}},
		{AllSegments: []string{above}}, {ExcludedSegments: []string{above}}, {Filter: audience.Not{X: audience.Member{Segment: above}}},
	} {
		draw(func(q *audience.Spec) { *q = sp })
	}
}

// divides reports whether a question holds some of the people and not nearly all: others are rarely moved by what is written.
func (l *live) divides(question int) bool {
	n, day := 0, l.twin.day(l.questions[question].spec)
	for _, one := range l.people {
		if l.twin.member(l.parts[question], one, day) {
			n++
		}
	}
	return n > len(l.people)/20 && n < len(l.people)*19/20
}

// fail ends a goroutine's work with an error, unless the test itself ends it.
func (l *live) fail(ctx context.Context, err error, doing string) bool {
	if err == nil {
		return false
	}
	if ctx.Err() == nil {
		l.t.Errorf("%s: %v", doing, err)
	}
	return true
}

// write changes its own profiles until ctx ends. A write that was begun is waited for, so that its outcome is known.
func (l *live) write(ctx context.Context, r *rand.Rand, mine []audience.UID) {
	finish := context.WithoutCancel(ctx)
	out := make(map[audience.UID]bool)
	var merged []pair
	for ctx.Err() == nil {
		i := r.IntN(len(mine))
		var err error
		switch uid := mine[i]; r.IntN(10) {
		case 0, 1, 2:
			fields := paths
			if out[uid] {
				fields = slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return p == "consents" })
			}
			err = l.writeUpdate(finish, update(r, l.twin.schema, uid, fields), false)
		case 3, 4:
			if out[uid] {
				continue // replacing would give the consents again
			}
			err = l.writeWhole(finish, r, uid)
		case 5:
			out[uid] = true
			err = l.writeUpdate(finish, withdrawal(uid), true)
		case 6: // somebody new, who writes the whole first state
			var p *profilev1.Profile
			p, err = l.c.Profiles.CreateProfile(finish, &profilev1.CreateProfileRequest{Profile: person(r, l.twin.schema)})
			if err == nil {
				now := l.who(p)
				mine = append(mine, now.uid)
				err = l.history.wrote(now.uid, &now, false, p.GetConsistencyToken())
			}
		case 7:
			if len(mine) < 50 || slices.ContainsFunc(merged, func(p pair) bool { return p.survivor == uid }) {
				continue
			}
			var res *profilev1.DeleteProfileResponse
			res, err = l.c.Profiles.DeleteProfile(finish, &profilev1.DeleteProfileRequest{Name: wire.ProfileName(uid)})
			if err == nil {
				mine = slices.Delete(mine, i, i+1)
				err = l.history.wrote(uid, nil, false, res.GetConsistencyToken())
			}
		case 8:
			k := r.IntN(len(mine))
			if len(mine) < 50 || k == i {
				continue
			}
			p := pair{survivor: uid, merged: mine[k]}
			if err = l.merge(finish, p); err == nil {
				mine, merged = slices.Delete(mine, k, k+1), append(merged, p)
			}
		case 9:
			if len(merged) == 0 {
				continue
			}
			p := merged[len(merged)-1]
			if err = l.unmerge(finish, p); err == nil {
				mine, merged = append(mine, p.merged), merged[:len(merged)-1]
			}
		}
		if l.fail(finish, err, "write") {
			return
		}
	}
}

// pair is a merge that was not taken back.
type pair struct{ survivor, merged audience.UID }

func (l *live) merge(ctx context.Context, p pair) error {
	res, err := l.c.Identity.MergeProfiles(ctx, &profilev1.MergeProfilesRequest{Name: wire.ProfileName(p.survivor), Merged: wire.ProfileName(p.merged)})
	if err != nil {
		return err
	}
	l.merges.Add(1)
	now, token := l.who(res.GetProfile()), res.GetProfile().GetConsistencyToken()
	return errors.Join(l.history.wrote(p.merged, nil, false, token), l.history.wrote(p.survivor, &now, false, token))
}

func (l *live) unmerge(ctx context.Context, p pair) error {
	res, err := l.c.Identity.UnmergeProfiles(ctx, &profilev1.UnmergeProfilesRequest{Name: wire.ProfileName(p.merged)})
	if err != nil {
		return err
	}
	l.unmerges.Add(1)
	back, now, token := l.who(res.GetProfile()), l.who(res.GetRemaining()), res.GetProfile().GetConsistencyToken()
	return errors.Join(l.history.wrote(p.merged, &back, false, token), l.history.wrote(p.survivor, &now, false, token))
}

func (l *live) writeUpdate(ctx context.Context, req *profilev1.UpdateProfileRequest, out bool) error {
	p, err := l.c.Profiles.UpdateProfile(ctx, req)
	if err != nil {
		return err
	}
	now := l.who(p)
	return l.history.wrote(now.uid, &now, out, p.GetConsistencyToken())
}

// writeWhole replaces a profile; what it then is, is read back, since nobody else writes it.
func (l *live) writeWhole(ctx context.Context, r *rand.Rand, uid audience.UID) error {
	p := person(r, l.twin.schema)
	p.Name = wire.ProfileName(uid)
	res, err := l.c.Profiles.BatchUpsertProfiles(ctx, &profilev1.BatchUpsertProfilesRequest{Profiles: []*profilev1.Profile{p}})
	if err != nil {
		return err
	}
	is, err := l.c.Profiles.GetProfile(ctx, &profilev1.GetProfileRequest{Name: p.GetName()})
	if err != nil {
		return err
	}
	now := l.who(is)
	return l.history.wrote(uid, &now, false, res.GetConsistencyToken())
}

// withdrawal takes back every consent of a profile.
func withdrawal(uid audience.UID) *profilev1.UpdateProfileRequest {
	p := &profilev1.Profile{Name: wire.ProfileName(uid)}
	for _, purpose := range audience.Purposes {
		p.Consents = append(p.Consents, &profilev1.Consent{
			Purpose: wire.Purposes.Value(purpose), Status: typev1.ConsentStatus_CONSENT_STATUS_WITHDRAWN,
		})
	}
	return &profilev1.UpdateProfileRequest{Profile: p, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"consents"}}}
}

// edit edits a segment again and again.
func (l *live) edit(ctx context.Context, r *rand.Rand) {
	finish := context.WithoutCancel(ctx)
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	version := int64(1)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p := fit(audiencetest.Pred(r, l.twin.schema, l.segments, 2), l.twin.schema)
		began := time.Now()
		s, err := l.c.Segments.UpdateSegment(finish, &segmentv1.UpdateSegmentRequest{
			Segment: &segmentv1.Segment{Name: edited, Definition: &segmentv1.Segment_Rule{Rule: text(p, l.twin.schema)}},
		})
		if l.fail(finish, err, "edit") {
			return
		}
		_, at, err := revisionOf(s.GetConsistencyToken())
		if l.fail(finish, err, "edit") {
			return
		}
		if s.GetVersion() > version { // else the rule was that one already
			version = s.GetVersion()
			l.edits.add(edit{rule: p, version: version, revision: at, began: began})
		}
	}
}

// watch notes at which revisions profiles changed, as far as the profile service tells.
func (l *live) watch(ctx context.Context) {
	in, err := l.c.Profiles.WatchProfiles(ctx, &profilev1.WatchProfilesRequest{})
	if l.fail(ctx, err, "watch profiles") {
		return
	}
	for {
		m, err := in.Recv()
		if errors.Is(ctx.Err(), context.Canceled) || l.fail(ctx, err, "watch profiles") {
			return
		}
		for _, c := range m.GetChanges() {
			name := c.GetDeletedProfile()
			if c.GetProfile() != nil {
				name = c.GetProfile().GetName()
			}
			if uid, ok := wire.ParseProfileName(name); ok {
				l.saw = append(l.saw, sighting{uid, c.GetRevision()})
			}
		}
	}
}

// note keeps an answer, or why there was none.
func (l *live) note(ctx context.Context, a *answer, err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if ctx.Err() != nil {
			return false
		}
		reason := fault.ReasonOf(err)
		if fault.KindOf(err) != fault.Unavailable || reason == "" {
			l.t.Errorf("asked %v: %v", l.questions[a.question], err)
			return false
		}
		l.refused[reason]++
		return true
	}
	l.answers = append(l.answers, a)
	return true
}

func (a *answer) String() string {
	return fmt.Sprintf("%s at revision %d (definitions %d) to %d", a.kind, a.info.GetRevision(), a.info.GetDefinitionRevision(), a.head)
}
