package rpc

import (
	"context"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/services/profile"
)

// Bounds of one read of changes; what is behind them is read next.
const (
	pageChanges = 10_000
	pageBytes   = 8 << 20
)

// watcher is one stream of WatchProfiles.
//
// Changes are read compacted, so a read that ends before the head may have passed a profile whose change lies in the part
// read, because a later change took it beyond. The cursor still moves with every message: the later change is above it and
// will come. The position, which promises that every profile is known as it was there, only moves when a read has
// reached the head it saw: then whatever moved, moved to where the read went.
type watcher struct {
	s      *Service
	stream grpc.ServerStreamingServer[profilev1.WatchProfilesResponse]
	after  int64            // sent through
	whole  profile.Position // known wholly
	reach  bool             // the head of the stream's beginning was reached
	schema int64            // declarations up to here were sent first
	plain  bool             // without names and identifiers

	frame    []byte // memory of the last message's changes
	messages chan *profilev1.WatchProfilesResponse
	sent     chan error
}

// WatchProfiles streams changes.
func (s *Service) WatchProfiles(req *profilev1.WatchProfilesRequest, stream grpc.ServerStreamingServer[profilev1.WatchProfilesResponse]) error {
	ctx := stream.Context()
	w := &watcher{s: s, stream: stream, plain: req.GetWithoutContact(), messages: make(chan *profilev1.WatchProfilesResponse), sent: make(chan error, 1)}
	if req.GetAfter() != "" {
		var err error
		if w.after, err = s.parseCursor(ctx, req.GetAfter()); err != nil {
			return err
		}
	}
	// Sending is left to a goroutine of its own: gRPC's flow control blocks it for as long as the reader likes, and only the
	// handler's return ends it.
	s.streams.Go(w.sender)
	defer close(w.messages)
	if req.GetAfter() == "" {
		if err := w.sendSchema(ctx); err != nil {
			return err
		}
	}
	return w.run(ctx)
}

func (w *watcher) sender() {
	for m := range w.messages {
		w.sent <- w.stream.Send(m) // there is room: the handler takes each answer before it hands over the next message
	}
}

// send sends one message, and cuts a reader that leaves it waiting for too long.
func (w *watcher) send(ctx context.Context, m *profilev1.WatchProfilesResponse) error {
	w.messages <- m
	select {
	case err := <-w.sent: // almost always soon: the timer is not worth making
		return err
	default:
	}
	patience := time.NewTimer(w.s.opts.SendTimeout)
	defer patience.Stop()
	select {
	case err := <-w.sent:
		return err
	case <-patience.C:
		return fault.New(fault.Exhausted, profile.ReasonWatcherTooSlow, "the reader did not keep up; go on from the last cursor")
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.s.closing:
		return goingAway()
	case <-rpc.Closing(ctx):
		return goingAway()
	}
}

// sendSchema sends all declarations. Their cursor is the beginning, so that who is cut off now gets them again.
func (w *watcher) sendSchema(ctx context.Context) error {
	head, err := w.s.store.Head(ctx)
	if err != nil {
		return err
	}
	schema, err := w.s.store.Schema(ctx) // holds at least what head holds
	if err != nil {
		return err
	}
	w.schema = head.Revision
	var changes []profile.Change
	for _, id := range slices.Sorted(maps.Keys(schema)) {
		changes = append(changes, profile.Change{Revision: schema[id].Revision, Attribute: schema[id]})
	}
	for len(changes) > 0 {
		m, n, err := w.message(changes)
		if err != nil {
			return err
		}
		changes = changes[n:]
		if err := w.sendThrough(ctx, m, 0); err != nil {
			return err
		}
	}
	return nil
}

// run sends what changed, then waits for more.
func (w *watcher) run(ctx context.Context) error {
	idle := time.NewTicker(w.s.opts.Checkpoint)
	defer idle.Stop()
	checkpoint := true // the first message without changes tells the position, too
	read := w.read(ctx, w.after)
	for {
		r := <-read
		if r.err != nil {
			return r.err
		}
		if r.page.More { // the next page is read while this one is sent
			read = w.read(ctx, r.page.Changes[len(r.page.Changes)-1].Revision)
		}
		if err := w.sendPage(ctx, r.page, checkpoint); err != nil {
			return err
		}
		checkpoint = false
		if r.page.More {
			continue
		}
		select {
		case <-r.changed:
		case <-idle.C:
			checkpoint = true
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.s.closing:
			return goingAway()
		case <-rpc.Closing(ctx):
			return goingAway()
		}
		read = w.read(ctx, w.after)
	}
}

// pageRead is what one read found.
type pageRead struct {
	page profile.Page
	// changed is closed by the first commit that the read may have missed.
	changed <-chan struct{}
	err     error
}

// read reads the changes after a revision.
func (w *watcher) read(ctx context.Context, after int64) <-chan pageRead {
	found := make(chan pageRead, 1) // it is not waited for where the stream ends first
	w.s.streams.Go(func() {
		p := pageRead{changed: w.s.store.Changed()}
		p.page, p.err = w.s.store.Changes(ctx, after, profile.PageOptions{Limit: pageChanges, Bytes: pageBytes, WithoutContact: w.plain, Stored: true})
		found <- p
	})
	return found
}

// sendPage sends what was read; the last message of a read that reached the head says so.
func (w *watcher) sendPage(ctx context.Context, page profile.Page, checkpoint bool) error {
	changes, end := page.Changes, int64(0)
	if len(changes) > 0 {
		end = changes[len(changes)-1].Revision
	}
	if !w.reach { // the schema was sent first
		changes = slices.DeleteFunc(changes, func(c profile.Change) bool { return c.Attribute != nil && c.Revision <= w.schema })
	}
	for len(changes) > 0 {
		m, n, err := w.message(changes)
		if err != nil {
			return err
		}
		last := changes[n-1].Revision
		changes = changes[n:]
		if len(changes) == 0 && !page.More {
			return w.sendWhole(ctx, m, page.Head)
		}
		if err := w.sendThrough(ctx, m, last); err != nil {
			return err
		}
	}
	if page.More {
		// The page ended in declarations that were left out.
		w.after = max(w.after, end)
		return nil
	}
	if checkpoint || page.Head.Revision > w.whole.Revision || !w.reach {
		return w.sendWhole(ctx, &profilev1.WatchProfilesResponse{}, page.Head)
	}
	return nil
}

// sendWhole sends a message after which everything up to the head is known.
func (w *watcher) sendWhole(ctx context.Context, m *profilev1.WatchProfilesResponse, head profile.Head) error {
	w.after, w.whole, w.reach = head.Revision, head.Position, true
	m.ChangesThrough, m.Position = w.s.cursor(head.Position), w.s.position(head.Position)
	return w.send(ctx, m)
}

// sendThrough sends a message in the middle of what is to be sent.
func (w *watcher) sendThrough(ctx context.Context, m *profilev1.WatchProfilesResponse, last int64) error {
	mark, err := w.s.store.Mark(ctx, last)
	if err != nil {
		return err
	}
	w.after = last
	m.ChangesThrough, m.Position = w.s.cursor(profile.Position{Revision: last, Mark: mark}), w.s.position(w.whole)
	m.Replaying = !w.reach
	return w.send(ctx, m)
}

// message fills a message with the first changes, at least one, and returns how many.
func (w *watcher) message(changes []profile.Change) (*profilev1.WatchProfilesResponse, int, error) {
	m := &profilev1.WatchProfilesResponse{}
	frame := w.frame[:0] // the message before was sent
	for i, c := range changes {
		before := len(frame)
		var err error
		if frame, err = appendChange(frame, c); err != nil {
			return nil, 0, err
		}
		if i > 0 && (i == w.s.opts.MessageChanges || len(frame) > w.s.opts.MessageBytes) {
			frame, changes = frame[:before], changes[:i]
			break
		}
	}
	w.frame = frame
	// Bytes that a message does not know go out as they are: to the reader they are its changes.
	m.ProtoReflect().SetUnknown(frame)
	return m, len(changes), nil
}
