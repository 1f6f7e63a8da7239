package revision_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/revision"
)

func part(incarnation string, rev int64) revision.Part {
	return revision.Part{Incarnation: incarnation, Revision: rev}
}

func TestTokenSurvivesItsText(t *testing.T) {
	for _, token := range []revision.Token{
		{},
		{Store: "s", Profile: revision.Part{Incarnation: "p", Revision: 7, Mark: []byte{1, 2}}},
		{Store: "s", Segment: part("d", 9)},
		{Store: "s", Profile: part("p", 0), Segment: part("d", 1<<62)},
	} {
		got, err := revision.Parse(token.String())
		if err != nil {
			t.Fatalf("Parse(%v): %v", token, err)
		}
		if diff := cmp.Diff(token, got); diff != "" {
			t.Errorf("token changed (-want +got):\n%s", diff)
		}
	}
}

func TestMergeTakesTheMaximumOfEachPart(t *testing.T) {
	a := revision.Token{Store: "s", Profile: part("p", 7), Segment: part("d", 2)}
	b := revision.Token{Store: "s", Profile: part("p", 5), Segment: part("d", 3)}
	want := revision.Token{Store: "s", Profile: part("p", 7), Segment: part("d", 3)}
	for _, pair := range [][2]revision.Token{{a, b}, {b, a}, {want, revision.Token{}}, {revision.Token{}, want}} {
		got, err := revision.Merge(pair[0], pair[1])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Merge(%v) (-want +got):\n%s", pair, diff)
		}
	}
	only, err := revision.Merge(revision.Token{Store: "s", Profile: part("p", 1)}, revision.Token{Store: "s", Segment: part("d", 4)})
	if err != nil || only.Profile.Revision != 1 || only.Segment.Revision != 4 {
		t.Errorf("absent parts: %v, %v", only, err)
	}
}

func TestTokensOfDifferentLivesAreRefused(t *testing.T) {
	a := revision.Token{Store: "s", Profile: part("p", 7)}
	for name, b := range map[string]revision.Token{
		"another store": {Store: "z", Profile: part("p", 7)},
		"another life":  {Store: "s", Profile: part("q", 7)},
	} {
		if _, err := revision.Merge(a, b); fault.ReasonOf(err) != revision.ReasonAnotherStore {
			t.Errorf("Merge with %s: %v", name, err)
		}
		if err := b.Belongs("s", "p", "d"); fault.ReasonOf(err) != revision.ReasonAnotherStore {
			t.Errorf("Belongs of %s: %v", name, err)
		}
	}
	marked := func(mark byte) revision.Token {
		return revision.Token{Store: "s", Profile: revision.Part{Incarnation: "p", Revision: 7, Mark: []byte{mark}}}
	}
	if _, err := revision.Merge(marked(1), marked(2)); fault.ReasonOf(err) != revision.ReasonAnotherStore {
		t.Errorf("one revision with two marks: %v", err)
	}
	if err := a.Belongs("s", "p", "d"); err != nil {
		t.Errorf("Belongs of its own store: %v", err)
	}
	if err := a.Belongs("s", "", ""); err != nil {
		t.Errorf("Belongs where the life is not known yet: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(revision.Token{Store: "s", Profile: part("p", 7)}.String())
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		token, err := revision.Parse(s)
		if err != nil {
			if fault.ReasonOf(err) != revision.ReasonInvalid {
				t.Fatalf("Parse(%q): %v", s, err)
			}
			return
		}
		again, err := revision.Parse(token.String())
		if err != nil || !cmp.Equal(token, again) {
			t.Fatalf("Parse(String(%v)) = %v, %v", token, again, err)
		}
	})
}

func Example() {
	write := revision.Token{Store: "s1", Profile: revision.Part{Incarnation: "p1", Revision: 41}}
	later := revision.Token{Store: "s1", Profile: revision.Part{Incarnation: "p1", Revision: 42}}
	merged, _ := revision.Merge(write, later)
	fmt.Println(merged.Profile.Revision)
	// Output: 42
}
