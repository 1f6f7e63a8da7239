package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
)

type personaCommands struct {
	Generate personaGenerate `cmd:"" help:"Make a persona from the statistics of a segment."`
	Create   personaCreate   `cmd:"" help:"Create a persona by hand."`
	List     personaList     `cmd:"" help:"List the personas."`
	Get      personaGet      `cmd:"" help:"Show a persona."`
	Update   personaUpdate   `cmd:"" help:"Change a persona."`
	Delete   personaDelete   `cmd:"" help:"Delete a persona and its segment."`
}

// personaKind reads a kind, which has the names of the roles.
func personaKind(text string) (personav1.Persona_Kind, error) {
	if text == "" {
		return personav1.Persona_KIND_UNSPECIFIED, nil
	}
	k, ok := personav1.Persona_Kind_value["KIND_"+strings.ToUpper(text)]
	if !ok || k == 0 {
		return 0, fault.InvalidField(reasonUnknownValue, "persona.kind", "the kind "+strconv.Quote(text)+" is not one of "+strings.Join(audience.Roles, ", "))
	}
	return personav1.Persona_Kind(k), nil
}

type personaGenerate struct {
	ID          string `arg:"" help:"Id of the new persona: lower-case letters, digits and hyphens."`
	Segment     string `required:"" help:"Segment to represent."`
	DisplayName string `help:"Fictional name; empty: one is made from the id."`
	Kind        string `help:"consumer, buyer or prescriber; empty: from the roles of the members."`
	AtLeast     string `help:"The statistics must include every write of this consistency token." placeholder:"TOKEN"`
	DryRun      bool   `help:"Show what would be made; nothing is stored."`
	writing
}

func (c *personaGenerate) run(s *session) error {
	kind, err := personaKind(c.Kind)
	if err != nil {
		return err
	}
	p, err := asked(s, s.client.Personas.GeneratePersona, &personav1.GeneratePersonaRequest{
		Segment: resource("segments", c.Segment), PersonaId: c.ID, DisplayName: c.DisplayName, Kind: kind,
		AtLeastAsFresh: c.AtLeast, ValidateOnly: c.DryRun,
	})
	if err != nil {
		return err
	}
	if !c.DryRun {
		s.settle(c.writing, p.GetConsistencyToken())
	}
	return s.showPersona(p)
}

type personaFields struct {
	DisplayName *string   `help:"Fictional name."`
	Kind        *string   `help:"consumer, buyer or prescriber."`
	Headline    *string   `help:"One line that says who this is."`
	Narrative   *string   `help:"The persona's story; @FILE reads it from a file."`
	Goal        *[]string `help:"What the persona wants to reach; may be repeated." sep:"none"`
	Frustration *[]string `help:"What stands in the way; may be repeated." sep:"none"`
	Rule        *string   `help:"CEL rule of the persona's own segment; @FILE reads it from a file." placeholder:"CEL"`
}

func (f *personaFields) persona(s *session) (*personav1.Persona, error) {
	kind, err := personaKind(deref(f.Kind))
	if err != nil {
		return nil, err
	}
	p := &personav1.Persona{DisplayName: deref(f.DisplayName), Kind: kind, Headline: deref(f.Headline)}
	if p.Rule, err = s.ruleText(deref(f.Rule)); err != nil {
		return nil, err
	}
	if p.Narrative, err = s.ruleText(deref(f.Narrative)); err != nil {
		return nil, err
	}
	if f.Goal != nil {
		p.Goals = *f.Goal
	}
	if f.Frustration != nil {
		p.Frustrations = *f.Frustration
	}
	return p, nil
}

type personaCreate struct {
	ID string `arg:"" help:"Id: lower-case letters, digits and hyphens."`
	personaFields
	writing
}

func (c *personaCreate) run(s *session) error {
	p, err := c.persona(s)
	if err != nil {
		return err
	}
	ctx, cancel := s.call()
	defer cancel()
	if p, err = s.client.Personas.CreatePersona(ctx, &personav1.CreatePersonaRequest{Persona: p, PersonaId: c.ID}); err != nil {
		return err
	}
	s.settle(c.writing, p.GetConsistencyToken())
	return s.showPersona(p)
}

type personaUpdate struct {
	Name string `arg:"" help:"The persona."`
	personaFields
	Etag string `help:"Change it only if it still has this etag."`
	writing
}

func (c *personaUpdate) run(s *session) error {
	p, err := c.persona(s)
	if err != nil {
		return err
	}
	p.Name, p.Etag = resource("personas", c.Name), c.Etag
	mask := masked("display_name", c.DisplayName != nil, "kind", c.Kind != nil, "headline", c.Headline != nil, "narrative", c.Narrative != nil,
		"goals", c.Goal != nil, "frustrations", c.Frustration != nil, "rule", c.Rule != nil)
	if len(mask.GetPaths()) == 0 {
		return usage("nothing to change; give flags")
	}
	ctx, cancel := s.call()
	defer cancel()
	if p, err = s.client.Personas.UpdatePersona(ctx, &personav1.UpdatePersonaRequest{Persona: p, UpdateMask: mask}); err != nil {
		return err
	}
	s.settle(c.writing, p.GetConsistencyToken())
	return s.showPersona(p)
}

type personaList struct{}

func (c *personaList) run(s *session) error {
	all := &personav1.ListPersonasResponse{}
	err := pages(s, func(ctx context.Context, token string) (string, error) {
		page, err := s.client.Personas.ListPersonas(ctx, &personav1.ListPersonasRequest{PageSize: 1000, PageToken: token})
		all.Personas = append(all.Personas, page.GetPersonas()...)
		return page.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	if s.json() {
		return s.message(all)
	}
	t := table.New("persona", "display name", "kind", "from", ">sample", "headline")
	for _, p := range all.GetPersonas() {
		t.Row(short(p.GetName()), p.GetDisplayName(), kindText(p.GetKind()), short(p.GetSourceSegment()), table.Int(p.GetEvidence().GetSampleSize()), p.GetHeadline())
	}
	return s.table(t)
}

func kindText(k personav1.Persona_Kind) string {
	if k == personav1.Persona_KIND_UNSPECIFIED {
		return ""
	}
	return strings.ToLower(strings.TrimPrefix(k.String(), "KIND_"))
}

type personaGet struct {
	Name string `arg:"" help:"The persona."`
}

func (c *personaGet) run(s *session) error {
	ctx, cancel := s.call()
	defer cancel()
	p, err := s.client.Personas.GetPersona(ctx, &personav1.GetPersonaRequest{Name: resource("personas", c.Name)})
	if err != nil {
		return err
	}
	return s.showPersona(p)
}

func (s *session) showPersona(p *personav1.Persona) error {
	if s.json() {
		return s.message(p)
	}
	err := s.facts("name", p.GetName(), "display name", p.GetDisplayName(), "kind", kindText(p.GetKind()), "headline", p.GetHeadline(),
		"narrative", p.GetNarrative(), "goals", strings.Join(p.GetGoals(), "; "), "frustrations", strings.Join(p.GetFrustrations(), "; "),
		"made from", p.GetSourceSegment(), "rule", p.GetRule(), "segment", p.GetSegment(), "etag", p.GetEtag(), "token", p.GetConsistencyToken())
	if err != nil || p.GetEvidence() == nil {
		return err
	}
	return s.evidence(p.GetEvidence())
}

// evidence prints what a persona rests on.
func (s *session) evidence(e *personav1.Evidence) error {
	if err := s.print("\nrests on %s of %s people", table.Int(e.GetSampleSize()), table.Int(e.GetBaseSize())); err != nil {
		return err
	}
	if e.GetMedianAge() > 0 {
		if err := s.print(", median age %d", e.GetMedianAge()); err != nil {
			return err
		}
	}
	if err := s.print("\n"); err != nil {
		return err
	}
	t := table.New("attribute", "value", ">share", ">of everybody", ">lift")
	for _, x := range e.GetTraits() {
		t.Row(x.GetAttribute(), x.GetValue(), percent(x.GetShare()), percent(x.GetBaseShare()), strconv.FormatFloat(x.GetLift(), 'f', 2, 64))
	}
	return s.table(t)
}

type personaDelete struct {
	Name string `arg:"" help:"The persona."`
	Etag string `help:"Delete it only if it still has this etag."`
	writing
}

func (c *personaDelete) run(s *session) error {
	ctx, cancel := s.call()
	defer cancel()
	name := resource("personas", c.Name)
	answer, err := s.client.Personas.DeletePersona(ctx, &personav1.DeletePersonaRequest{Name: name, Etag: c.Etag})
	if err != nil {
		return err
	}
	s.settle(c.writing, answer.GetConsistencyToken())
	if s.json() {
		return s.message(answer)
	}
	return s.print("%s is deleted\n", name)
}
