package truth_test

import (
	"math/rand/v2"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
	"github.com/narrowcast/narrowcast/pkg/audience/rule"
)

// The suite is asked in text and the loop in predicates: the two must be the same question, for everybody.
func TestTextSaysWhatThePredicateSays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	s, err := audience.NewSchema("EUR", []audience.Attribute{
		{Name: attrSignup, Kind: audience.KindDate}, {Name: attrLastOrder, Kind: audience.KindDate}, {Name: "custom.vip", Kind: audience.KindBool},
		{Name: "custom.note", Kind: audience.KindText}, {Name: "custom.code", Kind: audience.KindText, Values: []string{"x", "y"}},
		{Name: "custom.tags", Kind: audience.KindTextList}, {Name: "custom.balance", Kind: audience.KindDecimal, Scale: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	people := make([]audience.Facts, 50)
	for i := range people {
		people[i] = audiencetest.Facts(r, s)
	}
	member := func(name string) bool { return name == "segments/b" }
	for range 2000 {
		p := fit(audiencetest.Pred(r, s, []string{"segments/a", "segments/b"}, 3), s)
		written := text(p, s)
		c, err := rule.Compile(written, s, func(name string) (string, error) { return name, nil })
		if err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		for _, f := range people {
			want, got := audiencetest.Eval(p, f, audiencetest.Day, s, member), audiencetest.Eval(c.Pred, f, audiencetest.Day, s, member)
			if got != want {
				t.Fatalf("%s\nis %v, was %v of %v", written, got, want, f)
			}
		}
	}
}
