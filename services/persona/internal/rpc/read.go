package rpc

import (
	"context"

	"github.com/narrowcast/narrowcast/pkg/page"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
)

// GetPersona returns one persona.
func (s *Service) GetPersona(ctx context.Context, req *personav1.GetPersonaRequest) (*personav1.Persona, error) {
	p, err := s.store.Get(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	return personaWire(p, ""), nil
}

// ListPersonas lists personas by name.
func (s *Service) ListPersonas(ctx context.Context, req *personav1.ListPersonasRequest) (*personav1.ListPersonasResponse, error) {
	sum := page.Checksum("personas")
	size, err := page.Size(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	after, err := page.Decode(req.GetPageToken(), sum)
	if err != nil {
		return nil, err
	}
	// One more than the page says whether there is another one.
	list, err := s.store.List(ctx, after, size+1)
	if err != nil {
		return nil, err
	}
	res := &personav1.ListPersonasResponse{}
	if len(list) > size {
		list = list[:size]
		res.NextPageToken = page.Encode(list[size-1].Name, sum)
	}
	for _, p := range list {
		res.Personas = append(res.Personas, personaWire(p, ""))
	}
	return res, nil
}
