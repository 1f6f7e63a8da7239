package rpc

import (
	"context"
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	"github.com/narrowcast/narrowcast/services/persona"
)

// UpdatePersona changes a persona; a new rule becomes the rule of its segment.
func (s *Service) UpdatePersona(ctx context.Context, req *personav1.UpdatePersonaRequest) (*personav1.Persona, error) {
	if err := rpc.CheckText(req); err != nil {
		return nil, err
	}
	in := req.GetPersona()
	change, err := rpc.MaskedFields(req.GetUpdateMask(), in, "display_name", "kind", "headline", "narrative", "goals", "frustrations", "rule")
	if err != nil {
		return nil, err
	}
	release, err := s.locks.acquire(ctx, in.GetName())
	if err != nil {
		return nil, err
	}
	defer release()
	was, err := s.store.Get(ctx, in.GetName())
	if err != nil {
		return nil, err
	}
	if in.GetEtag() != "" && in.GetEtag() != was.Etag {
		return nil, persona.EtagMismatch(was.Name)
	}
	given, p := personaOf(in), was
	for field, set := range map[string]func(){
		"display_name": func() { p.DisplayName = given.DisplayName },
		"kind":         func() { p.Kind = given.Kind },
		"headline":     func() { p.Headline = given.Headline },
		"narrative":    func() { p.Narrative = given.Narrative },
		"goals":        func() { p.Goals = given.Goals },
		"frustrations": func() { p.Frustrations = given.Frustrations },
		"rule":         func() { p.Rule = given.Rule },
	} {
		if change[field] {
			set()
		}
	}
	if p.Kind == "" {
		p.Kind = persona.KindConsumer
	}
	if err := p.Check(); err != nil {
		return nil, underPersona(err)
	}
	// The segment first: a rule that is refused changes nothing. Without a new rule this is what makes the answer's token.
	token, err := s.segments.Update(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("update the persona's segment: %w", err)
	}
	now, err := s.store.Update(ctx, p)
	if err != nil {
		s.undoUpdate(ctx, was)
		return nil, err
	}
	return personaWire(now, token), nil
}

// undoUpdate gives the segment the rule of the persona that is stored now.
func (s *Service) undoUpdate(ctx context.Context, was persona.Persona) {
	ctx, cancel := undoing(ctx)
	defer cancel()
	now, err := s.store.Get(ctx, was.Name)
	if fault.Is(err, fault.NotFound) {
		return // deleted in between, with its segment
	}
	if err != nil {
		now = was
	}
	if _, err := s.segments.Update(ctx, now); err != nil {
		// The error that is returned is about the update; this one has nobody else to tell.
		rpc.Logger(ctx).WarnContext(ctx, "segment of a persona keeps a rule that was not saved", "segment", was.Segment, "error", err)
	}
}

// DeletePersona deletes a persona and the segment that it owns.
func (s *Service) DeletePersona(ctx context.Context, req *personav1.DeletePersonaRequest) (*personav1.DeletePersonaResponse, error) {
	release, err := s.locks.acquire(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	defer release()
	p, err := s.store.Get(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	if req.GetEtag() != "" && req.GetEtag() != p.Etag {
		return nil, persona.EtagMismatch(p.Name)
	}
	// The segment first: one that other rules name stays, and the persona with it. After a crash between the two, the same
	// request finds it gone and goes on.
	token, err := s.segments.Delete(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("delete the persona's segment: %w", err)
	}
	if err := s.store.Delete(ctx, p.Name, p.Etag); err != nil {
		return nil, err
	}
	return &personav1.DeletePersonaResponse{ConsistencyToken: token}, nil
}
