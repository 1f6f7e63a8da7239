package faults_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// nodes are the masters of a Redis Cluster.
type nodes struct {
	clients []*redis.Client
	ids     []string
	moved   map[int]int // where slots are that were moved
}

func newNodes(t *testing.T, addrs []string) *nodes {
	t.Helper()
	n := &nodes{moved: make(map[int]int)}
	for _, addr := range addrs {
		c := redis.NewClient(&redis.Options{Addr: addr})
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("close client: %v", err)
			}
		})
		id, err := c.Do(t.Context(), "CLUSTER", "MYID").Text()
		if err != nil {
			t.Fatal(err)
		}
		n.clients, n.ids = append(n.clients, c), append(n.ids, id)
	}
	return n
}

// owner is the number of the node that has a key's slot: at first they share the slots evenly.
func (n *nodes) owner(ctx context.Context, key string) (slot, owner int, err error) {
	s, err := n.clients[0].ClusterKeySlot(ctx, key).Result()
	if err != nil {
		return 0, 0, err
	}
	const slots = 16384
	if at, ok := n.moved[int(s)]; ok {
		return int(s), at, nil
	}
	for (owner+1)*slots/len(n.clients) <= int(s) {
		owner++
	}
	return int(s), owner, nil
}

// move moves a key's slot to the next node with all that is in it, as redis-cli --cluster reshard does, and returns how many keys that were.
func (n *nodes) move(ctx context.Context, key string) (keys int, err error) {
	slot, from, err := n.owner(ctx, key)
	if err != nil {
		return 0, err
	}
	to := (from + 1) % len(n.clients)
	set := func(node int, what ...any) error {
		return n.clients[node].Do(ctx, append([]any{"CLUSTER", "SETSLOT", slot}, what...)...).Err()
	}
	if err := set(to, "IMPORTING", n.ids[from]); err != nil {
		return 0, fmt.Errorf("import: %w", err)
	}
	if err := set(from, "MIGRATING", n.ids[to]); err != nil {
		return 0, fmt.Errorf("migrate: %w", err)
	}
	host, port, err := net.SplitHostPort(n.clients[to].Options().Addr)
	if err != nil {
		return 0, err
	}
	for {
		left, err := n.clients[from].ClusterGetKeysInSlot(ctx, slot, 100).Result()
		if err != nil {
			return 0, fmt.Errorf("list keys: %w", err)
		}
		if len(left) == 0 {
			break
		}
		for _, key := range left {
			// A write of the block in between may have made it anew over there: what is moved now is older, and its version says so.
			if err := n.clients[from].Do(ctx, "MIGRATE", host, port, key, 0, 5000, "REPLACE").Err(); err != nil {
				return 0, fmt.Errorf("move a key: %w", err)
			}
			keys++
		}
	}
	for node := range n.clients {
		if err := set(node, "NODE", n.ids[to]); err != nil {
			return 0, fmt.Errorf("give the slot away: %w", err)
		}
	}
	n.moved[slot] = to
	return keys, nil
}

// While the slots of all blocks move round the masters of a cluster, answers are right or refused, and nothing stays behind.
func TestBlocksMoveBetweenTheMastersOfAClusterWhileQuestionsAreAsked(t *testing.T) {
	t.Parallel()
	addrs := testkit.RedisCluster(t)
	w := newWorld(t, "redis+cluster://"+strings.Join(addrs, ","), nil)
	warm := w.newReader("warm")
	for _, q := range questions {
		warm.right(q, "")
	}
	n := newNodes(t, addrs)
	const rounds = 4
	moved := make(chan error, 1)
	keys := 0
	go func() {
		for range rounds {
			for b := range uint32(blockCount) {
				k, err := n.move(context.WithoutCancel(t.Context()), blocks.Key{Store: w.store, Layout: 1, Block: b}.String())
				keys += k
				if err != nil {
					moved <- err
					return
				}
			}
		}
		moved <- nil
	}()
	asked := 0
	for moving := true; moving || asked < 4*len(questions); asked++ {
		q := questions[asked%len(questions)]
		warm.right(q, w.flip())
		if asked%5 == 0 {
			w.newReader("cold").right(q, "")
		}
		select {
		case err := <-moved:
			if err != nil {
				t.Fatalf("move slots: %v", err)
			}
			moving = false
		default:
		}
		if len(w.members(questions[0])) < 8 {
			break // too few are left to change
		}
	}
	if keys < rounds*blockCount {
		t.Errorf("%d keys were moved, want each of %d blocks %d times: little was tested", keys, blockCount, rounds)
	}
	for _, q := range questions {
		w.newReader("last").right(q, w.flip())
	}
}
