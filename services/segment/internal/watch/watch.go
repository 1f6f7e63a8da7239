package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/services/internal/profilefacts"
	"github.com/narrowcast/narrowcast/services/segment/internal/index"
)

// Reasons with which the profile service refuses a cursor for good.
const (
	reasonCursorInvalid = "CURSOR_INVALID"
	reasonCursorTooOld  = "CURSOR_TOO_OLD"
	reasonAnotherStore  = "CURSOR_OF_ANOTHER_STORE"
)

// Sink takes what is watched; the index is one.
type Sink interface {
	// Begin says that what follows is a replay of this store from its beginning.
	Begin(id index.Identity)
	// Resume says whether the sink has kept what came before of this store: then what follows are the changes after the cursor.
	Resume(ctx context.Context, id index.Identity) (from index.Resumed, ok bool)
	// Offer takes a batch, waiting while too much is queued.
	Offer(ctx context.Context, b index.Batch) error
	// HeadAsked says when the profile store was asked for its head, and what it answered.
	HeadAsked(at time.Time, head blocks.Point)
}

// Config says how to follow.
type Config struct {
	// Profiles is a connection to the profile service.
	Profiles grpc.ClientConnInterface
	Sink     Sink
	Logger   *slog.Logger
	// HeadEvery is the pause between questions for the head, default 250 ms; HeadTimeout bounds one, default 2 s.
	HeadEvery   time.Duration
	HeadTimeout time.Duration
	// Retry is the first pause after a stream ended, default 50 ms; it doubles up to RetryMax, default 2 s.
	Retry    time.Duration
	RetryMax time.Duration
	// Now is the clock of the ages; its monotonic part is used. Nil: time.Now.
	Now func() time.Time
}

// Watcher follows one profile service.
type Watcher struct {
	cfg    Config
	log    *slog.Logger
	client profilev1.ProfileServiceClient

	identity   index.Identity
	cursor     string // after which the next stream goes on; "": from the beginning
	attributes map[string]*audience.Attribute
	resumed    bool // the sink was asked what it has kept: what it said is not trusted twice
}

// New returns a watcher; Run starts it.
func New(cfg Config) (*Watcher, error) {
	if cfg.Profiles == nil || cfg.Sink == nil || cfg.Logger == nil {
		return nil, errors.New("new watcher: a connection, a sink and a logger are needed")
	}
	cfg.HeadEvery = cmp.Or(cfg.HeadEvery, 250*time.Millisecond)
	cfg.HeadTimeout = cmp.Or(cfg.HeadTimeout, 2*time.Second)
	cfg.Retry = cmp.Or(cfg.Retry, 50*time.Millisecond)
	cfg.RetryMax = cmp.Or(cfg.RetryMax, 2*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Watcher{cfg: cfg, log: cfg.Logger.With("component", "watch"), client: profilev1.NewProfileServiceClient(cfg.Profiles)}, nil
}

// Run follows until ctx ends, and then returns nil. Call it once.
func (w *Watcher) Run(ctx context.Context) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() { w.askHead(ctx) })
	pause := w.cfg.Retry
	for {
		received, err := w.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if received {
			pause = w.cfg.Retry
		}
		switch reasonOf(err) {
		case reasonCursorInvalid, reasonCursorTooOld, reasonAnotherStore:
			w.cursor = ""
		}
		wait := pause/2 + rand.N(pause)
		w.log.WarnContext(ctx, "profile stream ended", "error", err, "retry_after", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		pause = min(2*pause, w.cfg.RetryMax)
	}
}

// follow follows one stream to its end; received reports whether it brought a message.
func (w *Watcher) follow(ctx context.Context) (received bool, err error) {
	asking, cancel := context.WithTimeout(ctx, w.cfg.HeadTimeout)
	head, err := w.client.GetHead(asking, &profilev1.GetHeadRequest{})
	cancel()
	if err != nil {
		return false, fmt.Errorf("get head: %w", err)
	}
	id := index.Identity{
		Store: head.GetStore(), Incarnation: head.GetPosition().GetIncarnation(), Currency: head.GetCurrencyCode(), Zone: head.GetTimeZone(),
	}
	if w.cursor == "" || id != w.identity {
		w.identity, w.cursor = id, ""
		w.attributes = make(map[string]*audience.Attribute)
		if err := w.begin(ctx, id); err != nil {
			return false, err
		}
	}
	ctx, cancel = context.WithCancel(ctx)
	defer cancel()
	stream, err := w.client.WatchProfiles(ctx, &profilev1.WatchProfilesRequest{After: w.cursor, WithoutContact: true})
	if err != nil {
		return false, fmt.Errorf("watch profiles: %w", err)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the stream ended without a reason")
			}
			return received, fmt.Errorf("receive changes: %w", err)
		}
		received = true
		at := point(m.GetPosition())
		if at.Incarnation != "" && at.Incarnation != w.identity.Incarnation {
			w.cursor = ""
			return received, errors.New("receive changes: the profile store began a new life")
		}
		b, err := w.batch(ctx, m)
		if err != nil {
			w.cursor = "" // what was seen of the replay cannot be trusted
			return received, err
		}
		b.Through = at
		b.Replaying, b.Cursor = m.GetReplaying(), m.GetChangesThrough()
		if err := w.cfg.Sink.Offer(ctx, b); err != nil {
			return received, fmt.Errorf("offer changes: %w", err)
		}
		w.cursor = m.GetChangesThrough()
	}
}

// begin begins with what the sink has kept, if the profile store still holds all of that, or else from the beginning.
func (w *Watcher) begin(ctx context.Context, id index.Identity) error {
	if w.resumed {
		w.cfg.Sink.Begin(id)
		return nil
	}
	from, ok := w.cfg.Sink.Resume(ctx, id)
	if ok {
		err := w.holds(ctx, from.Newest)
		switch reasonOf(err) {
		case reasonCursorInvalid, reasonCursorTooOld, reasonAnotherStore:
			w.log.WarnContext(ctx, "the profile store has lost what the index has kept; it is built from the beginning", "error", err)
			ok = false
		default:
			if err != nil {
				return fmt.Errorf("ask whether the store holds what was kept: %w", err)
			}
		}
	}
	w.resumed = true
	if !ok {
		w.cfg.Sink.Begin(id)
		return nil
	}
	w.cursor = from.Cursor
	for _, a := range from.Attributes {
		w.attributes[a.Name] = &a
	}
	return nil
}

// holds asks the profile service whether it takes a cursor: it says so at once.
func (w *Watcher) holds(ctx context.Context, cursor string) error {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.HeadTimeout)
	defer cancel()
	stream, err := w.client.WatchProfiles(ctx, &profilev1.WatchProfilesRequest{After: cursor, WithoutContact: true})
	if err == nil {
		_, err = stream.Recv()
	}
	return err
}

// batch makes facts of a message.
func (w *Watcher) batch(ctx context.Context, m *profilev1.WatchProfilesResponse) (index.Batch, error) {
	b := index.Batch{Changes: make([]index.Change, 0, len(m.GetChanges()))}
	refused := 0
	var first error
	for _, c := range m.GetChanges() {
		switch x := c.GetChange().(type) {
		case *profilev1.WatchProfilesResponse_Change_Attribute:
			a := profilefacts.Attribute(x.Attribute)
			w.attributes[a.Name] = &a
			b.Changes = append(b.Changes, index.Change{Attribute: &a})
		case *profilev1.WatchProfilesResponse_Change_DeletedProfile:
			uid, err := profilefacts.UID(x.DeletedProfile)
			if err != nil {
				return b, fmt.Errorf("read a deletion: %w", err)
			}
			b.Changes = append(b.Changes, index.Change{UID: uid})
		case *profilev1.WatchProfilesResponse_Change_Profile:
			uid, facts, err := profilefacts.Of(x.Profile, w.attribute)
			if facts == nil {
				return b, fmt.Errorf("read a profile: %w", err)
			}
			if err != nil {
				refused++
				first = cmp.Or(first, err)
			}
			b.Changes = append(b.Changes, index.Change{UID: uid, Facts: facts})
		default:
			return b, errors.New("read changes: a kind of change that this program does not know")
		}
	}
	if refused > 0 {
		w.log.ErrorContext(ctx, "profiles hold facts that do not fit their declarations; they count as unknown", "profiles", refused, "first", first)
	}
	return b, nil
}

func (w *Watcher) attribute(name string) (*audience.Attribute, bool) {
	a, ok := w.attributes[name]
	return a, ok
}

// askHead asks for the head again and again until ctx ends. While the profile service does not answer, the index grows old, which
// is what its readers have to see.
func (w *Watcher) askHead(ctx context.Context) {
	every := time.NewTicker(w.cfg.HeadEvery)
	defer every.Stop()
	down := false
	for {
		asking, cancel := context.WithTimeout(ctx, w.cfg.HeadTimeout)
		at := w.cfg.Now()
		head, err := w.client.GetHead(asking, &profilev1.GetHeadRequest{})
		cancel()
		if err == nil {
			w.cfg.Sink.HeadAsked(at, point(head.GetPosition()))
		} else if ctx.Err() == nil && !down {
			w.log.WarnContext(ctx, "the profile service does not tell its head; the index grows old", "error", err)
		}
		down = err != nil
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// reasonOf returns the reason of a fault, whether the connection makes faults of statuses or not.
func reasonOf(err error) string {
	if reason := fault.ReasonOf(err); reason != "" {
		return reason
	}
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) {
		return fault.ReasonOf(rpc.Fault(s.GRPCStatus().Err()))
	}
	return ""
}

func point(p *typev1.Position) blocks.Point {
	return blocks.Point{Incarnation: p.GetIncarnation(), Revision: uint64(max(p.GetRevision(), 0)), Mark: string(p.GetMark())}
}
