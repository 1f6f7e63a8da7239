package redisblocks_test

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/blockstest"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/redisblocks"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

func server(t testing.TB) *blockstest.Server {
	return serve(t, redis.NewClient(&redis.Options{Addr: testkit.Redis(t)}))
}

// serve makes a store of the client, which is closed when the test ends, after what the test left is deleted.
func serve(t testing.TB, client redis.UniversalClient) *blockstest.Server {
	s := redisblocks.New(client)
	id := testkit.StoreID(t)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		sweep := func(ctx context.Context, c *redis.Client) error {
			it := c.Scan(ctx, 0, "nc:"+id+"*", 1000).Iterator()
			for it.Next(ctx) {
				if err := c.Del(ctx, it.Val()).Err(); err != nil {
					return err
				}
			}
			return it.Err()
		}
		var err error
		switch c := client.(type) {
		case *redis.ClusterClient:
			err = c.ForEachMaster(ctx, sweep)
		case *redis.Client:
			err = sweep(ctx, c)
		}
		if err := errors.Join(err, client.Close()); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return &blockstest.Server{Store: s, ID: id, Tamper: tamper{t, client}}
}

func TestStore(t *testing.T) { blockstest.Run(t, server) }

func TestReader(t *testing.T) {
	t.Parallel()
	blockstest.RunReader(t, server)
}

func TestAnotherTypeUnderTheKeyIsNoBlockAndIsReplaced(t *testing.T) {
	s := server(t)
	client := redis.NewClient(&redis.Options{Addr: testkit.Redis(t)})
	defer client.Close()
	for _, whole := range []bool{true, false} {
		k := blocks.Key{Store: s.ID, Layout: 1, Block: 0}
		if err := client.Set(t.Context(), k.String(), "text", 0).Err(); err != nil {
			t.Fatal(err)
		}
		meta, values, err := s.Store.Read(t.Context(), k, []audience.Field{"live"})
		if err != nil || meta != nil || len(values) != 1 || values[0] != nil {
			t.Errorf("read %q, %q, %v", meta, values, err)
		}
		w := blocks.BlockWrite{Key: k, Epoch: blocks.Epoch{Number: 1}, Version: 1, Meta: []byte("m"), Whole: whole}
		if err := s.Store.Write(t.Context(), w); err != nil {
			t.Fatalf("write: %v", err)
		}
		if meta, _, err := s.Store.Read(t.Context(), k, nil); err != nil || string(meta) != "m" {
			t.Errorf("after the write: %q, %v", meta, err)
		}
	}
}

func TestAServerThatDoesNotAnswerIsUnreachable(t *testing.T) {
	private := testkit.RedisPrivate(t)
	client := redis.NewClient(&redis.Options{Addr: private.Addr, MaxRetries: -1})
	defer client.Close()
	s := redisblocks.New(client)
	k := blocks.Key{Store: "x", Layout: 1}
	w := blocks.BlockWrite{Key: k, Epoch: blocks.Epoch{Number: 1}, Version: 1, Meta: []byte("m"), Whole: true}
	if err := s.Write(t.Context(), w); err != nil {
		t.Fatalf("write: %v", err)
	}
	private.Stop()
	_, _, err := s.Read(t.Context(), k, nil)
	for op, err := range map[string]error{"read": err, "write": s.Write(t.Context(), w), "drop": s.Drop(t.Context(), k), "ping": s.Ping(t.Context())} {
		if !errors.Is(err, blocks.ErrStoreUnreachable) {
			t.Errorf("%s: %v, want ErrStoreUnreachable", op, err)
		}
	}
	// A new, empty server knows no script, and the write goes through all the same.
	private.Start()
	w.Version++
	if err := s.Write(t.Context(), w); err != nil {
		t.Errorf("write after the restart: %v", err)
	}
}

type tamper struct {
	t      testing.TB
	client redis.UniversalClient
}

func (m tamper) check(err error) {
	m.t.Helper()
	if err != nil && !errors.Is(err, redis.Nil) {
		m.t.Fatalf("tamper: %v", err)
	}
}

func (m tamper) Take(key blocks.Key) any {
	dump, err := m.client.Dump(m.t.Context(), key.String()).Result()
	m.check(err)
	if err != nil {
		return nil
	}
	return dump
}

func (m tamper) PutBack(key blocks.Key, held any) {
	dump, ok := held.(string)
	if !ok {
		m.check(m.client.Del(m.t.Context(), key.String()).Err())
		return
	}
	m.check(m.client.RestoreReplace(m.t.Context(), key.String(), 0, dump).Err())
}

func (m tamper) Get(key blocks.Key, field audience.Field) []byte {
	data, err := m.client.HGet(m.t.Context(), key.String(), string(field)).Bytes()
	m.check(err)
	return data
}

func (m tamper) Set(key blocks.Key, field audience.Field, data []byte) {
	if data == nil {
		m.check(m.client.HDel(m.t.Context(), key.String(), string(field)).Err())
		return
	}
	m.check(m.client.HSet(m.t.Context(), key.String(), string(field), data).Err())
}
