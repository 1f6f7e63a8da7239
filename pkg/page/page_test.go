package page_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/page"
)

func TestSizeIsCoerced(t *testing.T) {
	for requested, want := range map[int32]int{0: 50, 1: 1, 1000: 1000, 1001: 1000, 1 << 30: 1000} {
		got, err := page.Size(requested)
		if err != nil || got != want {
			t.Errorf("Size(%d) = %d, %v; want %d", requested, got, err, want)
		}
	}
	if _, err := page.Size(-1); fault.KindOf(err) != fault.Invalid {
		t.Errorf("Size(-1): %v, want an Invalid fault", err)
	}
}

func TestTokenGoesOnAfterItsKey(t *testing.T) {
	sum := page.Checksum("segments", "owner=x")
	for _, key := range []string{"a", "Ärger", "\x01", strings.Repeat("x", 300)} {
		got, err := page.Decode(page.Encode(key, sum), sum)
		if err != nil || got != key {
			t.Errorf("Decode(Encode(%q)) = %q, %v", key, got, err)
		}
	}
	if after, err := page.Decode("", sum); after != "" || err != nil {
		t.Errorf("Decode of no token = %q, %v; want the first page", after, err)
	}
}

func TestTokenOfAnotherRequestIsRefused(t *testing.T) {
	token := page.Encode("k", page.Checksum("segments", "a"))
	if _, err := page.Decode(page.Encode("a\x00", 7), 7); fault.ReasonOf(err) != page.ReasonTokenInvalid {
		t.Errorf("a key that no database could compare: %v", err)
	}
	for name, sum := range map[string]uint64{
		"another filter":   page.Checksum("segments", "b"),
		"another method":   page.Checksum("profiles", "a"),
		"moved boundaries": page.Checksum("segmentsa"),
	} {
		if _, err := page.Decode(token, sum); fault.ReasonOf(err) != page.ReasonTokenInvalid {
			t.Errorf("%s: %v, want reason %s", name, err, page.ReasonTokenInvalid)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(page.Encode("k", 7), uint64(7))
	f.Add("%%%", uint64(0))
	f.Fuzz(func(t *testing.T, token string, sum uint64) {
		after, err := page.Decode(token, sum)
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatalf("Decode(%q): %v, want nil or an Invalid fault", token, err)
		}
		if err == nil && token != "" {
			if again, err := page.Decode(page.Encode(after, sum), sum); err != nil || again != after {
				t.Fatalf("a decoded key does not survive: %q, %v", again, err)
			}
		}
	})
}

func Example() {
	sum := page.Checksum("ListSegments")
	next := page.Encode("segments/commuters", sum)
	after, _ := page.Decode(next, sum)
	fmt.Println(after)
	// Output: segments/commuters
}
