package rpc

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	"github.com/narrowcast/narrowcast/services/persona"
	"github.com/narrowcast/narrowcast/services/persona/internal/generate"
)

// CreatePersona creates a persona by hand.
func (s *Service) CreatePersona(ctx context.Context, req *personav1.CreatePersonaRequest) (*personav1.Persona, error) {
	if err := rpc.CheckText(req); err != nil {
		return nil, err
	}
	p := personaOf(req.GetPersona())
	p.Name = persona.Prefix + req.GetPersonaId()
	complete(&p)
	if err := p.Check(); err != nil {
		return nil, underPersona(err)
	}
	return s.create(ctx, p)
}

// GeneratePersona makes a persona from the statistics of a segment.
func (s *Service) GeneratePersona(ctx context.Context, req *personav1.GeneratePersonaRequest) (*personav1.Persona, error) {
	if err := rpc.CheckText(req); err != nil {
		return nil, err
	}
	p := persona.Persona{
		Name: persona.Prefix + req.GetPersonaId(), DisplayName: req.GetDisplayName(), Kind: kindText(req.GetKind()), SourceSegment: req.GetSegment(),
	}
	// Statistics cost; a name that is taken is told before.
	if err := s.free(ctx, p.Name); err != nil {
		return nil, err
	}
	stats, token, err := s.segments.Statistics(ctx, req.GetSegment(), req.GetAtLeastAsFresh())
	if err != nil {
		return nil, fmt.Errorf("ask for statistics: %w", err)
	}
	if stats.Count == 0 {
		return nil, persona.SegmentEmpty(req.GetSegment())
	}
	draft := generate.Make(req.GetSegment(), stats)
	if p.Kind == "" {
		p.Kind = draft.Kind
	}
	complete(&p)
	p.Headline, p.Narrative, p.Goals = draft.Headline, draft.Narrate(p.DisplayName), draft.Goals
	p.Evidence = &draft.Evidence
	p.Evidence.AsOfToken, p.Evidence.GenerateTime = token, s.now().UTC()
	if p.Rule, err = s.populated(ctx, draft.Rules, token); err != nil {
		return nil, err
	}
	if req.GetValidateOnly() {
		if err := s.segments.Check(ctx, p); err != nil {
			return nil, err
		}
		return personaWire(p, ""), nil
	}
	return s.create(ctx, p)
}

// populated returns the first rule that holds anybody: a persona that stands for nobody would be of no use. The last one is the
// segment itself, which has members, and is not asked about.
func (s *Service) populated(ctx context.Context, rules []string, token string) (string, error) {
	for _, r := range rules[:len(rules)-1] {
		n, err := s.segments.Preview(ctx, r, token)
		if err != nil {
			return "", fmt.Errorf("preview the persona's rule: %w", err)
		}
		if n > 0 {
			return r, nil
		}
	}
	return rules[len(rules)-1], nil
}

// free refuses a name that is taken.
func (s *Service) free(ctx context.Context, name string) error {
	_, err := s.store.Get(ctx, name)
	switch {
	case err == nil:
		return persona.Exists(name)
	case fault.Is(err, fault.NotFound):
		return nil
	}
	return err
}

// complete fills in what a caller may leave out.
func complete(p *persona.Persona) {
	p.Segment = persona.SegmentPrefix + persona.SegmentID(p.Name)
	p.UID = uuid.NewString()
	if p.DisplayName == "" {
		p.DisplayName = generate.Name(p.Name[len(persona.Prefix):])
	}
	if p.Kind == "" {
		p.Kind = persona.KindConsumer
	}
}

// create makes the segment and then the persona. The segment comes first, so that a stored persona always has one; if the persona
// cannot be stored, the segment is deleted again, and if that is prevented too, the next attempt adopts it.
func (s *Service) create(ctx context.Context, p persona.Persona) (*personav1.Persona, error) {
	release, err := s.locks.acquire(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	defer release()
	// Whoever had the name already also has the segment: it must not be adopted.
	if err := s.free(ctx, p.Name); err != nil {
		return nil, err
	}
	token, err := s.segments.Create(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("create the persona's segment: %w", err)
	}
	stored, err := s.store.Create(ctx, p)
	if err != nil {
		if stored, err = s.undoCreate(ctx, p, err); err != nil {
			return nil, err
		}
	}
	return personaWire(stored, token), nil
}

// undoCreate looks at what a failed creation has left, and removes or repairs it. It returns the persona if it was stored after all.
func (s *Service) undoCreate(ctx context.Context, p persona.Persona, cause error) (persona.Persona, error) {
	ctx, cancel := undoing(ctx)
	defer cancel()
	switch now, err := s.store.Get(ctx, p.Name); {
	case err == nil && now.UID == p.UID:
		return now, nil
	case err == nil:
		// Another replica was faster: the segment is its persona's, and gets its rule back.
		_, err := s.segments.Update(ctx, now)
		return p, errors.Join(cause, err)
	case !fault.Is(err, fault.NotFound):
		// The database is gone. Whether the persona is stored is not known, so its segment stays; the next attempt adopts it.
		rpc.Logger(ctx).WarnContext(ctx, "segment of a persona whose creation failed is kept", "segment", p.Segment)
		return p, cause
	}
	if _, err := s.segments.Delete(ctx, p); err != nil {
		return p, errors.Join(cause, fmt.Errorf("delete the segment again: %w", err))
	}
	return p, cause
}
