package rpc_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/narrowcast/narrowcast/pkg/fault"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/persona"
)

const rule = `segment("segments/cyclists") && age() >= 28 && age() <= 31 && job_level in ["director"] && region.within("FR-NAQ")`

func (f *fixture) generate(id string) (*personav1.Persona, error) {
	return f.personas.GeneratePersona(f.Context(), &personav1.GeneratePersonaRequest{Segment: "segments/cyclists", PersonaId: id, AtLeastAsFresh: "written-token"})
}

func TestAGeneratedPersonaIsSavedWithItsSegment(t *testing.T) {
	f := start(t)
	p, err := f.generate("young-cyclist")
	if err != nil {
		t.Fatal(err)
	}
	if p.GetName() != "personas/young-cyclist" || p.GetDisplayName() != "Young cyclist" || p.GetKind() != personav1.Persona_KIND_PRESCRIBER ||
		p.GetHeadline() != "Director, 28, FR-NAQ" || p.GetSourceSegment() != "segments/cyclists" || p.GetSegment() != "segments/persona-young-cyclist" {
		t.Errorf("persona %v", p)
	}
	if want := rule + ` && interests.any(["cycling"])`; p.GetRule() != want {
		t.Errorf("rule %s, want %s", p.GetRule(), want)
	}
	e := p.GetEvidence()
	if e.GetSampleSize() != 1000 || e.GetBaseSize() != 100_000 || e.GetMedianAge() != 28 || e.GetAsOfToken() != "statistics-token" || !e.GetGenerateTime().AsTime().Equal(now) {
		t.Errorf("evidence %v", e)
	}
	if p.GetConsistencyToken() != "definitions-1" {
		t.Errorf("token %q is not that of the segment's creation", p.GetConsistencyToken())
	}
	s := f.segments.segment(p.GetSegment())
	if s == nil || s.GetOwner() != p.GetName() || s.GetRule() != p.GetRule() {
		t.Errorf("segment %v", s)
	}
	read, err := f.personas.GetPersona(t.Context(), &personav1.GetPersonaRequest{Name: p.GetName()})
	if err != nil {
		t.Fatal(err)
	}
	p.ConsistencyToken = "" // of the write alone
	if !proto.Equal(read, p) {
		t.Errorf("read %v, want %v", read, p)
	}
	req := f.segments.asked[0]
	if req.GetSegment() != "segments/cyclists" || req.GetConsistency().GetAtLeastAsFresh() != "written-token" {
		t.Errorf("statistics were asked for by %v", req)
	}
	// A preview of an older state could say of a rule that it holds nobody.
	if !slices.Equal(f.segments.fresh, []string{"statistics-token"}) {
		t.Errorf("previews of the states %q", f.segments.fresh)
	}
}

func TestARuleThatHoldsNobodyIsLoosened(t *testing.T) {
	for name, c := range map[string]struct {
		empty []string
		want  string
	}{
		"by its interests": {[]string{"interests"}, rule},
		"by its job level": {[]string{"interests", "job_level"}, `segment("segments/cyclists") && age() >= 28 && age() <= 31 && region.within("FR-NAQ")`},
		"altogether":       {[]string{"&&"}, `segment("segments/cyclists")`},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			f.segments.empty = c.empty
			if p, err := f.generate("p"); err != nil || p.GetRule() != c.want {
				t.Errorf("rule %s, %v; want %s", p.GetRule(), err, c.want)
			}
		})
	}
}

func TestShowingAPersonaStoresNothing(t *testing.T) {
	f := start(t)
	p, err := f.personas.GeneratePersona(t.Context(), &personav1.GeneratePersonaRequest{Segment: "segments/cyclists", PersonaId: "p", ValidateOnly: true})
	if err != nil || p.GetRule() == "" || p.GetEvidence().GetSampleSize() != 1000 || p.GetEtag() != "" || p.GetCreateTime() != nil {
		t.Errorf("shown %v, %v", p, err)
	}
	if f.segments.segment("segments/persona-p") != nil || f.segments.changes != 0 {
		t.Error("a segment was made")
	}
	_, err = f.personas.GetPersona(t.Context(), &personav1.GetPersonaRequest{Name: "personas/p"})
	f.refused(err, fault.NotFound, "PERSONA_NOT_FOUND")
}

func TestWhatCannotBeGeneratedLeavesNothing(t *testing.T) {
	f := start(t)
	f.segments.breakdown.Count = 0
	_, err := f.generate("p")
	if e := f.refused(err, fault.Precondition, "SEGMENT_EMPTY"); e.Metadata["segment"] != "segments/cyclists" {
		t.Errorf("metadata %v", e.Metadata)
	}
	f.segments.fail = fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "down")
	_, err = f.generate("p")
	f.refused(err, fault.Unavailable, "SEGMENTS_UNAVAILABLE")
	f.segments.fail = fault.New(fault.NotFound, "SEGMENT_NOT_FOUND", "no such segment")
	_, err = f.generate("p")
	f.refused(err, fault.NotFound, "SEGMENT_NOT_FOUND")
	f.segments.fail = nil
	_, err = f.personas.CreatePersona(t.Context(), &personav1.CreatePersonaRequest{PersonaId: "p", Persona: &personav1.Persona{}})
	if e := f.refused(err, fault.Invalid, "PERSONA_RULE_REQUIRED"); len(e.Violations) != 1 || e.Violations[0].Field != "persona.rule" {
		t.Errorf("violations %v", e.Violations)
	}
	_, err = f.personas.CreatePersona(t.Context(), &personav1.CreatePersonaRequest{PersonaId: "p", Persona: &personav1.Persona{Rule: "wrong"}})
	if e := f.refused(err, fault.Invalid, "RULE_SYNTAX"); len(e.Violations) != 1 || e.Violations[0].Field != "persona.rule" || e.Metadata["line"] != "1" {
		t.Errorf("%+v", e)
	}
	if len(f.segments.segments) != 1 {
		t.Errorf("segments %v", f.segments.segments)
	}
}

func TestAPersonaThatCannotBeStoredLeavesNoSegment(t *testing.T) {
	f := start(t)
	f.store.create = fault.New(fault.Exhausted, "STORE_FULL", "full")
	_, err := f.generate("p")
	f.refused(err, fault.Exhausted, "STORE_FULL")
	if s := f.segments.segment("segments/persona-p"); s != nil {
		t.Errorf("an orphan: %v", s)
	}
	// A failure that comes after the commit: the persona is there, and so is its segment.
	f.store.create, f.store.stored = fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "lost"), true
	p, err := f.generate("p")
	if err != nil || p.GetEtag() == "" || f.segments.segment("segments/persona-p") == nil {
		t.Errorf("%v, %v", p, err)
	}
}

func TestASegmentLeftBehindByACrashIsAdopted(t *testing.T) {
	f := start(t)
	f.segments.segments["segments/persona-p"] = &segmentv1.Segment{
		Name: "segments/persona-p", Owner: "personas/p", Etag: `"9"`, Definition: &segmentv1.Segment_Rule{Rule: "old"},
	}
	p, err := f.generate("p")
	if err != nil {
		t.Fatal(err)
	}
	if got := f.segments.segment("segments/persona-p"); got.GetRule() != p.GetRule() || p.GetConsistencyToken() == "" {
		t.Errorf("adopted %v", got)
	}
	// Somebody else's segment of that name is not touched.
	f.segments.segments["segments/persona-q"] = &segmentv1.Segment{Name: "segments/persona-q", Etag: `"9"`, Definition: &segmentv1.Segment_Rule{Rule: "mine"}}
	_, err = f.generate("q")
	f.refused(err, fault.Precondition, "SEGMENT_EXISTS")
	if got := f.segments.segment("segments/persona-q"); got.GetRule() != "mine" {
		t.Errorf("another's segment: %v", got)
	}
}

func TestALoserOfARaceRepairsTheWinnersSegment(t *testing.T) {
	f := start(t)
	// Another replica stores its persona between our segment and ours.
	f.store.before = func() {
		f.store.before = nil
		if _, err := f.store.Store.Create(t.Context(), persona.Persona{Name: "personas/p", UID: "theirs", Rule: "theirs", Segment: "segments/persona-p"}); err != nil {
			t.Error(err)
		}
	}
	_, err := f.generate("p")
	f.refused(err, fault.Exists, "PERSONA_EXISTS")
	if got := f.segments.segment("segments/persona-p"); got.GetRule() != "theirs" {
		t.Errorf("the winner's segment: %v", got)
	}
}

func TestOfManyWhoMakeOnePersonaOneSucceeds(t *testing.T) {
	f := start(t)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = f.personas.CreatePersona(t.Context(), &personav1.CreatePersonaRequest{
				PersonaId: "p", Persona: &personav1.Persona{Rule: fmt.Sprint("age() > ", i), DisplayName: fmt.Sprint(i)},
			})
		})
	}
	wg.Wait()
	won := -1
	for i, err := range errs {
		if err == nil {
			if won >= 0 {
				t.Error("two succeeded")
			}
			won = i
			continue
		}
		f.refused(err, fault.Exists, "PERSONA_EXISTS")
	}
	if got := f.segments.segment("segments/persona-p"); won < 0 || got.GetRule() != fmt.Sprint("age() > ", won) {
		t.Errorf("winner %d, segment %v", won, got)
	}
}

func TestANewRuleBecomesTheSegments(t *testing.T) {
	f := start(t)
	made, err := f.generate("p")
	if err != nil {
		t.Fatal(err)
	}
	update := func(p *personav1.Persona, paths ...string) (*personav1.Persona, error) {
		p.Name = made.GetName()
		return f.personas.UpdatePersona(t.Context(), &personav1.UpdatePersonaRequest{Persona: p, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
	}
	now, err := update(&personav1.Persona{Rule: "true", DisplayName: "Zoé", Goals: []string{"g"}, Etag: made.GetEtag()}, "rule", "goals")
	if err != nil || now.GetRule() != "true" || now.GetDisplayName() != made.GetDisplayName() || !slices.Equal(now.GetGoals(), []string{"g"}) || now.GetEtag() == made.GetEtag() {
		t.Errorf("updated %v, %v", now, err)
	}
	s := f.segments.segment(made.GetSegment())
	if s.GetRule() != "true" || now.GetConsistencyToken() != s.GetConsistencyToken() {
		t.Errorf("segment %v, token %q", s, now.GetConsistencyToken())
	}
	if !proto.Equal(now.GetEvidence(), made.GetEvidence()) {
		t.Error("the evidence changed")
	}
	version := s.GetVersion()
	renamed, err := update(&personav1.Persona{DisplayName: "Zoé"}, "display_name")
	if err != nil || renamed.GetDisplayName() != "Zoé" || renamed.GetConsistencyToken() == "" {
		t.Errorf("renamed %v, %v", renamed, err)
	}
	if s := f.segments.segment(made.GetSegment()); s.GetVersion() != version || s.GetDisplayName() != "Zoé" {
		t.Errorf("a new name made a new rule: %v", s)
	}
	_, err = update(&personav1.Persona{Rule: "x", Etag: made.GetEtag()}, "rule")
	f.refused(err, fault.Conflict, "ETAG_MISMATCH")
	_, err = update(&personav1.Persona{Rule: "wrong"}, "rule")
	f.refused(err, fault.Invalid, "RULE_SYNTAX")
	_, err = update(&personav1.Persona{}, "rule")
	f.refused(err, fault.Invalid, "PERSONA_RULE_REQUIRED")
	_, err = update(&personav1.Persona{}, "evidence")
	f.refused(err, fault.Invalid, "UNKNOWN_FIELD")
	// A persona that cannot be stored gives its segment the old rule back.
	f.store.update = fault.New(fault.Exhausted, "STORE_FULL", "full")
	_, err = update(&personav1.Persona{Rule: "false"}, "rule")
	f.refused(err, fault.Exhausted, "STORE_FULL")
	if s := f.segments.segment(made.GetSegment()); s.GetRule() != "true" {
		t.Errorf("segment after a failed update: %v", s)
	}
	f.store.update = nil
	if read, err := f.personas.GetPersona(t.Context(), &personav1.GetPersonaRequest{Name: made.GetName()}); err != nil || read.GetRule() != "true" || read.GetEtag() != renamed.GetEtag() {
		t.Errorf("refused updates changed the persona: %v, %v", read, err)
	}
}

func TestAPersonaGoesWithItsSegment(t *testing.T) {
	f := start(t)
	made, err := f.generate("p")
	if err != nil {
		t.Fatal(err)
	}
	remove := func(etag string) (*personav1.DeletePersonaResponse, error) {
		return f.personas.DeletePersona(t.Context(), &personav1.DeletePersonaRequest{Name: made.GetName(), Etag: etag})
	}
	_, err = remove(`"another"`)
	f.refused(err, fault.Conflict, "ETAG_MISMATCH")
	// A segment that others name stays, and so does the persona.
	f.segments.fail = fault.New(fault.Precondition, "SEGMENT_IN_USE", "it is named").With("used_by", "segments/other")
	_, err = remove("")
	f.segments.fail = nil
	if f.segments.segment(made.GetSegment()) == nil {
		t.Error("the segment went")
	}
	f.refused(err, fault.Precondition, "SEGMENT_IN_USE")
	// A crash between the two: the same request goes on.
	f.store.remove = fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "down")
	_, err = remove("")
	f.refused(err, fault.Unavailable, "STORE_UNAVAILABLE")
	f.store.remove = nil
	if f.segments.segment(made.GetSegment()) != nil {
		t.Error("the segment is still there")
	}
	if _, err := remove(made.GetEtag()); err != nil {
		t.Error(err)
	}
	_, err = remove("")
	f.refused(err, fault.NotFound, "PERSONA_NOT_FOUND")
	// And all at once.
	if made, err = f.generate("p"); err != nil {
		t.Fatal(err)
	}
	res, err := remove("")
	if err != nil || !strings.HasPrefix(res.GetConsistencyToken(), "definitions-") || f.segments.segment(made.GetSegment()) != nil {
		t.Errorf("%v, %v", res, err)
	}
}

func TestPersonasAreListedByPages(t *testing.T) {
	f := start(t)
	for _, id := range []string{"a", "b", "c"} {
		if _, err := f.personas.CreatePersona(t.Context(), &personav1.CreatePersonaRequest{PersonaId: id, Persona: &personav1.Persona{Rule: "true"}}); err != nil {
			t.Fatal(err)
		}
	}
	first, err := f.personas.ListPersonas(t.Context(), &personav1.ListPersonasRequest{PageSize: 2})
	if err != nil || len(first.GetPersonas()) != 2 || first.GetNextPageToken() == "" {
		t.Fatalf("%v, %v", first, err)
	}
	second, err := f.personas.ListPersonas(t.Context(), &personav1.ListPersonasRequest{PageSize: 2, PageToken: first.GetNextPageToken()})
	if err != nil || len(second.GetPersonas()) != 1 || second.GetPersonas()[0].GetName() != "personas/c" || second.GetNextPageToken() != "" {
		t.Errorf("%v, %v", second, err)
	}
	_, err = f.personas.ListPersonas(t.Context(), &personav1.ListPersonasRequest{PageToken: "x"})
	f.refused(err, fault.Invalid, "PAGE_TOKEN_INVALID")
}
