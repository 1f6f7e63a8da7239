package rpc

import (
	"context"
	"maps"
	"slices"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/page"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/profile"
)

// CreateAttribute declares an attribute.
func (s *Service) CreateAttribute(ctx context.Context, req *profilev1.CreateAttributeRequest) (*profilev1.Attribute, error) {
	if err := rpc.CheckText(req); err != nil {
		return nil, err
	}
	a := attributeFromWire(req.GetAttribute(), req.GetAttributeId())
	if err := a.Canonicalize(); err != nil {
		return nil, below("attribute", err)
	}
	if req.GetValidateOnly() {
		schema, err := s.store.Schema(ctx)
		if err != nil {
			return nil, err
		}
		if schema[a.ID] != nil {
			return nil, profile.AttributeExists(wire.AttributeName(a.ID))
		}
		m := attributeToWire(a)
		m.Etag = ""
		return m, nil
	}
	made, at, err := s.store.CreateAttribute(ctx, a)
	if err != nil {
		return nil, err
	}
	m := attributeToWire(made)
	m.ConsistencyToken = s.token(at)
	return m, nil
}

// GetAttribute returns one declaration.
func (s *Service) GetAttribute(ctx context.Context, req *profilev1.GetAttributeRequest) (*profilev1.Attribute, error) {
	schema, err := s.store.Schema(ctx)
	if err != nil {
		return nil, err
	}
	id, _ := wire.AttributeID(req.GetName())
	a := schema[id]
	if a == nil {
		return nil, profile.AttributeNotFound(req.GetName())
	}
	return attributeToWire(a), nil
}

// ListAttributes lists the declarations by name. They are few: a page is cut from all of them.
func (s *Service) ListAttributes(ctx context.Context, req *profilev1.ListAttributesRequest) (*profilev1.ListAttributesResponse, error) {
	size, err := page.Size(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	checksum := page.Checksum("ListAttributes")
	after, err := page.Decode(req.GetPageToken(), checksum)
	if err != nil {
		return nil, err
	}
	schema, err := s.store.Schema(ctx)
	if err != nil {
		return nil, err
	}
	ids := slices.Sorted(maps.Keys(schema))
	at, found := slices.BinarySearch(ids, after)
	if found {
		at++
	}
	ids = ids[at:]
	res := &profilev1.ListAttributesResponse{}
	if len(ids) > size {
		ids = ids[:size]
		res.NextPageToken = page.Encode(ids[size-1], checksum)
	}
	for _, id := range ids {
		res.Attributes = append(res.Attributes, attributeToWire(schema[id]))
	}
	return res, nil
}

// UpdateAttribute changes a declaration.
func (s *Service) UpdateAttribute(ctx context.Context, req *profilev1.UpdateAttributeRequest) (*profilev1.Attribute, error) {
	if err := rpc.CheckText(req); err != nil {
		return nil, err
	}
	name := req.GetAttribute().GetName()
	id, ok := wire.AttributeID(name)
	if !ok {
		return nil, fault.InvalidField(profile.ReasonValidationFailed, "attribute.name", "a name is attributes/ and the attribute's id")
	}
	patch := attributeFromWire(req.GetAttribute(), id)
	apply, err := attributeMask(req.GetUpdateMask().GetPaths(), patch)
	if err != nil {
		return nil, err
	}
	a, at, err := s.store.UpdateAttribute(ctx, id, req.GetAttribute().GetEtag(), func(a *profile.Attribute) error {
		before := a.Clone()
		apply(a)
		// What can never change is told first: it would make the rest of the declaration look wrong too.
		fixed := a.Clone()
		fixed.Allowed = before.Allowed
		if err := before.CheckChange(fixed, name); err != nil {
			return err
		}
		if err := a.Canonicalize(); err != nil {
			return below("attribute", err)
		}
		return before.CheckChange(a, name)
	})
	if err != nil {
		return nil, err
	}
	m := attributeToWire(a)
	m.ConsistencyToken = s.token(at)
	return m, nil
}

// attributeMask reads an update mask: what it does to a declaration. Type and scale may be named, so that a caller who tries to
// change them hears that they cannot rather than that they do not exist.
func attributeMask(paths []string, patch *profile.Attribute) (func(*profile.Attribute), error) {
	fields := map[string]func(a *profile.Attribute){
		"description":    func(a *profile.Attribute) { a.Description = patch.Description },
		"allowed_values": func(a *profile.Attribute) { a.Allowed = slices.Clone(patch.Allowed) },
		"sensitive":      func(a *profile.Attribute) { a.Sensitive = patch.Sensitive },
		"type":           func(a *profile.Attribute) { a.Type = patch.Type },
		"scale":          func(a *profile.Attribute) { a.Scale = patch.Scale },
	}
	if len(paths) == 0 {
		for path, set := range map[string]bool{
			"description": patch.Description != "", "allowed_values": len(patch.Allowed) > 0, "sensitive": patch.Sensitive,
			"type": patch.Type != 0, "scale": patch.Scale != 0,
		} {
			if set {
				paths = append(paths, path)
			}
		}
	} else if len(paths) == 1 && paths[0] == "*" {
		paths = []string{"description", "allowed_values", "sensitive"} // all that can change
		if patch.Type != 0 {
			paths = append(paths, "type")
		}
		if patch.Scale != 0 {
			paths = append(paths, "scale")
		}
	}
	for i, path := range paths {
		if fields[path] == nil {
			return nil, fault.InvalidField(profile.ReasonUnknownField, fault.Index("update_mask.paths", i),
				"an attribute has no such field, or it cannot be changed; name description, allowed_values or sensitive").With("field", path)
		}
	}
	return func(a *profile.Attribute) {
		for _, path := range paths {
			fields[path](a)
		}
	}, nil
}
