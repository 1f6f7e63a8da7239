package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/narrowcast/narrowcast/pkg/telemetry/telemetrytest"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
)

// marker stands in every field of a profile that holds text; it must be found nowhere else.
const marker = "Xq7MarkedTrait"

// marked is a profile full of it. n tells external ids apart.
func marked(n int) *profilev1.Profile {
	text := func() *string { return proto.String(marker) }
	list := &typev1.TextList{Values: []string{marker}}
	return &profilev1.Profile{
		GivenName: text(), FamilyName: text(), PostalCode: text(), Occupation: text(), Household: text(),
		Employer: &profilev1.Employer{Name: text(), Industry: text()}, Gender: typev1.Gender_GENDER_FEMALE,
		Interests: list, Values: list, Needs: list, PreferredBrands: list,
		Identifiers: []*profilev1.Identifier{
			{Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EXTERNAL_ID, Source: "crm", Value: fmt.Sprint(marker, n)},
			{Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EMAIL, Value: marker + "@example.org"},
		},
		Custom: map[string]*typev1.AttributeValue{"note": {Value: &typev1.AttributeValue_Text{Text: marker}}},
	}
}

func TestNoLogSpanOrErrorHoldsAFactAboutAPerson(t *testing.T) {
	t.Parallel()
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			spans := telemetrytest.New(t)
			o := options{telemetry: spans.Telemetry, logs: newLogs(t)}
			if shape.name != shapes[0].name { // with the spans of Redis too
				o.redis = "redis://" + testkit.Redis(t) + "/0"
			}
			st := shape.run(t, o)
			handleMarked(t, st)

			logged := o.logs.String()
			if !strings.Contains(logged, "CreateProfile") {
				t.Error("the logs say nothing of the calls: what is looked through is not what was logged")
			}
			for line := range strings.SplitSeq(logged, "\n") {
				if strings.Contains(line, marker) {
					t.Errorf("a log line holds a fact about a person: %s", line)
				}
			}
			if n := len(spans.Named("CreateProfile")); !strings.HasPrefix(shape.name, "four processes") && n == 0 {
				t.Error("there are no spans of the calls: what is looked through is not what was recorded")
			}
			for _, one := range spans.Spans() {
				if text := fmt.Sprintf("%+v", one); strings.Contains(text, marker) {
					t.Errorf("the span %s holds a fact about a person: %s", one.Name, text)
				}
			}
		})
	}
}

// handleMarked does with marked profiles what can be done with profiles, right and wrong.
func handleMarked(t *testing.T, st *stack) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	// Refusals are for the caller, who knows what was sent; but errors end in logs, so they do not repeat it either.
	refused := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s is not refused", what)
		} else if strings.Contains(fmt.Sprintf("%+v %#v", err, err), marker) {
			t.Errorf("the refusal of %s holds a fact about a person: %v", what, err)
		}
	}
	attribute := &profilev1.Attribute{Type: profilev1.Attribute_TYPE_STRING}
	_, err := st.Attributes.CreateAttribute(ctx, &profilev1.CreateAttributeRequest{AttributeId: "note", Attribute: attribute})
	ok("declare", err)
	one, err := st.Profiles.CreateProfile(ctx, &profilev1.CreateProfileRequest{Profile: marked(1)})
	ok("create", err)
	_, err = st.Profiles.CreateProfile(ctx, &profilev1.CreateProfileRequest{Profile: marked(1)})
	refused("a taken external id", err)
	for field, spoil := range map[string]func(p *profilev1.Profile){
		"region":     func(p *profilev1.Profile) { p.Region = proto.String(marker) },
		"currency":   func(p *profilev1.Profile) { p.Income = &typev1.Money{CurrencyCode: marker, Amount: marker} },
		"two of one": func(p *profilev1.Profile) { p.Identifiers = append(p.Identifiers, p.GetIdentifiers()...) },
		"wrong type": func(p *profilev1.Profile) {
			p.Custom["note"] = &typev1.AttributeValue{Value: &typev1.AttributeValue_Decimal{Decimal: "5"}}
		},
		"long":       func(p *profilev1.Profile) { p.Household = proto.String(strings.Repeat(marker, 50)) },
		"no UTF-8":   func(p *profilev1.Profile) { p.Household = proto.String(marker + "\xff") },
		"bad e-mail": func(p *profilev1.Profile) { p.Identifiers[1].Value = " " + marker + "\x00" },
		"not decimal": func(p *profilev1.Profile) {
			p.Custom["note"] = &typev1.AttributeValue{Value: &typev1.AttributeValue_Decimal{Decimal: marker}}
		},
	} {
		p := marked(2)
		spoil(p)
		_, err = st.Profiles.CreateProfile(ctx, &profilev1.CreateProfileRequest{Profile: p})
		refused(field, err)
		_, err = st.Profiles.BatchUpsertProfiles(ctx, &profilev1.BatchUpsertProfilesRequest{Profiles: []*profilev1.Profile{p, p}})
		refused(field+" in a batch", err)
	}
	one.Occupation = proto.String(marker + " two")
	_, err = st.Profiles.UpdateProfile(ctx, &profilev1.UpdateProfileRequest{Profile: one})
	ok("update", err)
	_, err = st.Profiles.UpdateProfile(ctx, &profilev1.UpdateProfileRequest{Profile: one})
	refused("an old etag", err)
	importMarked(t, st)
	recordMarked(ctx, st, one.GetName(), ok, refused)
	resolveMarked(ctx, st, one.GetName(), ok, refused)

	// Questions that do not name it, about people who have it.
	_, err = st.Segments.CreateSegment(ctx, &segmentv1.CreateSegmentRequest{SegmentId: "women", Segment: &segmentv1.Segment{
		Definition: &segmentv1.Segment_Rule{Rule: `gender == "female"`},
	}})
	ok("create a segment", err)
	women := specRef(&campaignv1.AudienceSpec{AllSegments: []string{"segments/women"}, OnePerHousehold: true})
	_, err = st.Audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{Audience: women})
	ok("count", err)
	_, err = st.Audiences.ExplainProfile(ctx, &campaignv1.ExplainProfileRequest{Audience: women, Profile: one.GetName()})
	ok("explain", err)
	for _, err := range st.Members(ctx, &campaignv1.StreamMembersRequest{Audience: women}).All() {
		ok("members", err)
	}
	dimensions := []*segmentv1.BreakdownSegmentRequest_Dimension{{Attribute: "interests"}, {Attribute: "occupation"}, {Attribute: "custom.note"}}
	_, err = st.Insight.BreakdownSegment(ctx, &segmentv1.BreakdownSegmentRequest{Dimensions: dimensions})
	ok("breakdown", err)
	// A persona's rule names what is typical: here, the marker.
	p, err := st.Personas.GeneratePersona(ctx, &personav1.GeneratePersonaRequest{Segment: "segments/women", PersonaId: "marked", AtLeastAsFresh: st.Token()})
	ok("generate a persona", err)
	if !strings.Contains(p.GetRule(), marker) {
		t.Errorf("the persona's rule %q does not name the trait that all have", p.GetRule())
	}
	_, err = st.Audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{Audience: specRef(&campaignv1.AudienceSpec{Personas: []string{"personas/marked"}})})
	ok("count a persona", err)
	_, err = st.Profiles.DeleteProfile(ctx, &profilev1.DeleteProfileRequest{Name: one.GetName()})
	ok("delete", err)
	everybody(t, st)
}

// recordMarked records what somebody did, right and wrong.
func recordMarked(ctx context.Context, st *stack, who string, ok, refused func(string, error)) {
	record := func(id string, change func(*profilev1.Event)) error {
		e := &profilev1.Event{
			EventId: id, Whose: &profilev1.Event_Profile{Profile: who}, Kind: "purchase", EventTime: timestamppb.New(time.Now().Add(-time.Hour)), Order: marker,
			Brand: marker, Category: marker, Amount: &typev1.Money{CurrencyCode: "EUR", Amount: "5"}, Details: map[string]string{"note": marker},
		}
		change(e)
		_, err := st.Events.RecordEvents(ctx, &profilev1.RecordEventsRequest{Events: []*profilev1.Event{e}})
		return err
	}
	ok("record", record("right", func(*profilev1.Event) {}))
	ok("record once more", record("right", func(*profilev1.Event) {}))
	refused("an event of nobody", record("nobody", func(e *profilev1.Event) {
		e.Whose = &profilev1.Event_Identifier{Identifier: &profilev1.Identifier{
			Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EXTERNAL_ID, Source: "crm", Value: marker + "Nobody",
		}}
	}))
	for field, spoil := range map[string]func(*profilev1.Event){
		"an event kind":    func(e *profilev1.Event) { e.Kind = marker },
		"an amount":        func(e *profilev1.Event) { e.Amount.Amount = marker },
		"a long brand":     func(e *profilev1.Event) { e.Brand = strings.Repeat(marker, 50) },
		"details no UTF-8": func(e *profilev1.Event) { e.Details["note"] = marker + "\xff" },
		"a campaign":       func(e *profilev1.Event) { e.Campaign = marker },
	} {
		refused(field, record("wrong", spoil))
	}
}

// resolveMarked asks whose an identifier is, and makes one of two people.
func resolveMarked(ctx context.Context, st *stack, who string, ok, refused func(string, error)) {
	id := func(kind typev1.IdentifierKind, source, value string) *profilev1.Identifier {
		return &profilev1.Identifier{Kind: kind, Source: source, Value: value}
	}
	resolve := func(one *profilev1.Identifier) error {
		_, err := st.Identity.ResolveIdentifier(ctx, &profilev1.ResolveIdentifierRequest{Identifier: one})
		return err
	}
	const external, email, phone = typev1.IdentifierKind_IDENTIFIER_KIND_EXTERNAL_ID, typev1.IdentifierKind_IDENTIFIER_KIND_EMAIL, typev1.IdentifierKind_IDENTIFIER_KIND_PHONE
	ok("resolve", resolve(id(external, "crm", fmt.Sprint(marker, 1))))
	refused("an external id of nobody", resolve(id(external, "crm", marker+"Nobody")))
	refused("an address of nobody", resolve(id(email, "", marker+"@nobody.org")))
	refused("what is no number", resolve(id(phone, "", marker)))
	_, err := st.Identity.BatchResolveIdentifiers(ctx, &profilev1.BatchResolveIdentifiersRequest{
		Identifiers: []*profilev1.Identifier{id(external, "crm", fmt.Sprint(marker, 1)), id(external, "crm", marker+"Nobody"), id(email, "", marker+"@example.org")},
	})
	ok("resolve many", err)
	other, err := st.Profiles.CreateProfile(ctx, &profilev1.CreateProfileRequest{Profile: marked(6)})
	ok("create another", err)
	_, err = st.Identity.MergeProfiles(ctx, &profilev1.MergeProfilesRequest{Name: who, Merged: other.GetName()})
	ok("merge", err)
	_, err = st.Identity.MergeProfiles(ctx, &profilev1.MergeProfilesRequest{Name: who, Merged: other.GetName()})
	refused("a second merge", err)
	_, err = st.Identity.UnmergeProfiles(ctx, &profilev1.UnmergeProfilesRequest{Name: other.GetName()})
	ok("take the merge back", err)
}

// importMarked imports good and bad rows.
func importMarked(t *testing.T, st *stack) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := st.Profiles.ImportProfiles(ctx)
	if err != nil {
		t.Fatal(err)
	}
	bad := marked(4)
	bad.Region = proto.String(marker)
	start := &profilev1.ImportProfilesRequest_Start_{Start: &profilev1.ImportProfilesRequest_Start{ImportId: "marked"}}
	chunk := &profilev1.ImportProfilesRequest_Chunk_{Chunk: &profilev1.ImportProfilesRequest_Chunk{Profiles: []*profilev1.Profile{marked(3), bad, marked(5)}}}
	for _, m := range []*profilev1.ImportProfilesRequest{{Message: start}, {Message: chunk}} {
		if err := s.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	check(t, s.CloseSend())
	var rejected, through int64
	for {
		answer, err := s.Recv()
		if err != nil {
			break // the counts below say whether it was the end
		}
		if strings.Contains(answer.String(), marker) {
			t.Errorf("an answer of the import holds a fact about a person: %v", answer)
		}
		rejected, through = answer.GetRejected(), answer.GetCommittedThrough()
	}
	if rejected != 1 || through != 3 {
		t.Errorf("the import ends at row %d with %d rejected; want 3 and 1", through, rejected)
	}
}
