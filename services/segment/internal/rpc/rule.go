package rpc

import (
	"context"
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/rule"
	"github.com/narrowcast/narrowcast/pkg/fault"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/segment"
)

// understood is a rule with what it names.
type understood struct {
	*rule.Rule
	references []segment.Reference
	// revision of the profile store at which everything that the rule names was declared; 0 where the index knows it all.
	revision uint64
}

// compile reads a rule against the attributes that exist now. The schema that the index has read serves for most; what it does
// not know, the profile service is asked for, so that an attribute can be used in a rule as soon as it is declared. self is the
// segment that the rule is of, if it exists or is about to: it may be named, and the store then shows the circle.
func (s *Service) compile(ctx context.Context, text, field string, self segment.Reference) (understood, error) {
	var u understood
	resolve := func(name string) (string, error) {
		id, ok := segment.ParseName(name)
		if !ok {
			return "", segment.UnknownSegment(id)
		}
		ref := self
		if id != self.ID {
			seg, err := s.cfg.Store.Get(ctx, id)
			if fault.Is(err, fault.NotFound) {
				return "", segment.UnknownSegment(id)
			}
			if err != nil {
				return "", err
			}
			ref = segment.Reference{ID: seg.ID, UID: seg.UID}
		}
		u.references = append(u.references, ref)
		return ref.UID, nil
	}
	try := func(schema *audience.Schema) error {
		u.references = nil
		var err error
		if u.Rule, err = rule.Compile(text, schema, resolve); err != nil || len(u.references) == 0 {
			return err
		}
		return s.fits(ctx, schema, u.Pred, u.references, self)
	}
	schema := s.cfg.Index.Schema()
	err := error(fault.New(fault.Invalid, rule.ReasonUnknownAttribute, "the attributes have not been read yet"))
	if schema != nil {
		err = try(schema)
	}
	if reason := fault.ReasonOf(err); reason == rule.ReasonUnknownAttribute || reason == rule.ReasonUnknownValue {
		newest, revision, failed := s.newestSchema(ctx)
		if failed != nil {
			return understood{}, fmt.Errorf("read attributes: %w", failed)
		}
		if err = try(newest); err == nil {
			u.revision = revision
		}
	}
	if err != nil {
		return understood{}, at(err, field)
	}
	u.references = segment.SortReferences(u.references)
	return u, nil
}

// fits refuses a rule that becomes too large for the index once the rules that it names, at any depth, are put in their places.
func (s *Service) fits(ctx context.Context, schema *audience.Schema, p audience.Pred, refs []segment.Reference, self segment.Reference) error {
	ids := make(map[string]string)
	learn := func(refs []segment.Reference) {
		for _, r := range refs {
			ids[r.UID] = r.ID
		}
	}
	learn(refs)
	_, err := audience.Compile(p, audience.Env{Schema: schema, Segment: func(uid string) (audience.SegmentRef, error) {
		row := audience.SegmentRef{Field: audience.SegmentField(uid, 0)}
		if uid == self.UID {
			return row, nil // a circle, which the store refuses with its path
		}
		seg, err := s.cfg.Store.Get(ctx, ids[uid])
		if err != nil || seg.Static {
			return row, err
		}
		learn(seg.References)
		below, err := rule.Compile(seg.Rule, schema, func(name string) (string, error) {
			id, _ := segment.ParseName(name)
			for _, r := range seg.References {
				if r.ID == id {
					return r.UID, nil
				}
			}
			return "", segment.UnknownSegment(id)
		})
		if err != nil {
			return row, fmt.Errorf("read the rule of %s: %w", seg.Name(), err)
		}
		return audience.SegmentRef{Pred: below.Pred}, nil
	}})
	return err
}

// newestSchema asks the profile service for the attributes and the store's currency. revision is that of its store, which all
// of the attributes are of.
func (s *Service) newestSchema(ctx context.Context) (*audience.Schema, uint64, error) {
	var custom []audience.Attribute
	req := &profilev1.ListAttributesRequest{PageSize: 1000}
	for {
		page, err := s.cfg.Attributes.ListAttributes(ctx, req)
		if err != nil {
			return nil, 0, profilesDown(err)
		}
		for _, a := range page.GetAttributes() {
			custom = append(custom, wire.SchemaAttribute(a))
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	// Asked after the attributes: whoever has reached this head has all of them.
	head, err := s.cfg.Profiles.GetHead(ctx, &profilev1.GetHeadRequest{})
	if err != nil {
		return nil, 0, profilesDown(err)
	}
	schema, err := audience.NewSchema(head.GetCurrencyCode(), custom)
	if err != nil {
		return nil, 0, fault.New(fault.Internal, "INTERNAL", "the profile service's attributes are not understood").Wrap(err)
	}
	return schema, uint64(head.GetPosition().GetRevision()), nil
}

// at gives an invalid fault about a rule the field that holds the rule.
func at(err error, field string) error {
	if f := fault.As(err); f != nil && f.Kind == fault.Invalid && len(f.Violations) == 0 {
		return f.At(field)
	}
	return err
}
