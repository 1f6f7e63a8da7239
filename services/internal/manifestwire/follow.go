package manifestwire

import (
	"context"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// Follow returns a reader of blocks that follows the segment service's manifest by itself, for a program that looks at an index for a
// while. cfg needs no Follower. stop ends the following and closes the reader, and must be called.
func Follow(ctx context.Context, segments grpc.ClientConnInterface, cfg blocks.ReaderConfig) (r *blocks.Reader, stop func(), err error) {
	if cfg.Follower, err = blocks.NewFollower(blocks.FollowerConfig{Source: NewSource(segments)}); err != nil {
		return nil, nil, err
	}
	if r, err = blocks.NewReader(cfg); err != nil {
		return nil, nil, err
	}
	following, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- cfg.Follower.Run(following) }()
	return r, func() {
		cancel()
		<-done //nolint:errcheck // it ends with its context, and says so
		r.Close()
	}, nil
}
