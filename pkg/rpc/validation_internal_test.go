package rpc

import (
	"fmt"
	"strings"
	"testing"

	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
)

func fresh(token string) *typev1.Consistency {
	return &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: token}}
}

func TestOnlyWhatPassedIsRemembered(t *testing.T) {
	v, err := newValidation()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := v.check(fresh("t")); err != nil {
			t.Fatalf("a valid message: %v", err)
		}
		if err := v.check(fresh(strings.Repeat("x", 600))); err == nil {
			t.Fatal("an invalid message passed")
		}
	}
	if len(v.now) != 1 {
		t.Errorf("%d messages are remembered, of one that passed", len(v.now))
	}
	if key, ok := v.fingerprint(fresh("t")); !ok || !v.passed(key) {
		t.Error("the message that passed is not remembered")
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	v, err := newValidation()
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 * mostRemembered {
		if err := v.check(fresh(fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
		if len(v.now) > mostRemembered || len(v.old) > mostRemembered {
			t.Fatalf("%d and %d messages are remembered", len(v.now), len(v.old))
		}
	}
	if key, _ := v.fingerprint(fresh(fmt.Sprint(3*mostRemembered - 1))); !v.passed(key) {
		t.Error("the newest message is forgotten")
	}
	if key, _ := v.fingerprint(fresh("0")); v.passed(key) {
		t.Error("the oldest message is remembered")
	}
	if _, ok := v.fingerprint(fresh(strings.Repeat("x", maxRemembered))); ok {
		t.Error("a large message is remembered")
	}
}

func BenchmarkValidate(b *testing.B) {
	v, err := newValidation()
	if err != nil {
		b.Fatal(err)
	}
	m := fresh("t")
	b.Run("rules", func(b *testing.B) {
		for b.Loop() {
			if err := v.rules.Validate(m); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("remembered", func(b *testing.B) {
		for b.Loop() {
			if err := v.check(m); err != nil {
				b.Fatal(err)
			}
		}
	})
}
