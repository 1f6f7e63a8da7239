package rpc

import (
	"slices"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/narrowcast/narrowcast/pkg/fault"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	"github.com/narrowcast/narrowcast/services/persona"
)

// kindText returns the domain's word of a kind, "" for the unspecified one. One that is not defined becomes its number, which
// persona.Check refuses.
func kindText(k personav1.Persona_Kind) string {
	switch {
	case k == personav1.Persona_KIND_UNSPECIFIED:
		return ""
	case k < 0 || int(k) > len(persona.Kinds):
		return strconv.Itoa(int(k))
	}
	return persona.Kinds[k-1]
}

// personaOf reads what a caller can set.
func personaOf(in *personav1.Persona) persona.Persona {
	return persona.Persona{
		DisplayName: in.GetDisplayName(), Kind: kindText(in.GetKind()), Headline: in.GetHeadline(), Narrative: in.GetNarrative(),
		Goals: in.GetGoals(), Frustrations: in.GetFrustrations(), SourceSegment: in.GetSourceSegment(), Rule: in.GetRule(),
	}
}

// personaWire writes a persona; token is set in answers to writes.
func personaWire(p persona.Persona, token string) *personav1.Persona {
	out := &personav1.Persona{
		Name: p.Name, Uid: p.UID, DisplayName: p.DisplayName, Kind: personav1.Persona_Kind(slices.Index(persona.Kinds, p.Kind) + 1),
		Headline: p.Headline, Narrative: p.Narrative, Goals: p.Goals, Frustrations: p.Frustrations, SourceSegment: p.SourceSegment,
		Rule: p.Rule, Segment: p.Segment, Etag: p.Etag, ConsistencyToken: token,
	}
	if !p.CreateTime.IsZero() {
		out.CreateTime, out.UpdateTime = timestamppb.New(p.CreateTime), timestamppb.New(p.UpdateTime)
	}
	if e := p.Evidence; e != nil {
		out.Evidence = &personav1.Evidence{
			SampleSize: e.SampleSize, BaseSize: e.BaseSize, MedianAge: int32(e.MedianAge), AsOfToken: e.AsOfToken, GenerateTime: timestamppb.New(e.GenerateTime),
		}
		for _, t := range e.Traits {
			out.Evidence.Traits = append(out.Evidence.Traits, &personav1.Evidence_Trait{
				Attribute: t.Attribute, Value: t.Value, Share: t.Share, BaseShare: t.BaseShare, Lift: t.Lift, Count: t.Count,
			})
		}
	}
	return out
}

// underPersona nests field paths below the request's field.
func underPersona(err error) error {
	if f := fault.As(err); f != nil && f.Kind == fault.Invalid {
		return f.Under("persona")
	}
	return err
}
