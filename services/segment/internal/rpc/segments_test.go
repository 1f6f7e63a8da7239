package rpc_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/revision"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/segment/internal/rpc"
)

// uuidV7 is the text form of RFC 9562 with version 7 and its variant.
var uuidV7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestACreatedSegmentComesBackWithATokenOfItsWrite(t *testing.T) {
	r := newRig(t)
	base := r.create(t, "base", `gender == "female"`)
	got, err := r.segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{
		SegmentId: "young", Segment: &segmentv1.Segment{
			Name: "segments/ignored", DisplayName: "Young", Description: "d", Owner: "personas/p",
			Definition: &segmentv1.Segment_Rule{Rule: `age() < 30 && segment("base")`},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := revision.Parse(got.GetConsistencyToken())
	if err != nil {
		t.Fatal(err)
	}
	head := r.head(t)
	if tok.Store != installation || tok.Profile.Present() || tok.Segment.Incarnation != head.Incarnation ||
		tok.Segment.Revision != 2 || string(tok.Segment.Mark) != head.Mark {
		t.Errorf("token %+v, head %+v", tok, head)
	}
	if got.GetName() != "segments/young" || !uuidV7.MatchString(got.GetUid()) || got.GetUid() == base.GetUid() || got.GetVersion() != 1 ||
		got.GetState() != segmentv1.Segment_STATE_BUILDING || !slices.Equal(got.GetReferences(), []string{"segments/base"}) ||
		got.GetRule() != `age() < 30 && segment("base")` || got.GetOwner() != "personas/p" || got.GetCreateTime() == nil {
		t.Errorf("created %v", got)
	}
	if r.index.changed != 2 {
		t.Errorf("the index was told of %d writes, want 2", r.index.changed)
	}
	read, err := r.segments.GetSegment(t.Context(), &segmentv1.GetSegmentRequest{Name: "segments/young"})
	got.ConsistencyToken = ""
	if err != nil || !proto.Equal(read, got) {
		t.Errorf("read %v, %v; want %v", read, err, got)
	}
	_, err = r.segments.GetSegment(t.Context(), &segmentv1.GetSegmentRequest{Name: "segments/none"})
	wantFault(t, err, fault.NotFound, "SEGMENT_NOT_FOUND")
	_, err = r.segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{
		SegmentId: "base", Segment: &segmentv1.Segment{Definition: &segmentv1.Segment_StaticList_{}},
	})
	wantFault(t, err, fault.Exists, "SEGMENT_EXISTS")
}

func TestABadRuleIsRefusedWithItsPlaceAndNothingIsWritten(t *testing.T) {
	r := newRig(t)
	for text, reason := range map[string]string{
		`age() >`:                    "RULE_SYNTAX",
		`region.within(3)`:           "RULE_TYPE",
		`gender == 3`:                "RULE_TYPE",
		`custom.none == 1`:           "RULE_UNKNOWN_ATTRIBUTE",
		`job_level == "king"`:        "RULE_UNKNOWN_VALUE",
		`region.within("XX-99")`:     "RULE_UNKNOWN_VALUE",
		`segment("segments/none")`:   "RULE_UNKNOWN_SEGMENT",
		`segment("NOT AN ID")`:       "RULE_UNKNOWN_SEGMENT",
		`interests.map(x, x) == [1]`: "RULE_UNSUPPORTED",
		strings.Repeat("(", 300) + "true" + strings.Repeat(")", 300): "RULE_TOO_COMPLEX",
	} {
		_, err := r.segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{
			SegmentId: "a", Segment: &segmentv1.Segment{Definition: &segmentv1.Segment_Rule{Rule: text}},
		})
		f := wantField(t, err, reason, "segment.rule")
		if f.Metadata["line"] == "" || f.Metadata["column"] == "" {
			t.Errorf("%s: no position in %v", text, f.Metadata)
		}
		_, err = r.segments.PreviewSegment(t.Context(), &segmentv1.PreviewSegmentRequest{Rule: text})
		wantField(t, err, reason, "rule")
	}
	_, err := r.segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{SegmentId: "a", Segment: &segmentv1.Segment{}})
	wantField(t, err, "VALIDATION_FAILED", "segment.rule")
	_, err = r.segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{SegmentId: "Not-An-Id", Segment: &segmentv1.Segment{}})
	wantFault(t, err, fault.Invalid, "VALIDATION_FAILED")
	if p := r.head(t); p.Revision != 0 || r.index.changed != 0 {
		t.Errorf("refused writes left the head at %d and told the index %d times", p.Revision, r.index.changed)
	}
}

func TestAnAttributeCanBeUsedAsSoonAsItIsDeclared(t *testing.T) {
	r := newRig(t)
	r.people.attributes = []*profilev1.Attribute{
		{Name: "attributes/other", Type: profilev1.Attribute_TYPE_BOOL},
		{Name: "attributes/score", Type: profilev1.Attribute_TYPE_DECIMAL, Scale: 1, Revision: 9},
	}
	r.people.revision = 9
	r.create(t, "a", `custom.score > 1.5`)
	r.index.schema = nil // not even the first attributes were read
	r.create(t, "b", `custom.score > 1.5 && gender == "female"`)
	if r.people.asked != 4 {
		t.Errorf("the attributes were asked for in %d pages, want 2 of 2", r.people.asked)
	}

	// A question waits until the index has read the declaration.
	done := make(chan error, 1)
	go func() {
		_, err := r.segments.PreviewSegment(t.Context(), &segmentv1.PreviewSegmentRequest{Rule: `custom.score > 1.5`})
		done <- err
	}()
	r.index.reach(9, 0, 0)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if w := r.index.waits(); len(w) != 1 || w[0] != (blocks.Position{Revision: 9}) {
		t.Errorf("waited for %v, want revision 9", w)
	}
}

func TestSegmentsThatNameEachOtherAreRefusedAtTheSecondWrite(t *testing.T) {
	r := newRig(t)
	_, err := r.segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{
		SegmentId: "self", Segment: &segmentv1.Segment{Definition: &segmentv1.Segment_Rule{Rule: `segment("segments/self")`}},
	})
	if f := wantField(t, err, "SEGMENT_CYCLE", "segment.rule"); f.Metadata["path"] != "segments/self -> segments/self" {
		t.Errorf("path %q", f.Metadata["path"])
	}
	r.create(t, "a", `true`)
	r.create(t, "b", `!segment("a")`)
	_, err = r.segments.UpdateSegment(t.Context(), &segmentv1.UpdateSegmentRequest{
		Segment: &segmentv1.Segment{Name: "segments/a", Definition: &segmentv1.Segment_Rule{Rule: `segment("b") || age() > 3`}},
	})
	if f := wantField(t, err, "SEGMENT_CYCLE", "segment.rule"); f.Metadata["path"] != "segments/a -> segments/b -> segments/a" {
		t.Errorf("path %q", f.Metadata["path"])
	}
	got, err := r.segments.GetSegment(t.Context(), &segmentv1.GetSegmentRequest{Name: "segments/a"})
	if err != nil || got.GetRule() != "true" || got.GetVersion() != 1 {
		t.Errorf("after the refusal: %v, %v", got, err)
	}
	_, err = r.segments.DeleteSegment(t.Context(), &segmentv1.DeleteSegmentRequest{Name: "segments/a"})
	if f := wantFault(t, err, fault.Precondition, "SEGMENT_IN_USE"); f.Metadata["used_by"] != "segments/b" {
		t.Errorf("metadata %v", f.Metadata)
	}
}

func TestAnUpdateChangesWhatItsMaskNames(t *testing.T) {
	for name, c := range map[string]struct {
		in   *segmentv1.Segment
		mask []string
		want string // display name, description, rule, version
	}{
		"what is set":          {&segmentv1.Segment{DisplayName: "x"}, nil, "x|d|true|1"},
		"nothing":              {&segmentv1.Segment{}, nil, "n|d|true|1"},
		"a segment sent back":  {&segmentv1.Segment{Owner: "o", Uid: "u", Version: 9, Definition: &segmentv1.Segment_Rule{Rule: "true"}}, nil, "n|d|true|1"},
		"the rule":             {&segmentv1.Segment{DisplayName: "x", Definition: &segmentv1.Segment_Rule{Rule: "false"}}, []string{"rule"}, "n|d|false|2"},
		"clearing":             {&segmentv1.Segment{}, []string{"display_name", "description"}, "||true|1"},
		"everything":           {&segmentv1.Segment{DisplayName: "x", Definition: &segmentv1.Segment_Rule{Rule: "false"}}, []string{"*"}, "x||false|2"},
		"description not name": {&segmentv1.Segment{DisplayName: "x", Description: "y"}, []string{"description"}, "n|y|true|1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			_, err := r.segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{SegmentId: "a", Segment: &segmentv1.Segment{
				DisplayName: "n", Description: "d", Definition: &segmentv1.Segment_Rule{Rule: "true"},
			}})
			if err != nil {
				t.Fatal(err)
			}
			c.in.Name = "segments/a"
			got, err := r.segments.UpdateSegment(t.Context(), &segmentv1.UpdateSegmentRequest{Segment: c.in, UpdateMask: &fieldmaskpb.FieldMask{Paths: c.mask}})
			if err != nil {
				t.Fatal(err)
			}
			if s := fmt.Sprintf("%s|%s|%s|%d", got.GetDisplayName(), got.GetDescription(), got.GetRule(), got.GetVersion()); s != c.want || got.GetConsistencyToken() == "" {
				t.Errorf("updated to %s with token %q, want %s", s, got.GetConsistencyToken(), c.want)
			}
		})
	}
}

func TestAnUpdateThatCannotBeIsRefused(t *testing.T) {
	r := newRig(t)
	a := r.create(t, "a", "true")
	r.createList(t, "list")
	update := func(name, etag string, rule *string, mask ...string) error {
		seg := &segmentv1.Segment{Name: name, Etag: etag}
		if rule != nil {
			seg.Definition = &segmentv1.Segment_Rule{Rule: *rule}
		}
		_, err := r.segments.UpdateSegment(t.Context(), &segmentv1.UpdateSegmentRequest{Segment: seg, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
		return err
	}
	text := "false"
	at := r.head(t)
	for _, field := range []string{"owner", "uid", "state", "name", "static_list", "no_such_field"} {
		if f := wantField(t, update("segments/a", "", nil, field), "UNKNOWN_FIELD", "update_mask"); f.Metadata["field"] != field {
			t.Errorf("metadata %v", f.Metadata)
		}
	}
	wantField(t, update("segments/a", "", &text, "*", "rule"), "UNKNOWN_FIELD", "update_mask")
	wantField(t, update("segments/a", "", nil, "rule"), "VALIDATION_FAILED", "segment.rule")
	wantField(t, update("segments/a", "", nil, "*"), "VALIDATION_FAILED", "segment.rule")
	wantField(t, update("", "", &text), "VALIDATION_FAILED", "segment.name")
	wantFault(t, update("segments/none", "", &text), fault.NotFound, "SEGMENT_NOT_FOUND")
	wantFault(t, update("segments/list", "", &text), fault.Precondition, "SEGMENT_NOT_STATIC")
	wantFault(t, update("segments/a", `"old"`, &text), fault.Conflict, "ETAG_MISMATCH")
	_, err := r.segments.UpdateSegment(t.Context(), &segmentv1.UpdateSegmentRequest{ValidateOnly: true,
		Segment: &segmentv1.Segment{Name: "segments/a", Definition: &segmentv1.Segment_Rule{Rule: "false"}}})
	if err != nil || r.head(t) != at {
		t.Errorf("refused and checked updates moved the head from %v to %v, %v", at, r.head(t), err)
	}
	if err := update("segments/a", a.GetEtag(), &text); err != nil {
		t.Errorf("update with the current etag: %v", err)
	}
	if err := update("segments/list", "", nil, "*"); err != nil {
		t.Errorf("all that can change of a list: %v", err)
	}
}

func TestAnOwnedSegmentIsChangedOnItsOwnersWord(t *testing.T) {
	r := newRig(t)
	_, err := r.segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{SegmentId: "a", Segment: &segmentv1.Segment{
		Owner: "personas/p", Definition: &segmentv1.Segment_Rule{Rule: "true"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	update := &segmentv1.UpdateSegmentRequest{Segment: &segmentv1.Segment{Name: "segments/a", Definition: &segmentv1.Segment_Rule{Rule: "false"}}}
	remove := &segmentv1.DeleteSegmentRequest{Name: "segments/a"}
	for _, as := range []string{"", "personas/q"} {
		ctx := t.Context()
		if as != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, rpc.OwnerKey, as)
		}
		_, err := r.segments.UpdateSegment(ctx, update)
		if f := wantFault(t, err, fault.Precondition, "SEGMENT_OWNED"); f.Metadata["owner"] != "personas/p" || f.Metadata["name"] != "segments/a" {
			t.Errorf("metadata %v", f.Metadata)
		}
		_, err = r.segments.DeleteSegment(ctx, remove)
		wantFault(t, err, fault.Precondition, "SEGMENT_OWNED")
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), rpc.OwnerKey, "personas/p")
	if got, err := r.segments.UpdateSegment(ctx, update); err != nil || got.GetVersion() != 2 {
		t.Errorf("the owner's update: %v, %v", got, err)
	}
	res, err := r.segments.DeleteSegment(ctx, remove)
	if err != nil {
		t.Fatal(err)
	}
	if tok, err := revision.Parse(res.GetConsistencyToken()); err != nil || tok.Segment.Revision != 3 {
		t.Errorf("token of the deletion %+v, %v", tok, err)
	}
}

func TestAStaticListHoldsWhoWasAddedAndNotRemoved(t *testing.T) {
	r := newRig(t)
	r.createList(t, "list")
	r.create(t, "rule", "true")
	name := func(n int) string { return fmt.Sprintf("profiles/0190a000-0000-7000-8000-%012d", n) }
	got, err := r.segments.AddSegmentMembers(t.Context(), &segmentv1.AddSegmentMembersRequest{Name: "segments/list", Profiles: []string{name(1), name(2), name(3)}})
	if err != nil || got.GetStaticList().GetMemberCount() != 3 || got.GetVersion() != 2 {
		t.Fatalf("added: %v, %v", got, err)
	}
	got, err = r.segments.RemoveSegmentMembers(t.Context(), &segmentv1.RemoveSegmentMembersRequest{Name: "segments/list", Profiles: []string{name(2), name(9)}})
	if err != nil || got.GetStaticList().GetMemberCount() != 2 || got.GetVersion() != 3 {
		t.Fatalf("removed: %v, %v", got, err)
	}
	if tok, err := revision.Parse(got.GetConsistencyToken()); err != nil || tok.Segment.Revision != 4 {
		t.Errorf("token %+v, %v", tok, err)
	}
	_, err = r.segments.AddSegmentMembers(t.Context(), &segmentv1.AddSegmentMembersRequest{Name: "segments/rule", Profiles: []string{name(1)}})
	wantFault(t, err, fault.Precondition, "SEGMENT_NOT_STATIC")
	_, err = r.segments.AddSegmentMembers(t.Context(), &segmentv1.AddSegmentMembersRequest{Name: "segments/list", Profiles: []string{"profiles/x"}})
	wantFault(t, err, fault.Invalid, "VALIDATION_FAILED")
}

func TestPagesHoldAllSegments(t *testing.T) {
	r := newRig(t)
	var want, got []string
	for _, id := range []string{"c", "a", "e", "b", "d"} {
		r.create(t, id, "true")
		want = append(want, "segments/"+id)
	}
	slices.Sort(want)
	req := &segmentv1.ListSegmentsRequest{PageSize: 2}
	for pages := 1; ; pages++ {
		res, err := r.segments.ListSegments(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range res.GetSegments() {
			got = append(got, s.GetName())
		}
		if req.PageToken = res.GetNextPageToken(); req.PageToken == "" {
			if pages != 3 {
				t.Errorf("%d pages of 2 for 5", pages)
			}
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	_, err := r.segments.ListSegments(t.Context(), &segmentv1.ListSegmentsRequest{PageToken: "??"})
	wantField(t, err, "PAGE_TOKEN_INVALID", "page_token")
}

func TestTheStateIsThatOfTheNewestDefinition(t *testing.T) {
	r := newRig(t)
	seg := r.create(t, "a", "true") // definition revision 1
	for _, c := range []struct {
		state    rpc.SegmentState
		want     segmentv1.Segment_State
		progress int32
	}{
		{rpc.SegmentState{State: blocks.SegmentBuilding, DefinitionRevision: 1, Progress: 40}, segmentv1.Segment_STATE_BUILDING, 40},
		{rpc.SegmentState{State: blocks.SegmentRebuilding, DefinitionRevision: 1, Progress: 60}, segmentv1.Segment_STATE_REBUILDING, 60},
		{rpc.SegmentState{State: blocks.SegmentActive, DefinitionRevision: 1, Progress: 100}, segmentv1.Segment_STATE_ACTIVE, 100},
		{rpc.SegmentState{State: blocks.SegmentActive, DefinitionRevision: 0, Progress: 100}, segmentv1.Segment_STATE_REBUILDING, 0},
		{rpc.SegmentState{State: blocks.SegmentBuilding, DefinitionRevision: 0, Progress: 80}, segmentv1.Segment_STATE_BUILDING, 0},
	} {
		r.index.states[seg.GetUid()] = c.state
		got, err := r.segments.GetSegment(t.Context(), &segmentv1.GetSegmentRequest{Name: "segments/a"})
		if err != nil || got.GetState() != c.want || got.GetProgressPercent() != c.progress {
			t.Errorf("%+v is shown as %v at %d %%, %v; want %v at %d", c.state, got.GetState(), got.GetProgressPercent(), err, c.want, c.progress)
		}
	}
}

func TestNothingIsWrittenThatCouldNotBeAnswered(t *testing.T) {
	r := newRig(t)
	r.index.known, r.people.down = false, true
	_, err := r.segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{
		SegmentId: "list", Segment: &segmentv1.Segment{Definition: &segmentv1.Segment_StaticList_{}},
	})
	wantFault(t, err, fault.Unavailable, "PROFILES_UNAVAILABLE")
	_, err = r.segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{
		SegmentId: "a", Segment: &segmentv1.Segment{Definition: &segmentv1.Segment_Rule{Rule: `custom.new == true`}},
	})
	wantFault(t, err, fault.Unavailable, "PROFILES_UNAVAILABLE")
	if p := r.head(t); p.Revision != 0 {
		t.Errorf("the head is %d", p.Revision)
	}
	r.people.down = false
	r.createList(t, "list")
}

func TestRulesThatAreTooLargeTogetherAreRefused(t *testing.T) {
	r := newRig(t)
	// Each names the one before eight times, on both sides of an OR, so that the whole grows eightfold with each.
	r.create(t, "s0", `interests.any(["a", "b"])`)
	refused := 0
	for i := 1; i <= 12 && refused == 0; i++ {
		name := fmt.Sprintf("segment(%q)", fmt.Sprintf("s%d", i-1))
		rule := fmt.Sprintf(`age() > %d && %s`, i, name)
		for n := range 7 {
			rule += fmt.Sprintf(` || age() < %d && !%s`, n, name)
		}
		_, err := r.segments.CreateSegment(t.Context(), &segmentv1.CreateSegmentRequest{
			SegmentId: fmt.Sprintf("s%d", i), Segment: &segmentv1.Segment{Definition: &segmentv1.Segment_Rule{Rule: rule}},
		})
		if err != nil {
			wantField(t, err, "RULE_TOO_COMPLEX", "segment.rule")
			refused = i
		}
	}
	if refused == 0 {
		t.Error("rules that are 8^12 nodes together were taken")
	}
}
