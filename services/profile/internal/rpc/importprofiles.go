package rpc

import (
	"context"

	"google.golang.org/grpc"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/services/profile"
)

// ImportProfiles imports profiles.
func (s *Service) ImportProfiles(stream grpc.BidiStreamingServer[profilev1.ImportProfilesRequest, profilev1.ImportProfilesResponse]) error {
	return serveImport(s, stream, &profileImport{s: s})
}

// profileImport is an import of profiles.
type profileImport struct {
	s  *Service
	id string
}

func (i *profileImport) start(first *profilev1.ImportProfilesRequest) importID {
	i.id = first.GetStart().GetImportId()
	return importID{"profiles", i.id}
}

func (i *profileImport) resume(ctx context.Context) (int64, *profilev1.ImportProfilesResponse, error) {
	p, at, err := i.s.store.ImportProgress(ctx, i.id)
	return p.Through, i.answer(p, at), err
}

func (i *profileImport) answer(p profile.Progress, at profile.Position) *profilev1.ImportProfilesResponse {
	return &profilev1.ImportProfilesResponse{
		CommittedThrough: p.Through, Created: p.Created, Updated: p.Updated, Unchanged: p.Unchanged, Rejected: p.Rejected, ConsistencyToken: i.s.token(at),
	}
}

func (i *profileImport) chunk(q *profilev1.ImportProfilesRequest) (int64, int, bool) {
	c := q.GetChunk()
	return c.GetOffset(), len(c.GetProfiles()), c != nil
}

func (i *profileImport) read(ctx context.Context, q *profilev1.ImportProfilesRequest, known int, to *batch[profile.Row]) error {
	// Declarations are only added to, so what a schema read now allows is allowed when the rows are written.
	schema, err := i.s.store.Schema(ctx)
	if err != nil {
		return err
	}
	for n, m := range q.GetChunk().GetProfiles()[known:] {
		p, err := i.s.row(m, schema)
		if err == nil {
			to.rows[n] = profile.Row{Profile: p, Etag: m.GetEtag()}
		} else if err := to.refuse(n, err); err != nil {
			return err
		}
	}
	return nil
}

// row checks one row by the contract's rules and by its meaning.
func (s *Service) row(m *profilev1.Profile, schema profile.Schema) (*profile.Profile, error) {
	if m == nil {
		return nil, emptyRow()
	}
	if err := s.validate(m); err != nil {
		return nil, err
	}
	return s.canonical(m, schema)
}

func (i *profileImport) commit(ctx context.Context, from int64, rows []profile.Row) ([]error, func([]*rejection) *profilev1.ImportProfilesResponse, error) {
	doubts := i.s.doubts(rows)
	results, p, at, err := i.s.store.Import(ctx, i.id, from, rows)
	if err != nil {
		return nil, nil, err
	}
	refused := make([]error, len(results))
	for n, r := range results {
		refused[n] = r.Err
	}
	return refused, func(told []*rejection) *profilev1.ImportProfilesResponse {
		m := i.answer(p, at)
		m.Rejections, m.Warnings = told, doubts.count(results)
		return m
	}, nil
}
