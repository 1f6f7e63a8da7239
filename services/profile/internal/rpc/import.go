package rpc

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/services/profile"
)

// errTakenOver cancels an import's stream when another one goes on with it.
var errTakenOver = errors.New("another stream took the import over")

// imports knows which imports have a stream in this process. Should two streams of one import meet all the same, in two
// processes, the store lets only one of them go on.
type imports struct {
	mu      sync.Mutex
	running map[string]*run
}

type run struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
}

// begin makes the caller the import's one stream: a caller who lost the connection comes back before the server knows, so the
// newest stream wins and the one before is told to end.
func (i *imports) begin(ctx context.Context, id string) (context.Context, func(), error) {
	ctx, cancel := context.WithCancelCause(ctx)
	mine := &run{cancel: cancel, done: make(chan struct{})}
	i.mu.Lock()
	before := i.running[id]
	i.running[id] = mine
	i.mu.Unlock()
	end := func() {
		i.mu.Lock()
		if i.running[id] == mine {
			delete(i.running, id)
		}
		i.mu.Unlock()
		cancel(nil)
		close(mine.done)
	}
	if before != nil {
		before.cancel(errTakenOver)
		// It may be in a commit, or hang in a connection that nobody reads; in the latter case it will write nothing more.
		wait := time.NewTimer(10 * time.Second)
		defer wait.Stop()
		select {
		case <-before.done:
		case <-wait.C:
		case <-ctx.Done():
			defer end()
			return nil, nil, context.Cause(ctx)
		}
	}
	return ctx, end, nil
}

// batch is rows that follow each other, read and checked.
type batch struct {
	rows       []profile.Row
	rejections map[int]*profilev1.ImportProfilesResponse_Rejection // by index in rows
	bytes      int
	err        error // the last batch: io.EOF, or why the stream ends
}

// ImportProfiles imports rows. While one commit unit is written, the next one is received and checked.
func (s *Service) ImportProfiles(stream grpc.BidiStreamingServer[profilev1.ImportProfilesRequest, profilev1.ImportProfilesResponse]) error {
	first, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return protocolFault("start", "an import begins with a start message")
	}
	if err != nil {
		return err
	}
	id := first.GetStart().GetImportId()
	if id == "" {
		return protocolFault("start", "an import begins with a start message that has its id")
	}
	ctx, end, err := s.imports.begin(stream.Context(), id)
	if err != nil {
		return ended(err)
	}
	defer end()
	progress, at, err := s.store.ImportProgress(ctx, id)
	if err != nil {
		return err
	}
	if err := stream.Send(s.progress(progress, at, nil)); err != nil {
		return err
	}
	received := make(chan batch)
	reader := &importReader{s: s, stream: stream, through: progress.Through, next: progress.Through}
	// It ends with its next batch or, where it waits for the caller, when the handler has returned.
	s.streams.Go(func() { reader.run(ctx, received) })
	return s.importUnits(ctx, id, progress, received, stream)
}

func protocolFault(expected, message string) error {
	return fault.New(fault.Invalid, profile.ReasonImportProtocol, message).With("expected", expected)
}

// ended is what a stream returns whose context ended.
func ended(cause error) error {
	if errors.Is(cause, errTakenOver) {
		return fault.New(fault.Conflict, profile.ReasonImportProtocol, "another stream of this import went on with it").With("expected", "one stream")
	}
	return cause
}

func (s *Service) progress(p profile.Progress, at profile.Position, rejections []*profilev1.ImportProfilesResponse_Rejection) *profilev1.ImportProfilesResponse {
	return &profilev1.ImportProfilesResponse{
		CommittedThrough: p.Through, Created: p.Created, Updated: p.Updated, Unchanged: p.Unchanged, Rejected: p.Rejected,
		Rejections: rejections, ConsistencyToken: s.token(at),
	}
}

// importUnits gathers batches into commit units and answers after each.
func (s *Service) importUnits(ctx context.Context, id string, progress profile.Progress, received <-chan batch, stream grpc.ServerStreamingServer[profilev1.ImportProfilesResponse]) error {
	unit := unit{rejections: make(map[int]*profilev1.ImportProfilesResponse_Rejection)}
	due := time.NewTimer(s.opts.UnitDelay)
	defer due.Stop()
	commit := func(n int) error {
		rows, rejections := unit.cut(n)
		doubts := s.doubts(rows)
		results, now, at, err := s.store.Import(ctx, id, progress.Through, rows)
		if err != nil {
			return err
		}
		told := make([]*profilev1.ImportProfilesResponse_Rejection, 0, len(rejections))
		for i, r := range results {
			one := rejections[i]
			if one == nil && r.Err != nil {
				one = rejection(r.Err)
			}
			if one != nil {
				one.Row = progress.Through + int64(i)
				told = append(told, one)
			}
		}
		progress = now
		answer := s.progress(progress, at, told)
		answer.Warnings = doubts.count(results)
		return stream.Send(answer)
	}
	for {
		var waiting <-chan time.Time
		if len(unit.rows) > 0 {
			waiting = due.C
		}
		var b batch
		select {
		case b = <-received:
		case <-waiting:
			if err := commit(len(unit.rows)); err != nil {
				return err
			}
			continue
		case <-ctx.Done():
			return ended(context.Cause(ctx))
		case <-s.closing:
			return goingAway()
		case <-rpc.Closing(stream.Context()):
			return goingAway()
		}
		if len(unit.rows) == 0 {
			due.Reset(s.opts.UnitDelay)
		}
		unit.add(b)
		for len(unit.rows) > 0 && (len(unit.rows) >= s.opts.UnitRows || unit.bytes >= s.opts.UnitBytes || errors.Is(b.err, io.EOF)) {
			if err := commit(min(len(unit.rows), s.opts.UnitRows)); err != nil {
				return err
			}
			due.Reset(s.opts.UnitDelay)
		}
		if b.err != nil {
			if errors.Is(b.err, io.EOF) {
				return nil
			}
			return b.err
		}
	}
}

// unit is what waits for the next commit.
type unit struct {
	rows       []profile.Row
	rejections map[int]*profilev1.ImportProfilesResponse_Rejection
	bytes      int
}

func (u *unit) add(b batch) {
	for i, r := range b.rejections {
		u.rejections[len(u.rows)+i] = r
	}
	u.rows = append(u.rows, b.rows...)
	u.bytes += b.bytes
}

// cut takes the first n rows out.
func (u *unit) cut(n int) ([]profile.Row, map[int]*profilev1.ImportProfilesResponse_Rejection) {
	rows, rejections := u.rows[:n], u.rejections
	// New memory, since the rows belong to the store from now on.
	u.rows = append([]profile.Row(nil), u.rows[n:]...)
	u.rejections = make(map[int]*profilev1.ImportProfilesResponse_Rejection)
	for i, r := range rejections {
		if i >= n {
			u.rejections[i-n] = r
			delete(rejections, i)
		}
	}
	u.bytes = u.bytes * len(u.rows) / (n + len(u.rows))
	return rows, rejections
}
