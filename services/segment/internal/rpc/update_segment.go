package rpc

import (
	"context"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/segment"
)

// UpdateSegment changes a segment (AIP-134, masks as AIP-161).
func (s *Service) UpdateSegment(ctx context.Context, req *segmentv1.UpdateSegmentRequest) (*segmentv1.Segment, error) {
	if err := rpc.CheckText(req); err != nil {
		return nil, err
	}
	in := req.GetSegment()
	id, err := idOf(in.GetName(), "segment.name")
	if err != nil {
		return nil, err
	}
	fields, err := changes(in, req.GetUpdateMask().GetPaths())
	if err != nil {
		return nil, err
	}
	c := segment.Change{ID: id, ETag: in.GetEtag(), As: ownerOf(ctx), CheckOnly: req.GetValidateOnly()}
	if fields.displayName {
		text := in.GetDisplayName()
		c.DisplayName = &text
	}
	if fields.description {
		text := in.GetDescription()
		c.Description = &text
	}
	now, err := s.cfg.Store.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if now.Owner != "" && now.Owner != c.As {
		// Before the rule is looked at: who may not change the segment is not told what else is wrong.
		return nil, segment.Owned(id, now.Owner)
	}
	if _, given := in.GetDefinition().(*segmentv1.Segment_Rule); fields.rule && (given || !now.Static || !fields.all) {
		if !given {
			return nil, fault.InvalidField(reasonValidation, "segment.rule", "a rule cannot be cleared; set the new one")
		}
		if now.Static {
			return nil, segment.NotStatic(id, true)
		}
		u, err := s.compile(ctx, in.GetRule(), "segment.rule", segment.Reference{ID: id, UID: now.UID})
		if err != nil {
			return nil, err
		}
		text := in.GetRule()
		c.Rule, c.References = &text, u.references
	}
	store, err := s.storeID(ctx)
	if err != nil {
		return nil, err
	}
	updated, p, err := s.cfg.Store.Update(ctx, c)
	if err != nil {
		return nil, at(err, "segment.rule")
	}
	return s.written(store, &updated, p), nil
}

// mask says which fields a request changes.
type mask struct {
	displayName, description, rule bool
	all                            bool // "*": the rule of a static list is then not asked for
}

// changes reads an update mask. Without one, the fields that are set change; those that cannot change are then ignored, so that
// a segment that was read can be sent back.
func changes(in *segmentv1.Segment, paths []string) (mask, error) {
	if len(paths) == 0 {
		_, rule := in.GetDefinition().(*segmentv1.Segment_Rule)
		return mask{displayName: in.GetDisplayName() != "", description: in.GetDescription() != "", rule: rule}, nil
	}
	var m mask
	for _, p := range paths {
		switch p {
		case "display_name":
			m.displayName = true
		case "description":
			m.description = true
		case "rule":
			m.rule = true
		case "*":
			if len(paths) > 1 {
				return mask{}, fault.InvalidField(reasonUnknownField, "update_mask", "* stands alone: it means all fields that can change").With("field", p)
			}
			m = mask{displayName: true, description: true, rule: true, all: true}
		default:
			return mask{}, fault.InvalidField(reasonUnknownField, "update_mask",
				p+" does not exist or cannot change; display_name, description and rule can").With("field", p)
		}
	}
	return m, nil
}
