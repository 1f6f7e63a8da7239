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
	running map[importID]*run
}

// importID names an import of one kind: ids of profiles are apart from those of events.
type importID struct{ kind, id string }

type run struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
}

// begin makes the caller the import's one stream: a caller who lost the connection comes back before the server knows, so the
// newest stream wins and the one before is told to end.
func (i *imports) begin(ctx context.Context, id importID) (context.Context, func(), error) {
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

// rejection tells why a row was refused, for imports of every kind.
type rejection = profilev1.ImportProfilesResponse_Rejection

// importKind is what imports of one kind have of their own. Q are the messages of the caller, A the answers, R the rows.
type importKind[Q, A, R any] interface {
	// start returns the id of the import that a first message begins; "": it begins none. It is called first, and once.
	start(first *Q) importID
	// resume returns how far the import has come, and the answer that says so.
	resume(ctx context.Context) (through int64, answer *A, err error)
	// chunk returns the number of the first row of a message and how many it has; false: the message is no chunk.
	chunk(q *Q) (offset int64, rows int, ok bool)
	// read checks the rows of a chunk but for the first few, which are known.
	read(ctx context.Context, q *Q, known int, to *batch[R]) error
	// commit keeps a unit, and returns why rows of it were refused and what makes the answer of that and of what read refused.
	commit(ctx context.Context, from int64, rows []R) (refused []error, answer func([]*rejection) *A, err error)
}

// batch is rows that follow each other, read and checked.
type batch[R any] struct {
	rows       []R
	rejections map[int]*rejection // by index in rows
	bytes      int
	err        error // the last batch: io.EOF, or why the stream ends
}

// refuse notes why a row was refused, unless the error is not about the row.
func (b *batch[R]) refuse(row int, err error) error {
	if fault.As(err) == nil {
		return err
	}
	b.rejections[row] = rejectionOf(err)
	return nil
}

// serveImport is the handler of an import. While one commit unit is written, the next one is received and checked.
func serveImport[Q, A, R any](s *Service, stream grpc.BidiStreamingServer[Q, A], kind importKind[Q, A, R]) error {
	first, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return protocolFault("start", "an import begins with a start message")
	}
	if err != nil {
		return err
	}
	id := kind.start(first)
	if id.id == "" {
		return protocolFault("start", "an import begins with a start message that has its id")
	}
	ctx, end, err := s.imports.begin(stream.Context(), id)
	if err != nil {
		return ended(err)
	}
	defer end()
	through, answer, err := kind.resume(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(answer); err != nil {
		return err
	}
	received := make(chan batch[R])
	reader := &importReader[Q, A, R]{s: s, kind: kind, stream: stream, through: through, next: through}
	// It ends with its next batch or, where it waits for the caller, when the handler has returned.
	s.streams.Go(func() { reader.run(ctx, received) })
	return importUnits(ctx, s, kind, through, received, stream)
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

// importUnits gathers batches into commit units and answers after each.
func importUnits[Q, A, R any](ctx context.Context, s *Service, kind importKind[Q, A, R], through int64, received <-chan batch[R], stream grpc.BidiStreamingServer[Q, A]) error {
	unit := unit[R]{rejections: make(map[int]*rejection)}
	due := time.NewTimer(s.opts.UnitDelay)
	defer due.Stop()
	commit := func(n int) error {
		rows, rejections := unit.cut(n)
		refused, answer, err := kind.commit(ctx, through, rows)
		if err != nil {
			return err
		}
		told := make([]*rejection, 0, len(rejections))
		for i, why := range refused {
			one := rejections[i]
			if one == nil && why != nil {
				one = rejectionOf(why)
			}
			if one != nil {
				one.Row = through + int64(i)
				told = append(told, one)
			}
		}
		through += int64(n)
		return stream.Send(answer(told))
	}
	for {
		var waiting <-chan time.Time
		if len(unit.rows) > 0 {
			waiting = due.C
		}
		var b batch[R]
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
type unit[R any] struct {
	rows       []R
	rejections map[int]*rejection
	bytes      int
}

func (u *unit[R]) add(b batch[R]) {
	for i, r := range b.rejections {
		u.rejections[len(u.rows)+i] = r
	}
	u.rows = append(u.rows, b.rows...)
	u.bytes += b.bytes
}

// cut takes the first n rows out.
func (u *unit[R]) cut(n int) ([]R, map[int]*rejection) {
	rows, rejections := u.rows[:n], u.rejections
	// New memory, since the rows belong to the store from now on.
	u.rows = append([]R(nil), u.rows[n:]...)
	u.rejections = make(map[int]*rejection)
	for i, r := range rejections {
		if i >= n {
			u.rejections[i-n] = r
			delete(rejections, i)
		}
	}
	u.bytes = u.bytes * len(u.rows) / (n + len(u.rows))
	return rows, rejections
}
