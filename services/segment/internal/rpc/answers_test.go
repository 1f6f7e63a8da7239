package rpc_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/revision"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/segment/internal/rpc"
)

func (r *rig) preview(ctx context.Context, c *typev1.Consistency) (*segmentv1.PreviewSegmentResponse, error) {
	return r.segments.PreviewSegment(ctx, &segmentv1.PreviewSegmentRequest{Rule: "true", Consistency: c})
}

func atLeast(t revision.Token) *typev1.Consistency {
	return &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: t.String()}}
}

func TestAPreviewSaysWhatItWasMadeFrom(t *testing.T) {
	r := newRig(t)
	base := r.create(t, "base", "true")
	_, err := r.preview(t.Context(), nil)
	wantFault(t, err, fault.Unavailable, "INDEX_NOT_READY")
	r.index.reach(12, 1, 300*time.Millisecond)
	r.index.count = rpc.Count{Members: 5, Base: 20}
	res, err := r.segments.PreviewSegment(t.Context(), &segmentv1.PreviewSegmentRequest{Rule: `segment("base") && age() > 3`})
	if err != nil {
		t.Fatal(err)
	}
	want := audience.And{audience.Member{Segment: base.GetUid()}, audience.Age{Attr: "birth_date", Op: audience.OpGT, Years: 3}}
	if fmt.Sprint(r.index.asked) != fmt.Sprint(want) {
		t.Errorf("asked %v, want %v", r.index.asked, want)
	}
	info := res.GetInfo()
	tok, err := revision.Parse(info.GetConsistencyToken())
	if err != nil || tok.Store != installation || tok.Profile.Incarnation != life || tok.Profile.Revision != 12 || tok.Segment.Revision != 1 ||
		string(tok.Profile.Mark) != "pm" || string(tok.Segment.Mark) != "dm" {
		t.Errorf("token %+v, %v", tok, err)
	}
	if res.GetCount() != 5 || res.GetBase() != 20 || info.GetRevision() != 12 || info.GetDefinitionRevision() != 1 ||
		info.GetAge().AsDuration() != 300*time.Millisecond || info.GetBlocksEvaluated() != 4 ||
		len(info.GetRules()) != 1 || info.GetRules()[0].GetSegment() != "segments/u" || info.GetRules()[0].GetVersion() != 3 {
		t.Errorf("answer %v", res)
	}
	r.index.err = fault.New(fault.Unavailable, "SEGMENT_BUILDING", "later")
	_, err = r.preview(t.Context(), nil)
	wantFault(t, err, fault.Unavailable, "SEGMENT_BUILDING")
	r.index.err = fault.New(fault.Invalid, audience.ReasonExpressionTooLarge, "too large")
	_, err = r.preview(t.Context(), nil)
	wantField(t, err, "RULE_TOO_COMPLEX", "rule")
}

func TestAStaleAnswerIsGivenOnlyToWhoAllowsIt(t *testing.T) {
	r := newRig(t)
	r.index.reach(12, 0, 6*time.Second)
	f := func(c *typev1.Consistency) error {
		_, err := r.preview(t.Context(), c)
		return err
	}
	bound := func(d time.Duration, stale bool) *typev1.Consistency {
		return &typev1.Consistency{Requirement: &typev1.Consistency_MaxStaleness{MaxStaleness: durationpb.New(d)}, AllowStale: stale}
	}
	if f := wantFault(t, f(nil), fault.Unavailable, "INDEX_STALE"); f.Metadata["age"] != "6s" || f.RetryAfter == 0 {
		t.Errorf("fault %+v", f)
	}
	wantFault(t, f(bound(5999*time.Millisecond, false)), fault.Unavailable, "INDEX_STALE")
	for _, c := range []*typev1.Consistency{{AllowStale: true}, bound(6*time.Second, false), bound(time.Second, true)} {
		if err := f(c); err != nil {
			t.Errorf("%v: %v", c, err)
		}
	}
	r.index.reach(12, 0, 5*time.Second)
	if err := f(nil); err != nil {
		t.Errorf("at the bound: %v", err)
	}
}

func TestATokenIsWaitedForUntilTheDeadline(t *testing.T) {
	r := newRig(t)
	seg := r.create(t, "a", "true")
	written, err := revision.Parse(seg.GetConsistencyToken())
	if err != nil {
		t.Fatal(err)
	}
	want := written
	want.Profile = revision.Part{Incarnation: life, Revision: 30}
	r.index.reach(29, 1, 0)
	done := make(chan error, 1)
	go func() {
		_, err := r.preview(t.Context(), atLeast(want))
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("answered before the token was reached: %v", err)
	default:
	}
	r.index.reach(30, 1, 0)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if w := r.index.waits(); len(w) != 1 || w[0] != (blocks.Position{Revision: 30, Definition: 1}) {
		t.Errorf("waited for %v", w)
	}

	want.Profile.Revision = 31
	// The service is called directly: a client's own deadline would hide the service's answer.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = r.service.PreviewSegment(ctx, &segmentv1.PreviewSegmentRequest{Rule: "true", Consistency: atLeast(want)})
	wantFault(t, err, fault.Unavailable, "TOKEN_NOT_REACHED")
}

func TestATokenThatCannotBeReachedIsRefused(t *testing.T) {
	r := newRig(t)
	seg := r.create(t, "a", "true")
	own, err := revision.Parse(seg.GetConsistencyToken())
	if err != nil {
		t.Fatal(err)
	}
	r.index.reach(100, 100, 0)
	change := func(f func(*revision.Token)) *typev1.Consistency {
		tok := own
		f(&tok)
		return atLeast(tok)
	}
	const field = "consistency.at_least_as_fresh"
	for name, c := range map[string]*typev1.Consistency{
		"another installation":   change(func(t *revision.Token) { t.Store = "st-2" }),
		"another profile life":   change(func(t *revision.Token) { t.Profile = revision.Part{Incarnation: "old", Revision: 1} }),
		"another segment life":   change(func(t *revision.Token) { t.Segment.Incarnation = "old" }),
		"a mark that was lost":   change(func(t *revision.Token) { t.Segment.Mark = []byte("other") }),
		"a revision not reached": change(func(t *revision.Token) { t.Segment.Revision = 2 }),
	} {
		_, err := r.preview(t.Context(), c)
		if f := fault.As(err); f == nil || f.Kind != fault.Precondition || f.Reason != "TOKEN_OF_ANOTHER_STORE" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = r.preview(t.Context(), &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: "nonsense"}})
	wantField(t, err, "TOKEN_INVALID", field)
	if _, err := r.preview(t.Context(), atLeast(own)); err != nil {
		t.Errorf("the write's own token: %v", err)
	}
}

func TestAFullyConsistentAnswerWaitsForBothHeads(t *testing.T) {
	r := newRig(t)
	r.create(t, "a", "true")
	r.people.revision = 41
	full := &typev1.Consistency{Requirement: &typev1.Consistency_FullyConsistent{FullyConsistent: true}}
	r.index.reach(41, 1, 0)
	if _, err := r.preview(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	if w := r.index.waits(); len(w) != 1 || w[0] != (blocks.Position{Revision: 41, Definition: 1}) {
		t.Errorf("waited for %v", w)
	}
	r.people.life = "life-2"
	_, err := r.preview(t.Context(), full)
	wantFault(t, err, fault.Unavailable, "INDEX_NOT_READY")
	r.people.down = true
	_, err = r.preview(t.Context(), full)
	wantFault(t, err, fault.Unavailable, "PROFILES_UNAVAILABLE")
	if _, err = r.preview(t.Context(), nil); err != nil {
		t.Errorf("the other answers need no profile service: %v", err)
	}
}

func TestABreakdownComparesWithEverybody(t *testing.T) {
	r := newRig(t)
	seg := r.create(t, "a", "true")
	r.index.reach(10, 1, 0)
	r.index.division = rpc.Division{
		Members: 10, Base: 100,
		Subject: []audience.Histogram{
			{Counts: map[string]uint64{"female": 6, "male": 2}, Missing: 2, Members: 10},
			{Counts: map[string]uint64{"18-24": 4, "25+": 5}, Other: 1, Members: 10},
			{Counts: map[string]uint64{"a": 3, "b": 1, "c": 1}, Missing: 5, Members: 10},
		},
		Everybody: []audience.Histogram{
			{Counts: map[string]uint64{"female": 30, "male": 45, "other": 5}, Missing: 20, Members: 100},
			{Counts: map[string]uint64{"<18": 10, "18-24": 40, "25+": 40}, Other: 10, Members: 100},
			{Counts: map[string]uint64{"a": 3, "b": 7, "c": 9, "d": 40}, Missing: 50, Members: 100},
		},
	}
	res, err := r.insight.BreakdownSegment(t.Context(), &segmentv1.BreakdownSegmentRequest{
		Subject: &segmentv1.BreakdownSegmentRequest_Segment{Segment: "segments/a"},
		Dimensions: []*segmentv1.BreakdownSegmentRequest_Dimension{
			{Attribute: "gender"}, {Attribute: "age", Bounds: []float64{18, 25}}, {Attribute: "occupation", Limit: 1},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.index.asked != (audience.Member{Segment: seg.GetUid()}) {
		t.Errorf("asked for %v", r.index.asked)
	}
	if res.GetCount() != 10 || res.GetBase() != 100 || len(res.GetDistributions()) != 3 || res.GetInfo().GetRevision() != 10 {
		t.Fatalf("answer %v", res)
	}
	show := func(d *segmentv1.BreakdownSegmentResponse_Distribution) string {
		var b strings.Builder
		for _, k := range d.GetBuckets() {
			fmt.Fprintf(&b, "%s %d/%d %.4f/%.4f %.3f; ", k.GetValue(), k.GetCount(), k.GetBaseCount(), k.GetShare(), k.GetBaseShare(), k.GetLift())
		}
		return fmt.Sprintf("%s: %sother %d missing %d/%d", d.GetAttribute(), b.String(), d.GetOtherCount(), d.GetMissingCount(), d.GetBaseMissingCount())
	}
	for i, want := range []string{
		// Of the 8 with a gender 6 are women; of everybody's 80 with one 30: 0.75 / 0.375.
		"gender: female 6/30 0.7500/0.3750 2.000; male 2/45 0.2500/0.5625 0.444; other 0/5 0.0000/0.0625 0.000; other 0 missing 2/20",
		"age: <18 0/10 0.0000/0.1000 0.000; 18-24 4/40 0.4000/0.4000 1.000; 25+ 5/40 0.5000/0.4000 1.250; other 1 missing 0/0",
		"occupation: a 3/3 0.6000/0.0600 10.000; other 2 missing 5/50",
	} {
		if got := show(res.GetDistributions()[i]); got != want {
			t.Errorf("distribution %d is\n%s, want\n%s", i, got, want)
		}
	}
	want := []audience.Band{{Label: "<18", Min: 0, Max: 17}, {Label: "18-24", Min: 18, Max: 24}, {Label: "25+", Min: 25, Max: math.MaxInt64}}
	if d := r.index.dimensions[1]; d.Attr != "birth_date" || fmt.Sprint(d.Bands) != fmt.Sprint(want) {
		t.Errorf("asked for %+v, want bands %v", d, want)
	}
}

func TestBandsFollowTheAttribute(t *testing.T) {
	r := newRig(t)
	r.index.reach(10, 0, 0)
	for _, c := range []struct {
		attribute string
		bounds    []float64
		want      string // labels, then the first bound and the last
	}{
		{"age", nil, "<10 10-19 20-29 30-39 40-49 50-59 60-69 70-79 80-89 90-99 100+"},
		{"age", []float64{1, 2}, "<1 1 2+"},
		{"custom.balance", []float64{-0.5, 0, 10.25}, "<-0.50 -0.50..-0.01 0.00..10.24 10.25+"},
		{"custom.joined", []float64{0, 31}, "<1970-01-01 1970-01-01..1970-01-31 1970-02-01+"},
		{"gender", nil, ""},
	} {
		r.index.division = rpc.Division{Subject: make([]audience.Histogram, 1), Everybody: make([]audience.Histogram, 1)}
		_, err := r.insight.BreakdownSegment(t.Context(), &segmentv1.BreakdownSegmentRequest{
			Dimensions: []*segmentv1.BreakdownSegmentRequest_Dimension{{Attribute: c.attribute, Bounds: c.bounds}},
		})
		if err != nil {
			t.Fatalf("%s: %v", c.attribute, err)
		}
		if r.index.asked != nil {
			t.Errorf("asked for %v, want everybody", r.index.asked)
		}
		var labels []string
		next := int64(math.MinInt64)
		for i, b := range r.index.dimensions[0].Bands {
			if i > 0 && b.Min != next || b.Max < b.Min {
				t.Errorf("band %s is %d to %d after %d", b.Label, b.Min, b.Max, next)
			}
			next = b.Max + 1
			labels = append(labels, b.Label)
		}
		if got := strings.Join(labels, " "); got != c.want {
			t.Errorf("%s %v: bands %q, want %q", c.attribute, c.bounds, got, c.want)
		}
	}
}

func TestADimensionThatCannotBeIsRefusedByItsPath(t *testing.T) {
	r := newRig(t)
	r.index.reach(10, 0, 0)
	for _, c := range []struct {
		d             *segmentv1.BreakdownSegmentRequest_Dimension
		reason, field string
	}{
		{&segmentv1.BreakdownSegmentRequest_Dimension{Attribute: "custom.none"}, "UNKNOWN_ATTRIBUTE", "dimensions[1].attribute"},
		{&segmentv1.BreakdownSegmentRequest_Dimension{Attribute: "consent.marketing.email"}, "VALIDATION_FAILED", "dimensions[1].attribute"},
		{&segmentv1.BreakdownSegmentRequest_Dimension{Attribute: "gender", Bounds: []float64{1}}, "VALIDATION_FAILED", "dimensions[1].bounds"},
		{&segmentv1.BreakdownSegmentRequest_Dimension{Attribute: "age", Bounds: []float64{20, 20}}, "VALIDATION_FAILED", "dimensions[1].bounds[1]"},
		{&segmentv1.BreakdownSegmentRequest_Dimension{Attribute: "age", Bounds: []float64{0, 20}}, "VALIDATION_FAILED", "dimensions[1].bounds[0]"},
		{&segmentv1.BreakdownSegmentRequest_Dimension{Attribute: "age", Bounds: []float64{20.5}}, "VALIDATION_FAILED", "dimensions[1].bounds[0]"},
		{&segmentv1.BreakdownSegmentRequest_Dimension{Attribute: "age", Bounds: []float64{math.NaN()}}, "VALIDATION_FAILED", "dimensions[1].bounds[0]"},
		{&segmentv1.BreakdownSegmentRequest_Dimension{Attribute: "custom.balance", Bounds: []float64{1, math.Inf(1)}}, "VALIDATION_FAILED", "dimensions[1].bounds[1]"},
		{&segmentv1.BreakdownSegmentRequest_Dimension{Attribute: "custom.balance", Bounds: []float64{0.001}}, "VALIDATION_FAILED", "dimensions[1].bounds[0]"},
	} {
		_, err := r.insight.BreakdownSegment(t.Context(), &segmentv1.BreakdownSegmentRequest{
			Dimensions: []*segmentv1.BreakdownSegmentRequest_Dimension{{Attribute: "gender"}, c.d},
		})
		wantField(t, err, c.reason, c.field)
	}
	_, err := r.insight.BreakdownSegment(t.Context(), &segmentv1.BreakdownSegmentRequest{
		Subject:    &segmentv1.BreakdownSegmentRequest_Segment{Segment: "segments/none"},
		Dimensions: []*segmentv1.BreakdownSegmentRequest_Dimension{{Attribute: "gender"}},
	})
	wantFault(t, err, fault.NotFound, "SEGMENT_NOT_FOUND")
}
