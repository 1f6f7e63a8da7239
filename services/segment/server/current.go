package server

import (
	"context"
	"sync"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/segment/internal/rpc"
)

// current is the index of the lease that is held now: an index lives as long as its lease, the callers of the service longer.
type current struct {
	mu    sync.Mutex
	index rpc.Index
	// era ends when another index, or none, takes the place of this one.
	era context.Context
	end context.CancelFunc
}

var _ rpc.Index = (*current)(nil)

func newCurrent() *current {
	c := new(current)
	c.era, c.end = context.WithCancel(context.Background())
	return c
}

// set puts an index in place, or with nil takes it out.
func (c *current) set(x rpc.Index) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end()
	c.index = x
	c.era, c.end = context.WithCancel(context.Background())
}

func (c *current) get() (rpc.Index, context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.index, c.era
}

// running returns the index, or says that there is none.
func (c *current) running() (rpc.Index, error) {
	if x, _ := c.get(); x != nil {
		return x, nil
	}
	return nil, fault.New(fault.Unavailable, "INDEX_NOT_READY", "the index is not running here yet; send the request again").Retry(time.Second)
}

// Schema is that of the index that runs.
func (c *current) Schema() *audience.Schema {
	if x, _ := c.get(); x != nil {
		return x.Schema()
	}
	return nil
}

// Store is that of the index that runs.
func (c *current) Store() (store, profileIncarnation string, ok bool) {
	if x, _ := c.get(); x != nil {
		return x.Store()
	}
	return "", "", false
}

// SegmentState is that of the index that runs.
func (c *current) SegmentState(uid string) (rpc.SegmentState, bool) {
	if x, _ := c.get(); x != nil {
		return x.SegmentState(uid)
	}
	return rpc.SegmentState{}, false
}

// DefinitionsChanged tells the index that runs; one that begins later reads all definitions anyway.
func (c *current) DefinitionsChanged() {
	if x, _ := c.get(); x != nil {
		x.DefinitionsChanged()
	}
}

// Through is that of the index that runs.
func (c *current) Through() (blocks.Through, bool) {
	if x, _ := c.get(); x != nil {
		return x.Through()
	}
	return blocks.Through{}, false
}

// WaitPosition waits for whichever index reaches the position.
func (c *current) WaitPosition(ctx context.Context, p blocks.Position) error {
	for {
		x, era := c.get()
		if x == nil {
			select {
			case <-era.Done():
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		waiting, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(era, cancel)
		err := x.WaitPosition(waiting, p)
		stop()
		cancel()
		if err == nil || ctx.Err() != nil || era.Err() == nil {
			return err
		}
	}
}

// Preview asks the index that runs.
func (c *current) Preview(ctx context.Context, p audience.Pred) (rpc.Count, error) {
	x, err := c.running()
	if err != nil {
		return rpc.Count{}, err
	}
	return x.Preview(ctx, p)
}

// Breakdown asks the index that runs.
func (c *current) Breakdown(ctx context.Context, p audience.Pred, dimensions []audience.Breakdown) (rpc.Division, error) {
	x, err := c.running()
	if err != nil {
		return rpc.Division{}, err
	}
	return x.Breakdown(ctx, p, dimensions)
}

// Subscribe asks the index that runs.
func (c *current) Subscribe() (*blocks.Subscription, error) {
	x, err := c.running()
	if err != nil {
		return nil, err
	}
	return x.Subscribe()
}

// Refill asks the index that runs.
func (c *current) Refill(ctx context.Context, layout, block uint32) (blocks.Epoch, uint64, error) {
	x, err := c.running()
	if err != nil {
		return blocks.Epoch{}, 0, err
	}
	return x.Refill(ctx, layout, block)
}
