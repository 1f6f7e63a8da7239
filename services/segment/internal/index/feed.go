package index

import (
	"context"
	"sync"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// Identity is one life of one profile store, and what it says of all its profiles.
type Identity struct {
	// Store is the installation's id, Incarnation the life of its profile store.
	Store       string
	Incarnation string
	// Currency is the store's currency (ISO 4217), Zone the IANA name of the zone in which its days turn; "" is UTC.
	Currency string
	Zone     string
}

// Batch is what the profile store says at once.
type Batch struct {
	Changes []Change
	// Through is the position up to which this batch and those before are complete.
	Through blocks.Point
	// Replaying says that the changes are compacted ones from before the stream: until they end, the content is of no single
	// position.
	Replaying bool
	// Cursor is what the changes after this batch are watched after. It is kept as it is.
	Cursor string
}

// Change is the last state of one profile, or of one attribute's declaration.
type Change struct {
	UID audience.UID
	// Facts are the profile's; nil: it was deleted.
	Facts audience.Facts
	// Attribute, if set, is what changed instead of a profile.
	Attribute *audience.Attribute
}

// item is one entry of the queue: the beginning of a replay, or a batch of it.
type item struct {
	begin *Identity
	st    *state // where it does not begin from nothing
	batch Batch
}

// feed is the queue between who reads the profiles and the tick that takes them.
type feed struct {
	wake func()

	mu      sync.Mutex
	items   []item
	changes int
	limit   int
	space   chan struct{} // closed when changes were taken
}

// Begin says that the batches that follow are a replay of this store from its beginning. What was offered before and not yet
// taken is void.
func (x *Index) Begin(id Identity) {
	f := &x.feed
	f.mu.Lock()
	f.items = []item{{begin: &id}}
	f.changes = 0
	f.release()
	f.mu.Unlock()
	f.wake()
}

// Offer queues a batch for the next tick. It waits while too many changes are queued, and ends with the context's error if
// that ends first; the batch is not queued then.
func (x *Index) Offer(ctx context.Context, b Batch) error {
	f := &x.feed
	for {
		f.mu.Lock()
		if f.changes == 0 || f.changes+len(b.Changes) <= f.limit {
			f.items = append(f.items, item{batch: b})
			f.changes += len(b.Changes)
			f.mu.Unlock()
			f.wake()
			return nil
		}
		space := f.space
		f.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *feed) release() {
	close(f.space)
	f.space = make(chan struct{})
}

// begin takes the beginning of a replay, if it is next.
func (f *feed) begin() (id *Identity, from *state) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.items) == 0 {
		return nil, nil
	}
	return f.items[0].begin, f.items[0].st
}

// begun drops the beginning that begin returned, unless another one took its place.
func (f *feed) begun(id *Identity) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.items) > 0 && f.items[0].begin == id {
		f.items = f.items[1:]
	}
}

// take takes batches, up to the next beginning and about limit changes.
func (f *feed) take(limit int) (batches []Batch, changes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for n < len(f.items) && f.items[n].begin == nil && (n == 0 || changes+len(f.items[n].batch.Changes) <= limit) {
		batches = append(batches, f.items[n].batch)
		changes += len(f.items[n].batch.Changes)
		n++
	}
	f.items = f.items[n:]
	f.changes -= changes
	if n > 0 {
		f.release()
	}
	return batches, changes
}

func (f *feed) queued() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes
}

// ask is a question for the head of the profile store and its answer.
type ask struct {
	at          time.Time
	incarnation string
	revision    uint64
}

// maxAsks bounds the questions whose answer is not reached yet; the oldest are given up, which only makes the age larger.
const maxAsks = 256

// HeadAsked says that the profile store was asked, at that time, for its head, and what it answered. It is what the age of the
// index is measured from. Times must be of Now's clock and in order.
func (x *Index) HeadAsked(at time.Time, head blocks.Point) {
	x.asksMu.Lock()
	x.asks = append(x.asks, ask{at, head.Incarnation, head.Revision})
	if len(x.asks) > maxAsks {
		x.asks = x.asks[1:]
	}
	x.asksMu.Unlock()
	x.head.Store(head.Revision)
	x.signal()
}

// asked returns the newest time at which a head was asked for that the position has reached; zero if there is none since the
// last call.
func (x *Index) asked(p blocks.Point) (at time.Time) {
	x.asksMu.Lock()
	defer x.asksMu.Unlock()
	rest := x.asks[:0]
	for _, a := range x.asks {
		switch {
		case a.incarnation != p.Incarnation:
		case a.revision <= p.Revision:
			at = a.at
		default:
			rest = append(rest, a)
		}
	}
	x.asks = rest
	return at
}
