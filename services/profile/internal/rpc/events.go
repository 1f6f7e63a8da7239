package rpc

import (
	"context"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/page"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/profile"
)

// RecordEvents records events, all or none. A wrong field of any event is told, of the first hundred events that have one.
func (s *Service) RecordEvents(ctx context.Context, req *profilev1.RecordEventsRequest) (*profilev1.RecordEventsResponse, error) {
	rows := make([]profile.EventRow, len(req.GetEvents()))
	var v fault.Violations
	var only error
	wrong := 0
	for i, m := range req.GetEvents() {
		var err error
		if rows[i], err = s.eventRow(m); err != nil {
			if wrong++; wrong > 100 {
				break
			}
			err = below(fault.Index("events", i), err)
			if !v.AddErr("", err) {
				return nil, err
			}
			only = err
		}
	}
	switch {
	case wrong == 1:
		return nil, only
	case wrong > 1:
		return nil, profile.AsInvalid(v.Err())
	}
	results, at, err := s.store.Record(ctx, rows)
	if err != nil {
		return nil, err
	}
	res := &profilev1.RecordEventsResponse{ConsistencyToken: s.token(at), Results: make([]*profilev1.RecordEventsResponse_Result, len(results))}
	for i, r := range results {
		res.Results[i] = &profilev1.RecordEventsResponse_Result{Name: wire.EventName(r.UID, req.GetEvents()[i].GetEventId()), Duplicate: r.Duplicate}
	}
	return res, nil
}

// eventRow is what a message means.
func (s *Service) eventRow(m *profilev1.Event) (profile.EventRow, error) {
	if m == nil {
		return profile.EventRow{}, emptyRow()
	}
	e, who, err := eventFromWire(m)
	if err != nil {
		return profile.EventRow{}, err
	}
	row := profile.EventRow{Event: e}
	if who != nil {
		if err := s.opts.Rules.Normalize(who); err != nil {
			return profile.EventRow{}, below("identifier", err)
		}
		row.Whose = *who
	}
	return row, nil
}

// ImportEvents imports events.
func (s *Service) ImportEvents(stream grpc.BidiStreamingServer[profilev1.ImportEventsRequest, profilev1.ImportEventsResponse]) error {
	return serveImport(s, stream, &eventImport{s: s})
}

// eventImport is an import of events.
type eventImport struct {
	s      *Service
	id     string
	create bool
}

func (i *eventImport) start(first *profilev1.ImportEventsRequest) importID {
	i.id, i.create = first.GetStart().GetImportId(), first.GetStart().GetCreateProfiles()
	return importID{"events", i.id}
}

func (i *eventImport) resume(ctx context.Context) (int64, *profilev1.ImportEventsResponse, error) {
	p, at, err := i.s.store.EventImportProgress(ctx, i.id)
	return p.Through, i.answer(p, at), err
}

func (i *eventImport) answer(p profile.EventProgress, at profile.Position) *profilev1.ImportEventsResponse {
	return &profilev1.ImportEventsResponse{
		CommittedThrough: p.Through, Recorded: p.Recorded, Duplicates: p.Duplicates, Rejected: p.Rejected, ConsistencyToken: i.s.token(at),
	}
}

func (i *eventImport) chunk(q *profilev1.ImportEventsRequest) (int64, int, bool) {
	c := q.GetChunk()
	return c.GetOffset(), len(c.GetEvents()), c != nil
}

func (i *eventImport) read(_ context.Context, q *profilev1.ImportEventsRequest, known int, to *batch[profile.EventRow]) error {
	for n, m := range q.GetChunk().GetEvents()[known:] {
		row, err := i.row(m)
		if err == nil {
			to.rows[n] = row
		} else if err := to.refuse(n, err); err != nil {
			return err
		}
	}
	return nil
}

// row checks one row by the contract's rules and by its meaning. What would become a profile's identifier must be one that it may have.
func (i *eventImport) row(m *profilev1.Event) (profile.EventRow, error) {
	if m == nil {
		return profile.EventRow{}, emptyRow()
	}
	if err := i.s.validate(m); err != nil {
		return profile.EventRow{}, err
	}
	row, err := i.s.eventRow(m)
	if err == nil && i.create && row.Whose.Kind == profile.KindExternalID {
		err = below("identifier", i.s.opts.Rules.Check(row.Whose))
	}
	return row, err
}

func (i *eventImport) commit(ctx context.Context, from int64, rows []profile.EventRow) ([]error, func([]*rejection) *profilev1.ImportEventsResponse, error) {
	results, p, at, err := i.s.store.ImportEvents(ctx, i.id, from, rows, i.create)
	if err != nil {
		return nil, nil, err
	}
	refused := make([]error, len(results))
	for n, r := range results {
		refused[n] = r.Err
	}
	return refused, func(told []*rejection) *profilev1.ImportEventsResponse {
		m := i.answer(p, at)
		m.Rejections = told
		return m
	}, nil
}

// ListEvents lists a profile's events, the newest first.
func (s *Service) ListEvents(ctx context.Context, req *profilev1.ListEventsRequest) (*profilev1.ListEventsResponse, error) {
	uid, err := uidOf(req.GetParent(), "parent")
	if err != nil {
		return nil, err
	}
	size, err := page.Size(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	checksum := page.Checksum("ListEvents", wire.FormatUID(uid))
	key, err := page.Decode(req.GetPageToken(), checksum)
	if err != nil {
		return nil, err
	}
	var before *profile.EventPlace
	if key != "" {
		if before, err = parsePlace(key); err != nil {
			return nil, err
		}
	}
	// One more than asked for tells whether there is a next page.
	found, err := s.store.Events(ctx, uid, before, size+1)
	if err != nil {
		return nil, err
	}
	res := &profilev1.ListEventsResponse{}
	if len(found) > size {
		found = found[:size]
		last := found[size-1]
		res.NextPageToken = page.Encode(strconv.FormatInt(last.Time.UnixMicro(), 10)+" "+last.ID, checksum)
	}
	for _, e := range found {
		res.Events = append(res.Events, eventToWire(e))
	}
	return res, nil
}

func parsePlace(key string) (*profile.EventPlace, error) {
	at, id, _ := strings.Cut(key, " ")
	micros, err := strconv.ParseInt(at, 10, 64)
	if err != nil || id == "" {
		return nil, fault.InvalidField(page.ReasonTokenInvalid, "page_token", "is not a page token; pass next_page_token of the page before as it was")
	}
	return &profile.EventPlace{Time: time.UnixMicro(micros), ID: id}, nil
}

// DeleteEvent deletes an event.
func (s *Service) DeleteEvent(ctx context.Context, req *profilev1.DeleteEventRequest) (*profilev1.DeleteEventResponse, error) {
	uid, id, ok := wire.ParseEventName(req.GetName())
	if !ok {
		return nil, fault.InvalidField(profile.ReasonValidationFailed, "name", "a name is profiles/, a UUID in lower-case letters, /events/ and the event's id")
	}
	at, err := s.store.DeleteEvent(ctx, uid, id)
	if err != nil {
		return nil, err
	}
	return &profilev1.DeleteEventResponse{ConsistencyToken: s.token(at)}, nil
}
