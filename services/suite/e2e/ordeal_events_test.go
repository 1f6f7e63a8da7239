package e2e_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/narrowcast/narrowcast/pkg/fault"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
)

// buyer is a profile with purchases, in cents by event id.
type buyer struct {
	name        string // "" where the import made it
	sure, maybe map[string]int64
}

func (d *ordeal) buyer(external, name string) *buyer {
	b := &buyer{name: name, sure: map[string]int64{}, maybe: map[string]int64{}}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.buyers[external] = b
	return b
}

// purchase is an event of somebody's, within the last year.
func (a *actor) purchase(id string, cents int64) *profilev1.Event {
	return &profilev1.Event{
		EventId: id, Kind: "purchase", EventTime: timestamppb.New(time.Now().AddDate(0, 0, -1-a.r.IntN(300))),
		Amount: &typev1.Money{CurrencyCode: "EUR", Amount: fmt.Sprintf("%d.%02d", cents/100, cents%100)},
	}
}

// recorder records purchases of a few people, and repeats most of the calls that were not answered.
func (d *ordeal) recorder(k int) {
	const people = 8
	var ids []string
	var buyers []*buyer
	n := 0
	d.act(fmt.Sprintf("recorder %d", k), func(a *actor) {
		if len(ids) < people {
			h := &human{external: fmt.Sprintf("buyer-%d-%d", k, len(ids))}
			a.create(h)
			ids, buyers = append(ids, h.external), append(buyers, d.buyer(h.external, h.name))
			return
		}
		n++
		req := &profilev1.RecordEventsRequest{}
		amounts, whose := map[string]int64{}, map[string]*buyer{}
		for i := range 1 + a.r.IntN(6) {
			who, id, cents := a.r.IntN(people), fmt.Sprintf("record-%d-%d-%d", k, n, i), a.r.Int64N(100_000)
			e := a.purchase(id, cents)
			if a.r.IntN(2) == 0 {
				e.Whose = &profilev1.Event_Profile{Profile: buyers[who].name}
			} else {
				e.Whose = &profilev1.Event_Identifier{Identifier: external(ids[who])}
			}
			req.Events = append(req.Events, e)
			amounts[id], whose[id] = cents, buyers[who]
		}
		record := func(ctx context.Context, again bool) error {
			res, err := d.events.RecordEvents(ctx, req)
			if err != nil {
				return err
			}
			for i, r := range res.GetResults() {
				if r.GetDuplicate() && !again {
					d.t.Errorf("%s: the new event %s is a duplicate", a.name, req.GetEvents()[i].GetEventId())
				}
				if r.GetDuplicate() != res.GetResults()[0].GetDuplicate() {
					d.t.Errorf("%s: a call recorded only a part of its events before it was repeated", a.name)
				}
			}
			return nil
		}
		o := done
		if a.r.IntN(4) > 0 {
			a.until("recording events", record)
		} else {
			o = a.call("recording events", func(ctx context.Context) error { return record(ctx, false) })
		}
		for id, b := range whose {
			switch o {
			case done:
				b.sure[id] = amounts[id]
			case unknown:
				b.maybe[id] = amounts[id]
			case not:
			}
		}
		d.note(0, len(req.GetEvents()))
		a.pause(time.Duration(a.r.IntN(15)) * time.Millisecond)
	})
}

// eventImporter imports purchases of people whom the import makes.
func (d *ordeal) eventImporter(k int) {
	round := 0
	d.act(fmt.Sprintf("importer of events %d", k), func(a *actor) {
		const rows, people = 200, 20
		round++
		who := func(i int) string { return fmt.Sprintf("met-%d-%d-%d", k, round, i%people) }
		id := func(i int) string { return fmt.Sprintf("import-%d-%d-%d", k, round, i) }
		amounts := make([]int64, rows)
		events := make([]*profilev1.Event, rows)
		for i := range amounts {
			amounts[i] = a.r.Int64N(100_000)
			events[i] = a.purchase(id(i), amounts[i])
			events[i].Whose = &profilev1.Event_Identifier{Identifier: external(who(i))}
		}
		start := &profilev1.ImportEventsRequest{Message: &profilev1.ImportEventsRequest_Start_{
			Start: &profilev1.ImportEventsRequest_Start{ImportId: fmt.Sprintf("events-%d-%d", k, round), CreateProfiles: true},
		}}
		end := stream(a, "importing events", rows, 25, func(ctx context.Context) (grpc.BidiStreamingClient[profilev1.ImportEventsRequest, profilev1.ImportEventsResponse], error) {
			return d.events.ImportEvents(ctx)
		}, start, func(from, to int) *profilev1.ImportEventsRequest {
			c := &profilev1.ImportEventsRequest_Chunk{Offset: int64(from), Events: events[from:to]}
			return &profilev1.ImportEventsRequest{Message: &profilev1.ImportEventsRequest_Chunk_{Chunk: c}}
		})
		if d.ctx.Err() != nil {
			return
		}
		if end.GetCommittedThrough() != rows || end.GetRecorded() != rows {
			d.t.Errorf("%s: of %d new events %d are committed, %d recorded, %d duplicates, %d rejected", a.name, rows,
				end.GetCommittedThrough(), end.GetRecorded(), end.GetDuplicates(), end.GetRejected())
		}
		for i := range people {
			b := d.buyer(who(i), "")
			for row := i; row < rows; row += people {
				b.sure[id(row)] = amounts[row]
			}
		}
		d.note(people, rows+people)
	})
}

// resolver asks for people by their external ids.
func (d *ordeal) resolver(k int) {
	d.act(fmt.Sprintf("resolver %d", k), func(a *actor) {
		d.mu.Lock()
		var h *human
		dying := false
		if len(d.people) > 0 {
			h = d.people[a.r.IntN(len(d.people))]
		}
		dead := h != nil && h.dead
		d.mu.Unlock()
		if h == nil {
			a.pause(5 * time.Millisecond)
			a.acks.Add(1)
			return
		}
		a.call("resolving an identifier", func(ctx context.Context) error {
			res, err := d.identity.ResolveIdentifier(ctx, &profilev1.ResolveIdentifierRequest{Identifier: external(h.external)})
			d.mu.Lock()
			dying = h.dying
			d.mu.Unlock()
			switch {
			case fault.KindOf(err) == fault.NotFound && dying:
				return nil
			case err == nil && (res.GetProfile() != h.name || dead):
				d.t.Errorf("%s: %s is %q (dead: %v) and resolves to %q", a.name, h.external, h.name, dead, res.GetProfile())
			}
			return err
		})
		a.pause(time.Duration(a.r.IntN(10)) * time.Millisecond)
	})
}
