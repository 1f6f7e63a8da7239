package faults_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// damaged is the Redis of a world, and how to damage it.
type damaged struct {
	*world
	rdb *redis.Client
	// saved are the blocks as they were before the last change.
	saved map[string]map[string]string
}

// keys are the blocks that Redis should hold.
func (d *damaged) keys() []string {
	var keys []string
	for n := range uint32(blockCount) {
		keys = append(keys, blocks.Key{Store: d.store, Layout: 1, Block: n}.String())
	}
	return keys
}

func (d *damaged) save(ctx context.Context) {
	d.t.Helper()
	d.saved = make(map[string]map[string]string)
	for _, key := range d.keys() {
		h, err := d.rdb.HGetAll(ctx, key).Result()
		d.ok(err, "save "+key)
		if h["meta"] == "" || h["w"] == "" {
			d.t.Fatalf("%s is no block: %v", key, slices.Sorted(maps.Keys(h)))
		}
		d.saved[key] = h
	}
}

// field returns the field of a block that a question needs, and its bytes.
func (d *damaged) field(ctx context.Context, key string, q question) (string, []byte) {
	d.t.Helper()
	prefix, many := strings.CutSuffix(q.field, "*")
	fields, err := d.rdb.HKeys(ctx, key).Result()
	d.ok(err, "list fields")
	i := slices.IndexFunc(fields, func(f string) bool { return f == q.field || many && strings.HasPrefix(f, prefix) })
	if i < 0 {
		d.t.Fatalf("%s has no %s: %v", key, q.field, fields)
	}
	data, err := d.rdb.HGet(ctx, key, fields[i]).Bytes()
	d.ok(err, "read a field")
	return fields[i], data
}

// damages are what can happen to blocks in Redis while it answers. Each says in how many blocks it does.
var damages = []struct {
	name   string
	blocks int64
	do     func(ctx context.Context, d *damaged, q question)
}{
	{"flushed", blockCount, func(ctx context.Context, d *damaged, _ question) { d.ok(d.rdb.FlushAll(ctx).Err(), "flush") }},
	{"block deleted", 1, func(ctx context.Context, d *damaged, _ question) { d.ok(d.rdb.Del(ctx, d.keys()[1]).Err(), "delete") }},
	{"old copies put back", 1, func(ctx context.Context, d *damaged, _ question) {
		// Of every block: those that have not changed since are as good as new, at least one is not.
		old := 0
		for key, was := range d.saved {
			now, err := d.rdb.HGet(ctx, key, "meta").Result()
			d.ok(err, "read meta")
			if now != was["meta"] {
				old++
			}
			d.ok(d.rdb.Del(ctx, key).Err(), "delete")
			d.ok(d.rdb.HSet(ctx, key, was).Err(), "put back")
		}
		if old == 0 {
			d.t.Fatal("no block has changed since it was saved")
		}
	}},
	{"field removed", 1, func(ctx context.Context, d *damaged, q question) {
		field, _ := d.field(ctx, d.keys()[2], q)
		d.ok(d.rdb.HDel(ctx, d.keys()[2], field).Err(), "remove a field")
	}},
	{"row corrupted", 1, func(ctx context.Context, d *damaged, q question) {
		field, data := d.field(ctx, d.keys()[0], q)
		data[len(data)-1] ^= 1
		d.ok(d.rdb.HSet(ctx, d.keys()[0], field, data).Err(), "corrupt a row")
	}},
	{"row of another field", 1, func(ctx context.Context, d *damaged, q question) {
		field, data := d.field(ctx, d.keys()[0], q)
		other, err := d.rdb.HGet(ctx, d.keys()[0], "f/lifecycle=prospect").Bytes()
		d.ok(err, "read another row")
		if string(other) == string(data) {
			d.t.Fatal("the two rows are the same")
		}
		d.ok(d.rdb.HSet(ctx, d.keys()[0], field, other).Err(), "swap rows")
	}},
	{"row cut short", 1, func(ctx context.Context, d *damaged, q question) {
		field, data := d.field(ctx, d.keys()[1], q)
		d.ok(d.rdb.HSet(ctx, d.keys()[1], field, data[:len(data)/2]).Err(), "cut a row")
	}},
	{"meta corrupted", 1, func(ctx context.Context, d *damaged, _ question) {
		meta, err := d.rdb.HGet(ctx, d.keys()[1], "meta").Bytes()
		d.ok(err, "read meta")
		meta[len(meta)/2] ^= 0x10
		d.ok(d.rdb.HSet(ctx, d.keys()[1], "meta", meta).Err(), "corrupt meta")
	}},
	{"meta of another block", 1, func(ctx context.Context, d *damaged, _ question) {
		meta, err := d.rdb.HGet(ctx, d.keys()[0], "meta").Result()
		d.ok(err, "read meta")
		d.ok(d.rdb.HSet(ctx, d.keys()[1], "meta", meta).Err(), "swap metas")
	}},
	{"mark and meta removed", 1, func(ctx context.Context, d *damaged, _ question) {
		d.ok(d.rdb.HDel(ctx, d.keys()[2], "meta", "w").Err(), "remove meta")
	}},
	{"not a block at all", 1, func(ctx context.Context, d *damaged, _ question) {
		d.ok(d.rdb.Set(ctx, d.keys()[0], "something else", 0).Err(), "overwrite")
	}},
}

func TestDamagedBlocksAreWrittenAgain(t *testing.T) {
	t.Parallel()
	private := testkit.RedisPrivate(t)
	w := newWorld(t, "redis://"+private.Addr+"/0", nil)
	rdb := redis.NewClient(&redis.Options{Addr: private.Addr})
	t.Cleanup(func() {
		if err := rdb.Close(); err != nil {
			t.Errorf("close client: %v", err)
		}
	})
	warm := w.newReader("warm")
	for _, damage := range damages {
		for _, q := range questions {
			t.Run("fault="+damage.name+"/spec="+q.name, func(t *testing.T) {
				warm := warm.in(t)
				d := &damaged{world: warm.world, rdb: rdb}
				ctx := t.Context()
				warm.right(q, d.flip())
				d.save(ctx)
				warm.right(q, d.flip()) // so that what was saved is old
				damage.do(ctx, d, q)

				// A warm reader has what it needs, and a cold one has it written again.
				a := warm.right(q, "")
				if a.info.GetFieldsFromMemory() == 0 {
					t.Errorf("the warm reader had nothing in memory")
				}
				cold := d.newReader("cold")
				if a = cold.right(q, ""); a.info.GetBlocksRefilled() < damage.blocks {
					t.Errorf("%d blocks were refilled, want at least %d: the fault was not noticed", a.info.GetBlocksRefilled(), damage.blocks)
				}

				// Again, and then a change is written into the damaged block before anybody reads.
				damage.do(ctx, d, q)
				token := d.flip()
				a = warm.right(q, token)
				if a.info.GetFieldsFromStore() == 0 {
					t.Errorf("the warm reader read nothing of the change")
				}
				cold.right(q, token)
				d.newReader("coldest").right(q, token)
				// What d has changed is the world's.
				w.people = d.people
			})
			if t.Failed() {
				return
			}
		}
	}
}

// A new holder of the lease counts versions from the beginning, so copies of an earlier one claim to be newer than what is current.
func TestCopiesOfAnEarlierLeaseAreNoBlocks(t *testing.T) {
	t.Parallel()
	private := testkit.RedisPrivate(t)
	w := newWorld(t, "redis://"+private.Addr+"/0", nil)
	d := &damaged{world: w, rdb: redis.NewClient(&redis.Options{Addr: private.Addr})}
	t.Cleanup(func() {
		if err := d.rdb.Close(); err != nil {
			t.Errorf("close client: %v", err)
		}
	})
	warm := w.newReader("warm")
	for range 4 { // versions that the next holder does not reach
		warm.right(questions[0], w.flip())
	}
	for _, q := range questions {
		warm.right(q, "")
	}
	d.save(t.Context())
	w.segment.Stop()
	token := w.flip()
	w.startSegment()
	for _, q := range questions {
		warm.right(q, token)
		for key, was := range d.saved {
			d.ok(d.rdb.Del(t.Context(), key).Err(), "delete")
			d.ok(d.rdb.HSet(t.Context(), key, was).Err(), "put back")
		}
		warm.right(q, "")
		cold := w.newReader("cold")
		if a := cold.right(q, ""); a.info.GetBlocksRefilled() != blockCount {
			t.Errorf("%s: %d blocks were refilled, want all %d: the copies were taken for blocks", q.name, a.info.GetBlocksRefilled(), blockCount)
		}
		// And with a change on top of them.
		for key, was := range d.saved {
			d.ok(d.rdb.HSet(t.Context(), key, was).Err(), "put back")
		}
		token = w.flip()
		warm.right(q, token)
		cold.right(q, token)
	}
}
