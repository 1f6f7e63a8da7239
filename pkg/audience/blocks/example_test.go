package blocks_test

import (
	"context"
	"fmt"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/memblocks"
)

// nearby is a manifest and its refill in one process: what a service makes of its RPCs.
type nearby struct {
	p *blocks.Publisher
	w *blocks.Writer
	c blocks.Change
}

func (n nearby) Watch(ctx context.Context) (blocks.Stream, error) {
	s := n.p.Subscribe()
	context.AfterFunc(ctx, s.Close)
	return nearbyStream{ctx, s}, nil
}

func (n nearby) Refill(ctx context.Context, _, _ uint32) error {
	st, err := n.w.Rewrite(ctx, n.c)
	if err != nil {
		return err
	}
	return n.p.Publish(blocks.Update{Blocks: []blocks.BlockState{st}, Through: at(1), Asked: time.Now()})
}

type nearbyStream struct {
	ctx context.Context
	s   *blocks.Subscription
}

func (s nearbyStream) Send(number uint64) error    { s.s.Echo(number); return nil }
func (s nearbyStream) Recv() (blocks.Frame, error) { return s.s.Next(s.ctx) }

// A block is written and announced, lost from the store, and answered from all the same.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	store := memblocks.New()
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}

	// The segment service.
	w, err := blocks.NewWriter(store, blocks.WriterConfig{Store: "example", Layout: 1, Epoch: blocks.Epoch{Number: 1, Random: 42}})
	check(err)
	p, err := blocks.NewPublisher(blocks.PublisherConfig{Store: "example", Layout: 1})
	check(err)
	women := audience.FactField(audience.AttrGender, "female")
	change := blocks.Change{Block: 0, Rows: map[audience.Field]*audience.Bits{audience.FieldLive: bitsOf(0, 1, 2), women: bitsOf(0, 2)}}
	state, err := w.Rewrite(ctx, change)
	check(err)
	check(p.Publish(blocks.Update{Definitions: &blocks.Definitions{}, Blocks: []blocks.BlockState{state}, Through: at(1), Asked: time.Now()}))
	check(store.Drop(ctx, w.Key(0)))

	// The campaign service.
	near := nearby{p, w, change}
	f, err := blocks.NewFollower(blocks.FollowerConfig{Source: near})
	check(err)
	go f.Run(ctx) //nolint:errcheck // ends with the example
	r, err := blocks.NewReader(blocks.ReaderConfig{Store: store, Follower: f, Refiller: near})
	check(err)
	defer r.Close()
	check(r.Answer(ctx, blocks.AtLeast(blocks.Position{Revision: 1}), func(s *blocks.Session) error {
		return s.ForEachBlock(ctx, blocks.Query{Fields: []audience.Field{women}}, func(block uint32, b audience.Block) error {
			row, _ := b.Row(women)
			fmt.Printf("block %d: %d women, %d refilled\n", block, row.Count(), s.Stats().BlocksRefilled)
			return nil
		})
	}))
	// Output: block 0: 2 women, 1 refilled
}
