package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/rpc"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
)

type importStream = grpc.BidiStreamingClient[profilev1.ImportProfilesRequest, profilev1.ImportProfilesResponse]

// start begins an import and returns its stream and first answer.
func (w *world) start(ctx context.Context, t testing.TB, id string) (importStream, *profilev1.ImportProfilesResponse) {
	t.Helper()
	stream, err := w.ImportProfiles(ctx)
	must(t, err)
	must(t, stream.Send(&profilev1.ImportProfilesRequest{Message: &profilev1.ImportProfilesRequest_Start_{Start: &profilev1.ImportProfilesRequest_Start{ImportId: id}}}))
	res, err := stream.Recv()
	must(t, err)
	return stream, res
}

func chunk(offset int64, rows ...*profilev1.Profile) *profilev1.ImportProfilesRequest {
	return &profilev1.ImportProfilesRequest{Message: &profilev1.ImportProfilesRequest_Chunk_{Chunk: &profilev1.ImportProfilesRequest_Chunk{Offset: offset, Profiles: rows}}}
}

// finish closes the caller's side and returns the last answer and all rejections.
func finish(t *testing.T, stream importStream) (last *profilev1.ImportProfilesResponse, rejections []*profilev1.ImportProfilesResponse_Rejection) {
	t.Helper()
	must(t, stream.CloseSend())
	for {
		res, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return last, rejections
		}
		must(t, err)
		if res.GetCommittedThrough() < last.GetCommittedThrough() {
			t.Fatalf("committed_through fell from %d to %d", last.GetCommittedThrough(), res.GetCommittedThrough())
		}
		last = res
		rejections = append(rejections, res.GetRejections()...)
	}
}

func people(from, n int) []*profilev1.Profile {
	rows := make([]*profilev1.Profile, n)
	for i := range rows {
		rows[i] = &profilev1.Profile{Occupation: proto.String("worker"), Identifiers: external(fmt.Sprintf("%06d", from+i))}
	}
	return rows
}

func TestAnImportReportsEachRefusedRowAndStoresTheOthers(t *testing.T) {
	for name, w := range map[string]*world{"in process": inProcess(t, rpc.Options{UnitRows: 4}), "over the network": networked(t, rpc.Options{UnitRows: 4})} {
		t.Run(name, func(t *testing.T) {
			w.create(t, &profilev1.Profile{Name: "profiles/01932f4e-7c00-7abc-8def-0123456789ab", Identifiers: external("taken")})
			stream, first := w.start(t.Context(), t, "i")
			if first.GetCommittedThrough() != 0 || first.GetConsistencyToken() == "" {
				t.Errorf("a new import begins at %v", first)
			}
			rows := people(0, 10)
			rows[1].Region = proto.String("FR-999")
			rows[3].Occupation = proto.String("")
			rows[5].Identifiers = append(external("000000"), external("taken")...)
			rows[6] = proto.CloneOf(rows[0])
			rows[6].Occupation = proto.String("later")
			rows[9].Name = "nonsense"
			must(t, stream.Send(chunk(0, rows[:7]...)))
			must(t, stream.Send(chunk(5, rows[5:]...))) // two of them again
			last, rejections := finish(t, stream)
			if last.GetCommittedThrough() != 10 || last.GetCreated() != 5 || last.GetUpdated() != 1 || last.GetUnchanged() != 0 || last.GetRejected() != 4 {
				t.Errorf("ended with %v", last)
			}
			var got []string
			for _, r := range rejections {
				got = append(got, fmt.Sprint(r.GetRow(), r.GetReason(), r.GetField()))
				if r.GetMessage() == "" {
					t.Errorf("row %d is refused without a word", r.GetRow())
				}
			}
			want := []string{"1UNKNOWN_REGIONregion", "3VALIDATION_FAILEDoccupation", "5EXTERNAL_ID_TAKENidentifiers", "9VALIDATION_FAILEDname"}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("refused %v, want %v", got, want)
			}
			// The same again changes nothing.
			stream, first = w.start(t.Context(), t, "i")
			if first.GetCommittedThrough() != 10 || first.GetRejected() != 4 {
				t.Errorf("a finished import begins again at %v", first)
			}
			must(t, stream.Send(chunk(0, rows...)))
			if again, _ := finish(t, stream); again != nil {
				t.Errorf("rows that were there were answered with %v", again)
			}
			if got := w.revision(t); got != 7 {
				t.Errorf("the head is %d, want the seven changes", got)
			}
		})
	}
}

func TestAnImportThatBreaksTheProtocolIsRefused(t *testing.T) {
	w := networked(t, rpc.Options{})
	last := func(stream importStream) error {
		for {
			if _, err := stream.Recv(); err != nil {
				return err
			}
		}
	}
	stream, err := w.ImportProfiles(t.Context())
	must(t, err)
	must(t, stream.Send(chunk(0, people(0, 1)...)))
	wantFault(t, last(stream), fault.Invalid, profile.ReasonImportProtocol, "")

	stream, err = w.ImportProfiles(t.Context())
	must(t, err)
	must(t, stream.CloseSend())
	wantFault(t, last(stream), fault.Invalid, profile.ReasonImportProtocol, "")

	stream, _ = w.start(t.Context(), t, "i")
	must(t, stream.Send(&profilev1.ImportProfilesRequest{Message: &profilev1.ImportProfilesRequest_Start_{Start: &profilev1.ImportProfilesRequest_Start{ImportId: "i"}}}))
	wantFault(t, last(stream), fault.Invalid, profile.ReasonImportProtocol, "")

	stream, _ = w.start(t.Context(), t, "i")
	must(t, stream.Send(chunk(0)))
	wantFault(t, last(stream), fault.Invalid, "VALIDATION_FAILED", "chunk.profiles")

	stream, _ = w.start(t.Context(), t, "i")
	must(t, stream.Send(chunk(3, people(0, 1)...)))
	err = last(stream)
	wantFault(t, err, fault.OutOfRange, profile.ReasonImportGap, "")
	if got := fault.As(err).Metadata["committed_through"]; got != "0" {
		t.Errorf("the gap's committed_through is %q", got)
	}
	stream, err = w.ImportProfiles(t.Context())
	must(t, err)
	must(t, stream.Send(&profilev1.ImportProfilesRequest{Message: &profilev1.ImportProfilesRequest_Start_{Start: &profilev1.ImportProfilesRequest_Start{ImportId: "no spaces"}}}))
	wantFault(t, last(stream), fault.Invalid, "VALIDATION_FAILED", "start.import_id")
	if got := w.revision(t); got != 0 {
		t.Errorf("refused imports moved the head to %d", got)
	}
}

func TestRowsWaitForOthersForABoundedTimeOnly(t *testing.T) {
	w := networked(t, rpc.Options{UnitRows: 1000, UnitDelay: 10 * time.Millisecond})
	stream, _ := w.start(t.Context(), t, "i")
	must(t, stream.Send(chunk(0, people(0, 3)...)))
	res, err := stream.Recv() // the caller's side stays open
	must(t, err)
	if res.GetCommittedThrough() != 3 {
		t.Errorf("committed through %d, want 3", res.GetCommittedThrough())
	}
}

func TestANewStreamOfAnImportTakesItOver(t *testing.T) {
	w := networked(t, rpc.Options{UnitRows: 10})
	old, _ := w.start(t.Context(), t, "i")
	must(t, old.Send(chunk(0, people(0, 10)...)))
	_, err := old.Recv()
	must(t, err)
	next, first := w.start(t.Context(), t, "i")
	if first.GetCommittedThrough() != 10 {
		t.Errorf("the second stream begins at %d, want 10", first.GetCommittedThrough())
	}
	_, err = old.Recv()
	wantFault(t, err, fault.Conflict, profile.ReasonImportProtocol, "")
	must(t, next.Send(chunk(10, people(10, 5)...)))
	if last, _ := finish(t, next); last.GetCommittedThrough() != 15 || last.GetCreated() != 15 {
		t.Errorf("the second stream ended with %v", last)
	}
}

// TestAnImportCutOffAnywhereGoesOnWithoutLossOrRepetition cuts the stream, and reopens the store, after every few messages.
func TestAnImportCutOffAnywhereGoesOnWithoutLossOrRepetition(t *testing.T) {
	const total, size = 500, 23
	path, keys := filepath.Join(t.TempDir(), "profile.db"), newKeys(t)
	rows := people(0, total)
	acknowledged := int64(0)
	for cut := 1; acknowledged < total; cut++ {
		if cut > 100 {
			t.Fatal("the import does not come to its end")
		}
		store, err := sqlstore.Open(t.Context(), sqlstore.Config{SQL: sqldb.Config{Path: path}, Keys: keys, Logger: testkit.Logger(t), Now: time.Now})
		must(t, err)
		w := inProcess(t, rpc.Options{Store: store, UnitRows: 17})
		ctx, cancel := context.WithCancel(t.Context())
		stream, first := w.start(ctx, t, "i")
		if first.GetCommittedThrough() < acknowledged {
			t.Fatalf("the import begins again at %d after %d was acknowledged", first.GetCommittedThrough(), acknowledged)
		}
		acknowledged = first.GetCommittedThrough()
		// Answers are taken while rows are sent: neither side waits for the other for ever.
		answers := make(chan int64, total)
		go func() {
			defer close(answers)
			for res, err := stream.Recv(); err == nil; res, err = stream.Recv() {
				answers <- res.GetCommittedThrough()
			}
		}()
		// A caller that is not sure goes back a little.
		sent := 0
		for at := max(acknowledged-5, 0); at < total && sent < cut%7; sent++ {
			end := min(at+size, total)
			if err := stream.Send(chunk(at, rows[at:end]...)); err != nil {
				break
			}
			at = end
		}
		if cut%2 == 0 {
			if sent > 0 && acknowledged < total {
				acknowledged = <-answers
			}
			cancel()
		} else {
			must(t, stream.CloseSend())
		}
		for through := range answers {
			acknowledged = through
		}
		cancel()
		w.service.Stop()
		must(t, store.Close())
	}
	store, err := sqlstore.Open(t.Context(), sqlstore.Config{SQL: sqldb.Config{Path: path}, Keys: keys, Logger: testkit.Logger(t), Now: time.Now})
	must(t, err)
	defer store.Close()
	list, err := store.List(t.Context(), audience.UID{}, total+1)
	must(t, err)
	progress, at, err := store.ImportProgress(t.Context(), "i")
	must(t, err)
	if len(list) != total || progress != (profile.Progress{Through: total, Created: total}) || at.Revision != total {
		t.Errorf("%d profiles, progress %+v, head %d; want %d of each, created once", len(list), progress, at.Revision, total)
	}
}

func TestAStoppingServerEndsStreamsButLosesNothingAcknowledged(t *testing.T) {
	w := networked(t, rpc.Options{UnitRows: 5})
	stream, _ := w.start(t.Context(), t, "i")
	watch, err := w.WatchProfiles(t.Context(), &profilev1.WatchProfilesRequest{})
	must(t, err)
	_, err = watch.Recv()
	must(t, err)
	must(t, stream.Send(chunk(0, people(0, 5)...)))
	res, err := stream.Recv()
	must(t, err)
	w.service.Stop()
	_, err = stream.Recv()
	wantFault(t, err, fault.Unavailable, profile.ReasonServerGoingAway, "")
	for err = nil; err == nil; {
		_, err = watch.Recv()
	}
	wantFault(t, err, fault.Unavailable, profile.ReasonServerGoingAway, "")
	if p, _, err := w.store.ImportProgress(t.Context(), "i"); err != nil || p.Through != res.GetCommittedThrough() {
		t.Errorf("acknowledged %d, stored %+v (%v)", res.GetCommittedThrough(), p, err)
	}
}
