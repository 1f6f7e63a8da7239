package truth_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
	"github.com/narrowcast/narrowcast/pkg/fault"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

var verdicts = map[campaignv1.ExplainProfileResponse_Verdict]audience.Tri{
	campaignv1.ExplainProfileResponse_VERDICT_FALSE: audience.False, campaignv1.ExplainProfileResponse_VERDICT_UNKNOWN: audience.Unknown,
	campaignv1.ExplainProfileResponse_VERDICT_TRUE: audience.True,
}

func TestWithWritersPausedAnswersAreTheLoops(t *testing.T) {
	inEveryStore(t, func(t *testing.T, w *world) {
		w.begin(500)
		began, populated, empty := time.Now(), 0, 0
		for round := 0; !enough(t, began, round, 3); round++ {
			if round > 0 {
				w.change()
			}
			w.everyone()
			for range 20 {
				q := ask(w.r, w.twin, w.segments, w.personas)
				switch n := w.compare(q); {
				case t.Failed():
					t.Fatalf("round %d, of %v", round, q)
				case n == 0:
					empty++
				case n < len(w.people):
					populated++
				}
			}
			w.preview()
		}
		if populated < 10 || empty < 5 {
			t.Errorf("of the audiences only %d held some and %d nobody: little was tested", populated, empty)
		}
		t.Logf("%d audiences held some of %d people, %d nobody", populated, len(w.people), empty)
	})
}

// everyone checks that the people are in as many blocks as they were spread over.
func (w *world) everyone() {
	w.t.Helper()
	res, err := w.c.Audiences.CountAudience(w.t.Context(), &campaignv1.CountAudienceRequest{Audience: (question{wire: &campaignv1.AudienceSpec{}}).ref()})
	w.ok(err, "count everyone")
	if res.GetCount() != int64(len(w.people)) || res.GetInfo().GetBlocksEvaluated() < blockCount {
		w.t.Fatalf("%d people in %d blocks, want %d in %d", res.GetCount(), res.GetInfo().GetBlocksEvaluated(), len(w.people), blockCount)
	}
}

// preview compares the segment service's own answer to a rule that is not saved.
func (w *world) preview() {
	w.t.Helper()
	p := fit(audiencetest.Pred(w.r, w.twin.schema, w.segments, 2), w.twin.schema)
	res, err := w.c.Segments.PreviewSegment(w.t.Context(), &segmentv1.PreviewSegmentRequest{Rule: text(p, w.twin.schema)})
	w.ok(err, "preview")
	want := int64(0)
	for _, one := range w.people {
		if w.twin.judge(p, one, w.twin.today) == audience.True {
			want++
		}
	}
	if res.GetCount() != want || res.GetBase() != int64(len(w.people)) {
		w.t.Errorf("preview of %s: %d of %d, want %d of %d", text(p, w.twin.schema), res.GetCount(), res.GetBase(), want, len(w.people))
	}
}

// compare asks a question in every way and returns the number of members.
func (w *world) compare(q question) int {
	w.t.Helper()
	parts, day := w.twin.parts(q.spec), w.twin.day(q.spec)
	steps := make([]int64, 1+len(parts))
	names := []string{"everyone"}
	for _, p := range parts {
		names = append(names, p.name)
	}
	var members []audience.UID
	homes, homeless := make(map[string]bool), 0
	for _, one := range w.people {
		steps[0]++
		left := true
		for i := range parts {
			if left = left && w.twin.judge(parts[i].pred, one, day) == audience.True; left {
				steps[i+1]++
			}
		}
		if !left {
			continue
		}
		members = append(members, one.uid)
		if h, ok := one.facts[audience.AttrHousehold]; ok {
			homes[h.Text] = true
		} else {
			homeless++
		}
	}
	if q.spec.OnePerHousehold {
		names, steps = append(names, "one_per_household"), append(steps, int64(len(homes)+homeless))
	}
	w.compareCount(q, names, steps)
	sent := w.compareMembers(q, members)
	w.compareExplained(q, parts, day, sent)
	return len(sent)
}

func (w *world) compareCount(q question, names []string, counts []int64) {
	w.t.Helper()
	res, err := w.c.Audiences.CountAudience(w.t.Context(), &campaignv1.CountAudienceRequest{Audience: q.ref()})
	w.ok(err, "count %v", q)
	var gotNames []string
	var got []int64
	for _, s := range res.GetSteps() {
		gotNames, got = append(gotNames, s.GetPart()), append(got, s.GetCount())
	}
	if !slices.Equal(gotNames, names) || !slices.Equal(got, counts) || res.GetCount() != counts[len(counts)-1] {
		w.t.Errorf("counted %v %v, total %d\nwant    %v %v", gotNames, got, res.GetCount(), names, counts)
	}
}

// compareMembers streams the members, and returns them sorted.
func (w *world) compareMembers(q question, want []audience.UID) []audience.UID {
	w.t.Helper()
	got, _, err := stream(w.t.Context(), w.c.Audiences, &campaignv1.StreamMembersRequest{Audience: q.ref()})
	w.ok(err, "stream %v", q)
	if !q.spec.OnePerHousehold {
		if !slices.Equal(got, want) {
			w.t.Errorf("streamed %d members, want %d; too many: %v; missing: %v", len(got), len(want), without(got, want), without(want, got))
		}
		return got
	}
	// Which one of a household stays is the suite's choice; that it is one, and one of them, is not.
	if extra := without(got, want); len(extra) > 0 {
		w.t.Errorf("streamed %v, who are no members", extra)
	}
	kept := make(map[string]int)
	for _, one := range w.people {
		if _, in := slices.BinarySearchFunc(want, one.uid, compareUID); in {
			h, ok := one.facts[audience.AttrHousehold]
			key := h.Text
			if !ok {
				key = wire.ProfileName(one.uid) // alone
			}
			if _, sent := slices.BinarySearchFunc(got, one.uid, compareUID); sent {
				kept[key]++
			} else {
				kept[key] += 0
			}
		}
	}
	for _, n := range kept {
		if n != 1 {
			w.t.Errorf("%d of a household were streamed", n)
		}
	}
	return got
}

func (w *world) compareExplained(q question, parts []part, day int64, members []audience.UID) {
	w.t.Helper()
	for range 3 {
		one := w.people[w.r.IntN(len(w.people))]
		if len(members) > 0 && w.r.IntN(2) == 0 {
			uid := members[w.r.IntN(len(members))]
			i := slices.IndexFunc(w.people, func(p who) bool { return p.uid == uid })
			if i < 0 {
				return // an error that was told already
			}
			one = w.people[i]
		}
		res, err := w.c.Audiences.ExplainProfile(w.t.Context(), &campaignv1.ExplainProfileRequest{Audience: q.ref(), Profile: wire.ProfileName(one.uid)})
		w.ok(err, "explain %v", q)
		_, member := slices.BinarySearchFunc(members, one.uid, compareUID)
		var want, got []audience.Tri
		for _, p := range parts {
			want = append(want, w.twin.judge(p.pred, one, day))
		}
		if q.spec.OnePerHousehold {
			want = append(want, audience.TriOf(member))
		}
		for _, s := range res.GetSteps() {
			v, ok := verdicts[s.GetVerdict()]
			if !ok {
				w.t.Errorf("explained a step with %v", s.GetVerdict())
			}
			got = append(got, v)
		}
		if res.GetMember() != member || !slices.Equal(got, want) {
			w.t.Errorf("explained member %v, %v; want %v, %v; of %v", res.GetMember(), got, member, want, one.facts)
		}
	}
	if len(w.gone) > 0 {
		_, err := w.c.Audiences.ExplainProfile(w.t.Context(), &campaignv1.ExplainProfileRequest{
			Audience: q.ref(), Profile: wire.ProfileName(w.gone[w.r.IntN(len(w.gone))]),
		})
		if fault.ReasonOf(err) != "PROFILE_NOT_FOUND" {
			w.t.Errorf("explained one who was deleted: %v", err)
		}
	}
}

func compareUID(a, b audience.UID) int { return slices.Compare(a[:], b[:]) }

// without returns the first few of a sorted list that another one does not have.
func without(list, of []audience.UID) (only []audience.UID) {
	for _, uid := range list {
		if _, ok := slices.BinarySearchFunc(of, uid, compareUID); !ok && len(only) < 5 {
			only = append(only, uid)
		}
	}
	return only
}

// stream returns the streamed members, sorted, and the last message with the info of the first one.
func stream(ctx context.Context, c campaignv1.AudienceServiceClient, req *campaignv1.StreamMembersRequest) ([]audience.UID, *campaignv1.StreamMembersResponse, error) {
	in, err := c.StreamMembers(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	var members []audience.UID
	var first, last *campaignv1.StreamMembersResponse
	for {
		m, err := in.Recv()
		if eof(err) != nil {
			return nil, nil, err
		}
		if err != nil {
			break
		}
		if last = m; first == nil {
			first = m
		}
		for packed := range slices.Chunk(m.GetUids(), 16) {
			members = append(members, audience.UID(packed))
		}
	}
	if !last.GetComplete() || last.GetSent() != int64(len(members)) {
		return nil, nil, fmt.Errorf("the stream of %d ended with %v", len(members), last)
	}
	last.Info = first.GetInfo()
	slices.SortFunc(members, compareUID)
	if len(slices.Compact(slices.Clone(members))) != len(members) {
		return nil, nil, fmt.Errorf("somebody was streamed twice")
	}
	return members, last, nil
}
