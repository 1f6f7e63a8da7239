package server_test

import (
	"context"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/profile/server"
)

func TestTheDefaultsAreThoseOfTheFlagsAndValid(t *testing.T) {
	var cfg server.Config
	p, err := kong.New(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Parse(nil); err != nil || !reflect.DeepEqual(cfg, server.Default()) {
		t.Errorf("the flags give %+v, Default %+v (%v)", cfg, server.Default(), err)
	}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*server.Config){
		"path": func(c *server.Config) { c.Path = "" }, "currency": func(c *server.Config) { c.Currency = "eur" },
		"time zone": func(c *server.Config) { c.TimeZone = "Mars/Olympus" }, "local time zone": func(c *server.Config) { c.TimeZone = "Local" },
		"keys": func(c *server.Config) { c.Keys = "" }, "phone region": func(c *server.Config) { c.PhoneRegion = "fr" },
		"allowed rule":   func(c *server.Config) { c.Allow = []string{"reserved_domains"} },
		"trusted source": func(c *server.Config) { c.Trust = []string{"crm", "My Shop"} }, "undo period": func(c *server.Config) { c.UndoPeriod = 0 },
		"retention": func(c *server.Config) { c.KeepEvents = -1 }, "kind": func(c *server.Config) { c.KeepEventsOf = map[string]int64{"Visit": 1} },
		"due rows": func(c *server.Config) { c.DueRows = 0 }, "due interval": func(c *server.Config) { c.DueInterval = 2 * time.Hour },
		"unit rows": func(c *server.Config) { c.UnitRows = 0 }, "checkpoint": func(c *server.Config) { c.Checkpoint = -time.Second },
	} {
		c := server.Default()
		change(&c)
		if c.Validate() == nil {
			t.Errorf("a wrong %s is taken", name)
		}
	}
}

func TestAServiceServesUntilItIsClosed(t *testing.T) {
	cfg := server.Default()
	cfg.Path, cfg.Keys = filepath.Join(t.TempDir(), "profile.db"), filepath.Join(t.TempDir(), "profile.keys")
	s, err := server.New(t.Context(), cfg, server.Deps{Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	local, err := rpc.NewLocal(rpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Register(local)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	head, err := profilev1.NewProfileServiceClient(local).GetHead(t.Context(), &profilev1.GetHeadRequest{})
	if err != nil || head.GetCurrencyCode() != "EUR" || head.GetTimeZone() != "UTC" {
		t.Errorf("the head is %v (%v)", head, err)
	}
	if list, err := profilev1.NewAttributeServiceClient(local).ListAttributes(t.Context(), &profilev1.ListAttributesRequest{}); err != nil || len(list.GetAttributes()) != 0 {
		t.Errorf("a new store's attributes are %v (%v)", list, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	s.StopStreams()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s.Ready(t.Context()) == nil {
		t.Error("a closed service is ready")
	}
	cfg.Path = filepath.Join(t.TempDir(), "nothing", "here.db")
	if _, err := server.New(t.Context(), cfg, server.Deps{}); err == nil {
		t.Error("a store in a folder that is not there is opened")
	}
}
