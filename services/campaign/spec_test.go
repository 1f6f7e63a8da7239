package campaign_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/campaign"
)

func ptr[T any](v T) *T { return &v }

// names knows one segment and one persona, of the uid that their name says.
type names struct{ busy error }

func (n names) Segment(name string) (string, error) {
	if name == "segments/busy" {
		return "", n.busy
	}
	if name != "segments/known" {
		return "", fault.New(fault.Invalid, campaign.ReasonUnknownSegment, "unknown").With("segment", name)
	}
	return "uid-known", nil
}

func (n names) Persona(name string) (string, error) {
	if name != "personas/known" {
		return "", fault.New(fault.Invalid, campaign.ReasonUnknownPersona, "unknown").With("persona", name)
	}
	return "uid-persona", nil
}

func (n names) Filter(text string) (audience.Pred, error) {
	if text == "" || text == "bad" {
		return nil, fault.New(fault.Invalid, "RULE_SYNTAX", "bad").With("line", 1)
	}
	return audience.Const(true), nil
}

func schema(t *testing.T) *audience.Schema {
	s, err := audience.NewSchema("EUR", nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheStoredFormIsForOldAndNewPrograms(t *testing.T) {
	s := campaign.Spec{Regions: []string{"FR"}, Genders: []string{}, Age: &campaign.Ages{Min: ptr(int64(0))}, AsOf: ptr(int64(0))}
	data, err := campaign.EncodeSpec(s)
	if err != nil {
		t.Fatal(err)
	}
	// The form is what files hold: it may gain parts, and what it has keeps its name and meaning.
	if want := `{"regions":["FR"],"age":{"min":0},"as_of":0}`; string(data) != want {
		t.Errorf("stored %s, want %s", data, want)
	}
	if got, err := campaign.DecodeSpec(data); err != nil || !got.Equal(s) {
		t.Errorf("read %+v, %v", got, err)
	}
	if s.Genders == nil {
		t.Error("encoding changed the caller's spec")
	}
	for _, wrong := range []string{`{"excluded_moods":["x"]}`, `{"age":{"mean":3}}`, `{`, `{} {}`, ``} {
		if got, err := campaign.DecodeSpec([]byte(wrong)); err == nil {
			t.Errorf("%s was read as %+v", wrong, got)
		}
	}
	if !(campaign.Spec{}).IsZero() || s.IsZero() {
		t.Error("IsZero")
	}
}

func TestAQuestionNamesSegmentsByUIDAndKeepsTheOrderOfItsParts(t *testing.T) {
	s := campaign.Spec{
		Channel: "email", Filter: "good", Personas: []string{"personas/known"}, ExcludedSegments: []string{"segments/known"}, MinJobLevel: "director",
		Income: &campaign.Incomes{Min: "10"}, Age: &campaign.Ages{Min: ptr(int64(25)), Max: ptr(int64(34))}, Regions: []string{"FR"},
	}
	q, err := s.Question(schema(t), names{})
	if err != nil {
		t.Fatal(err)
	}
	var parts, labels []string
	for _, st := range q.Steps {
		parts, labels = append(parts, st.Part), append(labels, st.Label)
	}
	if want := []string{"regions", "age", "min_job_level", "income", "excluded_segments", "personas", "filter", "channel"}; !slices.Equal(parts, want) {
		t.Errorf("parts %q, want %q", parts, want)
	}
	if labels[4] != "not in segments/known" || labels[5] != "like personas/known" {
		t.Errorf("labels %q", labels)
	}
	if !slices.Equal(q.Spec.ExcludedSegments, []string{"uid-known"}) || !slices.Equal(q.Spec.Personas, []string{"uid-persona"}) {
		t.Errorf("uids %q and %q", q.Spec.ExcludedSegments, q.Spec.Personas)
	}
}

func TestAllThatIsWrongIsToldAtOnce(t *testing.T) {
	busy := errors.New("being built")
	s := campaign.Spec{
		Regions: []string{"XX"}, Age: &campaign.Ages{Min: ptr(int64(40)), Max: ptr(int64(30))}, AllSegments: []string{"segments/known", "segments/no"},
		AnySegments: []string{"segments/busy"}, Personas: []string{"personas/no"}, Filter: "bad", Genders: []string{"2"},
	}
	_, err := s.Question(schema(t), names{busy: busy})
	f := fault.As(err)
	if f == nil || f.Kind != fault.Invalid {
		t.Fatalf("got %v", err)
	}
	got := make(map[string]string)
	for _, v := range f.Violations {
		got[v.Field] = v.Reason
	}
	want := map[string]string{
		"spec.regions[0]": "UNKNOWN_REGION", "spec.age.min": "INVALID_RANGE", "spec.all_segments[1]": "UNKNOWN_SEGMENT",
		"spec.personas[0]": "UNKNOWN_PERSONA", "spec.filter": "RULE_SYNTAX", "spec.genders[0]": "UNKNOWN_VALUE",
	}
	if len(got) != len(want) {
		t.Errorf("violations %v", f.Violations)
	}
	for field, reason := range want {
		if got[field] != reason {
			t.Errorf("%s: %q, want %q", field, got[field], reason)
		}
	}
	// A name whose question must wait is told only when nothing is wrong.
	if _, err := (campaign.Spec{AnySegments: []string{"segments/busy"}}).Question(schema(t), names{busy: busy}); !errors.Is(err, busy) {
		t.Errorf("got %v", err)
	}
	// One violation keeps the variables of its message.
	_, err = (campaign.Spec{AllSegments: []string{"segments/no"}}).Question(schema(t), names{})
	if f := fault.As(err); f == nil || f.Reason != "UNKNOWN_SEGMENT" || f.Metadata["segment"] != "segments/no" {
		t.Errorf("got %+v", f)
	}
}

func TestCampaignsAreChecked(t *testing.T) {
	good := campaign.Campaign{Objective: "growth", Audience: "audiences/a", Channel: "email", Budget: &campaign.Money{Currency: "EUR"}, StartDay: ptr(int64(5)), EndDay: ptr(int64(5))}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*campaign.Campaign){
		"objective":            func(c *campaign.Campaign) { c.Objective = "fame" },
		"audience":             func(c *campaign.Campaign) { c.Audience = "audiences/A" },
		"channel":              func(c *campaign.Campaign) { c.Channel = "pigeon" },
		"budget.currency_code": func(c *campaign.Campaign) { c.Budget = &campaign.Money{Currency: "eur"} },
		"budget.amount":        func(c *campaign.Campaign) { c.Budget = &campaign.Money{Currency: "EUR", Cents: -1} },
		"end_date":             func(c *campaign.Campaign) { c.EndDay = ptr(int64(4)) },
		"start_date":           func(c *campaign.Campaign) { c.StartDay = ptr(audience.MinDay - 1) },
	} {
		wrong := good
		change(&wrong)
		f := fault.As(wrong.Check())
		if f == nil || len(f.Violations) != 1 || f.Violations[0].Field != field || f.Violations[0].Reason == "" {
			t.Errorf("%s: %v", field, f)
		}
	}
}

func FuzzDecodeSpec(f *testing.F) {
	f.Add([]byte(`{"regions":["FR"],"age":{"min":0},"income":{"min":"1"},"as_of":-5}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := campaign.DecodeSpec(data)
		if err != nil {
			return
		}
		again, err := campaign.EncodeSpec(s)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := campaign.DecodeSpec(again); err != nil || !back.Equal(s) {
			t.Fatalf("%s does not survive: %v", again, err)
		}
	})
}
