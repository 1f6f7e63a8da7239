package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/narrowcast/narrowcast/pkg/fault"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
)

// Item is one row to send: a profile or an event.
type Item[R proto.Message] struct {
	Line int // of the file, for rejections; 0: none
	Row  R
}

// Rejection is a row that the service refused.
type Rejection struct {
	Line                   int
	Reason, Field, Message string
}

// Result is how far an import has come. Counts are of the whole import, earlier runs with the same id included.
type Result struct {
	Committed int64 // rows that are durable or rejected for good
	// Of profiles.
	Created   int64
	Updated   int64
	Unchanged int64
	// Of events.
	Recorded   int64
	Duplicates int64
	Rejected   int64
	// Warnings about rows of this run that were accepted, by their code.
	Warnings map[string]int64
	Token    string // a state that includes everything committed
	Resumed  int64  // rows that an earlier run with the same id had committed
	Breaks   int    // connections that broke and were made again
}

// Options of an import.
type Options struct {
	ImportID string
	// Source is the system that profiles come from; "": not stated.
	Source string
	// CreateProfiles makes a profile for an external id that nobody has, rather than that its event is rejected.
	CreateProfiles bool
	// OnProgress hears of every commit; OnReject of every refused row. They are called one at a time, in order.
	OnProgress func(Result)
	OnReject   func(Rejection)
	// Wait pauses before a connection is made again; nil sleeps. It returns an error to give up.
	Wait func(ctx context.Context, d time.Duration) error
}

// Bounds of what is sent at once and held until it is acknowledged.
const (
	chunkRows  = 2000
	chunkBytes = 1 << 20
	windowRows = 20_000
	// maxFruitless is how many attempts in a row may end without a commit.
	maxFruitless = 8
)

// contract is what imports of one kind have of their own: Q are the messages sent, A the answers, R the rows.
type contract[Q, A any, R proto.Message] struct {
	open  func(ctx context.Context, opts ...grpc.CallOption) (grpc.BidiStreamingClient[Q, A], error)
	start *Q
	chunk func(offset int64, rows []R) *Q
	// count takes the counts of an answer over, and returns what all answers have.
	count func(a *A, to *Result) answer
}

// answer is what all answers have.
type answer interface {
	GetCommittedThrough() int64
	GetRejected() int64
	GetRejections() []*profilev1.ImportProfilesResponse_Rejection
	GetConsistencyToken() string
}

type chunk[R any] struct {
	offset int64
	rows   []R
	lines  []int
}

func (c *chunk[R]) end() int64 { return c.offset + int64(len(c.rows)) }

// upload is an import under way. The mutex guards what the receiving side changes.
type upload[Q, A any, R proto.Message] struct {
	opts Options
	kind contract[Q, A, R]
	next func() (Item[R], error, bool)
	read int64    // rows taken from the source
	done bool     // the source has ended
	held *Item[R] // taken from the source and not in a chunk yet

	mu      sync.Mutex
	moved   chan struct{} // closed and replaced when committed moves or the stream ends
	result  Result
	unacked []*chunk[R]
	first   bool // no answer has come yet in any stream
	ended   error
}

// Run sends all profiles. An error of the source ends the import: the rows before it stay. An error of the service is returned
// with the result so far; UNAVAILABLE is tried again first, as long as there is progress.
func Run(ctx context.Context, client profilev1.ProfileServiceClient, rows iter.Seq2[Item[*profilev1.Profile], error], opts Options) (Result, error) {
	type request = profilev1.ImportProfilesRequest
	return run(ctx, rows, opts, contract[request, profilev1.ImportProfilesResponse, *profilev1.Profile]{
		open:  client.ImportProfiles,
		start: &request{Message: &profilev1.ImportProfilesRequest_Start_{Start: &profilev1.ImportProfilesRequest_Start{ImportId: opts.ImportID, Source: opts.Source}}},
		chunk: func(offset int64, rows []*profilev1.Profile) *request {
			return &request{Message: &profilev1.ImportProfilesRequest_Chunk_{Chunk: &profilev1.ImportProfilesRequest_Chunk{Offset: offset, Profiles: rows}}}
		},
		count: func(a *profilev1.ImportProfilesResponse, to *Result) answer {
			to.Created, to.Updated, to.Unchanged = a.GetCreated(), a.GetUpdated(), a.GetUnchanged()
			if len(a.GetWarnings()) > 0 {
				sum := maps.Clone(to.Warnings) // results that were given out stay as they are
				if sum == nil {
					sum = make(map[string]int64)
				}
				for code, n := range a.GetWarnings() {
					sum[code] += n
				}
				to.Warnings = sum
			}
			return a
		},
	})
}

// RunEvents is Run for events.
func RunEvents(ctx context.Context, client profilev1.EventServiceClient, rows iter.Seq2[Item[*profilev1.Event], error], opts Options) (Result, error) {
	type request = profilev1.ImportEventsRequest
	return run(ctx, rows, opts, contract[request, profilev1.ImportEventsResponse, *profilev1.Event]{
		open: client.ImportEvents,
		start: &request{Message: &profilev1.ImportEventsRequest_Start_{
			Start: &profilev1.ImportEventsRequest_Start{ImportId: opts.ImportID, CreateProfiles: opts.CreateProfiles},
		}},
		chunk: func(offset int64, rows []*profilev1.Event) *request {
			return &request{Message: &profilev1.ImportEventsRequest_Chunk_{Chunk: &profilev1.ImportEventsRequest_Chunk{Offset: offset, Events: rows}}}
		},
		count: func(a *profilev1.ImportEventsResponse, to *Result) answer {
			to.Recorded, to.Duplicates = a.GetRecorded(), a.GetDuplicates()
			return a
		},
	})
}

func run[Q, A any, R proto.Message](ctx context.Context, rows iter.Seq2[Item[R], error], opts Options, kind contract[Q, A, R]) (Result, error) {
	next, stop := iter.Pull2(rows)
	defer stop()
	u := &upload[Q, A, R]{opts: opts, kind: kind, next: next, moved: make(chan struct{}), first: true}
	if u.opts.Wait == nil {
		u.opts.Wait = Pause
	}
	fruitless := 0
	for {
		before := u.progress().Committed
		err := u.attempt(ctx)
		if err == nil {
			return u.progress(), nil
		}
		if u.progress().Committed > before {
			fruitless = 0
		}
		fruitless++
		if ctx.Err() != nil || fault.KindOf(err) != fault.Unavailable || fruitless >= maxFruitless {
			return u.progress(), err
		}
		delay := 100 * time.Millisecond << min(fruitless-1, 5)
		if f := fault.As(err); f != nil {
			delay = max(delay, f.RetryAfter)
		}
		if err := u.opts.Wait(ctx, delay); err != nil {
			return u.progress(), err
		}
		u.mu.Lock()
		u.result.Breaks++
		u.mu.Unlock()
	}
}

// Pause waits, or returns the error of a context that ends before. It is how an upload waits unless its options say otherwise.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (u *upload[Q, A, R]) progress() Result {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.result
}

// attempt sends over one stream until everything is committed or the stream breaks.
func (u *upload[Q, A, R]) attempt(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := u.kind.open(ctx)
	if err != nil {
		return err
	}
	if err := s.Send(u.kind.start); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	answer, err := s.Recv()
	if err != nil {
		return orBroken(err)
	}
	u.take(answer)
	u.mu.Lock()
	u.ended = nil
	again := append([]*chunk[R](nil), u.unacked...)
	u.mu.Unlock()

	var receiving sync.WaitGroup
	receiving.Go(func() { u.receive(s) })
	err = u.send(s, again)
	if err != nil && s.CloseSend() != nil { // an error of the source: what was sent before it is still committed
		cancel()
	}
	receiving.Wait()
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if !errors.Is(u.ended, io.EOF) {
		return u.ended
	}
	if u.result.Committed < u.read {
		return fault.New(fault.Unavailable, "IMPORT_INCOMPLETE", "the import ended before everything was committed; run it again with the same id")
	}
	return nil
}

// orBroken makes the end of a stream that must not end an error.
func orBroken(err error) error {
	if errors.Is(err, io.EOF) {
		return fault.New(fault.Unavailable, "IMPORT_INCOMPLETE", "the service ended the import without an answer; run it again with the same id")
	}
	return err
}

// receive takes answers until the stream ends.
func (u *upload[Q, A, R]) receive(s grpc.BidiStreamingClient[Q, A]) {
	for {
		answer, err := s.Recv()
		if err != nil {
			u.mu.Lock()
			u.ended = err
			close(u.moved)
			u.moved = make(chan struct{})
			u.mu.Unlock()
			return
		}
		u.take(answer)
	}
}

// take notes an answer: what is committed need not be held any longer.
func (u *upload[Q, A, R]) take(m *A) {
	u.mu.Lock()
	defer u.mu.Unlock()
	r := &u.result
	a := u.kind.count(m, r)
	if u.first {
		u.first, r.Resumed = false, a.GetCommittedThrough()
	}
	r.Committed = max(r.Committed, a.GetCommittedThrough())
	r.Rejected = a.GetRejected()
	if a.GetConsistencyToken() != "" {
		r.Token = a.GetConsistencyToken()
	}
	if u.opts.OnReject != nil {
		for _, x := range a.GetRejections() {
			u.opts.OnReject(Rejection{Line: u.line(x.GetRow()), Reason: x.GetReason(), Field: x.GetField(), Message: x.GetMessage()})
		}
	}
	for len(u.unacked) > 0 && u.unacked[0].end() <= r.Committed {
		u.unacked = u.unacked[1:]
	}
	if u.opts.OnProgress != nil {
		u.opts.OnProgress(*r)
	}
	close(u.moved)
	u.moved = make(chan struct{})
}

// line is the line of the file that a row came from; 0 if it is not known any more.
func (u *upload[Q, A, R]) line(row int64) int {
	for _, c := range u.unacked {
		if row >= c.offset && row < c.end() {
			return c.lines[row-c.offset]
		}
	}
	return 0
}

// send sends what an earlier stream did not bring home, then the rest of the source. It returns nil too when the stream has
// broken: the receiving side knows why.
func (u *upload[Q, A, R]) send(s grpc.BidiStreamingClient[Q, A], again []*chunk[R]) error {
	for _, c := range again {
		if !u.push(s, c) {
			return nil
		}
	}
	for {
		c, err := u.fill()
		if err != nil {
			return err
		}
		if c == nil {
			break
		}
		if !u.room(s.Context()) {
			u.keep(c)
			return nil
		}
		u.keep(c)
		if !u.push(s, c) {
			return nil
		}
	}
	if err := s.CloseSend(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (u *upload[Q, A, R]) keep(c *chunk[R]) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.unacked = append(u.unacked, c)
}

// push sends a chunk; false if the stream has broken.
func (u *upload[Q, A, R]) push(s grpc.BidiStreamingClient[Q, A], c *chunk[R]) bool {
	return s.Send(u.kind.chunk(c.offset, c.rows)) == nil
}

// room waits until few enough rows are unacknowledged; false if the stream has ended.
func (u *upload[Q, A, R]) room(ctx context.Context) bool {
	for {
		u.mu.Lock()
		waiting, moved, ended := u.read-u.result.Committed, u.moved, u.ended
		u.mu.Unlock()
		switch {
		case ended != nil:
			return false
		case waiting <= windowRows:
			return true
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
}

// fill takes rows from the source until a chunk is full; nil at the end. Rows that are committed already are passed over.
func (u *upload[Q, A, R]) fill() (*chunk[R], error) {
	if u.done {
		return nil, nil
	}
	committed := u.progress().Committed
	var c *chunk[R]
	size := 0
	for c == nil || len(c.rows) < chunkRows {
		var item Item[R]
		if u.held != nil {
			item, u.held = *u.held, nil
		} else {
			var err error
			var more bool
			if item, err, more = u.next(); !more {
				u.done = true
				break
			}
			if err != nil {
				return nil, fmt.Errorf("read row %d: %w", u.read+1, err)
			}
			if u.read < committed && c == nil {
				u.read++
				continue
			}
		}
		n := proto.Size(item.Row)
		if c != nil && size+n > chunkBytes {
			u.held = &item
			break
		}
		if c == nil {
			c = &chunk[R]{offset: u.read}
		}
		size += n
		c.rows, c.lines = append(c.rows, item.Row), append(c.lines, item.Line)
		u.read++
	}
	return c, nil
}
