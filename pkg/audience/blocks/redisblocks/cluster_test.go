package redisblocks_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/blockstest"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/redisblocks"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

func connect(t testing.TB, o redisblocks.Options) redis.UniversalClient {
	t.Helper()
	client, err := o.Client()
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestInACluster(t *testing.T) {
	t.Parallel()
	nodes := testkit.RedisCluster(t)
	address := at("redis+cluster://" + strings.Join(nodes[:2], ",")) // the third is found through them
	factory := func(t testing.TB) *blockstest.Server { return serve(t, connect(t, address)) }
	t.Run("store", func(t *testing.T) { blockstest.Run(t, factory) })
	t.Run("reader", func(t *testing.T) { blockstest.RunReader(t, factory) })
	t.Run("blocks are spread, and scripts are loaded where they are missing", func(t *testing.T) {
		client, ok := connect(t, address).(*redis.ClusterClient)
		if !ok {
			t.Fatal("the client is none of a cluster")
		}
		s := serve(t, client)
		for block := range uint32(60) {
			if block%20 == 0 {
				if err := client.ForEachMaster(t.Context(), func(ctx context.Context, c *redis.Client) error { return c.ScriptFlush(ctx).Err() }); err != nil {
					t.Fatal(err)
				}
			}
			k := blocks.Key{Store: s.ID, Layout: 1, Block: block}
			if err := s.Store.Write(t.Context(), blocks.BlockWrite{Key: k, Epoch: blocks.Epoch{Number: 1}, Version: 1, Meta: []byte(k.String()), Whole: true}); err != nil {
				t.Fatalf("write: %v", err)
			}
		}
		var holds atomic.Int32
		if err := client.ForEachMaster(t.Context(), func(ctx context.Context, c *redis.Client) error {
			keys, err := c.Keys(ctx, "nc:"+s.ID+":*").Result()
			if len(keys) > 0 {
				holds.Add(1)
			}
			return err
		}); err != nil || holds.Load() != 3 {
			t.Errorf("%d masters hold blocks, want 3; %v", holds.Load(), err)
		}
		for block := range uint32(60) {
			k := blocks.Key{Store: s.ID, Layout: 1, Block: block}
			if meta, _, err := s.Store.Read(t.Context(), k, nil); err != nil || string(meta) != k.String() {
				t.Errorf("block %d: %q, %v", block, meta, err)
			}
		}
		if err := s.Store.Ping(t.Context()); err != nil {
			t.Errorf("ping: %v", err)
		}
	})
	t.Run("users of few rights", func(t *testing.T) {
		s := factory(t)
		admin, ok := connect(t, address).(*redis.ClusterClient)
		if !ok {
			t.Fatal("the client is none of a cluster")
		}
		defer admin.Close()
		if err := admin.ForEachMaster(t.Context(), func(ctx context.Context, c *redis.Client) error { return admit(ctx, c) }); err != nil {
			t.Fatal(err)
		}
		as := func(user string) *redisblocks.Store {
			client := connect(t, at("redis+cluster://"+user+":hunter2@"+nodes[2]))
			t.Cleanup(func() {
				if err := client.Close(); err != nil {
					t.Error(err)
				}
			})
			return redisblocks.New(client)
		}
		writer, reader := as("writer"), as("reader")
		for block := range uint32(20) {
			k := blocks.Key{Store: s.ID, Layout: 1, Block: block}
			w := blocks.BlockWrite{Key: k, Epoch: blocks.Epoch{Number: 1}, Version: 1, Meta: []byte(k.String()), Whole: true}
			if err := writer.Write(t.Context(), w); err != nil {
				t.Fatalf("write: %v", err)
			}
			if meta, _, err := reader.Read(t.Context(), k, nil); err != nil || string(meta) != k.String() {
				t.Errorf("block %d: %q, %v", block, meta, err)
			}
			if err := reader.Write(t.Context(), w); !errors.Is(err, blocks.ErrStoreUnreachable) || !strings.Contains(err.Error(), "NOPERM") {
				t.Errorf("a write of the reader: %v, want a refusal", err)
			}
			if err := writer.Drop(t.Context(), k); err != nil {
				t.Errorf("drop: %v", err)
			}
		}
		if err := reader.Ping(t.Context()); err != nil {
			t.Errorf("ping: %v", err)
		}
	})
}
