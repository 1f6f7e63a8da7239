package redisblocks_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/blockstest"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/redisblocks"
	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// The rights that docs/operating.md asks for. What else the client library says on a connection it does without.
const (
	readRights  = "resetchannels ~nc:* -@all +hello +auth +ping +client|setname +cluster|slots +hmget"
	writeRights = readRights + " +eval +evalsha +type +hget +hset +hdel +del +unlink"
)

// admit makes the users "reader" and "writer" on a server.
func admit(ctx context.Context, admin redis.Cmdable) error {
	var errs []error
	for user, rights := range map[string]string{"reader": readRights, "writer": writeRights} {
		args := []any{"acl", "setuser", user, "on", ">hunter2"}
		for _, r := range strings.Fields(rights) {
			args = append(args, r)
		}
		cmd := redis.NewStatusCmd(ctx, args...)
		_, err := admin.Pipelined(ctx, func(p redis.Pipeliner) error { return p.Process(ctx, cmd) })
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func TestOverTLSWithUsersOfFewRights(t *testing.T) {
	t.Parallel()
	server := testkit.RedisTLS(t)
	secure := at("rediss://" + server.Addr)
	secure.CAFile, secure.CertFile, secure.KeyFile, secure.ServerName = server.CAFile, server.CertFile, server.KeyFile, server.Name
	admin := connect(t, secure)
	defer admin.Close()
	if err := admit(t.Context(), admin); err != nil {
		t.Fatal(err)
	}
	as := func(user string) redisblocks.Options {
		o := secure
		o.Address = config.NewSecret("rediss://" + user + "@" + server.Addr)
		return o
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	writer, reader := as("writer"), as("reader")
	writer.PasswordFile, reader.Password = file, config.NewSecret("hunter2")

	factory := func(t testing.TB) *blockstest.Server {
		s := serve(t, connect(t, secure)) // what the suite tampers with needs more rights
		client := connect(t, writer)
		t.Cleanup(func() {
			if err := client.Close(); err != nil {
				t.Error(err)
			}
		})
		s.Store = redisblocks.New(client)
		return s
	}
	t.Run("store", func(t *testing.T) { blockstest.Run(t, factory) })
	t.Run("a reader reads and cannot write", func(t *testing.T) {
		s := factory(t)
		k := blocks.Key{Store: s.ID, Layout: 1, Block: 1}
		w := blocks.BlockWrite{Key: k, Epoch: blocks.Epoch{Number: 1}, Version: 1, Meta: []byte("m"), Whole: true}
		if err := s.Store.Write(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		client := connect(t, reader)
		defer client.Close()
		read := redisblocks.New(client)
		if meta, _, err := read.Read(t.Context(), k, nil); err != nil || string(meta) != "m" {
			t.Errorf("read %q, %v", meta, err)
		}
		if err := read.Ping(t.Context()); err != nil {
			t.Errorf("ping: %v", err)
		}
		w.Version, w.Meta = 2, []byte("n")
		if err := read.Write(t.Context(), w); !errors.Is(err, blocks.ErrStoreUnreachable) || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("a write of the reader: %v, want a refusal", err)
		}
		if err := read.Drop(t.Context(), k); !errors.Is(err, blocks.ErrStoreUnreachable) || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("a reader drops: %v, want a refusal", err)
		}
		if meta, _, err := read.Read(t.Context(), k, nil); err != nil || string(meta) != "m" {
			t.Errorf("after the refusals: %q, %v", meta, err)
		}
		if err := client.HMGet(t.Context(), "other", "x").Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("a key of somebody else: %v, want a refusal", err)
		}
	})
	wrong := reader
	wrong.Password = config.NewSecret("hunter3")
	unknown, nameless, bare := reader, reader, reader
	unknown.CAFile, nameless.ServerName, bare.CertFile, bare.KeyFile = "", "", "", ""
	plain := redisblocks.Options{Address: config.NewSecret("redis://reader@" + server.Addr), Password: reader.Password}
	for name, o := range map[string]redisblocks.Options{
		"a wrong password": wrong, "an unknown authority": unknown, "another name in the certificate": nameless,
		"no certificate of its own": bare, "no TLS": plain,
	} {
		t.Run("refused with "+name, func(t *testing.T) {
			client := connect(t, o)
			defer client.Close()
			err := redisblocks.New(client).Ping(t.Context())
			if !errors.Is(err, blocks.ErrStoreUnreachable) {
				t.Errorf("ping: %v, want ErrStoreUnreachable", err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter") {
				t.Errorf("the error repeats the password: %v", err)
			}
		})
	}
}
