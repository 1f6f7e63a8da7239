package rpc

import (
	"context"
	"strings"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/page"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/profile"
)

// CreateProfile creates a profile.
func (s *Service) CreateProfile(ctx context.Context, req *profilev1.CreateProfileRequest) (*profilev1.Profile, error) {
	schema, err := s.store.Schema(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.canonical(req.GetProfile(), schema)
	if err != nil {
		return nil, below("profile", err)
	}
	made, at, err := s.store.Create(ctx, p, req.GetRequestId())
	if err != nil {
		return nil, err
	}
	return s.written(made, at), nil
}

// written is the answer to a write.
func (s *Service) written(p *profile.Profile, at profile.Position) *profilev1.Profile {
	m := toWire(p)
	m.Warnings = s.warnings(p)
	m.ConsistencyToken = s.token(at)
	return m
}

// below nests a fault's fields.
func below(prefix string, err error) error {
	if f := fault.As(err); f != nil && f.Kind == fault.Invalid {
		return f.Under(prefix)
	}
	return err
}

// uidOf parses a name whose form the contract's rules have checked.
func uidOf(name, field string) (audience.UID, error) {
	uid, ok := wire.ParseProfileName(name)
	if !ok {
		return uid, fault.InvalidField(profile.ReasonValidationFailed, field, "a name is profiles/ and a UUID in lower-case letters")
	}
	return uid, nil
}

// GetProfile returns one profile.
func (s *Service) GetProfile(ctx context.Context, req *profilev1.GetProfileRequest) (*profilev1.Profile, error) {
	uid, err := uidOf(req.GetName(), "name")
	if err != nil {
		return nil, err
	}
	p, err := s.store.Get(ctx, uid)
	if err != nil {
		return nil, err
	}
	m := toWire(p)
	m.Warnings = s.warnings(p)
	return m, nil
}

// BatchGetProfiles returns several profiles, all or none.
func (s *Service) BatchGetProfiles(ctx context.Context, req *profilev1.BatchGetProfilesRequest) (*profilev1.BatchGetProfilesResponse, error) {
	uids := make([]audience.UID, len(req.GetNames()))
	for i, name := range req.GetNames() {
		var err error
		if uids[i], err = uidOf(name, fault.Index("names", i)); err != nil {
			return nil, err
		}
	}
	found, err := s.store.BatchGet(ctx, uids)
	if err != nil {
		return nil, err
	}
	res := &profilev1.BatchGetProfilesResponse{Profiles: make([]*profilev1.Profile, 0, len(found))}
	var missing []string
	for i, p := range found {
		if p == nil {
			missing = append(missing, req.GetNames()[i])
			continue
		}
		res.Profiles = append(res.Profiles, toWire(p))
	}
	if len(missing) > 0 {
		return nil, notFound(missing)
	}
	return res, nil
}

// notFound names at most ten of the missing, since an error has to fit into a header.
func notFound(missing []string) error {
	named := strings.Join(missing[:min(len(missing), 10)], ", ")
	if len(missing) > 10 {
		named += ", ..."
	}
	return fault.Newf(fault.NotFound, profile.ReasonProfileNotFound, "%d of the profiles do not exist: %s", len(missing), named).
		With("name", named).With("count", len(missing))
}

// ListProfiles lists profiles by uid.
func (s *Service) ListProfiles(ctx context.Context, req *profilev1.ListProfilesRequest) (*profilev1.ListProfilesResponse, error) {
	size, err := page.Size(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	checksum := page.Checksum("ListProfiles")
	key, err := page.Decode(req.GetPageToken(), checksum)
	if err != nil {
		return nil, err
	}
	var after audience.UID
	if key != "" {
		var ok bool
		if after, ok = wire.ParseUID(key); !ok {
			return nil, fault.InvalidField(page.ReasonTokenInvalid, "page_token", "is not a page token; pass next_page_token of the page before as it was")
		}
	}
	// One more than asked for tells whether there is a next page.
	found, err := s.store.List(ctx, after, size+1)
	if err != nil {
		return nil, err
	}
	res := &profilev1.ListProfilesResponse{}
	if len(found) > size {
		found = found[:size]
		res.NextPageToken = page.Encode(wire.FormatUID(found[size-1].UID), checksum)
	}
	for _, p := range found {
		res.Profiles = append(res.Profiles, toWire(p))
	}
	return res, nil
}

// UpdateProfile changes fields of a profile.
func (s *Service) UpdateProfile(ctx context.Context, req *profilev1.UpdateProfileRequest) (*profilev1.Profile, error) {
	uid, err := uidOf(req.GetProfile().GetName(), "profile.name")
	if err != nil {
		return nil, err
	}
	schema, err := s.store.Schema(ctx)
	if err != nil {
		return nil, err
	}
	// The patch is judged as a profile of its own first, so that paths of lists are those of the request.
	patch, err := s.canonical(req.GetProfile(), schema)
	if err != nil {
		return nil, below("profile", err)
	}
	mask, err := profile.ParseMask(req.GetUpdateMask().GetPaths(), patch)
	if err != nil {
		return nil, err
	}
	p, at, err := s.store.Update(ctx, uid, req.GetProfile().GetEtag(), func(p *profile.Profile) error {
		// What was there is canonical and so is the patch, and a mask takes over whole fields: so is what comes of it.
		mask.Apply(p, patch)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.written(p, at), nil
}

// DeleteProfile deletes a profile.
func (s *Service) DeleteProfile(ctx context.Context, req *profilev1.DeleteProfileRequest) (*profilev1.DeleteProfileResponse, error) {
	uid, err := uidOf(req.GetName(), "name")
	if err != nil {
		return nil, err
	}
	at, err := s.store.Delete(ctx, uid, req.GetEtag())
	if err != nil {
		return nil, err
	}
	return &profilev1.DeleteProfileResponse{ConsistencyToken: s.token(at)}, nil
}

// BatchUpsertProfiles creates or replaces profiles, all or none. A wrong field of any profile is told, of the first hundred
// profiles that have one.
func (s *Service) BatchUpsertProfiles(ctx context.Context, req *profilev1.BatchUpsertProfilesRequest) (*profilev1.BatchUpsertProfilesResponse, error) {
	schema, err := s.store.Schema(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]profile.Row, len(req.GetProfiles()))
	var v fault.Violations
	var only error
	wrong := 0
	for i, m := range req.GetProfiles() {
		p, err := s.canonical(m, schema)
		if err != nil {
			if wrong++; wrong > 100 {
				break
			}
			err = below(fault.Index("profiles", i), err)
			if !v.AddErr("", err) {
				return nil, err
			}
			only = err
		}
		rows[i] = profile.Row{Profile: p, Etag: m.GetEtag()}
	}
	switch {
	case wrong == 1: // with the metadata that a collection has no place for
		return nil, only
	case wrong > 1:
		return nil, profile.AsInvalid(v.Err())
	}
	warnings := make([][]*profilev1.Warning, len(rows)) // before the profiles become the store's
	for i, r := range rows {
		warnings[i] = s.warnings(r.Profile)
	}
	results, at, err := s.store.Upsert(ctx, rows)
	if err != nil {
		return nil, err
	}
	res := &profilev1.BatchUpsertProfilesResponse{ConsistencyToken: s.token(at), Results: make([]*profilev1.BatchUpsertProfilesResponse_Result, len(results))}
	for i, r := range results {
		res.Results[i] = &profilev1.BatchUpsertProfilesResponse_Result{
			Name: wire.ProfileName(r.UID), Outcome: profilev1.BatchUpsertProfilesResponse_Result_Outcome(r.Outcome),
			Warnings: warnings[i],
		}
	}
	return res, nil
}
