package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/internal/manifestwire"
	"github.com/narrowcast/narrowcast/services/segment"
	"github.com/narrowcast/narrowcast/services/segment/internal/rpc"
)

func newPublisher(t testing.TB, cfg blocks.PublisherConfig) *blocks.Publisher {
	t.Helper()
	cfg.Store, cfg.Layout = installation, 2
	p, err := blocks.NewPublisher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func publish(t testing.TB, p *blocks.Publisher, revision uint64, states ...blocks.BlockState) {
	t.Helper()
	u := blocks.Update{Blocks: states, Through: blocks.Through{Profiles: blocks.Point{Incarnation: life, Revision: revision}}}
	if revision == 1 {
		u.Definitions = &blocks.Definitions{Currency: "EUR", Zone: "UTC"}
	}
	if err := p.Publish(u); err != nil {
		t.Fatal(err)
	}
}

func TestAReaderGetsTheManifestThenItsChangesAndItsEchoAtOnce(t *testing.T) {
	r := newRig(t)
	r.index.publisher = newPublisher(t, blocks.PublisherConfig{})
	publish(t, r.index.publisher, 1, blocks.BlockState{Block: 3, Version: 1, Epoch: blocks.Epoch{Number: 1, Random: 1 << 63}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := manifestwire.NewSource(r.conn).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	next := func() blocks.Frame {
		t.Helper()
		f, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if f := next(); !f.Full || f.Store != installation || f.Layout != 2 || f.Format != blocks.Format || len(f.Blocks) != 1 ||
		f.Blocks[0].Block != 3 || f.Blocks[0].Epoch.Random != 1<<63 || f.Definitions == nil || f.Through.Profiles.Revision != 1 || f.Through.Echo != 0 {
		t.Errorf("first frame %+v", f)
	}
	for n := uint64(1); n <= 3; n++ {
		if err := stream.Send(n * 10); err != nil {
			t.Fatal(err)
		}
		if f := next(); f.Full || len(f.Blocks) != 0 || f.Definitions != nil || f.Through.Echo != n*10 || f.Through.Profiles.Revision != 1 {
			t.Errorf("echo of %d: %+v", n*10, f)
		}
	}
	for v := uint64(2); v <= 4; v++ {
		publish(t, r.index.publisher, v, blocks.BlockState{Block: 3, Version: v, Base: v - 1})
	}
	for v := uint64(2); v <= 4; v++ {
		if f := next(); f.Full || len(f.Blocks) != 1 || f.Blocks[0].Version != v || f.Through.Profiles.Revision != v || f.Through.Echo != 30 {
			t.Errorf("change %d: %+v", v, f)
		}
	}
}

func TestALargeFrameIsSentInSeveralMessages(t *testing.T) {
	r := newRig(t)
	r.index.publisher = newPublisher(t, blocks.PublisherConfig{})
	publish(t, r.index.publisher, 1)
	stream, err := r.membership.WatchBlocks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m, err := stream.Recv(); err != nil || m.GetThrough() == nil || !m.GetWhole() {
		t.Fatalf("first message %v, %v", m, err)
	}
	const n = 60_000
	state := blocks.BlockState{Block: 0, Version: 1}
	for i := range n {
		state.Entries = append(state.Entries, blocks.Listed{
			Field: audience.Field(fmt.Sprintf("f/a=%07d", i)), Entry: blocks.Entry{Cardinality: 1, Checksum: uint64(i), Size: 1},
		})
	}
	publish(t, r.index.publisher, 2, state)
	messages, entries := 0, 0
	for {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		messages++
		for _, b := range m.GetBlocks() {
			entries += len(b.GetEntries())
		}
		if m.GetThrough() != nil {
			break
		}
	}
	if messages < 2 || entries != n {
		t.Errorf("%d entries in %d messages", entries, messages)
	}
}

func TestAWatchEndsWithAReason(t *testing.T) {
	begin := func(t *testing.T, cfg blocks.PublisherConfig) (*rig, grpc.BidiStreamingClient[segmentv1.WatchBlocksRequest, segmentv1.WatchBlocksResponse]) {
		r := newRig(t)
		r.index.publisher = newPublisher(t, cfg)
		publish(t, r.index.publisher, 1)
		stream, err := r.membership.WatchBlocks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		return r, stream
	}
	t.Run("when the service stops", func(t *testing.T) {
		r, stream := begin(t, blocks.PublisherConfig{})
		r.service.StopStreams()
		r.service.StopStreams()
		_, err := stream.Recv()
		wantFault(t, err, fault.Unavailable, "SERVER_GOING_AWAY")
		r.service.Wait()
		again, err := r.membership.WatchBlocks(t.Context())
		if err == nil {
			_, err = again.Recv()
		}
		wantFault(t, err, fault.Unavailable, "SERVER_GOING_AWAY")
	})
	t.Run("when the index ends", func(t *testing.T) {
		r, stream := begin(t, blocks.PublisherConfig{})
		r.index.publisher.Close()
		_, err := stream.Recv()
		wantFault(t, err, fault.Unavailable, "SERVER_GOING_AWAY")
	})
	t.Run("when the reader has enough", func(t *testing.T) {
		r, stream := begin(t, blocks.PublisherConfig{})
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("after the reader's end: %v", err)
		}
		r.service.Wait()
	})
	t.Run("when there is no manifest yet", func(t *testing.T) {
		r := newRig(t)
		stream, err := r.membership.WatchBlocks(t.Context())
		if err == nil {
			_, err = stream.Recv()
		}
		wantFault(t, err, fault.Unavailable, "INDEX_NOT_READY")
	})
}

// stuck is a stream whose reader takes the first messages and then none.
type stuck struct {
	grpc.ServerStream
	ctx   context.Context
	takes int
}

func (s *stuck) Context() context.Context { return s.ctx }

func (s *stuck) Recv() (*segmentv1.WatchBlocksRequest, error) {
	<-s.ctx.Done()
	return nil, s.ctx.Err()
}

func (s *stuck) Send(*segmentv1.WatchBlocksResponse) error {
	if s.takes--; s.takes >= 0 {
		return nil
	}
	<-s.ctx.Done()
	return s.ctx.Err()
}

func TestAReaderThatTakesNothingIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &index{publisher: newPublisher(t, blocks.PublisherConfig{})}
		service, err := rpc.New(rpc.Config{Store: noStore{}, Index: x, Profiles: profiles{}, Attributes: profiles{}, Slow: 3 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		publish(t, x.publisher, 1)
		publish(t, x.publisher, 2)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		begin := time.Now()
		go func() { done <- service.WatchBlocks(&stuck{ctx: ctx, takes: 1}) }()
		synctest.Wait()
		publish(t, x.publisher, 3)
		wantFault(t, <-done, fault.Exhausted, "WATCHER_TOO_SLOW")
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("cut after %v, want 3 s", took)
		}
		// The stream is over when its handler has returned; its goroutines then end.
		cancel()
		service.Wait()
	})
}

func TestFramesThatPileUpCutTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &index{publisher: newPublisher(t, blocks.PublisherConfig{Frames: 4})}
		service, err := rpc.New(rpc.Config{Store: noStore{}, Index: x, Profiles: profiles{}, Attributes: profiles{}, Slow: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		publish(t, x.publisher, 1)
		ctx, cancel := context.WithCancel(t.Context())
		gate := &gated{stuck: stuck{ctx: ctx}, open: make(chan struct{})}
		done := make(chan error, 1)
		go func() { done <- service.WatchBlocks(gate) }()
		synctest.Wait() // it is sending the first frame, which is not taken
		for n := uint64(2); n < 10; n++ {
			publish(t, x.publisher, n)
		}
		close(gate.open)
		wantFault(t, <-done, fault.Exhausted, "WATCHER_TOO_SLOW")
		cancel()
		service.Wait()
	})
}

// gated takes messages once it is open.
type gated struct {
	stuck
	open chan struct{}
}

func (g *gated) Send(*segmentv1.WatchBlocksResponse) error {
	<-g.open
	return nil
}

// noStore and profiles are what a watch does not need.
type (
	noStore  struct{ segment.Store }
	profiles struct {
		profilev1.ProfileServiceClient
		profilev1.AttributeServiceClient
	}
)

func TestARefillNamesTheBlockAndTellsItsVersion(t *testing.T) {
	r := newRig(t)
	res, err := r.membership.RefillBlock(t.Context(), &segmentv1.RefillBlockRequest{Layout: 2, Block: 70_000})
	if err != nil || r.index.refilled != [2]uint32{2, 70_000} || res.GetEpoch().GetNumber() != 7 || res.GetEpoch().GetRandom() != 1<<63 || res.GetVersion() != 9 {
		t.Errorf("refilled %v as %v, %v", r.index.refilled, res, err)
	}
	r.index.err = segment.NotLeaseHolder()
	_, err = r.membership.RefillBlock(t.Context(), &segmentv1.RefillBlockRequest{})
	wantFault(t, err, fault.Unavailable, "NOT_LEASE_HOLDER")
}
