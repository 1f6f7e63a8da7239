package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/fault"
	kit "github.com/narrowcast/narrowcast/pkg/rpc"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/internal/manifestwire"
)

// errGoingAway ends a stream when the server stops.
var errGoingAway = fault.New(fault.Unavailable, reasonGoingAway, "the server is stopping; watch again elsewhere").Retry(100 * time.Millisecond)

// errTooSlow ends a stream whose reader leaves a message untaken.
var errTooSlow = fault.New(fault.Exhausted, reasonTooSlow, "the reader does not keep up with the manifest; watch again")

// WatchBlocks streams the manifest: the whole of it first, then its changes in order. The reader's numbers are echoed by the next
// frame, or at once when there is none. It ends when the reader ends its side, with an error that says why otherwise.
func (s *Service) WatchBlocks(stream grpc.BidiStreamingServer[segmentv1.WatchBlocksRequest, segmentv1.WatchBlocksResponse]) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	select {
	case <-s.stop:
		return errGoingAway
	default:
	}
	sub, err := s.cfg.Index.Subscribe()
	if err != nil {
		return fmt.Errorf("watch blocks: %w", err)
	}
	defer sub.Close()

	// Receiving ends when the stream does, which is after this method has returned: Wait waits for it.
	s.streams.Go(func() {
		for {
			req, err := stream.Recv()
			if err != nil {
				cancel(err)
				return
			}
			sub.Echo(req.GetNumber())
		}
	})
	closing := kit.Closing(stream.Context())
	s.streams.Go(func() {
		select {
		case <-closing:
			cancel(errGoingAway)
		case <-s.stop:
			cancel(errGoingAway)
		case <-ctx.Done():
		}
	})
	for {
		frame, err := sub.Next(ctx)
		if err == nil {
			err = s.send(ctx, stream, manifestwire.Encode(&frame))
		}
		switch {
		case err == nil:
		case errors.Is(context.Cause(ctx), io.EOF):
			return nil // the reader has enough
		case errors.Is(context.Cause(ctx), errGoingAway):
			return errGoingAway
		default:
			return fmt.Errorf("watch blocks: %w", err)
		}
	}
}

// send sends the messages of one frame. A reader that does not take one in time is cut: blocked sends would keep the stream, and
// frames would pile up behind it.
func (s *Service) send(ctx context.Context, stream grpc.BidiStreamingServer[segmentv1.WatchBlocksRequest, segmentv1.WatchBlocksResponse], messages []*segmentv1.WatchBlocksResponse) error {
	slow := time.NewTimer(s.cfg.Slow)
	defer slow.Stop()
	for _, m := range messages {
		sent := make(chan error, 1)
		// A send that is given up ends with the stream; until then nothing else is sent.
		s.streams.Go(func() { sent <- stream.Send(m) })
		select {
		case err := <-sent:
			if err != nil {
				return err
			}
		case <-slow.C:
			return errTooSlow
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		slow.Reset(s.cfg.Slow)
	}
	return nil
}
