package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/config"
)

func TestASecretIsNeverPrinted(t *testing.T) {
	type settings struct {
		Password config.Secret
		private  config.Secret
	}
	s := settings{Password: config.NewSecret("hunter2"), private: config.NewSecret("hunter2")}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "password", s.Password, "all", s)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "password", s.Password, "all", s, "pointer", &s)
	js, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for name, out := range map[string]string{
		"verbs":   fmt.Sprintf("%v %+v %#v %s %q %x %X %d", s.Password, s.Password, s.Password, s.Password, s.Password, s.Password, s.Password, s.Password),
		"struct":  fmt.Sprintf("%v %+v", s, &s),
		"pointer": fmt.Sprint(&s.Password),
		"error":   fmt.Errorf("connect with %v", s.Password).Error(),
		"json":    string(js),
		"log":     log.String(),
	} {
		if strings.Contains(out, "hunter2") || strings.Contains(out, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("%s shows the secret: %s", name, out)
		}
		if !strings.Contains(out, "******") {
			t.Errorf("%s shows no mask: %s", name, out)
		}
	}
	if s.Password.Reveal() != "hunter2" || s.Password.IsZero() || !(config.Secret{}).IsZero() || (config.Secret{}).String() != "" {
		t.Error("the secret itself is wrong")
	}
	var read config.Secret
	if err := read.UnmarshalText([]byte("a b")); err != nil || read.Reveal() != "a b" {
		t.Errorf("read %q, %v", read.Reveal(), err)
	}
}

func TestSizesAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]config.Bytes{
		"0": 0, "512": 512, "512B": 512, "64KiB": 64 * config.KiB, "64 kib": 64 * config.KiB, "1.5GiB": config.GiB + config.GiB/2,
		"2MB": 2_000_000, "3TB": 3_000_000_000_000, "1TiB": config.TiB, "9223372036854775807": math.MaxInt64,
	} {
		var got config.Bytes
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q = %d, %v; want %d", text, got, err, want)
		}
		again, err := config.ParseBytes(got.String())
		if err != nil || again != got {
			t.Errorf("%d is written %q and read %d, %v", got, got, again, err)
		}
	}
	for _, text := range []string{"", "-1", "-1KiB", "KiB", "1e9GiB", "infKiB", "1..2MB", "9223372036854775808", "8388608TiB", "1XB", "0x10"} {
		if got, err := config.ParseBytes(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
	if got := (64 * config.KiB).String(); got != "64KiB" {
		t.Errorf("wrote %q", got)
	}
}

type part struct{ err error }

func (p part) Validate() error { return p.err }

func TestValidateReportsEveryPart(t *testing.T) {
	if err := config.Validate(part{}, part{}); err != nil {
		t.Error(err)
	}
	err := config.Validate(part{io.EOF}, part{}, part{io.ErrNoProgress})
	if !errors.Is(err, io.EOF) || !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
}
