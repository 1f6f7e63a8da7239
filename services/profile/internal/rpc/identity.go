package rpc

import (
	"context"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/profile"
)

// ResolveIdentifier returns the one profile that has an identifier.
func (s *Service) ResolveIdentifier(ctx context.Context, req *profilev1.ResolveIdentifierRequest) (*profilev1.ResolveIdentifierResponse, error) {
	id, err := s.asked(req.GetIdentifier(), "identifier")
	if err != nil {
		return nil, err
	}
	found, err := s.store.Resolve(ctx, []profile.Identifier{id})
	if err != nil {
		return nil, err
	}
	uid, err := profile.OneOf(found[0])
	if err != nil {
		return nil, err
	}
	return &profilev1.ResolveIdentifierResponse{Profile: wire.ProfileName(uid)}, nil
}

// BatchResolveIdentifiers returns the profiles that have each of several identifiers.
func (s *Service) BatchResolveIdentifiers(ctx context.Context, req *profilev1.BatchResolveIdentifiersRequest) (*profilev1.BatchResolveIdentifiersResponse, error) {
	ids := make([]profile.Identifier, len(req.GetIdentifiers()))
	for i, m := range req.GetIdentifiers() {
		var err error
		if ids[i], err = s.asked(m, fault.Index("identifiers", i)); err != nil {
			return nil, err
		}
	}
	found, err := s.store.Resolve(ctx, ids)
	if err != nil {
		return nil, err
	}
	res := &profilev1.BatchResolveIdentifiersResponse{Results: make([]*profilev1.BatchResolveIdentifiersResponse_Result, len(found))}
	for i, uids := range found {
		res.Results[i] = &profilev1.BatchResolveIdentifiersResponse_Result{}
		for _, uid := range uids {
			res.Results[i].Profiles = append(res.Results[i].Profiles, wire.ProfileName(uid))
		}
	}
	return res, nil
}

// asked is an identifier that is looked for, in its normal form. What nobody may keep may be asked for: nobody has it.
func (s *Service) asked(m *profilev1.Identifier, path string) (profile.Identifier, error) {
	id := profile.Identifier{Kind: wire.IdentifierKinds.Text(m.GetKind()), Source: m.GetSource(), Value: m.GetValue()}
	if err := s.opts.Rules.Normalize(&id); err != nil {
		return id, below(path, err)
	}
	return id, nil
}
