package rpc

import (
	"context"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/revision"
	"github.com/narrowcast/narrowcast/services/segment"
)

// token names a state of both stores; a point without an incarnation is left out.
func token(store string, profiles, definitions blocks.Point) string {
	return revision.Token{Store: store, Profile: part(profiles), Segment: part(definitions)}.String()
}

func part(p blocks.Point) revision.Part {
	return revision.Part{Incarnation: p.Incarnation, Revision: int64(p.Revision), Mark: []byte(p.Mark)}
}

// positionOf returns what a caller's token asks for. A token of another installation, of another life of a store, or of commits
// that this store lost is refused: no wait would reach it.
func (s *Service) positionOf(ctx context.Context, text string) (blocks.Position, error) {
	const field = "consistency.at_least_as_fresh"
	t, err := revision.Parse(text)
	if err != nil {
		return blocks.Position{}, underField(err, field)
	}
	id, err := s.storeID(ctx)
	if err != nil {
		return blocks.Position{}, err
	}
	_, life, _ := s.cfg.Index.Store()
	head, err := s.cfg.Store.Head(ctx)
	if err != nil {
		return blocks.Position{}, err
	}
	if err := t.Belongs(id, life, head.Incarnation); err != nil {
		return blocks.Position{}, underField(err, field)
	}
	p := blocks.Position{Revision: uint64(t.Profile.Revision), Definition: uint64(t.Segment.Revision)}
	if t.Segment.Present() && len(t.Segment.Mark) > 0 {
		held, err := s.cfg.Store.Holds(ctx, segment.Position{
			Incarnation: t.Segment.Incarnation, Revision: p.Definition, Mark: string(t.Segment.Mark),
		})
		if err != nil {
			return blocks.Position{}, err
		}
		if !held {
			return blocks.Position{}, fault.New(fault.Precondition, revision.ReasonAnotherStore,
				"the consistency token is of this store before it was restored; drop it and read what was written again").At(field)
		}
	}
	return p, nil
}

// underField names the field of the request that an error is about.
func underField(err error, field string) error {
	if f := fault.As(err); f != nil {
		return f.At(field)
	}
	return err
}
