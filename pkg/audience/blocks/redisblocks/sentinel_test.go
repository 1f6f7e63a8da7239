package redisblocks_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/blockstest"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/redisblocks"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

func TestBehindSentinels(t *testing.T) {
	t.Parallel()
	redis := testkit.RedisSentinel(t)
	address := at("redis+sentinel://" + strings.Join(redis.Addrs, ",") + "/" + redis.Master)
	t.Run("store", func(t *testing.T) {
		blockstest.Run(t, func(t testing.TB) *blockstest.Server { return serve(t, connect(t, address)) })
	})
	t.Run("a replica is promoted", func(t *testing.T) {
		client := connect(t, address)
		defer client.Close()
		s := redisblocks.New(client)
		k := blocks.Key{Store: testkit.StoreID(t), Layout: 1, Block: 1}
		w := blocks.BlockWrite{Key: k, Epoch: blocks.Epoch{Number: 1}, Version: 1, Meta: []byte("first"), Whole: true}
		w.Set = []blocks.Value{{Field: "live", Data: []byte("kept")}}
		if err := s.Write(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if n, err := client.Do(t.Context(), "WAIT", 1, 2000).Int(); err != nil || n != 1 {
			t.Fatalf("%d replicas have the block, %v", n, err)
		}
		redis.StopMaster()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		refused := 0
		w.Version, w.Meta, w.Whole, w.Set = 2, []byte("second"), false, nil
		for err := s.Write(ctx, w); err != nil; err = s.Write(ctx, w) {
			refused++
			if ctx.Err() != nil {
				t.Fatalf("no master after a minute: %v", err)
			}
			<-tick.C
		}
		if refused == 0 {
			t.Error("nothing was refused: the master did not stop")
		}
		meta, values, err := s.Read(ctx, k, []audience.Field{"live"})
		if err != nil || string(meta) != "second" || string(values[0]) != "kept" {
			t.Errorf("read %q with %q, %v", meta, values, err)
		}
	})
}
