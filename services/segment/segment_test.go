package segment_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/segment"
)

func TestIDsAreLabels(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "a1": true, "young-directors": true, "a--b": true, strings.Repeat("a", 63): true,
		"": false, "A": false, "1a": false, "-a": false, "a-": false, "a_b": false, "a b": false, "é": false, "a/b": false,
		strings.Repeat("a", 64): false,
	} {
		if got := segment.ValidID(id); got != want {
			t.Errorf("ValidID(%q) = %v", id, got)
		}
		if got, ok := segment.ParseName("segments/" + id); ok != want || ok && got != id {
			t.Errorf("ParseName of %q = %q, %v", id, got, ok)
		}
		if got, ok := segment.ParseName(id); ok != want || ok && segment.Name(got) != "segments/"+id {
			t.Errorf("ParseName(%q) = %q, %v", id, got, ok)
		}
	}
	if _, ok := segment.ParseName("segments/segments/a"); ok {
		t.Error("a prefix was taken off twice")
	}
}

func TestReferencesAreSortedAndSingle(t *testing.T) {
	got := segment.SortReferences([]segment.Reference{{UID: "b", ID: "x"}, {UID: "a", ID: "y"}, {UID: "b", ID: "x"}})
	if !slices.Equal(got, []segment.Reference{{UID: "a", ID: "y"}, {UID: "b", ID: "x"}}) {
		t.Errorf("references %v", got)
	}
}

// A way back exists exactly if the segment is among what its references reach, which a fixed point over all edges tells too.
func TestACycleIsFoundIfAndOnlyIfThereIsOne(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	found, missed := 0, 0
	for range 3000 {
		n := 2 + r.IntN(7)
		edges := make([][]int, n)
		for i := range edges {
			for j := range n {
				if r.IntN(n*2) < 2 {
					edges[i] = append(edges[i], j)
				}
			}
		}
		ref := func(i int) segment.Reference {
			return segment.Reference{ID: fmt.Sprint("s", i), UID: fmt.Sprint("u", i)}
		}
		refs := func(i int) (list []segment.Reference) {
			for _, j := range edges[i] {
				list = append(list, ref(j))
			}
			return list
		}
		path, err := segment.FindCycle(ref(0), refs(0), func(uid string) ([]segment.Reference, error) {
			var i int
			if _, err := fmt.Sscanf(uid, "u%d", &i); err != nil {
				return nil, err
			}
			if i == 0 {
				t.Fatal("the segment itself was asked for, whose new references are not stored")
			}
			return refs(i), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		reached := make([]bool, n)
		for range n + 1 {
			for i := range n {
				if i == 0 || reached[i] {
					for _, j := range edges[i] {
						reached[j] = true
					}
				}
			}
		}
		if (path != nil) != reached[0] {
			t.Fatalf("edges %v: path %v", edges, path)
		}
		if path == nil {
			missed++
			continue
		}
		found++
		if path[0] != "s0" || path[len(path)-1] != "s0" || len(path) < 2 {
			t.Fatalf("edges %v: path %v does not lead back", edges, path)
		}
		for k := 1; k < len(path); k++ {
			var from, to int
			if _, err := fmt.Sscanf(path[k-1]+" "+path[k], "s%d s%d", &from, &to); err != nil || !slices.Contains(edges[from], to) {
				t.Fatalf("edges %v: path %v has a step that is none", edges, path)
			}
		}
	}
	if found < 100 || missed < 100 {
		t.Errorf("%d with a cycle and %d without: the graphs are too alike", found, missed)
	}
}

func TestASearchThatFailsSaysSo(t *testing.T) {
	broken := errors.New("broken")
	_, err := segment.FindCycle(segment.Reference{UID: "a"}, []segment.Reference{{UID: "b"}}, func(string) ([]segment.Reference, error) { return nil, broken })
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestFaultsRepeatWhatTheirMessagesSay(t *testing.T) {
	for _, c := range []struct {
		f    *fault.Error
		meta []string
	}{
		{segment.NotFound("a"), []string{"segments/a"}},
		{segment.Exists("a"), []string{"segments/a"}},
		{segment.InUse("a", "b"), []string{"segments/a", "segments/b"}},
		{segment.NotStatic("a", false), []string{"segments/a"}},
		{segment.NotStatic("a", true), []string{"segments/a"}},
		{segment.Cycle([]string{"a", "b", "a"}), []string{"segments/a -> segments/b -> segments/a"}},
		{segment.Owned("a", "personas/p"), []string{"segments/a", "personas/p"}},
		{segment.ListTooLong(7), []string{"7"}},
		{segment.ETagMismatch("a"), []string{"segments/a"}},
		{segment.UnknownSegment("a"), []string{"segments/a"}},
	} {
		for _, v := range c.meta {
			values := make([]string, 0, len(c.f.Metadata))
			for _, m := range c.f.Metadata {
				values = append(values, m)
			}
			if !strings.Contains(c.f.Message, v) || !slices.Contains(values, v) {
				t.Errorf("%s: %q is not both in %q and %v", c.f.Reason, v, c.f.Message, values)
			}
		}
		if len(c.f.Metadata) != len(c.meta) {
			t.Errorf("%s: metadata %v", c.f.Reason, c.f.Metadata)
		}
	}
}
