package manifestwire

import (
	"context"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
)

// Source is the manifest of the segment service behind a connection.
type Source struct {
	client segmentv1.MembershipServiceClient
}

// NewSource makes a source; it calls nobody yet.
func NewSource(segments grpc.ClientConnInterface) *Source {
	return &Source{client: segmentv1.NewMembershipServiceClient(segments)}
}

// Watch begins a stream, which lasts until ctx ends or it fails.
func (s *Source) Watch(ctx context.Context) (blocks.Stream, error) {
	stream, err := s.client.WatchBlocks(ctx)
	if err != nil {
		return nil, err
	}
	return &frames{stream: stream}, nil
}

type frames struct {
	stream  grpc.BidiStreamingClient[segmentv1.WatchBlocksRequest, segmentv1.WatchBlocksResponse]
	decoder Decoder
}

// Send tells the segment service a number to echo.
func (f *frames) Send(number uint64) error {
	return f.stream.Send(&segmentv1.WatchBlocksRequest{Number: number})
}

// Recv returns the next frame, complete.
func (f *frames) Recv() (blocks.Frame, error) {
	for {
		m, err := f.stream.Recv()
		if err != nil {
			return blocks.Frame{}, err
		}
		frame, err := f.decoder.Add(m)
		if err != nil {
			return blocks.Frame{}, err
		}
		if frame != nil {
			return *frame, nil
		}
	}
}

// Refiller asks the segment service behind a connection to write blocks again.
type Refiller struct {
	client segmentv1.MembershipServiceClient
}

// NewRefiller makes a refiller; it calls nobody yet.
func NewRefiller(segments grpc.ClientConnInterface) *Refiller {
	return &Refiller{client: segmentv1.NewMembershipServiceClient(segments)}
}

// Refill returns when the block has been written, whole.
func (r *Refiller) Refill(ctx context.Context, layout, block uint32) error {
	_, err := r.client.RefillBlock(ctx, &segmentv1.RefillBlockRequest{Layout: layout, Block: block})
	return err
}
