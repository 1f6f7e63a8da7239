package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
)

// Secret is a text that shows itself only to who asks with [Secret.Reveal]: fmt, slog, JSON and text encoders write a mask.
// The zero value is the empty secret, which is written as the empty text, so that "is it set" stays visible.
//
// The text is behind a pointer because fmt does not ask the methods of a value in an unexported field.
type Secret struct{ text *string }

// mask has a fixed length, so that not even the length is told.
const mask = "******"

// NewSecret wraps text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Reveal returns the text itself. Hand it to the library that needs it and keep it nowhere.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether no secret is set.
func (s Secret) IsZero() bool { return s.text == nil }

// String returns the mask, or "" for the empty secret.
func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return mask
}

// Format writes the mask for every verb, %#v and %x included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue returns the mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns the mask.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the text as it is.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// Bytes is a size in bytes, from 0 to 2^63-1. As text it is a whole or decimal number with B, KiB, MiB, GiB or TiB (1024 each) or
// KB, MB, GB, TB (1000 each); without a unit it counts bytes.
type Bytes int64

// Sizes to multiply with.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
	TiB Bytes = 1 << 40
)

// units are tried in order: longer names before their endings.
var units = []struct {
	name string
	size float64
}{
	{"KiB", float64(KiB)}, {"MiB", float64(MiB)}, {"GiB", float64(GiB)}, {"TiB", float64(TiB)},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// ParseBytes reads a size. Case and spaces do not matter.
func ParseBytes(text string) (Bytes, error) {
	clean := strings.ToLower(strings.ReplaceAll(text, " ", ""))
	for _, u := range units {
		digits, ok := strings.CutSuffix(clean, strings.ToLower(u.name))
		if !ok {
			continue
		}
		if u.size == 1 { // whole bytes exactly, beyond what a float can hold
			n, err := strconv.ParseInt(digits, 10, 64)
			if err == nil && n >= 0 {
				return Bytes(n), nil
			}
			break
		}
		if strings.Trim(digits, "0123456789.") != "" { // no sign, exponent, "inf" or "nan"
			break
		}
		n, err := strconv.ParseFloat(digits, 64)
		if err != nil || n*u.size >= math.MaxInt64 {
			break
		}
		return Bytes(math.Round(n * u.size)), nil
	}
	return 0, fmt.Errorf("%q is no size; write one such as 512MiB, 1.5GiB or 64KB", text)
}

// UnmarshalText is [ParseBytes].
func (b *Bytes) UnmarshalText(text []byte) error {
	n, err := ParseBytes(string(text))
	if err == nil {
		*b = n
	}
	return err
}

// String writes the size in the largest unit of 1024 that divides it, so that [ParseBytes] reads the same size back.
func (b Bytes) String() string {
	for i := 3; i >= 0; i-- {
		if size := Bytes(units[i].size); b != 0 && b%size == 0 {
			return strconv.FormatInt(int64(b/size), 10) + units[i].name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// MarshalText is [Bytes.String].
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// Validate asks every part and joins what they say, so that all wrong settings are reported at once.
func Validate(parts ...interface{ Validate() error }) error {
	var errs []error
	for _, p := range parts {
		errs = append(errs, p.Validate())
	}
	return errors.Join(errs...)
}
