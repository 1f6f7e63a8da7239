package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/rpc"
)

// ago is an event of the profile with a name that happened some days ago.
func ago(id, name, kind string, days int) *profilev1.Event {
	return &profilev1.Event{
		EventId: id, Whose: &profilev1.Event_Profile{Profile: name}, Kind: kind,
		EventTime: timestamppb.New(time.Now().Add(-time.Duration(days) * 24 * time.Hour).Truncate(time.Microsecond)),
	}
}

// of makes an event somebody's who is known by an identifier.
func of(e *profilev1.Event, id *profilev1.Identifier) *profilev1.Event {
	e.Whose = &profilev1.Event_Identifier{Identifier: id}
	return e
}

func (w *world) record(t *testing.T, events ...*profilev1.Event) *profilev1.RecordEventsResponse {
	t.Helper()
	res, err := w.RecordEvents(t.Context(), &profilev1.RecordEventsRequest{Events: events})
	must(t, err)
	return res
}

func TestTraitsFollowEventsAndReachWatchers(t *testing.T) {
	w := networked(t, rpc.Options{})
	p := w.create(t, &profilev1.Profile{Identifiers: append(external("1"), email("a@example.com"))})
	buy := ago("order-1:1", p.GetName(), "purchase", 3)
	buy.Amount = &typev1.Money{CurrencyCode: "EUR", Amount: "12.50"}
	buy.Order, buy.Brand, buy.Category, buy.Channel = "order-1", "acme", "tools", typev1.Channel_CHANNEL_WEB
	buy.Campaign, buy.Details = "campaigns/spring", map[string]string{"shop": "12"}
	answer := of(ago("answer", "", "survey", 1), email("A@EXAMPLE.com")) // in another spelling
	answer.Score = "8.5"
	res := w.record(t, buy, answer, of(ago("order-1:1", "", "visit", 1), email("nobody@example.com")))
	var got []string
	for _, r := range res.GetResults() {
		got = append(got, fmt.Sprint(strings.TrimPrefix(r.GetName(), p.GetName()+"/events/"), r.GetDuplicate()))
	}
	if want := []string{"order-1:1false", "answerfalse", "order-1:1true"}; !slices.Equal(got, want) || res.GetConsistencyToken() == "" {
		t.Errorf("recorded %v, want %v", got, want)
	}
	now, err := w.GetProfile(t.Context(), &profilev1.GetProfileRequest{Name: p.GetName()})
	must(t, err)
	traits := now.GetTraits()
	if a := traits.GetPurchases().GetActivity(); a.GetCount() != 1 || a.GetCount_30D() != 1 || traits.GetPurchases().GetSum_90D().GetAmount() != "12.50" ||
		traits.GetPurchases().GetFavouriteBrand() != "acme" || traits.GetSatisfaction() != "8.50" || now.GetLifecycle() != typev1.Lifecycle_LIFECYCLE_CUSTOMER {
		t.Errorf("the profile is %v", now)
	}
	watch, err := w.WatchProfiles(t.Context(), &profilev1.WatchProfilesRequest{})
	must(t, err)
	var seen *profilev1.Profile
	for seen == nil {
		m, err := watch.Recv()
		must(t, err)
		for _, c := range m.GetChanges() {
			seen = c.GetProfile()
		}
	}
	if !proto.Equal(seen.GetTraits(), traits) {
		t.Errorf("a watcher is told the traits %v, want %v", seen.GetTraits(), traits)
	}
	// The list has what was said, the newest first.
	list, err := w.ListEvents(t.Context(), &profilev1.ListEventsRequest{Parent: p.GetName()})
	must(t, err)
	answer.Score, answer.Whose = "8.50", &profilev1.Event_Profile{Profile: p.GetName()}
	for i, want := range []*profilev1.Event{answer, buy} {
		want = proto.CloneOf(want)
		want.Name = p.GetName() + "/events/" + want.GetEventId()
		e := list.GetEvents()[i]
		if e.GetCreateTime() == nil {
			t.Error("an event does not say when it came")
		}
		if want.CreateTime = e.GetCreateTime(); !proto.Equal(e, want) {
			t.Errorf("listed %v, want %v", e, want)
		}
	}
	_, err = w.DeleteEvent(t.Context(), &profilev1.DeleteEventRequest{Name: p.GetName() + "/events/order-1:1"})
	must(t, err)
	if now, err = w.GetProfile(t.Context(), &profilev1.GetProfileRequest{Name: p.GetName()}); err != nil || now.GetTraits().GetPurchases().GetActivity().GetCount() != 0 {
		t.Errorf("without its purchase the profile is %v (%v)", now, err)
	}
	_, err = w.DeleteEvent(t.Context(), &profilev1.DeleteEventRequest{Name: p.GetName() + "/events/order-1:1"})
	wantFault(t, err, fault.NotFound, profile.ReasonEventNotFound, "")
}

func TestEventsThatSayWrongThingsAreRefusedTogether(t *testing.T) {
	w := networked(t, rpc.Options{})
	p := w.create(t, &profilev1.Profile{Identifiers: external("1")})
	w.create(t, &profilev1.Profile{Identifiers: []*profilev1.Identifier{email("two@example.com")}})
	w.create(t, &profilev1.Profile{Identifiers: []*profilev1.Identifier{email("two@example.com")}})
	with := func(change func(*profilev1.Event)) *profilev1.Event {
		e := ago("x", p.GetName(), "visit", 1)
		change(e)
		return e
	}
	for name, c := range map[string]struct {
		event  *profilev1.Event
		kind   fault.Kind
		reason string
		field  string
	}{
		"no id":               {with(func(e *profilev1.Event) { e.EventId = "" }), fault.Invalid, "VALIDATION_FAILED", "events[1].event_id"},
		"no time":             {with(func(e *profilev1.Event) { e.EventTime = nil }), fault.Invalid, "VALIDATION_FAILED", "events[1].event_time"},
		"nobody's":            {with(func(e *profilev1.Event) { e.Whose = nil }), fault.Invalid, profile.ReasonInvalidEvent, "events[1].profile"},
		"amount of a visit":   {with(func(e *profilev1.Event) { e.Amount = &typev1.Money{CurrencyCode: "EUR", Amount: "1"} }), fault.Invalid, profile.ReasonInvalidEvent, "events[1].amount"},
		"score above ten":     {with(func(e *profilev1.Event) { e.Kind, e.Score = "survey", "11" }), fault.Invalid, "VALIDATION_FAILED", "events[1].score"},
		"impossible address":  {of(ago("x", "", "visit", 1), email("nobody")), fault.Invalid, profile.ReasonInvalidIdentifier, "events[1].identifier.value"},
		"address of nobody":   {of(ago("x", "", "visit", 1), email("nobody@example.com")), fault.NotFound, profile.ReasonProfileNotFound, "events[1]"},
		"address of two":      {of(ago("x", "", "visit", 1), email("two@example.com")), fault.Precondition, profile.ReasonNotOneProfile, "events[1]"},
		"profile of nobody":   {ago("x", "profiles/01932f4e-7c00-7abc-8def-0123456789ab", "visit", 1), fault.NotFound, profile.ReasonProfileNotFound, "events[1]"},
		"a kind with capital": {with(func(e *profilev1.Event) { e.Kind = "Visit" }), fault.Invalid, "VALIDATION_FAILED", "events[1].kind"},
	} {
		_, err := w.RecordEvents(t.Context(), &profilev1.RecordEventsRequest{Events: []*profilev1.Event{ago("ok", p.GetName(), "visit", 1), c.event}})
		if f := fault.As(err); f == nil || f.Kind != c.kind || f.Reason != c.reason || len(f.Violations) == 0 || f.Violations[0].Field != c.field {
			t.Errorf("%s: %+v, want %s %s at %s", name, f, c.kind, c.reason, c.field)
		}
	}
	if list, err := w.ListEvents(t.Context(), &profilev1.ListEventsRequest{Parent: p.GetName()}); err != nil || len(list.GetEvents()) != 0 {
		t.Errorf("refused with others, %v was recorded (%v)", list, err)
	}
	_, err := w.ListEvents(t.Context(), &profilev1.ListEventsRequest{Parent: "profiles/01932f4e-7c00-7abc-8def-0123456789ab"})
	wantFault(t, err, fault.NotFound, profile.ReasonProfileNotFound, "")
	_, err = w.ListEvents(t.Context(), &profilev1.ListEventsRequest{Parent: p.GetName(), PageToken: "nonsense"})
	wantFault(t, err, fault.Invalid, "PAGE_TOKEN_INVALID", "page_token")
}

func TestPagesOfEventsAddUp(t *testing.T) {
	w := inProcess(t, rpc.Options{})
	p, other := w.create(t, &profilev1.Profile{}), w.create(t, &profilev1.Profile{})
	var want []string
	for i := range 23 {
		e := ago(fmt.Sprint("e", i), p.GetName(), "visit", i)
		want = append(want, p.GetName()+"/events/"+e.GetEventId())
		w.record(t, e)
	}
	var got []string
	token := ""
	for range 4 {
		page, err := w.ListEvents(t.Context(), &profilev1.ListEventsRequest{Parent: p.GetName(), PageSize: 7, PageToken: token})
		must(t, err)
		for _, e := range page.GetEvents() {
			got = append(got, e.GetName())
		}
		if token = page.GetNextPageToken(); token != "" {
			_, err := w.ListEvents(t.Context(), &profilev1.ListEventsRequest{Parent: other.GetName(), PageToken: token})
			wantFault(t, err, fault.Invalid, "PAGE_TOKEN_INVALID", "page_token")
		}
	}
	if !slices.Equal(got, want) || token != "" {
		t.Errorf("the pages hold %v and then %q, want %v", got, token, want)
	}
}

type eventStream = grpc.BidiStreamingClient[profilev1.ImportEventsRequest, profilev1.ImportEventsResponse]

func (w *world) startEvents(ctx context.Context, t testing.TB, id string, create bool) (eventStream, *profilev1.ImportEventsResponse) {
	t.Helper()
	stream, err := w.ImportEvents(ctx)
	must(t, err)
	must(t, stream.Send(&profilev1.ImportEventsRequest{Message: &profilev1.ImportEventsRequest_Start_{
		Start: &profilev1.ImportEventsRequest_Start{ImportId: id, CreateProfiles: create},
	}}))
	res, err := stream.Recv()
	must(t, err)
	return stream, res
}

func eventChunk(offset int64, rows ...*profilev1.Event) *profilev1.ImportEventsRequest {
	return &profilev1.ImportEventsRequest{Message: &profilev1.ImportEventsRequest_Chunk_{
		Chunk: &profilev1.ImportEventsRequest_Chunk{Offset: offset, Events: rows},
	}}
}

func TestAnImportOfEventsReportsEachRefusedRow(t *testing.T) {
	w := networked(t, rpc.Options{UnitRows: 4})
	p := w.create(t, &profilev1.Profile{Identifiers: external("1")})
	rows := make([]*profilev1.Event, 10)
	for i := range rows {
		rows[i] = of(ago(fmt.Sprint("e", i), "", "visit", i), external("1")[0])
	}
	rows[1].EventId = "has space"
	rows[2].Amount = &typev1.Money{CurrencyCode: "EUR", Amount: "1"}
	rows[4].EventId = "e0"
	of(rows[5], email("nobody@example.com"))
	of(rows[6], external("2")[0])
	of(rows[7], external("2")[0])
	rows[8].Whose = nil
	of(rows[9], &profilev1.Identifier{Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EXTERNAL_ID, Value: "without source"})
	stream, first := w.startEvents(t.Context(), t, "i", true)
	if first.GetCommittedThrough() != 0 || first.GetConsistencyToken() == "" {
		t.Errorf("a new import begins at %v", first)
	}
	must(t, stream.Send(eventChunk(0, rows[:7]...)))
	must(t, stream.Send(eventChunk(5, rows[5:]...))) // two of them again
	must(t, stream.CloseSend())
	var last *profilev1.ImportEventsResponse
	var got []string
	for {
		res, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		last = res
		for _, r := range res.GetRejections() {
			got = append(got, fmt.Sprint(r.GetRow(), r.GetReason(), r.GetField()))
		}
	}
	want := []string{
		"1VALIDATION_FAILEDevent_id", "2INVALID_EVENTamount", "5PROFILE_NOT_FOUNDprofile", "8INVALID_EVENTprofile", "9INVALID_IDENTIFIERidentifier.source",
	}
	if !slices.Equal(got, want) {
		t.Errorf("refused %v, want %v", got, want)
	}
	if last.GetCommittedThrough() != 10 || last.GetRecorded() != 4 || last.GetDuplicates() != 1 || last.GetRejected() != 5 {
		t.Errorf("ended with %v", last)
	}
	if list, err := w.ListEvents(t.Context(), &profilev1.ListEventsRequest{Parent: p.GetName()}); err != nil || len(list.GetEvents()) != 2 {
		t.Errorf("the events are %v (%v)", list, err)
	}
	made, err := w.ResolveIdentifier(t.Context(), &profilev1.ResolveIdentifierRequest{Identifier: external("2")[0]})
	must(t, err)
	if list, err := w.ListEvents(t.Context(), &profilev1.ListEventsRequest{Parent: made.GetProfile()}); err != nil || len(list.GetEvents()) != 2 {
		t.Errorf("the events of who was made are %v (%v)", list, err)
	}
}

// TestAnInterruptedImportOfEventsGoesOn cuts the stream after each few messages.
func TestAnInterruptedImportOfEventsGoesOn(t *testing.T) {
	const total, size = 300, 23
	w := networked(t, rpc.Options{UnitRows: 17})
	p := w.create(t, &profilev1.Profile{})
	rows := make([]*profilev1.Event, total)
	for i := range rows {
		rows[i] = ago(fmt.Sprint("e", i), p.GetName(), "visit", i)
	}
	acknowledged := int64(0)
	for cut := 1; acknowledged < total; cut++ {
		if cut > 100 {
			t.Fatal("the import does not come to its end")
		}
		ctx, cancel := context.WithCancel(t.Context())
		stream, first := w.startEvents(ctx, t, "i", false)
		if first.GetCommittedThrough() < acknowledged {
			t.Fatalf("the import begins again at %d after %d was acknowledged", first.GetCommittedThrough(), acknowledged)
		}
		if acknowledged = first.GetCommittedThrough(); acknowledged == total {
			cancel() // the last answer was cut off; nothing is left to be answered
			break
		}
		for at := max(acknowledged-5, 0); at < total; {
			end := min(at+size, total)
			must(t, stream.Send(eventChunk(at, rows[at:end]...)))
			at = end
			if at >= first.GetCommittedThrough()+int64(cut%4)*size {
				break
			}
		}
		if cut%2 == 0 {
			must(t, stream.CloseSend())
			for res, err := stream.Recv(); err == nil; res, err = stream.Recv() {
				acknowledged = res.GetCommittedThrough()
			}
		} else if res, err := stream.Recv(); err == nil {
			acknowledged = res.GetCommittedThrough()
		}
		cancel()
	}
	progress, _, err := w.store.EventImportProgress(t.Context(), "i")
	must(t, err)
	if progress != (profile.EventProgress{Through: total, Recorded: total}) {
		t.Errorf("the import came to %+v, want each event once", progress)
	}
	now, err := w.GetProfile(t.Context(), &profilev1.GetProfileRequest{Name: p.GetName()})
	must(t, err)
	if v := now.GetTraits().GetVisits(); v.GetCount() != total || v.GetCount_90D() != 90 {
		t.Errorf("the visits are %v", v)
	}
}
