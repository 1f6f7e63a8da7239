package redisblocks_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks/redisblocks"
	"github.com/narrowcast/narrowcast/pkg/config"
)

// at describes a Redis by its address alone.
func at(text string) redisblocks.Options { return redisblocks.Options{Address: config.NewSecret(text)} }

func TestAddressesOfEachKindAreUnderstood(t *testing.T) {
	for text, want := range map[string]string{
		"redis://127.0.0.1":                             "127.0.0.1:6379",
		"redis://127.0.0.1:1/3":                         "127.0.0.1:1 db 3",
		"redis://u:p%40w@[::1]:2?pool_size=7":           "[::1]:2 u p@w",
		"rediss://host":                                 "host:6379 tls",
		"unix:///run/redis.sock":                        "/run/redis.sock",
		"redis+cluster://a,b:2,c:3":                     "a:6379 b:2 c:3",
		"rediss+cluster://u:p@a:1,[::1]:2/?pool_size=7": "a:1 [::1]:2 u p tls",
	} {
		o := at(text)
		client, err := o.Client()
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got []string
		user, password, db, tls := "", "", 0, false
		switch c := client.(type) {
		case *redis.Client:
			opts := c.Options()
			got, user, password, db, tls = []string{opts.Addr}, opts.Username, opts.Password, opts.DB, opts.TLSConfig != nil
		case *redis.ClusterClient:
			opts := c.Options()
			got, user, password, tls = opts.Addrs, opts.Username, opts.Password, opts.TLSConfig != nil
		}
		if user != "" {
			got = append(got, user, password)
		}
		if db != 0 {
			got = append(got, "db", string(rune('0'+db)))
		}
		if tls {
			got = append(got, "tls")
		}
		if line := strings.Join(got, " "); line != want {
			t.Errorf("%s: %q, want %q", text, line, want)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatCannotBeRightIsRefusedAndRepeatsNoPassword(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := config.NewSecret("hunter2")
	for name, c := range map[string]struct {
		o    redisblocks.Options
		says string
	}{
		"no address":                     {at(""), "redis:"},
		"no scheme":                      {at("hunter2@host"), "redis:"},
		"another scheme":                 {at("http://u:hunter2@host"), "redis:"},
		"no host":                        {at("redis://u:hunter2@/0"), "redis:"},
		"a bad port":                     {at("redis://u:hunter2@host:x/0"), "redis:"},
		"a bad escape":                   {at("redis://u:hunter2%zz@host/0"), "redis:"},
		"a bad database":                 {at("redis://u:hunter2@host/x"), "question mark"},
		"an unknown option":              {at("redis://u:hunter2@host/0?colour=hunter2"), "question mark"},
		"several servers":                {at("redis://u:hunter2@a,b/0"), "redis+cluster"},
		"an empty host in a list":        {at("redis+cluster://u:hunter2@a,,b"), "redis:"},
		"a database of a cluster":        {at("redis+cluster://u:hunter2@a,b/1"), "one database"},
		"reads of replicas":              {at("redis+cluster://u:hunter2@a,b?read_only=true"), "masters"},
		"sentinels without a master":     {at("redis+sentinel://u:hunter2@a,b"), "name the master"},
		"a sentinel's user elsewhere":    {redisblocks.Options{Address: config.NewSecret("redis://a"), SentinelPassword: secret}, "sentinel"},
		"unchecked certificates":         {at("rediss://u:hunter2@a?skip_verify=true"), "always checked"},
		"certificates without TLS":       {redisblocks.Options{Address: config.NewSecret("redis://a"), CAFile: empty}, "rediss"},
		"a file of authorities, empty":   {redisblocks.Options{Address: config.NewSecret("rediss://a"), CAFile: empty}, "redis-ca-file"},
		"a file of authorities, missing": {redisblocks.Options{Address: config.NewSecret("rediss://a"), CAFile: empty + "x"}, "redis-ca-file"},
		"a certificate without its key":  {redisblocks.Options{Address: config.NewSecret("rediss://a"), CertFile: empty}, "together"},
		"a certificate that is none": {
			redisblocks.Options{Address: config.NewSecret("rediss://a"), CertFile: empty, KeyFile: empty}, "redis-cert-file",
		},
		"two passwords":           {redisblocks.Options{Address: config.NewSecret("redis://u:hunter2@a"), Password: secret}, "once"},
		"an empty password file":  {redisblocks.Options{Address: config.NewSecret("redis://u@a"), PasswordFile: empty}, "empty"},
		"a missing password file": {redisblocks.Options{Address: config.NewSecret("redis://u@a"), PasswordFile: empty + "x"}, "redis-password-file"},
	} {
		err := c.o.Check()
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want one that says %q", name, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error repeats a password: %v", name, err)
		}
	}
}
