package truth_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// answer is one that was given while writers wrote.
type answer struct {
	kind     string // stream, count or explain
	question int
	info     *typev1.AnswerInfo
	// head is the newest revision when the answer had ended, at that moment; least is the one that had to be reached.
	head, least int64
	end         time.Time

	members []audience.UID // of a stream, sorted
	counts  []int64        // of a count, step by step
	uid     audience.UID   // of an explanation
	absent  bool
	member  bool
}

// ask asks until ctx ends.
func (l *live) ask(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		a := &answer{question: r.IntN(len(l.questions))}
		q := l.questions[a.question]
		consistency := &typev1.Consistency{Requirement: &typev1.Consistency_MinimizeLatency{MinimizeLatency: true}}
		switch r.IntN(4) {
		case 0:
			consistency.Requirement = &typev1.Consistency_FullyConsistent{FullyConsistent: true}
			h, err := l.c.Profiles.GetHead(ctx, &profilev1.GetHeadRequest{})
			if err != nil {
				l.note(ctx, a, err)
				return
			}
			a.least = h.GetPosition().GetRevision()
		case 1:
			token := l.history.token()
			consistency.Requirement = &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: token}
			a.least, _, _ = revisionOf(token) // a token that was parsed before
		}
		var err error
		switch r.IntN(4) {
		case 0:
			a.kind = "count"
			var res *campaignv1.CountAudienceResponse
			res, err = l.c.Audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{Audience: q.ref(), Consistency: consistency})
			a.info = res.GetInfo()
			for _, s := range res.GetSteps() {
				a.counts = append(a.counts, s.GetCount())
			}
		case 1:
			a.kind, a.uid = "explain", l.people[r.IntN(len(l.people))].uid
			var res *campaignv1.ExplainProfileResponse
			res, err = l.c.Audiences.ExplainProfile(ctx, &campaignv1.ExplainProfileRequest{
				Audience: q.ref(), Profile: wire.ProfileName(a.uid), Consistency: consistency,
			})
			a.info, a.member = res.GetInfo(), res.GetMember()
			if fault.ReasonOf(err) == "PROFILE_NOT_FOUND" {
				// Without a revision of its own; the state that was asked for is known.
				err, a.absent, a.info = nil, true, &typev1.AnswerInfo{Revision: a.least}
			}
		default:
			a.kind = "stream"
			var last *campaignv1.StreamMembersResponse
			a.members, last, err = stream(ctx, l.c.Audiences, &campaignv1.StreamMembersRequest{Audience: q.ref(), Consistency: consistency})
			a.info = last.GetInfo()
		}
		a.end = time.Now()
		if err == nil {
			var h *profilev1.GetHeadResponse
			h, err = l.c.Profiles.GetHead(ctx, &profilev1.GetHeadRequest{})
			a.head = h.GetPosition().GetRevision()
		}
		if !l.note(ctx, a, err) {
			return
		}
	}
}

// tally says how much a run has tested.
type tally struct {
	streams, counts, explained int
	moved                      int // answers during which the head moved
	in, out, either            int // memberships that had to be, must not be, could be either
	withdrawn                  int // people who would be members, had they not withdrawn before
	versions                   map[int64]bool
}

// check compares every answer with the loop, when everything that was written is known.
func (l *live) check(editing bool) {
	l.t.Helper()
	for _, s := range l.saw {
		if !l.history.saw(s.uid, s.at) {
			l.t.Errorf("the profile service streamed a change at revision %d that nobody wrote", s.at)
		}
	}
	n := tally{versions: make(map[int64]bool)}
	verdicts := make(map[verdictKey]int)
	for _, a := range l.answers {
		l.checkAnswer(a, &n, verdicts)
		if l.t.Failed() {
			l.t.Logf("of %v", l.questions[a.question])
			break
		}
	}
	l.t.Logf("%d streams, %d counts, %d explanations (the head moved during %d), %d edits (%d versions used), refused: %v; memberships: %d true, %d false, %d either; %d withdrawn",
		n.streams, n.counts, n.explained, n.moved, len(l.edits.list)-1, len(n.versions), l.refused, n.in, n.out, n.either, n.withdrawn)
	if l.t.Failed() {
		return
	}
	// A machine too busy to give many answers may show few people on the move; what else is asserted holds for few answers too.
	still := len(l.answers) > 150 && n.either == 0
	if n.streams < 10 || n.counts < 3 || n.explained < 3 || n.moved < 5 || n.in == 0 || n.out == 0 || n.withdrawn == 0 || still || len(l.saw) < 100 {
		l.t.Errorf("too little was tested: %+v, %d changes seen", n, len(l.saw))
	}
	if editing && len(n.versions) < 3 {
		l.t.Errorf("only %d versions of the edited segment were in answers", len(n.versions))
	}
	refused := 0
	for _, times := range l.refused {
		refused += times
	}
	if refused > len(l.answers) {
		l.t.Errorf("%d questions were refused and %d answered", refused, len(l.answers))
	}
}

func (l *live) checkAnswer(a *answer, n *tally, verdicts map[verdictKey]int) {
	l.t.Helper()
	from := a.info.GetRevision()
	if from < a.least || from > a.head {
		l.t.Errorf("%v: not from %d to %d, as it had to be", a, a.least, a.head)
		return
	}
	if a.head > from {
		n.moved++
	}
	// The versions of the edited segment that the answer may be under: the reported one, or any of its time.
	can := l.edits.during(a.info.GetDefinitionRevision(), a.end)
	if i := slices.IndexFunc(a.info.GetRules(), func(v *typev1.RuleVersion) bool { return v.GetSegment() == edited }); i >= 0 {
		v, ok := l.edits.version(a.info.GetRules()[i].GetVersion())
		if !ok {
			l.t.Errorf("%v: version %d was never written", a, a.info.GetRules()[i].GetVersion())
			return
		}
		n.versions[v.version] = true
		can = []edit{v}
	}
	if a.absent {
		can = l.edits.list[:1] // whether somebody exists depends on no rule
	}
	var why string
	for _, v := range can {
		one := *n
		if why = l.under(v, a, &one, verdicts); why == "" {
			*n = one
			return
		}
	}
	l.t.Errorf("%v, under any of %d versions of %s: %s", a, len(can), edited, why)
}

// under says what is wrong with an answer under one version of the edited segment; "" is right.
func (l *live) under(v edit, a *answer, n *tally, verdicts map[verdictKey]int) string {
	from := a.info.GetRevision()
	switch a.kind {
	case "stream":
		n.streams++
		for uid := range l.history.states {
			_, in := slices.BinarySearchFunc(a.members, uid, compareUID)
			if why := l.membership(v, a, uid, in, n, verdicts); why != "" {
				return why
			}
		}
		for _, uid := range a.members {
			if l.history.states[uid] == nil {
				return "somebody is in it whom nobody wrote"
			}
		}
		return l.withdrawn(v, a, n, verdicts)
	case "explain":
		n.explained++
		if a.absent {
			if !slices.ContainsFunc(l.history.during(a.uid, from, a.head), func(s *state) bool { return s.who == nil }) {
				return "a profile was not found that was there"
			}
			return ""
		}
		return l.membership(v, a, a.uid, a.member, n, verdicts)
	}
	// A count: each step holds at least those who pass at every revision in question, and at most those who do at one.
	n.counts++
	parts := l.parts[a.question]
	least, most := make([]int64, 1+len(parts)), make([]int64, 1+len(parts))
	for uid := range l.history.states {
		shortest, longest := 1+len(parts), 0
		for _, s := range l.history.during(uid, from, a.head) {
			passed := l.passed(v, a.question, s, verdicts)
			shortest, longest = min(shortest, passed), max(longest, passed)
		}
		for i := range shortest {
			least[i]++
		}
		for i := range longest {
			most[i]++
		}
	}
	for i, c := range a.counts {
		if len(a.counts) != len(least) || c < least[i] || c > most[i] {
			return "the steps are not between those of the loop"
		}
	}
	return ""
}

// membership says what is wrong with one profile being in an answer or not.
func (l *live) membership(v edit, a *answer, uid audience.UID, in bool, n *tally, verdicts map[verdictKey]int) string {
	whole := 1 + len(l.parts[a.question])
	yes, no := false, false
	for _, s := range l.history.during(uid, a.info.GetRevision(), a.head) {
		if l.passed(v, a.question, s, verdicts) == whole {
			yes = true
		} else {
			no = true
		}
	}
	switch {
	case yes && no:
		n.either++
	case yes:
		n.in++
	default:
		n.out++
	}
	switch {
	case in && !yes:
		return wire.ProfileName(uid) + " is in it and was a member at no revision"
	case !in && !no:
		return wire.ProfileName(uid) + " is not in it and was a member at every revision"
	}
	return ""
}

// withdrawn looks for people whose consents were withdrawn at or below the answer's revision. It does not ask the loop: whoever
// has withdrawn is in no answer under a channel or purpose.
func (l *live) withdrawn(v edit, a *answer, n *tally, verdicts map[verdictKey]int) string {
	spec := l.questions[a.question].spec
	if spec.Channel == "" && len(spec.Purposes) == 0 {
		return ""
	}
	whole := 1 + len(l.parts[a.question])
	for uid, list := range l.history.states {
		i := slices.IndexFunc(list, func(s *state) bool { return s.out })
		if i < 0 || list[i].by > a.info.GetRevision() {
			continue
		}
		if _, in := slices.BinarySearchFunc(a.members, uid, compareUID); in {
			return wire.ProfileName(uid) + " has withdrawn before and is in it"
		}
		if i > 0 && l.passed(v, a.question, list[i-1], verdicts) == whole {
			n.withdrawn++
		}
	}
	return ""
}

// verdictKey is a question, asked of a state under a version.
type verdictKey struct {
	question int
	state    *state
	version  int64
}

// passed returns how many steps a state passes: 0 for nobody, 1 for everyone, then the parts.
func (l *live) passed(v edit, question int, s *state, verdicts map[verdictKey]int) int {
	if s.who == nil {
		return 0
	}
	key := verdictKey{question, s, v.version}
	if n, ok := verdicts[key]; ok {
		return n
	}
	l.twin.segments[edited] = definition{rule: v.rule}
	spec := l.questions[question].spec
	n := 1
	for _, p := range l.parts[question] {
		if l.twin.judge(p.pred, *s.who, l.twin.day(spec)) != audience.True {
			break
		}
		n++
	}
	verdicts[key] = n
	return n
}
