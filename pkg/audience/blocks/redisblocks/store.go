package redisblocks

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// MarkField is the field of a block's hash that holds the epoch and version of its last write.
const MarkField = "w"

//go:embed write.lua
var writeSource string

// dropBatch bounds the commands of one pipeline.
const dropBatch = 256

// Store is a blocks.Store in Redis.
type Store struct {
	client redis.UniversalClient
	write  *redis.Script
	closed atomic.Bool
}

var _ blocks.Store = (*Store)(nil)

// New returns a store that uses the client, which stays the caller's to close.
func New(client redis.UniversalClient) *Store {
	return &Store{client: client, write: redis.NewScript(writeSource)}
}

func (s *Store) ready(ctx context.Context) error {
	if s.closed.Load() {
		return blocks.ErrClosed
	}
	return ctx.Err()
}

// Read implements blocks.Store.
func (s *Store) Read(ctx context.Context, key blocks.Key, fields []audience.Field) ([]byte, [][]byte, error) {
	if err := s.ready(ctx); err != nil {
		return nil, nil, fmt.Errorf("read block: %w", err)
	}
	names := make([]string, 0, len(fields)+1)
	names = append(names, string(blocks.MetaField))
	for _, f := range fields {
		names = append(names, string(f))
	}
	replies, err := s.client.HMGet(ctx, key.String(), names...).Result()
	switch {
	case wrongType(err):
		// Someone put something else there. That is no block, and a refill will replace it.
		return nil, make([][]byte, len(fields)), nil
	case err != nil:
		return nil, nil, fmt.Errorf("read block: %w", translate(ctx, err))
	case len(replies) != len(names):
		return nil, nil, fmt.Errorf("read block: %w", blocks.ErrStoreUnreachable.Wrap(fmt.Errorf("%d replies for %d fields", len(replies), len(names))))
	}
	values := make([][]byte, len(replies))
	for i, r := range replies {
		if text, ok := r.(string); ok {
			values[i] = []byte(text)
		}
	}
	return values[0], values[1:], nil
}

// Write implements blocks.Store.
func (s *Store) Write(ctx context.Context, w blocks.BlockWrite) error {
	if err := s.ready(ctx); err != nil {
		return fmt.Errorf("write block: %w", err)
	}
	whole := "0"
	if w.Whole {
		whole = "1"
	}
	args := make([]any, 0, 7+len(w.Delete)+2*len(w.Set))
	args = append(args, digits(w.Epoch.Number), digits(w.Epoch.Random), digits(w.Version), whole, strconv.Itoa(len(w.Delete)))
	for _, f := range w.Delete {
		args = append(args, string(f))
	}
	args = append(args, string(blocks.MetaField), w.Meta)
	for _, v := range w.Set {
		args = append(args, string(v.Field), v.Data)
	}
	answer, err := s.write.Run(ctx, s.client, []string{w.Key.String()}, args...).Int()
	switch {
	case err != nil:
		return fmt.Errorf("write block: %w", translate(ctx, err))
	case answer == 1:
		return fmt.Errorf("write block: %w", blocks.ErrSuperseded)
	case answer == 2:
		return fmt.Errorf("write block: %w", blocks.ErrOutOfOrder)
	}
	return nil
}

// digits writes n with 20 digits, so that texts are in the order of the numbers: a script cannot hold 64 bits in a number.
func digits(n uint64) string { return fmt.Sprintf("%020d", n) }

// Drop implements blocks.Store.
func (s *Store) Drop(ctx context.Context, keys ...blocks.Key) error {
	if err := s.ready(ctx); err != nil {
		return fmt.Errorf("drop blocks: %w", err)
	}
	for len(keys) > 0 {
		n := min(len(keys), dropBatch)
		// One command a key, since the keys of a cluster are on different servers.
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, k := range keys[:n] {
				p.Unlink(ctx, k.String())
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("drop blocks: %w", translate(ctx, err))
		}
		keys = keys[n:]
	}
	return nil
}

// Ping implements blocks.Store.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	ping := func(ctx context.Context, c *redis.Client) error { return c.Ping(ctx).Err() }
	var err error
	if c, ok := s.client.(*redis.ClusterClient); ok {
		err = c.ForEachMaster(ctx, ping) // each holds blocks
	} else {
		err = s.client.Ping(ctx).Err()
	}
	if err != nil {
		return fmt.Errorf("ping: %w", translate(ctx, err))
	}
	return nil
}

// Close implements blocks.Store. The client stays open.
func (s *Store) Close() error {
	s.closed.Store(true)
	return nil
}

// translate turns an error of the client into one of blocks.Store's. Whatever the server or the network says, to the caller the
// store does not answer; only the end of its own context is something else.
func translate(ctx context.Context, err error) error {
	if end := ctx.Err(); end != nil {
		return errors.Join(end, err)
	}
	if errors.Is(err, redis.ErrClosed) {
		return errors.Join(blocks.ErrClosed, err)
	}
	return blocks.ErrStoreUnreachable.Wrap(err)
}

// wrongType reports whether the server refused because the key holds no hash. The server says so by a code word.
func wrongType(err error) bool {
	var e redis.Error
	return errors.As(err, &e) && redis.HasErrorPrefix(e, "WRONGTYPE")
}
