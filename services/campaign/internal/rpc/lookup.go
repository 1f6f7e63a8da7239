package rpc

import (
	"context"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	"github.com/narrowcast/narrowcast/services/campaign"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// LookupProfiles says which segments hold each profile.
func (s *Service) LookupProfiles(ctx context.Context, req *campaignv1.LookupProfilesRequest) (*campaignv1.LookupProfilesResponse, error) {
	consistency, err := consistencyOf(req.GetConsistency())
	if err != nil {
		return nil, err
	}
	uids := make([]audience.UID, len(req.GetProfiles()))
	var wrong fault.Violations
	for i, name := range req.GetProfiles() {
		var ok bool
		if uids[i], ok = wire.ParseProfileName(name); !ok {
			wrong.Add(fault.Index("profiles", i), campaign.ReasonValidation, "a profile's name is profiles/ and a UUID in lower case")
		}
	}
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	m, err := s.resolver.Memberships(ctx, uids, req.GetSegments(), consistency)
	if err != nil {
		return nil, err
	}
	res := &campaignv1.LookupProfilesResponse{
		Memberships: make([]*campaignv1.LookupProfilesResponse_Membership, len(m.Of)), Building: m.Building, Info: infoWire(m.Info),
	}
	list := make([]campaignv1.LookupProfilesResponse_Membership, len(m.Of))
	for i, of := range m.Of {
		list[i].Profile, list[i].Found, list[i].Segments = req.GetProfiles()[i], of.Found, of.Segments
		res.Memberships[i] = &list[i]
	}
	return res, nil
}
